"""How a reference's surface misses intact bone, told as a field that can be taken off elsewhere.

On bone that both show, the reference's surface should be the patient's. Where it is not, it is
either thicker, on both tables alike, as another threshold or blur makes it, or it is shifted, as
what is left of the registration makes it. Both are smooth fields, and a residual along the normal n
sees their sum `thicker + n . shift`: a Gaussian process of four components (simple kriging:
Matheron 1963) parts them, carries them into the hole, and fades there to the overall mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ..geometry.bone_field import SurfacePoints, Vectors

Floats = NDArray[np.float64]

MOST_POINTS = 1200  # of which the process is made
POINTS_AT_A_TIME = 1 << 12


@dataclass(frozen=True)
class Smoothness:
    """Standard deviations (mm) of how much thicker a reference is and how far it is shifted, the
    range (mm) over which both change, and what neighbouring points do not share: voxels, noise, a
    bone's own changes. The defaults are what registrations and thresholds leave.
    """

    thicker_mm: float = 0.25
    shift_mm: float = 0.25
    range_mm: float = 25.0
    rough_mm: float = 0.25


@dataclass(frozen=True)
class Misfit:
    """A field of misfit: `mean_mm` thicker everywhere, and the process about it."""

    points: SurfacePoints
    weights: Floats
    mean_mm: float
    kind: "Smoothness"

    def components(self, places_mm: Vectors) -> Floats:
        """Return how much thicker (mm), and how far shifted (x, y, z; mm), at places: (n, 4)."""
        found = np.zeros((len(places_mm), 4))
        sources = np.hstack(
            [
                np.full((len(self.points), 1), self.kind.thicker_mm**2),
                self.kind.shift_mm**2 * self.points.normals,
            ]
        )
        sources *= self.weights[:, None]
        for first in range(0, len(places_mm), POINTS_AT_A_TIME):
            some = slice(first, first + POINTS_AT_A_TIME)
            near = _correlation(places_mm[some], self.points.places_mm, self.kind.range_mm)
            found[some] = near @ sources
        found[:, 0] += self.mean_mm
        return found


def misfit_of(
    points: SurfacePoints,
    residual_mm: Floats,
    mean_mm: float,
    kind: Smoothness = Smoothness(),
) -> Misfit:
    """Return the field through residuals (n,), mm, how far the reference's surface lies out of the
    patient's at `points`, along their normals; `mean_mm` is what is expected without them.
    """
    if len(points) > MOST_POINTS:
        chosen = np.linspace(0, len(points) - 1, MOST_POINTS).astype(int)
        points, residual_mm = points.at(chosen), residual_mm[chosen]
    if not len(points):
        return Misfit(points, np.zeros(0), mean_mm, kind)
    covariance = _correlation(points.places_mm, points.places_mm, kind.range_mm)
    covariance *= kind.thicker_mm**2 + kind.shift_mm**2 * points.normals @ points.normals.T
    covariance[np.diag_indices(len(points))] += kind.rough_mm**2
    weights = cho_solve(cho_factor(covariance), residual_mm - mean_mm)
    return Misfit(points, weights, mean_mm, kind)


def _correlation(one: Vectors, other: Vectors, range_mm: float) -> Floats:
    """Return Matérn's correlation of order 3/2."""
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2.0 * one @ other.T
    apart = np.sqrt(3.0 * np.maximum(squared, 0.0)) / range_mm
    return np.asarray((1.0 + apart) * np.exp(-apart))
