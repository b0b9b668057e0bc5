"""What tells of a design's error before it is made: the hole, the bone around it, who completed it.

Features are numbers by name; `trust.py` says what they mean by trials on known skulls.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..core.images import array_of
from ..geometry import radial
from ..geometry.prior import Prior
from ..geometry.shape_statistics import OUTER, THICKNESS, Population

MOST = 0.9  # of the hole: a value that so much of it stays below; its edge may be odd
# The ring of bone that holds the implant, measured from the hole: nearer, the prior predicts too.
RING_MM = (4.5, 12.0)
NEAR_MM = 20.0  # bone whose symmetry tells of the hole's
LEAST_PIXELS = 50  # of that bone on both sides, fewer tell nothing
# Towards the brow and the orbits' roofs, and towards the skull's base, as seen from the vault's
# middle: polar angle from the vertex, and azimuth from straight ahead.
BROW_POLAR_RAD, BROW_AZIMUTH_RAD = np.deg2rad(80.0), np.deg2rad(60.0)
BASE_POLAR_RAD = np.deg2rad(95.0)
AZIMUTH_RAD = np.abs(np.arctan2(radial.DIRECTIONS[..., 0], -radial.DIRECTIONS[..., 1]))
BROW = (radial.POLAR_RAD > BROW_POLAR_RAD) & (AZIMUTH_RAD < BROW_AZIMUTH_RAD)
BASE = (radial.POLAR_RAD > BASE_POLAR_RAD) & ~BROW
EDGE_PIXELS = 2  # a hole so near the edge of the view may go on beyond it


@dataclass(frozen=True)
class Departure:
    """How far a network's surface lies from the prior's in the hole, mm: the mean, and what 95 % of
    the surface stay below.
    """

    mean_mm: float
    most_mm: float


@dataclass(frozen=True)
class Doubt:
    """What is left of the prior's doubt in the hole when other bone has been heard: the standard
    deviation (mm) of the completed surface, its mean and what 90 % of the surface stay below; and
    the share of the hole that is brow and that the head's own other side does not show.
    """

    mean_mm: float
    most_mm: float
    unsupported_share: float


def doubt_of(prior: Prior) -> Doubt:
    """Return the doubt where nothing but the prior was heard."""
    hole, area = prior.hole, _area_mm2(prior)
    deviation_mm = prior.deviation_mm[OUTER][hole]
    return Doubt(deviation_of(prior), quantile(deviation_mm, area), _mean(BROW[hole], area))


def features_of(
    prior: Prior,
    population: Population,
    departure: Departure | None = None,
    doubt: Doubt | None = None,
) -> dict[str, float]:
    """Return what tells of the error, by name; lengths in mm, shares of the hole's area or border.

    The hole must not be empty. Without a network its departure is 0; without a doubt it is the
    prior's own.
    """
    doubt = doubt or doubt_of(prior)
    hole, outer = prior.hole, prior.outer_mm
    area = _area_mm2(prior)
    from_hole_mm = radial.distance_mm(hole)
    ring = (from_hole_mm > RING_MM[0]) & (from_hole_mm <= RING_MM[1]) & radial.DISC
    open_ring = ring & ~prior.covered
    edge = ndimage.binary_dilation(hole, iterations=EDGE_PIXELS) & ~hole
    known = prior.covered & ~hole
    paired = known & known[:, ::-1] & (from_hole_mm <= NEAR_MM)
    askew_mm = np.abs(outer - outer[:, ::-1])[paired]
    return {
        "area_cm2": prior.hole_area_cm2,
        "pose_fit_mm": prior.pose.fit_mm,
        "deviation_mm": deviation_of(prior),
        "deviation_most_mm": quantile(prior.deviation_mm[OUTER][hole], area),
        "doubt_mm": doubt.mean_mm,
        "doubt_most_mm": doubt.most_mm,
        "unsupported_share": doubt.unsupported_share,
        "thickness_deviation_mm": _mean(prior.deviation_mm[THICKNESS][hole], area),
        "spread_mm": quantile(population.spread_mm()[hole], area),
        "brow_share": _mean(BROW[hole], area),
        "base_share": _mean(BASE[hole], area),
        "open_border": float(open_ring.sum() / ring.sum()),
        "cut_share": float((~prior.seen)[edge].mean()) if edge.any() else 0.0,
        "asymmetry_mm": float(np.median(askew_mm)) if len(askew_mm) >= LEAST_PIXELS else 0.0,
        "ring_error_mm": prior.ring_error_mm[OUTER],
        "ring_thickness_error_mm": prior.ring_error_mm[THICKNESS],
        "departure_mm": departure.mean_mm if departure else 0.0,
        "departure_most_mm": departure.most_mm if departure else 0.0,
    }


def departure_of(before: sitk.Image, after: sitk.Image) -> Departure:
    """Return how far the surface of `after` lies from that of `before`.

    Both are depths within bone (mm) on one grid; `before` is the prior's in the hole alone
    (`Prior.hole_depth_on`). Near its surface a change of depth is a shift of the surface.
    """
    depth = array_of(before)
    near = np.abs(depth) < before.GetSpacing()[0]
    if not near.any():
        return Departure(0.0, 0.0)
    shift_mm = np.abs(array_of(after)[near] - depth[near])
    return Departure(float(shift_mm.mean()), float(np.percentile(shift_mm, 95)))


def deviation_of(prior: Prior) -> float:
    """Return the mean standard deviation (mm) of the prior's outer surface in the hole."""
    return _mean(prior.deviation_mm[OUTER][prior.hole], _area_mm2(prior))


def _area_mm2(prior: Prior) -> np.ndarray:
    """Return the area (n,) of each of the hole's directions."""
    return np.asarray((radial.STERADIANS * prior.outer_mm**2)[prior.hole])


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float((values * weight).sum() / weight.sum())


def quantile(values: np.ndarray, weight: np.ndarray) -> float:
    """Return the value that `MOST` of the weight stays below."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    return float(np.interp(MOST, share, values[order]))
