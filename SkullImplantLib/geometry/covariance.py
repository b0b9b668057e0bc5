"""How skulls depart from the prior mean: the covariance function of the vault's radial maps.

The residuals of outer radius and of (logarithmic) thickness are sums of smooth fields, each of
which both sides of the head share in part. Some have the same strength everywhere; *relief* scales
the mean's own ridges and grooves; *detail* is strong at brow, orbits and temples only, where little
can be foreseen from around, but much from the other side. Each is a squared exponential (Rasmussen
and Williams 2006, section 4.2); a field of varying strength a(x) has the covariance
a(x) k(x, y) a(y) (Paciorek and Schervish 2004), which is valid if k is.

The values were set by hand on cuts in the skulls of the population, each left out of it in turn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import radial
from .radial import Pixels
from .shape_statistics import OUTER, THICKNESS

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class CovarianceTerm:
    """A smooth field with a squared exponential covariance.

    `deviation_mm` is its standard deviation, `length_mm` its length scale on the mean sphere;
    `mirrored` is the share of it that both sides of the head have in common.
    """

    deviation_mm: float
    length_mm: float
    mirrored: float


# Everywhere, of outer radius and of thickness: wide and narrow ones.
WIDE = (CovarianceTerm(1.5, 45.0, 0.6), CovarianceTerm(0.8, 45.0, 0.7))
NARROW = (CovarianceTerm(0.7, 14.0, 0.3), CovarianceTerm(0.6, 14.0, 0.4))
EVERYWHERE = ((WIDE[OUTER], NARROW[OUTER]), (WIDE[THICKNESS], NARROW[THICKNESS]))
# A bump of the outer table lies over thicker bone: correlation of the narrow fields.
BUMP_CORRELATION = 0.25
BUMP = CovarianceTerm(
    float(np.sqrt(BUMP_CORRELATION * NARROW[OUTER].deviation_mm * NARROW[THICKNESS].deviation_mm)),
    NARROW[OUTER].length_mm,
    min(term.mirrored for term in NARROW),
)
# Of unit strength, for fields that vary in strength.
RELIEF = (CovarianceTerm(1.0, 50.0, 0.9), CovarianceTerm(1.0, 50.0, 0.9))
DETAIL = (CovarianceTerm(1.0, 6.0, 0.9), CovarianceTerm(1.0, 6.0, 0.8))


@dataclass(frozen=True)
class Kernel:
    """The covariance of the residuals between pixels of the maps.

    `relief_mm`, `detail_mm` (2, SIZE, SIZE): strength of the fields of outer radius and thickness.
    """

    relief_mm: Floats
    detail_mm: Floats

    def between(self, channel: int, at: Pixels, other: int, to: Pixels) -> NDArray[np.float32]:
        """Return the covariance (n, m) in mm² of a channel at n pixels and the other at m."""
        one, two = radial.DIRECTIONS[at], radial.DIRECTIONS[to]
        if channel != other:
            return squared_exponential(one, two, (BUMP,))
        total = squared_exponential(one, two, EVERYWHERE[channel])
        for strength, term in (
            (self.relief_mm[channel], RELIEF[channel]),
            (self.detail_mm[channel], DETAIL[channel]),
        ):
            # Most pixels have no detail, and exponentials are what takes the time.
            rows, columns = np.flatnonzero(strength[at]), np.flatnonzero(strength[to])
            if len(rows) and len(columns):
                covariance = squared_exponential(one[rows], two[columns], (term,))
                covariance *= strength[at][rows, None].astype(np.float32)
                covariance *= strength[to][columns].astype(np.float32)
                total[np.ix_(rows, columns)] += covariance
        return total

    def variance(self, channel: int, at: Pixels) -> NDArray[np.float64]:
        """Return the variance (n,) in mm² of a channel at n pixels."""
        apart_mm = radial.DIRECTIONS[at][:, 0] * radial.MEAN_RADIUS_MM * 2  # from the other side
        terms: list[tuple[Floats | float, CovarianceTerm]] = [
            *((1.0, term) for term in EVERYWHERE[channel]),
            (self.relief_mm[channel][at] ** 2, RELIEF[channel]),
            (self.detail_mm[channel][at] ** 2, DETAIL[channel]),
        ]
        total = np.zeros(len(at[0]))
        for strength, term in terms:
            both = 1 + term.mirrored * np.exp(-0.5 * (apart_mm / term.length_mm) ** 2)
            total += strength * term.deviation_mm**2 * both
        return total


def squared_exponential(
    one: Floats, other: Floats, terms: tuple[CovarianceTerm, ...]
) -> NDArray[np.float32]:
    """Return the covariance (n, m) in mm² of the sum of `terms` at unit vectors (n, 3) and (m, 3).

    Single precision: the covariances of observations get their noise added in double.
    """
    reach = 2 * radial.MEAN_RADIUS_MM**2
    columns = other.astype(np.float32).T
    total = np.zeros((len(one), len(other)), np.float32)
    share = np.empty_like(total)
    for side, mirrored in ((np.ones(3), False), (np.array([-1.0, 1.0, 1.0]), True)):
        closeness = (one * side * reach).astype(np.float32) @ columns
        closeness -= np.float32(reach)  # minus the squared distance in mm²
        for term in terms:
            variance = term.deviation_mm**2 * (term.mirrored if mirrored else 1.0)
            np.multiply(closeness, np.float32(0.5 / term.length_mm**2), out=share)
            np.exp(share, out=share)
            share *= np.float32(variance)
            total += share
    return total
