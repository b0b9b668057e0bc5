"""How skulls depart from what is expected of them: the covariance of the vault's radial maps.

Departures of outer radius and of (logarithmic) thickness are sums of smooth fields, each of which
both sides of the head share in part. Some have the same strength everywhere; *relief* scales the
mean's own ridges and grooves; *detail* is strong at brow, orbits and temples only, where little can
be foreseen from around, but much from the other side. A field of varying strength a(x) has the
covariance a(x) k(x, y) a(y) (Paciorek and Schervish 2004), which is valid if k is.

The values were set by hand on cuts in the skulls of the population, each left out of it in turn.
"""

from dataclasses import dataclass

import numpy as np

from . import radial
from .shape_statistics import OUTER, THICKNESS

Pixels = tuple[np.ndarray, ...]  # rows and columns


@dataclass(frozen=True)
class CovarianceTerm:
    """A smooth departure from the expected maps: a squared exponential covariance.

    `mirrored` is the share of it that both sides of the head have in common.
    """

    deviation_mm: float
    length_mm: float
    mirrored: float


# Everywhere, of outer radius and of thickness: wide and narrow ones.
WIDE = (CovarianceTerm(1.5, 45.0, 0.6), CovarianceTerm(0.8, 45.0, 0.7))
NARROW = (CovarianceTerm(0.7, 14.0, 0.3), CovarianceTerm(0.6, 14.0, 0.4))
DEPARTURES = ((WIDE[OUTER], NARROW[OUTER]), (WIDE[THICKNESS], NARROW[THICKNESS]))
# A bump of the outer table lies over thicker bone: correlation of the narrow departures.
BUMP_CORRELATION = 0.25
BUMP = CovarianceTerm(
    float(np.sqrt(BUMP_CORRELATION * NARROW[OUTER].deviation_mm * NARROW[THICKNESS].deviation_mm)),
    NARROW[OUTER].length_mm,
    min(d.mirrored for d in NARROW),
)
# Of unit strength, for fields that vary in strength.
RELIEF = (CovarianceTerm(1.0, 50.0, 0.9), CovarianceTerm(1.0, 50.0, 0.9))
DETAIL = (CovarianceTerm(1.0, 6.0, 0.9), CovarianceTerm(1.0, 6.0, 0.8))


@dataclass(frozen=True)
class Kernel:
    """The covariance of departures between pixels of the maps.

    `relief_mm`, `detail_mm` (2, SIZE, SIZE): strength of the fields of outer radius and thickness.
    """

    relief_mm: np.ndarray
    detail_mm: np.ndarray

    def between(self, channel: int, at: Pixels, other: int, to: Pixels) -> np.ndarray:
        """Return the covariance (n, m) of a channel at n pixels and the other at m pixels."""
        one, two = radial.DIRECTIONS[at], radial.DIRECTIONS[to]
        if channel != other:
            return departure_covariance(one, two, (BUMP,))
        total = departure_covariance(one, two, DEPARTURES[channel])
        for strength, field in (
            (self.relief_mm[channel], RELIEF[channel]),
            (self.detail_mm[channel], DETAIL[channel]),
        ):
            # Most pixels have no detail, and exponentials are what takes the time.
            here, there = np.flatnonzero(strength[at]), np.flatnonzero(strength[to])
            if len(here) and len(there):
                covariance = departure_covariance(one[here], two[there], (field,))
                covariance *= strength[at][here, None].astype(np.float32)
                covariance *= strength[to][there].astype(np.float32)
                total[np.ix_(here, there)] += covariance
        return total

    def variance(self, channel: int, at: Pixels) -> np.ndarray:
        """Return the variance (n,) in mm² of a channel at n pixels."""
        apart_mm = radial.DIRECTIONS[at][:, 0] * radial.MEAN_RADIUS_MM * 2  # from the other side
        fields = [(1.0, d) for d in DEPARTURES[channel]]
        fields.append((self.relief_mm[channel][at] ** 2, RELIEF[channel]))
        fields.append((self.detail_mm[channel][at] ** 2, DETAIL[channel]))
        total = np.zeros(len(at[0]))
        for strength, d in fields:
            both = 1 + d.mirrored * np.exp(-0.5 * (apart_mm / d.length_mm) ** 2)
            total += strength * d.deviation_mm**2 * both
        return total


def departure_covariance(
    one: np.ndarray, other: np.ndarray, departures: tuple[CovarianceTerm, ...]
) -> np.ndarray:
    """Return the covariance (n, m), float32, of departures at directions (n, 3) and (m, 3)."""
    reach = 2 * radial.MEAN_RADIUS_MM**2
    columns = other.astype(np.float32).T
    total = np.zeros((len(one), len(other)), np.float32)
    share = np.empty_like(total)
    for side, mirrored in ((np.ones(3), False), (np.array([-1.0, 1.0, 1.0]), True)):
        apart = (one * side * reach).astype(np.float32) @ columns
        apart -= np.float32(reach)  # minus the squared distance in mm
        for d in departures:
            variance = d.deviation_mm**2 * (d.mirrored if mirrored else 1.0)
            np.multiply(apart, np.float32(0.5 / d.length_mm**2), out=share)
            np.exp(share, out=share)
            share *= np.float32(variance)
            total += share
    return total
