"""What is expected of a vault before it is seen: Gaussian process priors of its radial maps.

The mean and covariance of the population, errors of pose and size, and smooth residuals
(`covariance.py`), which both sides of a head partly share. There are two models, whose mean
answers better than either: `outer_model` knows the outer table alone, and trusts the known skulls'
shapes; `tables_model` knows outer and inner table together, and trusts this head's own bone. See
`radial.py` for the layout of maps.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from . import radial
from .covariance import Field, Kernel
from .radial import Map
from .shape_statistics import OUTER, Population

INNER = 1  # the second channel of the maps here is a radius too

# Where the population is rougher than this, at brow, orbits and temples, it is detail, of which the
# other side tells; the mean's relief is its difference from itself blurred over RELIEF_PIXELS.
ROUGH_MM, RELIEF_PIXELS = 1.0, 6.0
SHIFT_MM, TURN_RAD, STRETCH = 1.0, np.deg2rad(1.5), 0.04  # errors of pose, departures of size
ROUGH_PIXELS = 4.0  # wide against a pixel, narrow against the finest residual
GRADIENT_PIXELS, GRADIENT_STEP_MM = 2.0, 2.0  # the mean is blurred so for its gradient
DETAIL_LENGTH_MM = 6.0

# Set by hand on cuts in the skulls of the population, each left out of it in turn: of the outer
# table, standard deviation, length and mirrored share of wide and narrow residuals, those of the
# mean's relief, whose strength is a share of it, and the mirrored share of detail.
OUTER_FIELDS = ((1.5, 45.0, 0.6), (0.7, 14.0, 0.3))
OUTER_RELIEF_SHARE, OUTER_RELIEF_LENGTH_MM, OUTER_RELIEF_MIRRORED = 0.3, 50.0, 0.9
OUTER_DETAIL_MIRRORED, OUTER_DETAIL_SHARE = 0.9, 0.9
OUTER_NOISE_MM, OUTER_NOISE_SHARE = 0.3, 0.4

# By maximum likelihood on the skulls of the population, each left out of it in turn: of both
# tables, standard deviation of outer and of inner radius, their correlation, length, mirrored
# share; and how strong the population's own factors are in each.
TABLES_FIELDS = (
    (1.68, 1.87, 0.88, 34.2, 0.57),
    (0.50, 0.85, 0.20, 13.6, 0.55),
    (0.14, 0.59, 0.09, 4.5, 0.02),
)
TABLES_FACTORS = (0.19, 0.21)
TABLES_DETAIL_MIRRORED, TABLES_DETAIL_SHARE = 0.85, 0.5
TABLES_NOISE_MM, TABLES_NOISE_SHARE = (0.3, 0.35), (0.13, 0.04)
THICKER_MM = 1.0  # standard deviation of a skull's overall thickness


@dataclass(frozen=True, eq=False)
class VaultModel:
    """The prior of a vault's maps: outer radius, or outer and inner radius; mm.

    `mean` (channels, SIZE, SIZE); `factors` (n, channels, SIZE, SIZE) with F'F the covariance
    around it, and `kernel`, that of smooth residuals; `noise` (channels, SIZE, SIZE), the standard
    deviation of what is too fine to predict, and `noise_share` (channels,) that of a skull's own
    roughness which is such noise.
    """

    mean: Map
    factors: NDArray[np.float64]
    kernel: Kernel
    noise: Map
    noise_share: NDArray[np.float64]


@lru_cache(maxsize=2)
def outer_model(population: Population) -> VaultModel:
    """Return the prior of the outer table: what the population says, widened by errors of pose,
    departures of size, and residuals."""
    both = tables_of(population)
    outer = Population(both.names, both.maps_mm[:, :1], both.bone)
    mean = outer.mean_mm()
    usual, more = _population_roughness(outer)
    relief = OUTER_RELIEF_SHARE * (mean - local_mean(mean, radial.DISC, RELIEF_PIXELS))
    one = np.ones((1, 1))
    fields = [Field(one * d**2, length, mirrored) for d, length, mirrored in OUTER_FIELDS]
    fields.append(Field(one, OUTER_RELIEF_LENGTH_MM, OUTER_RELIEF_MIRRORED, relief * radial.DISC))
    detail = np.sqrt(OUTER_DETAIL_SHARE * more)
    fields.append(Field(one, DETAIL_LENGTH_MM, OUTER_DETAIL_MIRRORED, detail))
    return VaultModel(
        mean=mean,
        factors=np.concatenate([outer.factors_mm(), _pose_factors(mean[OUTER], 1)]),
        kernel=Kernel(tuple(fields)),
        noise=np.sqrt(
            OUTER_NOISE_SHARE * (OUTER_NOISE_MM**2 + usual) + (1 - OUTER_DETAIL_SHARE) * more
        ),
        noise_share=np.array([OUTER_NOISE_SHARE]),
    )


@lru_cache(maxsize=2)
def tables_model(population: Population) -> VaultModel:
    """Return the prior of outer and inner table together."""
    both = tables_of(population)
    mean = both.mean_mm()
    usual, more = _population_roughness(both)
    thicker = np.stack([np.zeros_like(mean[OUTER]), np.full_like(mean[INNER], THICKER_MM)])
    known = both.factors_mm() * np.reshape(TABLES_FACTORS, (2, 1, 1))
    fields = []
    for outer, inner, correlation, length_mm, mirrored in TABLES_FIELDS:
        shared = correlation * outer * inner
        fields.append(
            Field(np.array([[outer**2, shared], [shared, inner**2]]), length_mm, mirrored)
        )
    detail = np.sqrt(TABLES_DETAIL_SHARE * more)
    fields.append(Field(np.eye(2), DETAIL_LENGTH_MM, TABLES_DETAIL_MIRRORED, detail))
    share = np.array(TABLES_NOISE_SHARE)
    least = np.square(TABLES_NOISE_MM)[:, None, None]
    return VaultModel(
        mean=mean,
        # The inner table moves with the outer one.
        factors=np.concatenate([known, _pose_factors(mean[OUTER], 2), thicker[None]]),
        kernel=Kernel(tuple(fields)),
        noise=np.sqrt(share[:, None, None] * (least + usual) + (1 - TABLES_DETAIL_SHARE) * more),
        noise_share=share,
    )


def tables_of(population: Population) -> Population:
    """Return the population with outer and inner radius for maps; mm."""
    maps = population.maps_mm.astype(np.float64)
    maps[:, INNER] = maps[:, OUTER] - maps[:, INNER]  # which is thickness in a population's file
    return Population(population.names, maps, population.bone)


def _population_roughness(population: Population) -> tuple[Map, Map]:
    """Return the population's roughness (channels, SIZE, SIZE), mm²: that up to `ROUGH_MM`, which
    is everywhere, and what goes beyond."""
    rough = roughness(population.maps_mm, radial.DISC).mean(axis=0)
    rough = (rough + rough[..., ::-1]) / 2
    return np.minimum(rough, ROUGH_MM**2), np.maximum(rough - ROUGH_MM**2, 0.0)


def _pose_factors(outer_mm: Map, channels: int) -> NDArray[np.float64]:
    """Return the factors (9, channels, SIZE, SIZE) of shifts, turns and stretches along each axis,
    alike in all channels.

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
    return np.repeat(radius[:, None], channels, axis=1)


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
