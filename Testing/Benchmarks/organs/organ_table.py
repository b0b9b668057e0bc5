"""The table of organs on the CT's own grid: interpolation and sparse super-resolution of 128^3.

    python Testing/Benchmarks/organs/organ_table.py -o organs.md --superres weights.npz

Each row is a method, on the procedural thorax's test subjects (which no training sees) and, with
`--aorta LABELS`, on a real one. The coarse labels are those that a perfect dense segmentation would
find; with `--dense weights.npz` they are the dense network's.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SkullImplantLib.cases.thorax_phantom import AORTA, ORGANS, ThoraxOptions, make_thorax
from SkullImplantLib.completion.network import NetworkPlace
from SkullImplantLib.core.memory import BYTES_PER_GIB, peak_bytes, restart_peak
from SkullImplantLib.evaluation.organ_scores import score_organs
from SkullImplantLib.networks.weights import Weights, load_weights
from SkullImplantLib.organs.coarse_grid import CELLS, coarse_grid, labels_on
from SkullImplantLib.organs.organ_networks import segment_coarse, super_resolve_labels
from SkullImplantLib.organs.upsampling import METHODS, upsampled
from SkullImplantLib.training.train_organs import HELD_BACK

NUMBERS = list(ORGANS.values())
ON_CPU = NetworkPlace("cpu")
TEST_SUBJECTS = HELD_BACK + 100  # beyond those that a training validates with
Method = Callable[[sitk.Image, sitk.Image], sitk.Image]


def methods(superres: Weights | None) -> dict[str, Method]:
    """Return what brings coarse labels to a fine grid, by name."""
    found: dict[str, Method] = {
        name: lambda coarse, grid, name=name: upsampled(coarse, grid, name) for name in METHODS
    }
    if superres is not None:
        found["sparse super-resolution"] = lambda coarse, grid: super_resolve_labels(
            coarse, grid, superres, NUMBERS, ON_CPU
        ).labels
    return found


def rows_of(
    name: str, truth: sitk.Image, coarse: sitk.Image, organs: dict[str, int], how: dict[str, Method]
) -> list[str]:
    """Return a row for each method and organ."""
    rows = []
    for method, bring in how.items():
        restart_peak()
        start = time.perf_counter()
        made = bring(coarse, truth)
        seconds, peak = time.perf_counter() - start, (peak_bytes() or 0) / BYTES_PER_GIB
        for organ, score in score_organs(made, truth, organs).items():
            numbers = f"{score.dice:.4f} | {score.hd95_mm:.2f} | {100 * score.occupancy:.3f}"
            rows.append(f"| {name} | {organ} | {method} | {numbers} | {seconds:.1f} | {peak:.1f} |")
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--superres", type=Path)
    parser.add_argument("--dense", type=Path)
    parser.add_argument("--aorta", type=Path)
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=3, default=ThoraxOptions().size)
    given = parser.parse_args()
    how = methods(load_weights(given.superres) if given.superres else None)
    dense = load_weights(given.dense) if given.dense else None
    rows = []
    for seed in range(TEST_SUBJECTS, TEST_SUBJECTS + given.subjects):
        subject = make_thorax(seed, ThoraxOptions(size=tuple(given.size)))
        if dense is None:
            coarse = labels_on(subject.labels, coarse_grid(subject.labels))
        else:
            coarse = segment_coarse(subject.ct, dense, NUMBERS, ON_CPU).labels
        rows += rows_of(f"thorax {seed}", subject.labels, coarse, ORGANS, how)
    if given.aorta:
        aorta = sitk.Cast(sitk.ReadImage(str(given.aorta)) != 0, sitk.sitkUInt8) * AORTA
        # As coarse beside its voxels as 128 are beside 512.
        cells = [max(int(np.ceil(n / 4)), 1) for n in aorta.GetSize()]
        coarse = labels_on(aorta, coarse_grid(aorta, np.minimum(cells, CELLS).tolist()))
        rows += rows_of("real aorta", aorta, coarse, {"aorta": AORTA}, how)
    head = (
        "| subject | organ | method | Dice | HD95 mm | occupancy % | s | peak GiB |\n|" + "---|" * 8
    )
    given.output.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
