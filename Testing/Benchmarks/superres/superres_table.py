"""Shape super-resolution against interpolation: the papers' pairs of resolutions, on unseen skulls.

A grid called N has voxels of 256/N mm (N voxels on 256 mm, as the papers' grids of 64 to 512 have
on a head). A voxel of either grid is set where it is at least half bone, by the skull as it came
(0.5 mm in BrainWeb; a CT of 1 mm, or of slices of 2 mm, is interpolated at 0.5 mm and segmented
there, as its grey tells where the surface passes between voxels). Each method brings the coarse
skull back to the fine grid:

- *nearest*, *trilinear*, *B-spline* (third order): the mask interpolated, cut at one half;
- *signed distance*: the distance to the coarse mask's surface interpolated linearly, cut at 0;
- *rearrangement*: voxel rearrangement (Li et al. 2021) by one training skull at both resolutions;
- *network*: `skull-implant superres`.

Scores: Dice, and the mean and 95th percentile of the distance between the surfaces' voxels, both
ways. Run from the project's folder:

    python Testing/Benchmarks/superres/superres_table.py DATA WEIGHTS [--pairs 64:256 128:256]

DATA holds `train` and `test`. It writes `superres.csv` and `superres.md` beside this file; rows
that are there already for the same weights are kept, so that a run may be resumed.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.completion.network import NetworkPlace
from SkullImplantLib.completion.rearrangement import rearrange
from SkullImplantLib.completion.super_resolution import super_resolve
from SkullImplantLib.core.blocks import mean_per_block
from SkullImplantLib.core.distances import between_voxels_mm
from SkullImplantLib.core.finer_grid import finer_grid
from SkullImplantLib.core.images import (
    array_of,
    bounding_box,
    crop,
    fraction_on,
    resample,
)
from SkullImplantLib.core.interpolation import along_axes
from SkullImplantLib.core.threads import use_threads
from SkullImplantLib.networks.weights import Weights, load_weights
from SkullImplantLib.reading import Input
from SkullImplantLib.skull.segmentation import segment_skull

HERE = Path(__file__).parent
# On a head of 256 mm.
FIELD_MM = 256.0
PAIRS = ("64:128", "64:256", "64:512", "128:256", "128:512")
TEMPLATE = "brainweb-04"
MARGIN_MM = 12.0
TRUE_MM, AIR_HU = 0.5, -1000.0
METHODS = (
    "nearest",
    "trilinear",
    "B-spline",
    "signed distance",
    "rearrangement",
    "network",
)
COLUMNS = (
    "pair", "skull", "method", "dice", "surface_mm", "hd95_mm", "volume_ratio", "seconds",
    "weights",
)  # fmt: skip


def on_grid(mask: sitk.Image, spacing_mm: float, blocks: int) -> sitk.Image:
    """Return which part of each voxel of an isotropic grid the skull fills, float32.

    The grid's size is a multiple of `blocks` along each axis.
    """
    z, y, x = (int(np.ceil(MARGIN_MM / s)) for s in mask.GetSpacing()[::-1])
    part = crop(mask, bounding_box(array_of(mask), (z, y, x)))
    extent = np.multiply(part.GetSize(), part.GetSpacing())
    size = (np.ceil(extent / spacing_mm / blocks) * blocks).astype(int)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetDirection(part.GetDirection())
    half = (spacing_mm / np.array(part.GetSpacing()) - 1.0) / 2.0
    grid.SetOrigin(part.TransformContinuousIndexToPhysicalPoint(half.tolist()))
    return fraction_on(part, grid)


def finely(source: Input, mask: sitk.Image) -> sitk.Image:
    """Return the skull at no more than `TRUE_MM`: of a CT segmented there."""
    image = source.image
    if source.kind != "ct" or max(image.GetSpacing()) <= TRUE_MM:
        return mask
    return segment_skull(resample(image, finer_grid(image, TRUE_MM), outside=AIR_HU)).mask


def blocks_of(fine: sitk.Image, coarse: np.ndarray, factor: int) -> sitk.Image:
    """Return a coarse mask (z, y, x) as an image in the place of the fine one."""
    image = sitk.GetImageFromArray(coarse.astype(np.uint8))
    image.SetSpacing([s * factor for s in fine.GetSpacing()])
    image.SetDirection(fine.GetDirection())
    image.SetOrigin(fine.TransformContinuousIndexToPhysicalPoint([(factor - 1) / 2] * 3))
    return image


def interpolations(
    coarse: np.ndarray, fine: sitk.Image, factor: int
) -> dict[str, Callable[[], np.ndarray]]:
    """Return the ways back that need nothing but the coarse mask (z, y, x)."""
    at = [(np.arange(n * factor) + 0.5) / factor - 0.5 for n in coarse.shape]

    def spline() -> np.ndarray:
        image = sitk.Cast(blocks_of(fine, coarse, factor), sitk.sitkFloat32)
        return array_of(resample(image, fine, sitk.sitkBSpline3)) > 0.5

    def repeated() -> np.ndarray:
        fine = coarse
        for axis in range(3):
            fine = np.repeat(fine, factor, axis)
        return fine

    return {
        "nearest": repeated,
        "trilinear": lambda: along_axes(coarse.astype(np.float32), at) > 0.5,
        "B-spline": spline,
        "signed distance": lambda: along_axes(between_voxels_mm(coarse, (1.0,) * 3), at) > 0.0,
    }


def score(made: np.ndarray, true: np.ndarray, spacing_mm: float) -> dict[str, float]:
    """Return the scores of a mask against the truth (z, y, x)."""
    surfaces = [mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in (made, true)]
    apart = []
    for one, other in (surfaces, surfaces[::-1]):
        image = sitk.GetImageFromArray(other.astype(np.uint8))
        away = array_of(sitk.SignedMaurerDistanceMap(image, False, False, False))
        apart.append(np.maximum(away[one], 0.0) * spacing_mm)
    pooled = np.concatenate(apart)
    return {
        "dice": 2.0 * np.count_nonzero(made & true) / (made.sum() + true.sum()),
        "surface_mm": float(pooled.mean()),
        "hd95_mm": float(np.percentile(pooled, 95)),
        "volume_ratio": float(made.sum() / true.sum()),
    }


def methods_of(
    coarse: np.ndarray, fine: sitk.Image, factor: int, template: np.ndarray, weights: Weights
) -> dict[str, Callable[[], np.ndarray]]:
    """Return every way back."""

    def network() -> np.ndarray:
        image = blocks_of(fine, coarse, factor)
        found = super_resolve(image, fine.GetSpacing()[0], weights, NetworkPlace("auto"))
        return array_of(found.mask) > 0

    return {
        **interpolations(coarse, fine, factor),
        "rearrangement": lambda: rearrange(coarse, template, (factor,) * 3),
        "network": network,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--pairs", nargs="+", default=PAIRS)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    use_threads(options.threads, torch=True)
    weights = load_weights(options.weights)
    path = options.output / "superres.csv"
    rows = read_rows(path, weights)
    tests = skulls_in(options.data / "test")
    template = next(s for s in skulls_in(options.data / "train") if s.name == TEMPLATE)
    for skull in tests:
        wanted = [
            (pair, [m for m in options.methods if (pair, skull.name, m) not in rows])
            for pair in options.pairs
        ]
        if not any(methods for _, methods in wanted):
            continue
        source, mask = skull.read()
        mask = finely(source, mask)
        for pair, methods in wanted:
            low, high = map(int, pair.split(":"))
            spacing_mm, factor = FIELD_MM / high, high // low
            if max(source.image.GetSpacing()) > 1.5 * spacing_mm and pair.endswith("512"):
                continue  # its own voxels are coarser than the truth would be
            if not methods:
                continue
            fine = on_grid(mask, spacing_mm, factor)
            lesson = array_of(on_grid(template.read()[1], spacing_mm, factor)) >= 0.5
            true = array_of(fine) >= 0.5
            coarse = mean_per_block(array_of(fine), (factor,) * 3) >= 0.5
            ways = methods_of(coarse, fine, factor, lesson, weights)
            for method in methods:
                start = time.perf_counter()
                made = ways[method]()
                seconds = time.perf_counter() - start
                row = {
                    "pair": pair, "skull": skull.name, "method": method,
                    **{k: f"{v:.4f}" for k, v in score(made, true, spacing_mm).items()},
                    "seconds": f"{seconds:.1f}",
                    "weights": weights.sha256[:12] if method == "network" else "",
                }  # fmt: skip
                rows[pair, skull.name, method] = row
                print(*row.values(), file=sys.stderr, flush=True)
                write_rows(path, rows)
    (options.output / "superres.md").write_text(table(list(rows.values()), weights))


def read_rows(path: Path, weights: Weights) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return the rows that are there, those of other weights left out."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["weights"] in ("", weights.sha256[:12])]
    return {(row["pair"], row["skull"], row["method"]): row for row in rows}


def write_rows(path: Path, rows: dict[tuple[str, str, str], dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))


def table(rows: list[dict[str, str]], weights: Weights) -> str:
    """Return the rows as Markdown: a table for each pair, methods down and skulls across."""
    lines = [
        "# Shape super-resolution against interpolation",
        "",
        "Made by `Testing/Benchmarks/superres/superres_table.py`, which says what is compared. The "
        "four test skulls were",
        f"never trained on; network: weights {weights.sha256[:12]}, "
        f"{weights.metadata['iteration']} iterations. Each cell: Dice / mean surface distance / "
        "HD95 in mm.",
    ]
    skulls = sorted({row["skull"] for row in rows})
    for pair in PAIRS:
        of_pair = {(r["skull"], r["method"]): r for r in rows if r["pair"] == pair}
        if not of_pair:
            continue
        there = [name for name in skulls if (name, METHODS[0]) in of_pair]
        low, high = pair.split(":")
        lines += [
            "",
            f"## {low} to {high} ({FIELD_MM / int(low):g} to {FIELD_MM / int(high):g} mm)",
        ]
        lines += ["", "| method | " + " | ".join(there) + " |", "|---" * (len(there) + 1) + "|"]
        for method in METHODS:
            cells = [
                "{dice} / {surface_mm} / {hd95_mm}".format(**of_pair[name, method])
                if (name, method) in of_pair
                else "-"
                for name in there
            ]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
