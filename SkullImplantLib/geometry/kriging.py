"""Prediction of missing stretches of the vault's radial maps by kriging.

Kriging is Gaussian process regression (Rasmussen and Williams 2006, chapter 2). What is expected
beforehand is the population's mean and covariance, errors of pose and size, and smooth departures,
which both sides of a head partly share. The observed bone, densest at the rim, anchors the
prediction, and the posterior tells how sure it is. Maps are (2, SIZE, SIZE), outer radius and
thickness; see `radial.py` for their layout.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import linalg, ndimage

from . import radial
from .covariance import Kernel
from .radial import FLOOR_RAD, PIXEL_MM, VAULT_RAD, away_mm
from .shape_statistics import OUTER, THICKNESS, Population

RIM_BLEND_MM = 5.0  # prediction passes into the observed bone over this distance from the rim
# Bone at the rim this many (robust) standard deviations below the prediction is the cut's own
# slope, as at a burr hole, and no table for the implant to be flush with.
SLOPE_DEVIATIONS = 3.0

# Thickness is modelled on a logarithmic scale, in mm at the usual thickness: it varies in
# proportion, and stays positive.
USUAL_THICKNESS_MM, THINNEST_MM = 5.0, 0.5


# Roughness that nothing around foretells: of it this share is noise, the rest is narrow departures.
NOISE_MM = (0.3, 0.35)
NOISE_SHARE = 0.4
# Where the population is rougher than this, at brow, orbits and temples, it is detail, of which the
# other side tells; the mean's relief is its difference from itself blurred over RELIEF_PIXELS.
ROUGH_MM, DETAIL_SHARE = 1.0, 0.9
RELIEF_SHARE, RELIEF_PIXELS = (0.3, 0.6), 6.0
SHIFT_MM, TURN_RAD, STRETCH = 1.0, np.deg2rad(1.5), 0.04  # errors of pose, departures of size
THICKER_MM = 1.0  # standard deviation of a skull's overall thickness, at the usual thickness
ROUGH_PIXELS = 4.0  # wide against a pixel, narrow against the finest departure
MAD_TO_DEVIATION = 1.4826  # of the median absolute deviation, for a normal distribution
NEAR_MM = 16.0
RING_MM = 12.0  # width of the ring of intact bone around a hole that is predicted as a trial
NEAR_COUNT, FAR_COUNT, MIRROR_COUNT = 650, 450, 350  # observations used
DEVIATION_STEP = 3  # pixels between those where the posterior deviation is computed


@dataclass(frozen=True)
class VaultModel:
    """What is expected of a vault: `mean` (2, SIZE, SIZE) of outer radius and log thickness;
    `factors` (n, 2, SIZE, SIZE) with F'F the covariance around it, and `kernel`, that of smooth
    departures; `noise` (2, SIZE, SIZE), the standard deviation of what is too fine to predict."""

    mean: np.ndarray
    factors: np.ndarray
    kernel: Kernel
    noise: np.ndarray


@dataclass(frozen=True)
class CompleteMaps:
    """Maps (2, SIZE, SIZE) of outer radius and log thickness without gaps.

    `deviation_mm` (2, SIZE, SIZE): posterior standard deviation of outer radius and thickness,
    zero outside the hole. `ring_error_mm` (2,): root mean square error of outer radius and
    thickness in the ring of intact bone around the hole, predicted from beyond; zero without one.
    """

    maps: np.ndarray
    deviation_mm: np.ndarray
    ring_error_mm: np.ndarray


def log_thickness(thickness: np.ndarray) -> np.ndarray:
    """Return a thickness in mm on the logarithmic scale of the model."""
    return USUAL_THICKNESS_MM * np.log(np.maximum(thickness, THINNEST_MM) / USUAL_THICKNESS_MM)


def thickness_mm(logged: np.ndarray) -> np.ndarray:
    """Return the thickness in mm of a value on the logarithmic scale of the model."""
    return USUAL_THICKNESS_MM * np.exp(logged / USUAL_THICKNESS_MM)


@lru_cache(maxsize=2)
def expectation(population: Population) -> VaultModel:
    """Return what the population says, widened by errors of pose and departures of size.

    Moving the surface |q| = radius by a field u changes the radius along a ray by
    gradient(|q| - radius) . u; u is a shift, a turn, or a stretch along an axis.
    """
    known = population.maps_mm.astype(np.float64)
    known[:, THICKNESS] = log_thickness(known[:, THICKNESS])
    logged = Population(population.names, known, population.bone)
    mean = logged.mean_mm()
    surface = radial.DIRECTIONS * mean[OUTER][..., None]
    smooth = ndimage.gaussian_filter(mean[OUTER], 2)
    step = 2.0

    def off(points: np.ndarray) -> np.ndarray:
        rows, columns, reach = radial.to_map(points)
        return reach - radial.look_up(smooth, rows, columns)

    gradient = np.stack(
        [(off(surface + step * e) - off(surface - step * e)) / (2 * step) for e in np.eye(3)],
        axis=-1,
    )
    moves = [gradient * SHIFT_MM, np.cross(surface, gradient) * TURN_RAD]
    moves.append(gradient * surface * STRETCH)
    radius = np.moveaxis(np.concatenate(moves, axis=-1), -1, 0)
    pose_factors = np.stack([radius, np.zeros_like(radius)], axis=1)
    thicker = np.stack([np.zeros_like(mean[OUTER]), np.full_like(mean[OUTER], THICKER_MM)])[None]
    rough = np.mean([[_roughness(m, radial.DISC) for m in skull] for skull in known], axis=0)
    rough = (rough + rough[..., ::-1]) / 2
    usual, more = np.minimum(rough, ROUGH_MM**2), np.maximum(rough - ROUGH_MM**2, 0.0)
    relief = [
        share * (m - _local_mean(m, radial.DISC, RELIEF_PIXELS)) * radial.DISC
        for share, m in zip(RELIEF_SHARE, mean)
    ]
    return VaultModel(
        mean=mean,
        factors=np.concatenate([logged.factors_mm(), pose_factors, thicker]),
        kernel=Kernel(np.stack(relief), np.sqrt(DETAIL_SHARE * more)),
        noise=np.sqrt(
            NOISE_SHARE * (np.square(NOISE_MM)[:, None, None] + usual) + (1 - DETAIL_SHARE) * more
        ),
    )


def _roughness(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the local mean square departure of a map from its smoothed self."""
    smooth = _local_mean(values, known, ROUGH_PIXELS)
    return _local_mean((values - smooth) ** 2, known, ROUGH_PIXELS / 2)


def _local_mean(values: np.ndarray, known: np.ndarray, width: float) -> np.ndarray:
    """Return the Gaussian mean of the known values around each pixel, zero where there are none."""
    weight = ndimage.gaussian_filter(known.astype(float), width)
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), width)
    return np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), 0.0)


def rough_fit(maps: np.ndarray, known: np.ndarray, model: VaultModel) -> np.ndarray:
    """Return the mean plus the combination of factors that fits the known pixels, robustly."""
    mean, factors = model.mean, model.factors
    rows, columns = np.nonzero(known & _thinned(0.08))
    design = factors[:, OUTER, rows, columns].T
    away = maps[OUTER, rows, columns] - mean[OUTER, rows, columns]
    noise_mm, weight = 2.0, np.ones(len(away))
    for _ in range(8):
        normal = design.T @ (design * weight[:, None]) / 20 + np.eye(len(factors)) * noise_mm**2
        loading = np.linalg.solve(normal, design.T @ (weight * away) / 20)
        weight = 1 / (1 + ((away - design @ loading) / (2 * noise_mm)) ** 2) ** 2
    return mean + np.tensordot(loading, factors, axes=1)


def _thinned(share: float) -> np.ndarray:
    """Return an even choice of about `share` of the pixels, even in solid angle (SIZE, SIZE).

    Ranks pixels by the R2 low-discrepancy sequence (Roberts 2018), so it needs no randomness.
    """
    row, column = np.indices(radial.DISC.shape)
    rank = (row * 0.7548776662466927 + column * 0.5698402909980532) % 1.0
    return rank < share * np.sinc(radial.POLAR_RAD / np.pi)


def _observations(observed: np.ndarray, filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, columns) of the observed pixels to use: dense at the rim, some everywhere,
    and some more opposite the hole, which tell of its shape by symmetry."""
    away = away_mm(filled)
    near = observed & (away <= NEAR_MM)
    opposite = observed & filled[:, ::-1] & ~near
    far = observed & ~near & (radial.POLAR_RAD < VAULT_RAD)
    chosen = np.zeros(observed.shape, bool)
    for region, count in ((near, NEAR_COUNT), (far, FAR_COUNT), (opposite, MIRROR_COUNT)):
        weight = np.sinc(radial.POLAR_RAD / np.pi)[region].sum()
        chosen |= region & _thinned(count / max(weight, 1.0))
    rows, columns = np.nonzero(chosen)
    return rows, columns


def complete_maps(
    maps: np.ndarray, bone: np.ndarray, filled: np.ndarray, model: VaultModel
) -> CompleteMaps:
    """Return the maps with the pixels `filled` predicted from the others that have `bone`.

    `maps` are of outer radius and logarithmic thickness. Elsewhere pixels without bone take the
    nearest value.
    """
    complete = np.stack([radial.fill_nearest(channel, bone) for channel in maps])
    if not filled.any():
        return CompleteMaps(complete, np.zeros_like(complete), np.zeros(2))
    observed = bone & ~filled & (radial.POLAR_RAD < FLOOR_RAD)
    rim = observed & (away_mm(filled) <= RIM_BLEND_MM)
    predicted, deviation, ring_error_mm = _predict(complete, observed, filled, rim, model)
    complete = _blended(complete, predicted, rim, filled)
    # The mean of a quantity whose logarithm is normal lies above its median.
    complete[THICKNESS] += deviation[THICKNESS] ** 2 / (2 * USUAL_THICKNESS_MM)
    deviation[THICKNESS] *= thickness_mm(complete[THICKNESS]) / USUAL_THICKNESS_MM
    return CompleteMaps(complete, deviation, ring_error_mm)


def _predict(
    maps: np.ndarray, observed: np.ndarray, filled: np.ndarray, rim: np.ndarray, model: VaultModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return maps predicted in the pixels `filled` and `rim`, the posterior deviation there, and
    the error (2,) in the ring."""
    mean, factors, kernel = model.mean, model.factors, model.kernel
    rows, columns = _observations(observed, filled)
    # The ring comes last, for `_ring_error`: of the pixels, and below of both channels.
    in_ring = away_mm(filled)[rows, columns] <= RING_MM
    order = np.argsort(in_ring, kind="stable")
    at = rows[order], columns[order]
    n, ring = len(order), int(in_ring.sum())
    shared = factors[:, :, at[0], at[1]].reshape(len(factors), -1)
    covariance = shared.T @ shared
    own = slice(0, n), slice(n, 2 * n)
    covariance[own[THICKNESS], own[OUTER]] += kernel.between(THICKNESS, at, OUTER, at)
    covariance[own[OUTER], own[THICKNESS]] = covariance[own[THICKNESS], own[OUTER]].T
    for c in (OUTER, THICKNESS):
        covariance[own[c], own[c]] += kernel.between(c, at, c, at)
        rough = NOISE_SHARE * _roughness(maps[c], observed)[at]
        covariance[own[c], own[c]] += np.diag(model.noise[c][at] ** 2 + rough)
    ring_last = np.argsort(np.tile(np.arange(n) >= n - ring, 2), kind="stable")
    shared = shared[:, ring_last]
    cholesky = linalg.cholesky(
        covariance[np.ix_(ring_last, ring_last)], lower=True, overwrite_a=True, check_finite=False
    )
    away = (maps - mean)[:, at[0], at[1]].ravel()[ring_last]
    told = linalg.solve_triangular(cholesky, away, lower=True, check_finite=False)
    weights = np.empty(2 * n)
    weights[ring_last] = linalg.solve_triangular(
        cholesky, told, lower=True, trans=1, check_finite=False
    )
    ring_error_mm = _ring_error(cholesky, told, maps[THICKNESS][at][n - ring :])

    predicted, deviation = maps.copy(), np.zeros_like(maps)
    target = np.nonzero(filled | rim)
    coarse = filled & _every(DEVIATION_STEP)
    coarse_target = np.nonzero(coarse)
    loading = shared @ weights[ring_last]
    for c in (OUTER, THICKNESS):
        predicted[c][target] = mean[c][target] + loading @ factors[:, c, target[0], target[1]]
        for e in (OUTER, THICKNESS):
            predicted[c][target] += kernel.between(c, target, e, at) @ weights[own[e]]

        here = factors[:, c, coarse_target[0], coarse_target[1]]
        cross = np.concatenate(
            [kernel.between(e, at, c, coarse_target) for e in (OUTER, THICKNESS)]
        )[ring_last]
        cross = linalg.solve_triangular(
            cholesky, cross + shared.T @ here, lower=True, check_finite=False
        )
        total = (here**2).sum(axis=0) + kernel.variance(c, coarse_target)
        values = np.zeros(filled.shape)
        values[coarse_target] = np.sqrt(np.maximum(total - (cross**2).sum(axis=0), 0.0))
        smooth_values = radial.fill_nearest(values, coarse) if coarse.any() else values
        deviation[c] = ndimage.uniform_filter(smooth_values, DEVIATION_STEP) * filled
    return predicted, deviation, ring_error_mm


def _ring_error(cholesky: np.ndarray, told: np.ndarray, logged: np.ndarray) -> np.ndarray:
    """Return the root mean square error (2,), mm, of the observations that come last.

    With K = L L' and z = L^-1 y, those that come last, R, are predicted from the others with the
    error L_RR z_R (Rasmussen and Williams 2006, section 5.4.2, for a block). `told` is z; `logged`
    the logarithmic thickness of those pixels.
    """
    if not len(logged):
        return np.zeros(2)
    last = slice(len(told) - 2 * len(logged), None)
    error = (np.tril(cholesky[last, last]) @ told[last]).reshape(2, -1)
    error[THICKNESS] = thickness_mm(logged) - thickness_mm(logged - error[THICKNESS])
    return np.sqrt((error**2).mean(axis=1))


def _every(step: int) -> np.ndarray:
    row, column = np.indices(radial.DISC.shape)
    return (row % step == 0) & (column % step == 0)


def _blended(
    maps: np.ndarray, predicted: np.ndarray, rim: np.ndarray, filled: np.ndarray
) -> np.ndarray:
    """Return `maps` with the pixels `filled` as predicted, but without a step at the rim.

    The prediction smooths over the bone at the `rim`; its misfit there, averaged over a few
    millimetres, is faded out into the hole.
    """
    width = RIM_BLEND_MM / 2 / PIXEL_MM
    table = _without_slopes(maps[OUTER] - predicted[OUTER], rim)
    fade = np.exp(-away_mm(rim) / RIM_BLEND_MM)
    complete = maps.copy()
    for c in (OUTER, THICKNESS):
        misfit = _local_mean(maps[c] - predicted[c], table, width)
        complete[c] = np.where(filled, predicted[c] + misfit * fade, maps[c])
    return complete


def _without_slopes(misfit_mm: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Return the `rim` (SIZE, SIZE) less where its outer surface falls off into the cut."""
    if not rim.any():
        return rim
    usual_mm = np.median(misfit_mm[rim])
    spread_mm = np.median(np.abs(misfit_mm[rim] - usual_mm)) * MAD_TO_DEVIATION
    return rim & (misfit_mm >= usual_mm - SLOPE_DEVIATIONS * spread_mm)
