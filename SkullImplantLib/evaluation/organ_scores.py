"""How close labels of organs are to the truth, organ by organ: Dice, distances, occupancy."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, bounding_box, same_grid
from ..core.working_axes import as_working
from ..errors import SkullImplantError
from .metrics import surface_distances_mm


@dataclass(frozen=True)
class OrganScore:
    """One organ's labels against the truth. Where they have none of it, `dice` is 0 and the
    distances are infinite; where the truth has none either, the Dice is 1 and they are 0.
    """

    dice: float
    hd95_mm: float  # as in `metrics.Metrics`
    surface_distance_mm: float
    occupancy: float  # share of the grid that the true organ fills

    def as_json(self) -> dict[str, float | None]:
        """Return the numbers by name; an infinite distance, which JSON does not know, as None."""
        return {k: v if math.isfinite(v) else None for k, v in asdict(self).items()}


def score_organs(
    made: sitk.Image, truth: sitk.Image, organs: Mapping[str, int]
) -> dict[str, OrganScore]:
    """Return the score of each of `organs` (name: label) on one grid.

    Raises `SkullImplantError` where the grids differ.
    """
    if not same_grid(made, truth):
        raise SkullImplantError(
            "The labels and the truth are not on the same grid; resample one onto the other."
        )
    made, truth = as_working(made), as_working(truth)
    spacing_mm = tuple(reversed(truth.GetSpacing()))
    found, true = array_of(made), array_of(truth)
    return {
        name: _score(found == label, true == label, spacing_mm) for name, label in organs.items()
    }


def _score(
    made: NDArray[np.bool_], true: NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> OrganScore:
    occupancy = float(true.mean())
    either = made | true
    if not either.any():
        return OrganScore(1.0, 0.0, 0.0, occupancy)
    box = bounding_box(either)  # what an erosion takes for outside is outside
    made, true = made[box], true[box]
    dice = 2.0 * int((made & true).sum()) / (int(made.sum()) + int(true.sum()))
    pooled = np.concatenate(surface_distances_mm(made, true, spacing_mm))
    hd95 = float(np.percentile(pooled, 95)) if np.isfinite(pooled).all() else math.inf
    return OrganScore(dice, hd95, float(pooled.mean()), occupancy)
