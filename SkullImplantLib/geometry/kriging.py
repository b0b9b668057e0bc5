"""Prediction of missing stretches of the vault's radial maps by kriging.

Kriging is Gaussian process regression (Rasmussen and Williams 2006, chapter 2; their names are used
here). The prior mean and covariance are those of `vault_model.py`. The observed bone, densest at
the rim, anchors the prediction, and the posterior tells how sure it is. Maps are (channels, SIZE,
SIZE), outer radius and, where there is a second one, inner radius; their layout is `radial.py`'s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from . import radial
from .radial import VAULT_RAD, Map, Pixels, distance_mm
from .shape_statistics import OUTER
from .vault_model import VaultModel, roughness

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

NEAR_MM = 16.0
NEAR_COUNT, FAR_COUNT, MIRROR_COUNT = 600, 350, 300  # observations used
# The low-discrepancy sequence R2 (Roberts 2018) goes on by these in each dimension: 1 / g and
# 1 / g^2, of the plastic number g, where g^3 = g + 1.
R2_STEPS = (0.7548776662466927, 0.5698402909980532)
# `rough_fit`: of so many of the pixels, neighbouring ones among them departing from the mean
# together, one in 20 counts as independent; reweighted until the weights hardly change.
FIT_SHARE, PIXELS_PER_INDEPENDENT, FIT_ROUNDS = 0.08, 20, 8
FIT_NOISE_MM = 2.0  # how far a normal vault departs from the combination of factors


# Ranks of observations: those that are sure to be used, and those that are tried first, by being
# predicted from the sure ones: in the ring around the hole, and of the inner table at its rim.
SURE, RING, RIM = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Observations:
    """The pixels `at` which maps are observed, and what of them, in the order of `ranks`.

    `channels`, `places`, `ranks` (n,): of each observation the channel, its place among the pixels,
    and whether it is sure, or on trial; those on trial come last.
    """

    at: Pixels
    channels: NDArray[np.intp]
    places: NDArray[np.intp]
    ranks: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.channels)

    @property
    def sure(self) -> int:
        """How many are sure to be used."""
        return int((self.ranks == SURE).sum())

    @property
    def pixels(self) -> Pixels:
        """Of each observation the pixel."""
        return self.at[0][self.places], self.at[1][self.places]

    def of(self, maps: Map) -> Floats:
        """Return the values (n,) of maps (channels, SIZE, SIZE)."""
        rows, columns = self.pixels
        return maps[self.channels, rows, columns].astype(np.float64)

    def only(self, keep: Flags) -> "Observations":
        """Return some of them, (n,)."""
        return Observations(self.at, self.channels[keep], self.places[keep], self.ranks[keep])


def observations(chosen: Flags, known: Flags, rank: NDArray[np.intp]) -> Observations:
    """Return the observations at the pixels `chosen` (SIZE, SIZE) of what is `known` (channels,
    SIZE, SIZE), by their `rank` (channels, SIZE, SIZE)."""
    at = np.nonzero(chosen)
    channels, places = np.nonzero(known[:, at[0], at[1]])
    ranks = rank[channels, at[0][places], at[1][places]]
    order = np.argsort(ranks, kind="stable")
    return Observations(at, channels[order], places[order], ranks[order])


class Posterior:
    """The Gaussian process of `model` given observations: its mean and deviation elsewhere.

    The covariance of the observations is K = L L', noise included; `cholesky` is L, `whitened` the
    residuals z = L^-1 (y - mean), `alpha` = K^-1 (y - mean) (Rasmussen and Williams 2006, algorithm
    2.1).
    """

    def __init__(self, maps: Map, known: Flags, seen: Observations, model: VaultModel) -> None:
        """Take maps (channels, SIZE, SIZE), known there, and which observations of them to use."""
        self.model, self.seen = model, seen
        self.residual = seen.of(maps) - seen.of(model.mean)
        self.cholesky = linalg.cholesky(
            self._covariance(maps, known), lower=True, overwrite_a=True, check_finite=False
        )
        self.whitened = self._whiten(self.residual)

    def _covariance(self, maps: Map, known: Flags) -> Floats:
        """Return the covariance of the observations: its lower triangle, all that Cholesky reads.

        Noise is the model's, and as much more as this skull is rough itself.
        """
        seen, model = self.seen, self.model
        factors = self._factors()
        # Symmetric: transposed, it is in the order in which LAPACK works without a copy.
        covariance = (factors.T @ factors).T
        count = len(seen.at[0])
        smooth = model.kernel.between(seen.at, seen.at).reshape(
            2 * (model.kernel.channels * count,)
        )
        rows = seen.channels * count + seen.places
        covariance += smooth[np.ix_(rows, rows)]
        noise = seen.of(model.noise) ** 2
        for channel, share in enumerate(model.noise_share):
            own = seen.channels == channel
            noise[own] += (
                share
                * seen.of(np.broadcast_to(roughness(maps[channel], known[channel]), maps.shape))[
                    own
                ]
            )
        covariance[np.diag_indices_from(covariance)] += noise
        return covariance

    def _factors(self) -> Floats:
        """Return the factors (factors, n) of the observations."""
        rows, columns = self.seen.pixels
        return self.model.factors[:, self.seen.channels, rows, columns]

    def _whiten(self, values: Floats) -> Floats:
        """Return L^-1 times values (observations, ...)."""
        return linalg.solve_triangular(self.cholesky, values, lower=True, check_finite=False)

    def trial_errors(self) -> tuple[Floats, Floats]:
        """Return the errors (trials,) of what is on trial, mm, predicted from what is sure, and the
        covariance (trials, trials), mm², which they are expected to have.

        With K = L L' and z = L^-1 y, those that come last, R, are predicted from the others with
        the error L_RR z_R, whose covariance is L_RR L_RR' (Rasmussen and Williams 2006, section
        5.4.2, for a block).
        """
        last = slice(self.seen.sure, None)
        corner = np.tril(self.cholesky[last, last])
        return corner @ self.whitened[last], corner @ corner.T

    def without(self, dropped: Flags) -> None:
        """Leave out some of the observations on trial, (trials,).

        The sure ones' part of the Cholesky factor stays; only that of the trials is made anew.
        """
        if not dropped.any():
            return
        sure = self.seen.sure
        keep = np.concatenate([np.ones(sure, bool), ~dropped])
        _, expected = self.trial_errors()
        self.seen, self.residual = self.seen.only(keep), self.residual[keep]
        factor = np.asfortranarray(self.cholesky[np.ix_(keep, keep)])
        left = expected[np.ix_(~dropped, ~dropped)]
        factor[sure:, sure:] = linalg.cholesky(left, lower=True, check_finite=False)
        self.cholesky = factor
        self.whitened = self._whiten(self.residual)

    def mean(self, at: Pixels) -> Floats:
        """Return the posterior mean (channels, n) at n pixels."""
        model, seen = self.model, self.seen
        alpha = linalg.solve_triangular(
            self.cholesky, self.whitened, lower=True, trans=1, check_finite=False
        )
        weights = np.zeros((model.kernel.channels, len(seen.at[0])))
        weights[seen.channels, seen.places] = alpha
        factors = model.factors[:, :, at[0], at[1]]
        mean = model.mean[:, at[0], at[1]] + np.tensordot(self._factors() @ alpha, factors, axes=1)
        return mean + model.kernel.times(at, seen.at, weights)

    def covariance(self, at: Pixels) -> Floats:
        """Return the posterior covariance (channels, channels, n) of the channels at n pixels."""
        model, seen = self.model, self.seen
        factors = model.factors[:, :, at[0], at[1]]
        cross = model.kernel.between(seen.at, at)[seen.channels, seen.places].astype(np.float64)
        cross += np.tensordot(self._factors(), factors, axes=(0, 0))
        whitened = self._whiten(cross.reshape(len(seen), -1)).reshape(cross.shape)
        prior = np.einsum("fcn,fdn->cdn", factors, factors) + model.kernel.variance(at)
        return prior - np.einsum("ocn,odn->cdn", whitened, whitened)


def rough_fit(maps: Map, known: Flags, model: VaultModel) -> Map:
    """Return the mean plus the combination of factors that fits the known pixels, (channels, SIZE,
    SIZE).

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


def chosen_pixels(bone: Flags, missing: Flags) -> Flags:
    """Return the pixels with `bone` to use (SIZE, SIZE): dense around what is `missing`, some
    everywhere, and some more opposite the hole, which tell of its shape by symmetry."""
    near = bone & (distance_mm(missing) <= NEAR_MM)
    opposite = bone & missing[:, ::-1] & ~near
    far = bone & ~near & (radial.POLAR_RAD < VAULT_RAD)
    chosen = np.zeros(bone.shape, bool)
    for region, count in ((near, NEAR_COUNT), (far, FAR_COUNT), (opposite, MIRROR_COUNT)):
        weight = np.sinc(radial.POLAR_RAD / np.pi)[region].sum()
        chosen |= region & _thinned(count / max(weight, 1.0))
    return chosen


def _thinned(share: float) -> Flags:
    """Return an even choice of about `share` of the pixels, even in solid angle (SIZE, SIZE).

    Ranks pixels by a low-discrepancy sequence, so it needs no randomness.
    """
    row, column = np.indices(radial.DISC.shape)
    rank = (row * R2_STEPS[0] + column * R2_STEPS[1]) % 1.0
    return rank < share * np.sinc(radial.POLAR_RAD / np.pi)
