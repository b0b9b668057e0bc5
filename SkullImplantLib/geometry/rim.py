"""The rim of a hole: how much of its bone is believed, and how prediction passes into it.

A saw cut is narrower on the side of the brain. On the rays beside the hole it takes the outer table
with it and spares the inner one, which is therefore observed nearer the hole. A nibbled, remodelled
or undercut edge spares neither: there the inner table is not where the bone around foretells it,
and is not believed either.
"""

import numpy as np
from numpy.typing import NDArray

from . import radial
from .kriging import RIM, RING, Flags, Posterior
from .radial import PIXEL_MM, Map, distance_mm
from .shape_statistics import OUTER
from .vault_model import INNER, local_mean

# Bone this close to a hole may be bevelled, and its outer table is predicted as well. Of the inner
# one only the hole's next pixels are: on cuts beyond them it is off by 0.00 mm on masks and 0.04
# on segmented CTs.
RIM_MM, INNER_RIM_MM = 4.5, 2.0
RIM_BLEND_MM = 5.0  # prediction passes into the observed bone over this distance from the rim
# Bone at the rim this many (robust) standard deviations below the prediction is the cut's own
# slope, as at a burr hole, and no table for the implant to be flush with.
SLOPE_DEVIATIONS = 3.0
# The same of bone farther off, in deviations of its own prediction: outer table and thickness.
FALLEN_DEVIATIONS = (3.5, 2.5)
MAD_TO_DEVIATION = 1.4826  # of the median absolute deviation, for a normal distribution
# The inner table at the rim strays where it lies so many of its standard deviations above what is
# foretold, as in an undercut, or as many below it: alone, or in the mean of its neighbours that are
# no farther along the rim than these (Gaussian) and as far from the hole. A long undercut shifts a
# stretch by less than single pixels are unsure, and a long stretch seldom strays by chance.
ALONG_MM, STRAY_UP, STRAY_DOWN = (0.1, 6.0, 25.0), (3.0, 2.5, 2.0), 3.0
ACROSS_MM = 0.7
STRAY_REACH_MM = 8.0  # so far around what strays none is believed


def inner_strays(both: Posterior, from_hole_mm: Map) -> Flags:
    """Return where the inner table at the rim is not to be believed (SIZE, SIZE).

    `both` has the rim's inner table on trial; `from_hole_mm` (SIZE, SIZE) is the distance to it.
    """
    trials = slice(both.seen.sure, None)
    rim = both.seen.ranks[trials] == RIM
    strays = np.zeros(radial.DISC.shape, bool)
    if not rim.any():
        return strays
    error, expected = both.trial_errors()
    error, expected = error[rim], expected[np.ix_(rim, rim)]
    rows, columns = (index[trials][rim] for index in both.seen.pixels)
    depth_mm = from_hole_mm[rows, columns]
    apart_mm = np.hypot(rows[:, None] - rows, columns[:, None] - columns) * PIXEL_MM
    across_mm = depth_mm[:, None] - depth_mm
    astray = np.zeros(len(error), bool)
    for along_mm, most in zip(ALONG_MM, STRAY_UP):
        weights = np.exp(-0.5 * ((apart_mm / along_mm) ** 2 + (across_mm / ACROSS_MM) ** 2))
        unsure_mm = np.sqrt(((weights @ expected) * weights).sum(axis=1))
        away = weights @ error / unsure_mm
        astray |= (away > most) | (away < -STRAY_DOWN)
    strays[rows[astray], columns[astray]] = True
    return distance_mm(strays) <= STRAY_REACH_MM


def fallen_ring(both: Posterior) -> Flags:
    """Return where the ring's outer table falls off into a burr hole (SIZE, SIZE).

    There it lies far below what is foretold, and the inner one does not, as it would in a dent.
    """
    trials = slice(both.seen.sure, None)
    ring = both.seen.ranks[trials] == RING
    error, expected = both.trial_errors()
    error, expected = error[ring], expected[np.ix_(ring, ring)]
    count = len(error) // 2  # each pixel of the ring has both tables
    outer, thinner = np.eye(count, 2 * count), np.eye(count, 2 * count)
    thinner -= np.eye(count, 2 * count, count)
    fallen = np.ones(count, bool)
    for weights, most in zip((outer, thinner), FALLEN_DEVIATIONS):
        unsure_mm = np.sqrt(((weights @ expected) * weights).sum(axis=1))
        fallen &= weights @ error < -most * unsure_mm
    rows, columns = (index[trials][ring][:count][fallen] for index in both.seen.pixels)
    where = np.zeros(radial.DISC.shape, bool)
    where[rows, columns] = True
    return where


def drop_trials(posterior: Posterior, strays: Flags, fallen: Flags) -> None:
    """Leave out what is observed of the rim's inner table where it strays, and of the ring where
    its outer one has fallen, both (SIZE, SIZE)."""
    seen, trials = posterior.seen, slice(posterior.seen.sure, None)
    rows, columns = (index[trials] for index in seen.pixels)
    ranks, strayed, fell = seen.ranks[trials], strays[rows, columns], fallen[rows, columns]
    posterior.without(((ranks == RIM) & strayed) | ((ranks == RING) & fell))


def blended(maps: Map, predicted: Map, rims: Flags, missing: Flags) -> Map:
    """Return maps (2, SIZE, SIZE) of outer and inner radius with the pixels `missing` as predicted,
    but without a step at the `rims`, either (2, SIZE, SIZE).

    The prediction smooths over the bone at the rims; its misfit there, averaged over a few
    millimetres, is faded out into the hole.
    """
    width = RIM_BLEND_MM / 2 / PIXEL_MM
    complete = maps.copy()
    for channel in (OUTER, INNER):
        off_mm, rim = maps[channel] - predicted[channel], rims[channel]
        table = _without_slopes(off_mm, rim) if channel == OUTER else rim
        misfit_mm = local_mean(off_mm, table, width) * np.exp(-distance_mm(rim) / RIM_BLEND_MM)
        filled = predicted[channel] + misfit_mm
        complete[channel] = np.where(missing[channel], filled, maps[channel])
    return complete


def _without_slopes(misfit_mm: Map, rim: Flags) -> NDArray[np.bool_]:
    """Return the `rim` (SIZE, SIZE) less where its outer surface falls off into the cut."""
    if not rim.any():
        return rim
    usual_mm = np.median(misfit_mm[rim])
    spread_mm = np.median(np.abs(misfit_mm[rim] - usual_mm)) * MAD_TO_DEVIATION
    return rim & (misfit_mm >= usual_mm - SLOPE_DEVIATIONS * spread_mm)
