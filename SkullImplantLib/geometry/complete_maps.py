"""The missing stretch of the vault's maps filled: what is predicted, and how sure it is.

Two Gaussian processes answer (`vault_model.py`). The outer table is the mean of theirs, whose error
is less than that of either; the inner one lies below it by the thickness that the process of both
tables predicts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import SkullImplantError
from . import radial
from .kriging import RIM, RING, Flags, Floats, Observations, Posterior, chosen_pixels, observations
from .radial import FLOOR_RAD, Map, distance_mm
from .rim import INNER_RIM_MM, RIM_BLEND_MM, RIM_MM, blended, drop_trials, fallen_ring, inner_strays
from .shape_statistics import OUTER, THICKNESS, Population
from .vault_model import INNER, THINNEST_MM, log_thickness, shapes_model, tables_model

RING_MM = 12.0  # width of the ring of intact bone around a hole that is predicted as a trial
DEVIATION_STEP = 3  # pixels between those where the posterior deviation is computed
# What the processes say of their own error, outer radius and thickness, times this is the error
# made; and half of its variance goes with that of the trial in the ring. Both found on 63 cuts in
# the vaults of the population's skulls, each left out of it in turn.
CALIBRATION, TRIAL_SHARE = np.array([1.2, 1.05]), 0.5


@dataclass(frozen=True)
class CompleteMaps:
    """Maps (2, SIZE, SIZE) of outer and inner radius without gaps, mm.

    `deviation_mm` (2, SIZE, SIZE): standard deviation of outer radius and thickness, zero outside
    the hole and its rim. `ring_error_mm` (2,): root mean square error of outer radius and thickness
    in the ring of intact bone around the hole, predicted from beyond; zero without one.
    """

    maps: Map
    deviation_mm: Map
    ring_error_mm: Floats


def complete_maps(
    maps: Map, bone: Flags, hole: Flags, usable: Flags, population: Population
) -> CompleteMaps:
    """Return the maps (2, SIZE, SIZE) of outer and inner radius, mm, with the `hole` and its rim
    predicted from the pixels that have `bone`, as far as they are `usable`.

    Elsewhere pixels without bone take the nearest value. Raises `SkullImplantError` where no bone
    is left to predict from.
    """
    complete = np.stack([radial.fill_nearest(channel, bone) for channel in maps])
    if not (hole & usable).any():
        return CompleteMaps(complete, np.zeros_like(complete), np.zeros(2))
    from_hole_mm = distance_mm(hole)
    filled = (from_hole_mm <= RIM_MM) & usable
    missing = np.stack([filled, filled & ((from_hole_mm <= INNER_RIM_MM) | ~bone)])
    known = bone & ~missing & (radial.POLAR_RAD < FLOOR_RAD)
    of_shape, of_both = _observed(known, missing, from_hole_mm)
    logged = np.stack([complete[OUTER], log_thickness(complete[OUTER] - complete[INNER])])
    one = Posterior(logged, known[[OUTER, OUTER]], of_shape, shapes_model(population))
    both = Posterior(complete, known, of_both, tables_model(population))
    trial = _tried(one, both)
    strays, fallen = filled & inner_strays(both, from_hole_mm), fallen_ring(both)
    for posterior in (one, both):
        drop_trials(posterior, strays, fallen)
        if not len(posterior.seen):
            raise SkullImplantError(
                "No sound bone of the vault is left to predict what is missing; check that the "
                "head is upright and that the image shows all of its vault."
            )
    missing[INNER] |= strays
    known &= ~missing

    rims = known & np.stack([distance_mm(flags) <= RIM_BLEND_MM for flags in missing])
    at = np.nonzero(missing.any(axis=0) | rims.any(axis=0))
    tables = both.mean(at)
    predicted = complete.copy()
    predicted[OUTER][at] = (one.mean(at)[OUTER] + tables[OUTER]) / 2
    predicted[INNER][at] = predicted[OUTER][at] - (tables[OUTER] - tables[INNER])
    complete = blended(complete, predicted, rims, missing)
    thinnest = complete[OUTER] - THINNEST_MM
    complete[INNER] = np.where(filled, np.minimum(complete[INNER], thinnest), complete[INNER])
    deviation_mm = _deviation_mm(one, both, filled) * trial.scale()[:, None, None]
    return CompleteMaps(complete, deviation_mm, trial.error_mm)


def _observed(known: Flags, missing: Flags, from_hole_mm: Map) -> tuple[Observations, Observations]:
    """Return what is observed of outer table and thickness, and of both tables, of what is `known`
    (2, SIZE, SIZE).

    On trial are the ring, of both tables, and the inner table where the outer one is not believed.
    """
    chosen = chosen_pixels(known[OUTER] | known[INNER], missing[OUTER] & missing[INNER])
    rank = np.zeros(known.shape, np.intp)
    rank[:, known.all(axis=0) & (from_hole_mm <= RIM_MM + RING_MM)] = RING
    rank[INNER][known[INNER] & missing[OUTER]] = RIM
    return (
        observations(chosen & known[OUTER], known[[OUTER, OUTER]], rank[[OUTER, OUTER]]),
        observations(chosen, known, rank),
    )


@dataclass(frozen=True)
class Trial:
    """Bone of the ring predicted from beyond it: root mean square error (2,) of outer radius and
    thickness, mm, and that to be expected; zero without a ring."""

    error_mm: Floats
    expected_mm: Floats

    def scale(self) -> Floats:
        """Return how much larger (2,) errors are to be expected than the processes say."""
        if not self.expected_mm.all():
            return CALIBRATION
        own = (self.error_mm / self.expected_mm) ** 2
        return CALIBRATION * np.sqrt(1 - TRIAL_SHARE + TRIAL_SHARE * own)


def _tried(one: Posterior, both: Posterior) -> Trial:
    """Return how well the ring's bone is predicted from beyond it by the two processes."""
    (error, error_mm2), (errors, errors_mm2) = one.trial_errors(), both.trial_errors()
    count = len(error) // 2  # of the ring's pixels, each of which has both channels
    if not count:
        return Trial(np.zeros(2), np.zeros(2))
    outer, inner = errors[:count], errors[count : 2 * count]
    covariance = errors_mm2[: 2 * count, : 2 * count].reshape(2, count, 2, count)
    made = np.stack([(error[:count] + outer) / 2, outer - inner])
    expected = _variances(np.diag(error_mm2)[:count], np.einsum("cidi->cdi", covariance))
    return Trial(np.sqrt((made**2).mean(axis=1)), np.sqrt(expected.mean(axis=1)))


def _variances(one_mm2: Floats, both_mm2: Floats) -> NDArray[np.float64]:
    """Return the variance (2, n), mm², of the answer's outer radius and thickness.

    `one_mm2` (n,): of the outer radius by its own process; `both_mm2` (2, 2, n): covariance of both
    by theirs. Errors of the two processes come from the same bone, and are taken to be alike.
    """
    outer, inner, shared = both_mm2[OUTER, OUTER], both_mm2[INNER, INNER], both_mm2[OUTER, INNER]
    one, two = (np.sqrt(np.maximum(variance, 0.0)) for variance in (one_mm2, outer))
    return np.stack([((one + two) / 2) ** 2, np.maximum(outer - 2 * shared + inner, 0.0)])


def _deviation_mm(one: Posterior, both: Posterior, filled: Flags) -> Map:
    """Return the standard deviation (2, SIZE, SIZE) of outer radius and thickness by the processes,
    zero outside the pixels `filled`.

    It is smooth: worked out every few pixels and interpolated.
    """
    row, column = np.indices(filled.shape)
    sparse = filled & (row % DEVIATION_STEP == 0) & (column % DEVIATION_STEP == 0)
    deviation = np.zeros((2, *filled.shape))
    at = np.nonzero(sparse)
    variances = _variances(one.covariance(at)[OUTER, OUTER], both.covariance(at))
    for channel in (OUTER, THICKNESS):
        sparsely = np.zeros(filled.shape)
        sparsely[at] = np.sqrt(variances[channel])
        everywhere = radial.fill_nearest(sparsely, sparse) if sparse.any() else sparsely
        deviation[channel] = ndimage.uniform_filter(everywhere, DEVIATION_STEP) * filled
    return deviation
