"""Prediction of missing stretches of the vault's radial maps by kriging.

Kriging is Gaussian process regression (Rasmussen and Williams 2006, chapter 2; their names are used
here). The prior mean and covariance are those of `vault_model.py`. The observed bone, densest at
the rim, anchors the prediction, and the posterior tells how sure it is. Maps are (2, SIZE, SIZE),
outer radius and thickness; see `radial.py` for their layout.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage

from . import radial
from .radial import FLOOR_RAD, PIXEL_MM, VAULT_RAD, Map, Pixels, distance_mm
from .shape_statistics import OUTER, THICKNESS
from .vault_model import (
    NOISE_SHARE,
    USUAL_THICKNESS_MM,
    VaultModel,
    local_mean,
    roughness,
    thickness_mm,
)

RIM_BLEND_MM = 5.0  # prediction passes into the observed bone over this distance from the rim
# Bone at the rim this many (robust) standard deviations below the prediction is the cut's own
# slope, as at a burr hole, and no table for the implant to be flush with.
SLOPE_DEVIATIONS = 3.0
MAD_TO_DEVIATION = 1.4826  # of the median absolute deviation, for a normal distribution
NEAR_MM = 16.0
RING_MM = 12.0  # width of the ring of intact bone around a hole that is predicted as a trial
NEAR_COUNT, FAR_COUNT, MIRROR_COUNT = 650, 450, 350  # observations used
DEVIATION_STEP = 3  # pixels between those where the posterior deviation is computed
# The low-discrepancy sequence R2 (Roberts 2018) goes on by these in each dimension: 1 / g and
# 1 / g^2, of the plastic number g, where g^3 = g + 1.
R2_STEPS = (0.7548776662466927, 0.5698402909980532)
# `rough_fit`: of so many of the pixels, neighbouring ones among them departing from the mean
# together, one in 20 counts as independent; reweighted until the weights hardly change.
FIT_SHARE, PIXELS_PER_INDEPENDENT, FIT_ROUNDS = 0.08, 20, 8
FIT_NOISE_MM = 2.0  # how far a normal vault departs from the combination of factors


@dataclass(frozen=True)
class CompleteMaps:
    """Maps (2, SIZE, SIZE) of outer radius and log thickness without gaps.

    `deviation_mm` (2, SIZE, SIZE): posterior standard deviation of outer radius and thickness,
    zero outside the hole. `ring_error_mm` (2,): root mean square error of outer radius and
    thickness in the ring of intact bone around the hole, predicted from beyond; zero without one.
    """

    maps: Map
    deviation_mm: Map
    ring_error_mm: NDArray[np.float64]


def complete_maps(
    maps: Map, bone: NDArray[np.bool_], filled: NDArray[np.bool_], model: VaultModel
) -> CompleteMaps:
    """Return the maps with the pixels `filled` predicted from the others that have `bone`.

    `maps` (2, SIZE, SIZE) are of outer radius and logarithmic thickness. Elsewhere pixels without
    bone take the nearest value.
    """
    complete = np.stack([radial.fill_nearest(channel, bone) for channel in maps])
    if not filled.any():
        return CompleteMaps(complete, np.zeros_like(complete), np.zeros(2))
    observed = bone & ~filled & (radial.POLAR_RAD < FLOOR_RAD)
    rim = observed & (distance_mm(filled) <= RIM_BLEND_MM)
    posterior = Posterior(complete, observed, filled, model)
    predicted = complete.copy()
    missing = np.nonzero(filled | rim)
    for channel in (OUTER, THICKNESS):
        predicted[channel][missing] = posterior.mean(channel, missing)
    deviation = np.stack([_deviation(posterior, channel, filled) for channel in (OUTER, THICKNESS)])
    complete = _blended(complete, predicted, rim, filled)
    # The mean of a quantity whose logarithm is normal lies above its median.
    complete[THICKNESS] += deviation[THICKNESS] ** 2 / (2 * USUAL_THICKNESS_MM)
    deviation[THICKNESS] *= thickness_mm(complete[THICKNESS]) / USUAL_THICKNESS_MM
    return CompleteMaps(complete, deviation, posterior.ring_error_mm())


class Posterior:
    """The Gaussian process of `model` given observed pixels: its mean and deviation elsewhere.

    The covariance of the observations is K = L L', noise included; `cholesky` is L, `whitened` the
    residuals L^-1 (y - mean), `alpha` = K^-1 (y - mean) (Rasmussen and Williams 2006, algorithm
    2.1). The observations are those of both channels beyond the ring around the hole, and last
    those in it: the channels and pixels of `groups`, one after another.
    """

    def __init__(
        self,
        maps: Map,
        observed: NDArray[np.bool_],
        filled: NDArray[np.bool_],
        model: VaultModel,
    ) -> None:
        self.model = model
        chosen = _observations(observed, filled)
        ring = chosen & (distance_mm(filled) <= RING_MM)
        beyond, self.ring = np.nonzero(chosen & ~ring), np.nonzero(ring)
        self.groups = [
            (channel, at) for at in (beyond, self.ring) for channel in (OUTER, THICKNESS)
        ]
        self.ring_log_thickness = maps[THICKNESS][self.ring]
        self.factors = np.concatenate(
            [model.factors[:, channel, at[0], at[1]] for channel, at in self.groups], axis=1
        )
        self.cholesky = linalg.cholesky(
            self._covariance(maps, observed), lower=True, overwrite_a=True, check_finite=False
        )
        residual = np.concatenate(
            [(maps[channel] - model.mean[channel])[at] for channel, at in self.groups]
        )
        self.whitened = self._whiten(residual)
        self.alpha = linalg.solve_triangular(
            self.cholesky, self.whitened, lower=True, trans=1, check_finite=False
        )

    def _covariance(self, maps: Map, observed: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the covariance of the observations: its lower triangle, all that Cholesky reads.

        Noise is the model's, and as much more as this skull is rough itself.
        """
        # Symmetric: transposed, it is in the order in which LAPACK works without a copy.
        covariance = (self.factors.T @ self.factors).T
        ends = np.cumsum([0, *(len(at[0]) for _, at in self.groups)])
        parts = [slice(start, end) for start, end in pairwise(ends)]
        rough = NOISE_SHARE * roughness(maps, observed)
        for one, (channel, at) in enumerate(self.groups):
            for two, (other, to) in enumerate(self.groups[: one + 1]):
                covariance[parts[one], parts[two]] += self.model.kernel.between(
                    channel, at, other, to
                )
            noise = self.model.noise[channel][at] ** 2 + rough[channel][at]
            diagonal = np.arange(parts[one].start, parts[one].stop)
            covariance[diagonal, diagonal] += noise
        return covariance

    def _whiten(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return L^-1 times values (observations, ...)."""
        return linalg.solve_triangular(self.cholesky, values, lower=True, check_finite=False)

    def mean(self, channel: int, at: Pixels) -> NDArray[np.float64]:
        """Return the posterior mean (n,) of a channel at n pixels."""
        factors = self.model.factors[:, channel, at[0], at[1]]
        mean = self.model.mean[channel][at] + (self.factors @ self.alpha) @ factors
        start = 0
        for other, to in self.groups:
            alpha = self.alpha[start : start + len(to[0])]
            mean += self.model.kernel.between(channel, at, other, to) @ alpha
            start += len(to[0])
        return mean

    def deviation(self, channel: int, at: Pixels) -> NDArray[np.float64]:
        """Return the posterior standard deviation (n,) of a channel at n pixels."""
        factors, kernel = self.model.factors[:, channel, at[0], at[1]], self.model.kernel
        cross = np.concatenate([kernel.between(c, to, channel, at) for c, to in self.groups])
        whitened = self._whiten(cross + self.factors.T @ factors)
        prior_variance = (factors**2).sum(axis=0) + kernel.variance(channel, at)
        return np.sqrt(np.maximum(prior_variance - (whitened**2).sum(axis=0), 0.0))

    def ring_error_mm(self) -> NDArray[np.float64]:
        """Return the root mean square error (2,), mm, in the ring, predicted from beyond it."""
        return ring_error_mm(self.cholesky, self.whitened, self.ring_log_thickness)


def ring_error_mm(
    cholesky: NDArray[np.float64], whitened: NDArray[np.float64], log_thickness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the root mean square error (2,), mm, of the observations that come last.

    With K = L L' and z = L^-1 y, those that come last, R, are predicted from the others with the
    error L_RR z_R (Rasmussen and Williams 2006, section 5.4.2, for a block). `log_thickness` is
    that of their pixels, of which there are so many radii and then so many thicknesses.
    """
    if not len(log_thickness):
        return np.zeros(2)
    last = slice(len(whitened) - 2 * len(log_thickness), None)
    error = (np.tril(cholesky[last, last]) @ whitened[last]).reshape(2, -1)
    error[THICKNESS] = thickness_mm(log_thickness) - thickness_mm(log_thickness - error[THICKNESS])
    return np.sqrt((error**2).mean(axis=1))


def rough_fit(maps: Map, known: NDArray[np.bool_], model: VaultModel) -> Map:
    """Return the mean plus the combination of factors that fits the known pixels, (2, SIZE, SIZE).

    The most probable one given their outer radius, robustly: iteratively reweighted least squares
    with Geman-McClure weights.
    """
    rows, columns = np.nonzero(known & _thinned(FIT_SHARE))
    design = model.factors[:, OUTER, rows, columns].T
    residual = maps[OUTER, rows, columns] - model.mean[OUTER, rows, columns]
    weight = np.ones(len(residual))
    ridge = np.eye(len(model.factors)) * FIT_NOISE_MM**2
    for _ in range(FIT_ROUNDS):
        weighted = design.T * weight / PIXELS_PER_INDEPENDENT
        loading = np.linalg.solve(weighted @ design + ridge, weighted @ residual)
        misfit = residual - design @ loading
        weight = 1 / (1 + (misfit / (2 * FIT_NOISE_MM)) ** 2) ** 2
    return model.mean + np.tensordot(loading, model.factors, axes=1)


def _thinned(share: float) -> NDArray[np.bool_]:
    """Return an even choice of about `share` of the pixels, even in solid angle (SIZE, SIZE).

    Ranks pixels by a low-discrepancy sequence, so it needs no randomness.
    """
    row, column = np.indices(radial.DISC.shape)
    rank = (row * R2_STEPS[0] + column * R2_STEPS[1]) % 1.0
    return rank < share * np.sinc(radial.POLAR_RAD / np.pi)


def _observations(observed: NDArray[np.bool_], filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the observed pixels to use (SIZE, SIZE): dense at the rim, some everywhere, and some
    more opposite the hole, which tell of its shape by symmetry."""
    near = observed & (distance_mm(filled) <= NEAR_MM)
    opposite = observed & filled[:, ::-1] & ~near
    far = observed & ~near & (radial.POLAR_RAD < VAULT_RAD)
    chosen = np.zeros(observed.shape, bool)
    for region, count in ((near, NEAR_COUNT), (far, FAR_COUNT), (opposite, MIRROR_COUNT)):
        weight = np.sinc(radial.POLAR_RAD / np.pi)[region].sum()
        chosen |= region & _thinned(count / max(weight, 1.0))
    return chosen


def _deviation(posterior: Posterior, channel: int, filled: NDArray[np.bool_]) -> Map:
    """Return the posterior deviation of a channel (SIZE, SIZE), zero outside the pixels `filled`.

    It is smooth: worked out every few pixels and interpolated.
    """
    row, column = np.indices(filled.shape)
    sparse = filled & (row % DEVIATION_STEP == 0) & (column % DEVIATION_STEP == 0)
    deviation = np.zeros(filled.shape)
    at = np.nonzero(sparse)
    deviation[at] = posterior.deviation(channel, at)
    everywhere = radial.fill_nearest(deviation, sparse) if sparse.any() else deviation
    return ndimage.uniform_filter(everywhere, DEVIATION_STEP) * filled


def _blended(maps: Map, predicted: Map, rim: NDArray[np.bool_], filled: NDArray[np.bool_]) -> Map:
    """Return `maps` with the pixels `filled` as predicted, but without a step at the rim.

    The prediction smooths over the bone at the `rim`; its misfit there, averaged over a few
    millimetres, is faded out into the hole.
    """
    width = RIM_BLEND_MM / 2 / PIXEL_MM
    table = _without_slopes(maps[OUTER] - predicted[OUTER], rim)
    fade = np.exp(-distance_mm(rim) / RIM_BLEND_MM)
    complete = maps.copy()
    for channel in (OUTER, THICKNESS):
        misfit = local_mean(maps[channel] - predicted[channel], table, width)
        complete[channel] = np.where(filled, predicted[channel] + misfit * fade, maps[channel])
    return complete


def _without_slopes(misfit_mm: Map, rim: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the `rim` (SIZE, SIZE) less where its outer surface falls off into the cut."""
    if not rim.any():
        return rim
    usual_mm = np.median(misfit_mm[rim])
    spread_mm = np.median(np.abs(misfit_mm[rim] - usual_mm)) * MAD_TO_DEVIATION
    return rim & (misfit_mm >= usual_mm - SLOPE_DEVIATIONS * spread_mm)
