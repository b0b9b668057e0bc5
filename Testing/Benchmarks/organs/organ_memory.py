"""Memory of sparse super-resolution, one organ at a time at 512 x 512 x Z, as the slides' table S1.

    python Testing/Benchmarks/organs/organ_memory.py -o Testing/Benchmarks/organs --note "MACHINE"

The organs are those of a procedural thorax, 512 x 512 x 180, that no training saw. A training step
takes the whole organ as one sparse batch, as the papers do; use likewise, where the program itself
works in slabs. Every row runs in a process of its own and is kept in `organ-memory.json`, from
which a later call goes on. Beside them stands a dense network, by the rows of `skull-implant
benchmark memory`. Writes `organ-memory.md`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from SkullImplantLib.cases.thorax_phantom import ORGANS, ThoraxOptions, make_thorax
from SkullImplantLib.core.finer_grid import places_of
from SkullImplantLib.core.images import array_of, bounding_box
from SkullImplantLib.evaluation.memory_run import LEARNING_RATE, SEED, steps_taken
from SkullImplantLib.evaluation.tables import cell, markdown
from SkullImplantLib.networks.autoencoder import SparseAutoEncoder
from SkullImplantLib.networks.label_superres import (
    CHANNELS,
    coarse_masks,
    labels_configuration,
)
from SkullImplantLib.networks.superres import (
    coarse_view,
    logits_by_network,
    rearranged_by_network,
    seen,
)
from SkullImplantLib.organs.coarse_grid import coarse_grid, labels_on
from SkullImplantLib.sparse import Sites
from SkullImplantLib.training.losses import rearranging_loss
from SkullImplantLib.training.organ_subjects import HELD_BACK
from SkullImplantLib.training.organ_tasks import DICE_WEIGHT

SUBJECT = HELD_BACK + 100
SIZE = (512, 512, 180)
MODES = ("train", "test")
AROUND_VOXELS = 16  # of the organ, more than a site may lie outside it
THREADS = 1
# GB for training and for use, and the share of voxels in percent (Li et al. 2023, table S1).
PUBLISHED = {
    "aorta": (2.05, 1.75, 0.20),
    "heart": (2.46, 2.38, 0.79),
    "trachea": (1.73, 1.64, 0.04),
    "oesophagus": (1.77, 1.64, 0.05),
}
ROWS, TABLE = "organ-memory.json", "organ-memory.md"
DENSE_ROWS = Path(__file__).resolve().parents[1] / "memory" / "memory.json"
DENSE_SLICES = 200 / 512  # of that benchmark's grid for each voxel along x
Row = dict[str, Any]


def make_organs(folder: Path) -> None:
    """Write what is needed of each organ of the subject: the box around it, and what is seen."""
    labels = make_thorax(SUBJECT, ThoraxOptions(size=SIZE)).labels
    for organ, number in ORGANS.items():
        write_organ(labels == number, folder / f"{organ}.npz")


def write_organ(mask: sitk.Image, path: Path) -> None:
    """Write the truth in the organ's box, its coarse mask, and where the box lies on that."""
    coarse, whole = labels_on(mask, coarse_grid(mask)), array_of(mask)
    # Outside this box there is no site, and nothing that takes memory.
    box = bounding_box(whole, AROUND_VOXELS)
    z, y, x = (axis[part] for axis, part in zip(places_of(mask, coarse), box))
    np.savez_compressed(
        path,
        truth=whole[box],
        occupancy=whole.mean(),
        coarse=array_of(coarse),
        spacing_mm=coarse.GetSpacing()[::-1],
        z=z,
        y=y,
        x=x,
    )


def measure(organ: str, mode: str, folder: Path) -> Row:
    """Run the steps of an organ here, and return what they took."""
    torch.set_num_threads(THREADS)
    with np.load(folder / f"{organ}.npz") as kept:
        (seen_mask,) = coarse_masks(kept["coarse"], [1], kept["spacing_mm"])
        at = [kept[axis] for axis in "zyx"]
        truth, occupancy = torch.from_numpy(kept["truth"]).float()[None], float(kept["occupancy"])
    sites = len(seen(coarse_view(seen_mask, at))[0])
    generator = torch.Generator().manual_seed(SEED)
    network = SparseAutoEncoder(**asdict(labels_configuration()), generator=generator)
    on_cpu = torch.device("cpu")
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, amsgrad=True)

    def train() -> None:
        optimiser.zero_grad(set_to_none=True)
        target = Sites(torch.nonzero(truth).int(), stride=1)
        view = coarse_view(seen_mask, at)
        decoded = rearranged_by_network(network, [view], on_cpu, target, only_sites=True)
        torch.autograd.backward(rearranging_loss(decoded, truth, DICE_WEIGHT))
        optimiser.step()

    def use() -> None:
        logits_by_network(network, coarse_view(seen_mask, at), on_cpu, only_sites=True)

    network.train(mode == "train")
    taken = steps_taken(train if mode == "train" else use, fewest=1)
    return {"organ": organ, "mode": mode, "sites": sites, "occupancy": occupancy, **taken}


def dense_gib(rows: list[Row], mode: str) -> tuple[float, str]:
    """Return the memory of the dense network on `SIZE` in GiB, and how it is known.

    By voxels from the largest grid that was run, to which all its tensors are in proportion.
    """
    ran = [
        row
        for row in rows
        if (row["engine"], row["network"], row["mode"], row["batch"]) == ("dense", "ch1", mode, 1)
        and "refused" not in row
    ]
    largest = max(ran, key=lambda row: row["resolution"])
    side = largest["resolution"]
    share = float(np.prod(SIZE)) / (side * side * round(DENSE_SLICES * side))
    grid = f"{side} x {side} x {round(DENSE_SLICES * side)}"
    gib = largest["peak_over_start_gib"]
    return gib * share, f"{gib:.2f} GiB at {grid}, times {share:.2f}"


def table_of(rows: list[Row], dense: list[Row], note: str) -> str:
    """Return the table as Markdown."""
    by_kind = {(row["organ"], row["mode"]): row for row in rows}
    told = {mode: dense_gib(dense, mode) for mode in MODES}
    head = ["organ", "occupancy %", "sites", "training GiB", "use GiB"]
    lines = [[*head, "published: %", "training GB", "use GB"]]
    for organ, (train_gb, test_gb, percent) in PUBLISHED.items():
        train, test = (by_kind.get((organ, mode), {}) for mode in MODES)
        lines.append(
            [
                organ,
                cell(100 * train["occupancy"] if train else None, 3),
                f"{train.get('sites', '-')}",
                *(cell(row.get("peak_over_start_gib"), 3) for row in (train, test)),
                *(f"{number:.2f}" for number in (percent, train_gb, test_gb)),
            ]
        )
    whole = [f"{told[mode][0]:.1f}" for mode in MODES]
    lines.append(["dense network, any organ", "100", f"{np.prod(SIZE)}", *whole, *["-"] * 3])
    by_size, channels = " x ".join(map(str, SIZE)), ", ".join(map(str, CHANNELS))
    return "\n\n".join(
        [
            "# Memory of an organ's super-resolution",
            f"`python Testing/Benchmarks/organs/organ_memory.py`, a network of {channels} "
            f"channels, {by_size} voxels, subject {SUBJECT} of the procedural thorax. "
            f"{note}".strip(),
            markdown(lines),
            "Ours is the peak of resident memory above what the process held with network and "
            "labels in it, on the processor. The published numbers (Li et al. 2023, table S1) are "
            "of a whole GPU, whose context alone takes about 1.4 GB of them: compare their growth.",
            "Sites are what the network sees of the CT's voxels: the organ as it was interpolated, "
            "and what may be of it around. A training step takes the whole organ as one batch.",
            "The dense network has the layers of the papers' `ch1`, half as many channels as ours "
            "at the finest level, on the whole grid (`skull-implant benchmark memory`): training "
            f"{told['train'][1]} by voxels, use {told['test'][1]}.",
        ]
    )


def main() -> None:
    """Measure what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--note", default="", help="on the machine")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(json.dumps(measure(given.row[0], given.row[1], Path(given.row[2]))))
        return
    kept = given.output / ROWS
    rows: list[Row] = json.loads(kept.read_text()) if kept.exists() else []
    wanted = [(organ, mode) for organ in PUBLISHED for mode in MODES]
    there = {(row["organ"], row["mode"]) for row in rows}
    missing = [one for one in wanted if one not in there]
    with tempfile.TemporaryDirectory() as folder:
        if missing:
            make_organs(Path(folder))
        for organ, mode in missing:
            command = [sys.executable, __file__, "-o", str(given.output)]
            done = subprocess.run(
                [*command, "--row", organ, mode, folder], capture_output=True, text=True, check=True
            )
            rows.append(json.loads(done.stdout))
            print(rows[-1], flush=True)
            kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    dense = json.loads(DENSE_ROWS.read_text())["rows"]
    (given.output / TABLE).write_text(table_of(rows, dense, given.note) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
