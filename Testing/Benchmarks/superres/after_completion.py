"""Completion at a low resolution and then super-resolution: the slides' (d) to (i).

The papers' auto-encoder completes each test skull on its own grid, and super-resolution or
interpolation brings the result to the grid called 256 (1 mm), where it is compared with the true
skull: Dice of the whole skull, and of the implant within 6 mm of the missing bone. Weights trained
at 256 (a GPU) stand beside them without that step. Run from the project's folder:

    PYTHONPATH=Testing/Benchmarks python Testing/Benchmarks/superres/after_completion.py \\
        TEST_SKULLS WEIGHTS... -o Testing/Benchmarks/superres

It writes `after_completion.csv`; cases that are there already for the same weights are kept.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from published import _seen
from published_levels import level_counts

from SkullImplantLib.completion.super_resolution import super_resolve
from SkullImplantLib.core.distances import between_voxels_mm
from SkullImplantLib.core.images import array_of
from SkullImplantLib.core.interpolation import along_axes
from SkullImplantLib.core.threads import use_threads
from SkullImplantLib.evaluation.evaluation_options import SuiteOptions
from SkullImplantLib.evaluation.suite_cases import suite_cases
from SkullImplantLib.models import SUPERRES
from SkullImplantLib.networks.weights import Weights, load_weights, shipped_beside
from SkullImplantLib.training.losses import JUDGED_MM, dice_of

FINE_MM = 1.0
COLUMNS = ("weights", "grid_mm", "then", "case", "skull_dice", "implant_dice", "sha256")
POPULATION = Path("Testing/Benchmarks/accuracy/population.npz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    use_threads(options.threads, torch=True)
    path = options.output / "after_completion.csv"
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    finer = shipped_beside(SUPERRES)
    for file in options.weights:
        weights = load_weights(file)
        key = f"{weights.sha256[:8]}+{finer.sha256[:8]}"
        for case in suite_cases([options.test], SuiteOptions(defects=1), POPULATION):
            if any(r["case"] == case.name and r["sha256"] == key for r in rows):
                continue
            spacing_mm = float(weights.metadata["spacing_mm"])
            truth = _seen(case, FINE_MM)
            free = (truth.view.from_hole_mm() <= JUDGED_MM) & (truth.view.skull < 0.5)
            whole = truth.target >= 0.5
            made, _ = level_counts(weights, _seen(case, spacing_mm))
            for then, fine in brought_to_fine(made, spacing_mm, finer, whole.shape).items():
                rows.append(
                    {
                        "weights": file.stem,
                        "grid_mm": f"{spacing_mm:g}",
                        "then": then,
                        "case": case.name,
                        "skull_dice": f"{dice_of(fine, whole):.4f}",
                        "implant_dice": f"{dice_of(fine & free, whole & free):.4f}",
                        "sha256": key,
                    }
                )
            with path.open("w", newline="") as output:
                writer = csv.DictWriter(output, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)


def brought_to_fine(
    made: np.ndarray, spacing_mm: float, weights: Weights, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return a completed skull (bool, z, y, x) on the fine grid of `shape`, in every way."""
    if spacing_mm == FINE_MM:
        return {"nothing": made}
    factor = spacing_mm / FINE_MM
    at = [(np.arange(n) + 0.5) / factor - 0.5 for n in shape]
    image = sitk.GetImageFromArray(made.astype(np.uint8))
    image.SetSpacing([spacing_mm] * 3)
    z, y, x = shape
    fine = array_of(super_resolve(image, FINE_MM, weights).mask)[:z, :y, :x] > 0
    return {
        "signed distance": along_axes(between_voxels_mm(made, (spacing_mm,) * 3), at) > 0.0,
        "super-resolution": fine,
    }


if __name__ == "__main__":
    main()
