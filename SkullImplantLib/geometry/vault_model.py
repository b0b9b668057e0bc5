"""What is expected of a vault before it is seen: the Gaussian process prior of its radial maps.

The mean and covariance of the population, errors of pose and size, and smooth residuals
(`covariance.py`), which both sides of a head partly share. Maps are (2, SIZE, SIZE), outer radius
and logarithmic thickness; see `radial.py` for their layout.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from . import radial
from .covariance import Kernel
from .radial import Map
from .shape_statistics import OUTER, THICKNESS, Population

# Thickness is modelled on a logarithmic scale, in mm at the usual thickness: it varies in
# proportion, and stays positive.
USUAL_THICKNESS_MM, THINNEST_MM = 5.0, 0.5

# Roughness that nothing around foretells: of it this share is noise, the rest is narrow residuals.
NOISE_MM = (0.3, 0.35)
NOISE_SHARE = 0.4
# Where the population is rougher than this, at brow, orbits and temples, it is detail, of which the
# other side tells; the mean's relief is its difference from itself blurred over RELIEF_PIXELS.
ROUGH_MM, DETAIL_SHARE = 1.0, 0.9
RELIEF_SHARE, RELIEF_PIXELS = (0.3, 0.6), 6.0
SHIFT_MM, TURN_RAD, STRETCH = 1.0, np.deg2rad(1.5), 0.04  # errors of pose, departures of size
THICKER_MM = 1.0  # standard deviation of a skull's overall thickness, at the usual thickness
ROUGH_PIXELS = 4.0  # wide against a pixel, narrow against the finest residual
GRADIENT_PIXELS, GRADIENT_STEP_MM = 2.0, 2.0  # the mean is blurred so for its gradient


@dataclass(frozen=True)
class VaultModel:
    """The prior of a vault: `mean` (2, SIZE, SIZE) of outer radius and log thickness; `factors`
    (n, 2, SIZE, SIZE) with F'F the covariance around it, and `kernel`, that of smooth residuals;
    `noise` (2, SIZE, SIZE), the standard deviation of what is too fine to predict. In mm."""

    mean: Map
    factors: NDArray[np.float64]
    kernel: Kernel
    noise: Map


def log_thickness(thickness: Map) -> Map:
    """Return a thickness in mm on the logarithmic scale of the model."""
    return USUAL_THICKNESS_MM * np.log(np.maximum(thickness, THINNEST_MM) / USUAL_THICKNESS_MM)


def thickness_mm(logged: Map) -> Map:
    """Return the thickness in mm of a value on the logarithmic scale of the model."""
    return USUAL_THICKNESS_MM * np.exp(logged / USUAL_THICKNESS_MM)


@lru_cache(maxsize=2)
def vault_model(population: Population) -> VaultModel:
    """Return the prior of a vault: what the population says, widened by errors of pose and
    departures of size."""
    known = population.maps_mm.astype(np.float64)
    known[:, THICKNESS] = log_thickness(known[:, THICKNESS])
    logged = Population(population.names, known, population.bone)
    mean = logged.mean_mm()
    thicker = np.stack([np.zeros_like(mean[OUTER]), np.full_like(mean[OUTER], THICKER_MM)])[None]
    rough = roughness(known, radial.DISC).mean(axis=0)
    rough = (rough + rough[..., ::-1]) / 2
    usual, more = np.minimum(rough, ROUGH_MM**2), np.maximum(rough - ROUGH_MM**2, 0.0)
    relief = np.reshape(RELIEF_SHARE, (2, 1, 1)) * (
        mean - local_mean(mean, radial.DISC, RELIEF_PIXELS)
    )
    return VaultModel(
        mean=mean,
        factors=np.concatenate([logged.factors_mm(), _pose_factors(mean[OUTER]), thicker]),
        kernel=Kernel(relief * radial.DISC, np.sqrt(DETAIL_SHARE * more)),
        noise=np.sqrt(
            NOISE_SHARE * (np.square(NOISE_MM)[:, None, None] + usual) + (1 - DETAIL_SHARE) * more
        ),
    )


def _pose_factors(outer_mm: Map) -> NDArray[np.float64]:
    """Return the factors (9, 2, SIZE, SIZE) of shifts, turns and stretches along each axis.

    Moving the surface |q| = radius by a field u changes the radius along a ray by
    gradient(|q| - radius) . u.
    """
    surface = radial.DIRECTIONS * outer_mm[..., None]
    smooth = ndimage.gaussian_filter(outer_mm, GRADIENT_PIXELS)

    def above(points: Map) -> Map:
        rows, columns, radius = radial.to_map(points)
        return radius - radial.look_up(smooth, rows, columns)

    _, gradient = radial.with_gradient(above, surface, GRADIENT_STEP_MM)
    moves = [gradient * SHIFT_MM, np.cross(surface, gradient) * TURN_RAD]
    moves.append(gradient * surface * STRETCH)
    radius = np.moveaxis(np.concatenate(moves, axis=-1), -1, 0)
    return np.stack([radius, np.zeros_like(radius)], axis=1)


def roughness(values: Map, known: NDArray[np.bool_]) -> Map:
    """Return the local mean square difference of maps (..., SIZE, SIZE) from their smoothed
    selves, of the `known` pixels (SIZE, SIZE)."""
    smooth = local_mean(values, known, ROUGH_PIXELS)
    return local_mean((values - smooth) ** 2, known, ROUGH_PIXELS / 2)


def local_mean(values: Map, known: NDArray[np.bool_], width: float) -> Map:
    """Return the Gaussian mean, over `width` pixels, of the `known` values (SIZE, SIZE) around each
    pixel of maps (..., SIZE, SIZE); zero where there are none."""
    weight = ndimage.gaussian_filter(known.astype(float), width)
    in_map = (0.0,) * (values.ndim - 2) + (width,) * 2
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), in_map)
    return np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), 0.0)
