"""The table of organs on the CT's own grid: interpolation and sparse super-resolution of 128^3.

    python Testing/Benchmarks/organs/organ_table.py -o Testing/Benchmarks/organs \\
        --real aorta-ct.nii.gz aorta-label.nii.gz 1

Subjects are procedural thoraxes that no training saw, 512 x 512 x 180. What is refined is the mask
that a perfect segmentation would find on 128^3, and the one that the dense network finds there. Of
a real CT with the aorta's label the coarse grid is as coarse beside its voxels as 128 are beside
512. Writes `organs.md`, `organs.csv` (each subject) and `organs.png`.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage

from SkullImplantLib.cases.thorax_phantom import AORTA, ORGANS, ThoraxOptions, make_thorax
from SkullImplantLib.completion.network import NetworkPlace
from SkullImplantLib.core.images import array_of, index_to_lps_mm
from SkullImplantLib.core.memory import BYTES_PER_GIB, peak_bytes, restart_peak
from SkullImplantLib.core.working_axes import as_working
from SkullImplantLib.evaluation.organ_scores import score_organs
from SkullImplantLib.export.slices import PLANES, Layer, layers_picture
from SkullImplantLib.models import ORGANS_COARSE, ORGANS_FINE
from SkullImplantLib.networks.weights import Weights, weights_beside
from SkullImplantLib.organs.coarse_grid import coarse_grid, labels_on
from SkullImplantLib.organs.organ_networks import segment_coarse, super_resolve_labels
from SkullImplantLib.organs.upsampling import METHODS, upsampled
from SkullImplantLib.training.organ_subjects import HELD_BACK

NUMBERS = list(ORGANS.values())
ON_CPU = NetworkPlace("cpu")
TEST_SUBJECTS = HELD_BACK + 100  # beyond those that a training validates with
COARSER = 4  # as 512 beside 128
SPARSE = "sparse super-resolution"
PERFECT, DENSE = "perfect 128³", "dense network's 128³"
COLUMNS = ("subject", "coarse mask", "organ", "method", "dice", "hd95_mm", "occupancy_percent")
COSTS = ("seconds", "peak_gib")
RGB = {"truth": (1.0, 1.0, 1.0), "trilinear": (0.90, 0.10, 0.60), SPARSE: (0.1, 0.9, 0.2)}
PICTURE_PX, AROUND_MM, COLORS = 560, 70.0, 128
Method = Callable[[sitk.Image, sitk.Image], sitk.Image]


@dataclass(frozen=True)
class Subject:
    """A CT with its true labels on one grid, and which organs are labelled in it."""

    name: str
    ct: sitk.Image
    truth: sitk.Image
    organs: dict[str, int]
    cells: tuple[int, int, int] = (128, 128, 128)


def methods(superres: Weights) -> dict[str, Method]:
    """Return what brings coarse labels to a fine grid, by name."""
    found: dict[str, Method] = {
        name: lambda coarse, grid, name=name: upsampled(coarse, grid, name) for name in METHODS
    }
    found[SPARSE] = lambda coarse, grid: (
        super_resolve_labels(coarse, grid, superres, NUMBERS, ON_CPU).labels
    )
    return found


def subjects(
    count: int, size: Sequence[int], real: Sequence[tuple[str, str, str]]
) -> Iterator[Subject]:
    """Yield the procedural subjects, and the real ones: CT, labels, and the aorta's number."""
    for seed in range(TEST_SUBJECTS, TEST_SUBJECTS + count):
        x, y, z = size
        made = make_thorax(seed, ThoraxOptions(size=(x, y, z)))
        yield Subject(f"thorax {seed}", made.ct, made.labels, ORGANS)
    for ct, labels, number in real:
        truth = as_working(sitk.ReadImage(labels)) == int(number)
        x, y, z = (max(int(np.ceil(n / COARSER)), 1) for n in truth.GetSize())
        name = Path(ct).name.split(".")[0]
        image = as_working(sitk.ReadImage(ct))
        yield Subject(name, image, truth * AORTA, {"aorta": AORTA}, (x, y, z))


def rows_of(
    subject: Subject, coarse: dict[str, sitk.Image], how: dict[str, Method]
) -> Iterator[dict[str, object]]:
    """Yield a row for each coarse mask, method and organ."""
    for given, mask in coarse.items():
        if not array_of(mask).any():
            continue
        for method, bring in how.items():
            restart_peak()
            start = time.perf_counter()
            made = bring(mask, subject.truth)
            seconds, peak = time.perf_counter() - start, (peak_bytes() or 0) / BYTES_PER_GIB
            for organ, score in score_organs(made, subject.truth, subject.organs).items():
                numbers = (score.dice, score.hd95_mm, 100.0 * score.occupancy, seconds, peak)
                row = dict(zip(COLUMNS, (subject.name, given, organ, method)))
                row |= dict(zip((*COLUMNS[4:], *COSTS), (round(n, 4) for n in numbers)))
                print(row, flush=True)
                yield row


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return means over the subjects of a kind, as Markdown; the best of each in bold."""
    lines = [
        "| subjects | coarse mask | organ (% of voxels) | "
        + " | ".join(f"{method}: Dice, HD95 mm" for method in (*METHODS, SPARSE))
        + " |",
        "|" + "---|" * (3 + len(METHODS) + 1),
    ]
    groups: dict[tuple[str, str, str], list[dict[str, object]]] = {}
    for row in rows:
        kind = str(row["subject"])
        kind = "procedural" if kind.startswith("thorax ") else kind
        groups.setdefault((kind, str(row["coarse mask"]), str(row["organ"])), []).append(row)
    for (kind, given, organ), group in groups.items():
        means = {}
        for method in (*METHODS, SPARSE):
            own = [row for row in group if row["method"] == method]
            means[method] = [float(np.mean([float(str(r[c])) for r in own])) for c in COLUMNS[4:]]
        best = max(m[0] for m in means.values()), min(m[1] for m in means.values())
        cells = []
        for dice, hd95, _ in means.values():
            told = f"{dice:.3f}", f"{hd95:.2f}"
            cells.append(
                ", ".join(
                    f"**{text}**" if value == first else text
                    for text, value, first in zip(told, (dice, hd95), best)
                )
            )
        count = len({row["subject"] for row in group})
        share = means[SPARSE][2]
        lines.append(
            f"| {kind} ({count}) | {given} | {organ} ({share:.2f}) | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def picture(subject: Subject, coarse: sitk.Image, how: dict[str, Method]) -> Image.Image:
    """Return each organ's edges, close up: the truth, trilinear, and sparse super-resolution."""
    shown = {"truth": subject.truth}
    shown |= {name: how[name](coarse, subject.truth) for name in RGB if name in how}
    frame = index_to_lps_mm(subject.truth)
    rows = []
    for label in subject.organs.values():
        mask = array_of(subject.truth) == label
        where = np.argwhere(mask & ~ndimage.binary_erosion(mask))
        index = where[np.linalg.norm(where - where.mean(axis=0), axis=1).argmin()][::-1]
        centre = frame[:3, :3] @ index + frame[:3, 3]
        layers = [Layer(mask == label, np.array(RGB[name])) for name, mask in shown.items()]
        size = (PICTURE_PX, PICTURE_PX)
        views = [
            layers_picture(subject.ct, layers, plane, centre, AROUND_MM, size, (-160.0, 340.0))
            for plane in PLANES
        ]
        rows.append(np.concatenate(views, axis=1))
    whole = Image.fromarray(np.concatenate(rows))
    # Half as large and in few colours, as it is kept with the program.
    half = whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS)
    return half.convert("P", palette=Image.Palette.ADAPTIVE, colors=COLORS)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--superres", default=ORGANS_FINE, metavar="NAME|FILE")
    parser.add_argument("--dense", default=ORGANS_COARSE, metavar="NAME|FILE")
    parser.add_argument(
        "--real", nargs=3, action="append", default=[], metavar=("CT", "LABELS", "NUMBER")
    )
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=3, default=ThoraxOptions().size)
    given = parser.parse_args()
    how = methods(weights_beside(given.superres, ORGANS_FINE))
    dense = weights_beside(given.dense, ORGANS_COARSE)
    rows: list[dict[str, object]] = []
    for subject in subjects(given.subjects, given.size, given.real):
        masks = {
            PERFECT: labels_on(subject.truth, coarse_grid(subject.truth, subject.cells)),
            DENSE: segment_coarse(subject.ct, dense, NUMBERS, ON_CPU).labels,
        }
        if not rows:
            picture(subject, masks[PERFECT], how).save(given.output / "organs.png", optimize=True)
        rows += rows_of(subject, masks, how)
        with (given.output / "organs.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, (*COLUMNS, *COSTS))
            writer.writeheader()
            writer.writerows(rows)
        (given.output / "organs.md").write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
