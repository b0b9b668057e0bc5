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
from .population import OUTER, THICKNESS, Population

PIXEL_RAD = 2 * radial.POLAR_MAX_RAD / radial.SIZE
PIXEL_MM = PIXEL_RAD * radial.MEAN_RADIUS_MM
# Polar angles: where everybody has a vault, and down to where maps are used at all.
VAULT_RAD = np.deg2rad(99.0)
FLOOR_RAD = np.deg2rad(112.0)
RIM_BLEND_MM = 5.0  # prediction passes into the observed bone over this distance from the rim
# Bone at the rim this many (robust) standard deviations below the prediction is the cut's own
# slope, as at a burr hole, and no table for the implant to be flush with.
SLOPE_DEVIATIONS = 3.0

# Thickness is modelled on a logarithmic scale, in mm at the usual thickness: it varies in
# proportion, and stays positive.
USUAL_THICKNESS_MM, THINNEST_MM = 5.0, 0.5


@dataclass(frozen=True)
class Departure:
    """A smooth departure from the expected maps: a squared exponential covariance.

    `mirrored` is the share of it that both sides of the head have in common.
    """

    deviation_mm: float
    length_mm: float
    mirrored: float


# Departures of the outer radius and of the thickness; set by hand on a development set of BrainWeb
# and CT skulls, where results changed little within a factor of 1.5.
DEPARTURES: tuple[tuple[Departure, ...], tuple[Departure, ...]] = (
    (Departure(1.5, 45.0, 0.6), Departure(0.7, 14.0, 0.3)),
    (Departure(0.8, 45.0, 0.7), Departure(0.6, 14.0, 0.4)),
)
NOISE_MM = (0.3, 0.35)
SHIFT_MM, TURN_RAD, STRETCH = 1.0, np.deg2rad(1.5), 0.04  # errors of pose, departures of size
THICKER_MM = 1.0  # standard deviation of a skull's overall thickness, at the usual thickness
ROUGH_PIXELS = 4.0  # wide against a pixel, narrow against the finest departure
MAD_TO_DEVIATION = 1.4826  # of the median absolute deviation, for a normal distribution
NEAR_MM = 16.0
NEAR_COUNT, FAR_COUNT, MIRROR_COUNT = 650, 450, 350  # observations used
DEVIATION_STEP = 3  # pixels between those where the posterior deviation is computed


@dataclass(frozen=True)
class VaultModel:
    """What is expected of a vault: `mean` (2, SIZE, SIZE) of outer radius and log thickness;
    `factors` (n, 2, SIZE, SIZE) with F'F the covariance around it; `noise` (2, SIZE, SIZE), the
    standard deviation of what is too fine to be predicted, large at orbits and air cells."""

    mean: np.ndarray
    factors: np.ndarray
    noise: np.ndarray


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
    noise = np.sqrt(np.square(NOISE_MM)[:, None, None] + (rough + rough[..., ::-1]) / 2)
    return VaultModel(mean, np.concatenate([logged.factors_mm(), pose_factors, thicker]), noise)


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


def away_mm(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's distance in mm from `mask`, about, on the mean sphere."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask) * PIXEL_MM


def departure_covariance(
    one: np.ndarray, other: np.ndarray, departures: tuple[Departure, ...]
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
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps with the pixels `filled` predicted from the others that have `bone`.

    `maps` are of outer radius and logarithmic thickness. Elsewhere pixels without bone take the
    nearest value. Also returns the posterior standard deviation of outer radius and thickness, in
    mm, zero outside `filled`.
    """
    complete = np.stack([radial.fill_nearest(channel, bone) for channel in maps])
    if not filled.any():
        return complete, np.zeros_like(complete)
    observed = bone & ~filled & (radial.POLAR_RAD < FLOOR_RAD)
    rim = observed & (away_mm(filled) <= RIM_BLEND_MM)
    predicted, deviation = _predict(complete, observed, filled, rim, model)
    complete = _blended(complete, predicted, rim, filled)
    deviation[THICKNESS] *= thickness_mm(complete[THICKNESS]) / USUAL_THICKNESS_MM
    return complete, deviation


def _predict(
    maps: np.ndarray, observed: np.ndarray, filled: np.ndarray, rim: np.ndarray, model: VaultModel
) -> tuple[np.ndarray, np.ndarray]:
    """Return maps predicted in the pixels `filled` and `rim`, and the posterior deviation."""
    mean, factors = model.mean, model.factors
    at = _observations(observed, filled)
    n = len(at[0])
    directions = radial.DIRECTIONS[at]
    shared = factors[:, :, at[0], at[1]].reshape(len(factors), -1)
    covariance = shared.T @ shared
    for c in (OUTER, THICKNESS):
        own = slice(c * n, (c + 1) * n)
        covariance[own, own] += departure_covariance(directions, directions, DEPARTURES[c])
        rough = _roughness(maps[c], observed)[at]
        covariance[own, own] += np.diag(model.noise[c][at] ** 2 + rough)
    cholesky = linalg.cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    away = (maps - mean)[:, at[0], at[1]].ravel()
    weights = linalg.cho_solve((cholesky, True), away, check_finite=False)

    predicted, deviation = maps.copy(), np.zeros_like(maps)
    target = np.nonzero(filled | rim)
    coarse = filled & _every(DEVIATION_STEP)
    coarse_target = np.nonzero(coarse)
    for c in (OUTER, THICKNESS):
        own = slice(c * n, (c + 1) * n)
        loading = shared @ weights
        smooth = (
            departure_covariance(radial.DIRECTIONS[target], directions, DEPARTURES[c])
            @ weights[own]
        )
        here = factors[:, c, target[0], target[1]]
        predicted[c][target] = mean[c][target] + smooth + loading @ here

        here = factors[:, c, coarse_target[0], coarse_target[1]]
        cross = shared.T @ here
        cross[own] += departure_covariance(
            directions, radial.DIRECTIONS[coarse_target], DEPARTURES[c]
        )
        told = linalg.solve_triangular(cholesky, cross, lower=True, check_finite=False)
        total = (here**2).sum(axis=0) + sum(d.deviation_mm**2 for d in DEPARTURES[c])
        mirror = radial.DIRECTIONS[coarse_target][:, 0] * radial.MEAN_RADIUS_MM * 2
        for d in DEPARTURES[c]:
            width = -0.5 / d.length_mm**2
            total += d.deviation_mm**2 * d.mirrored * np.exp(mirror**2 * width)
        values = np.zeros(filled.shape)
        values[coarse_target] = np.sqrt(np.maximum(total - (told**2).sum(axis=0), 0.0))
        smooth_values = radial.fill_nearest(values, coarse) if coarse.any() else values
        deviation[c] = ndimage.uniform_filter(smooth_values, DEVIATION_STEP) * filled
    return predicted, deviation


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
