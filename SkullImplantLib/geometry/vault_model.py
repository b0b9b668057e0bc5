"""What is expected of a vault before it is seen: Gaussian process priors of its radial maps.

The mean and covariance of the population, errors of pose and size, and smooth residuals
(`covariance.py`), which both sides of a head partly share. There are two models, whose mean
answers better than either: `shapes_model`, of outer radius and logarithmic thickness, trusts the
known skulls' shapes; `tables_model`, of outer and inner radius, trusts this head's own bone. See
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
from .shape_statistics import OUTER, THICKNESS, Population

INNER = 1  # the second channel of the maps here is a radius too

# Where the population is rougher than this, at brow, orbits and temples, it is detail, of which the
# other side tells; the mean's relief is its difference from itself blurred over RELIEF_PIXELS.
ROUGH_MM, RELIEF_PIXELS = 1.0, 6.0
SHIFT_MM, TURN_RAD, STRETCH = 1.0, np.deg2rad(1.5), 0.04  # errors of pose, departures of size
ROUGH_PIXELS = 4.0  # wide against a pixel, narrow against the finest residual
GRADIENT_PIXELS, GRADIENT_STEP_MM = 2.0, 2.0  # the mean is blurred so for its gradient
DETAIL_LENGTH_MM = 6.0

# Thickness varies in proportion: on a logarithmic scale, in mm at the usual thickness.
USUAL_THICKNESS_MM, THINNEST_MM = 5.0, 0.5
THICKER_MM = 1.0  # standard deviation of a skull's overall thickness

# Of shapes, set by hand on cuts in the skulls of the population, each left out of it in turn: of
# wide and narrow residuals the standard deviation of outer radius and of thickness, their
# correlation (a bump of the outer table lies over thicker bone), length, mirrored share; and of the
# mean's relief, whose strength is a share of it, length and mirrored share.
SHAPES_FIELDS = ((1.5, 0.8, 0.0, 45.0, 0.6), (0.7, 0.6, 0.25, 14.0, 0.3))
RELIEF_SHARE, RELIEF_LENGTH_MM, RELIEF_MIRRORED = (0.3, 0.6), 50.0, 0.9
SHAPES_DETAIL_MIRRORED, SHAPES_DETAIL_SHARE, SHAPES_NOISE_SHARE = 0.9, 0.9, (0.4, 0.4)

# Of tables, by maximum likelihood on the skulls of the population, each left out of it in turn:
# standard deviation of outer and of inner radius, their correlation, length, mirrored share; and
# how strong the population's own factors are in each.
TABLES_FIELDS = (
    (1.68, 1.87, 0.88, 34.2, 0.57),
    (0.50, 0.85, 0.20, 13.6, 0.55),
    (0.14, 0.59, 0.09, 4.5, 0.02),
)
TABLES_FACTORS = (0.19, 0.21)
TABLES_DETAIL_MIRRORED, TABLES_DETAIL_SHARE = 0.85, 0.5
TABLES_NOISE_SHARE = (0.13, 0.04)
NOISE_MM = (0.3, 0.35)  # of either channel of both models


@dataclass(frozen=True, eq=False)
class VaultModel:
    """The prior of a vault's maps: outer radius, and logarithmic thickness or inner radius; mm.

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


def log_thickness(thickness_mm: Map) -> Map:
    """Return a thickness in mm on the logarithmic scale of `shapes_model`."""
    thickness_mm = np.maximum(thickness_mm, THINNEST_MM)
    return USUAL_THICKNESS_MM * np.log(thickness_mm / USUAL_THICKNESS_MM)


@lru_cache(maxsize=2)
def shapes_model(population: Population) -> VaultModel:
    """Return the prior of outer radius and logarithmic thickness: what the population says, widened
    by errors of pose, departures of size, and residuals."""
    maps = population.maps_mm.astype(np.float64)
    maps[:, THICKNESS] = log_thickness(maps[:, THICKNESS])
    known = Population(population.names, maps, population.bone)
    mean = known.mean_mm()
    relief = np.reshape(RELIEF_SHARE, (2, 1, 1)) * (
        mean - local_mean(mean, radial.DISC, RELIEF_PIXELS)
    )
    ridges = Field(np.eye(2), RELIEF_LENGTH_MM, RELIEF_MIRRORED, relief * radial.DISC)
    moves = _pose_factors(mean[OUTER])
    return _model(
        known,
        factors=[known.factors_mm(), np.stack([moves, np.zeros_like(moves)], axis=1)],
        fields=[*_fields(SHAPES_FIELDS), ridges],
        detail=(SHAPES_DETAIL_SHARE, SHAPES_DETAIL_MIRRORED),
        noise_share=SHAPES_NOISE_SHARE,
    )


@lru_cache(maxsize=2)
def tables_model(population: Population) -> VaultModel:
    """Return the prior of outer and inner table together."""
    known = tables_of(population)
    moves = _pose_factors(known.mean_mm()[OUTER])
    own = known.factors_mm() * np.reshape(TABLES_FACTORS, (2, 1, 1))
    return _model(
        known,
        factors=[own, np.stack([moves, moves], axis=1)],  # the tables move together
        fields=_fields(TABLES_FIELDS),
        detail=(TABLES_DETAIL_SHARE, TABLES_DETAIL_MIRRORED),
        noise_share=TABLES_NOISE_SHARE,
    )


def _model(
    known: Population,
    factors: list[Map],
    fields: list[Field],
    detail: tuple[float, float],
    noise_share: tuple[float, float],
) -> VaultModel:
    """Return the model with the mean of the `known` maps, a factor for a skull's overall thickness,
    and noise and a field for the population's roughness.

    `detail`: how much of the roughness beyond `ROUGH_MM` is a field, and its mirrored share.
    """
    mean = known.mean_mm()
    thicker = np.stack([np.zeros_like(mean[0]), np.full_like(mean[1], THICKER_MM)])[None]
    rough = roughness(known.maps_mm, radial.DISC).mean(axis=0)
    rough = (rough + rough[..., ::-1]) / 2
    usual, more = np.minimum(rough, ROUGH_MM**2), np.maximum(rough - ROUGH_MM**2, 0.0)
    detail_share, mirrored = detail
    strength = np.sqrt(detail_share * more)
    share = np.array(noise_share)
    least = np.square(NOISE_MM)[:, None, None]
    return VaultModel(
        mean=mean,
        factors=np.concatenate([*factors, thicker]),
        kernel=Kernel((*fields, Field(np.eye(2), DETAIL_LENGTH_MM, mirrored, strength))),
        noise=np.sqrt(share[:, None, None] * (least + usual) + (1 - detail_share) * more),
        noise_share=share,
    )


def _fields(terms: tuple[tuple[float, float, float, float, float], ...]) -> list[Field]:
    """Return fields of two channels: deviation of either, correlation, length, mirrored share."""
    fields = []
    for one, two, correlation, length_mm, mirrored in terms:
        shared = correlation * one * two
        fields.append(Field(np.array([[one**2, shared], [shared, two**2]]), length_mm, mirrored))
    return fields


def tables_of(population: Population) -> Population:
    """Return the population with outer and inner radius for maps; mm."""
    maps = population.maps_mm.astype(np.float64)
    maps[:, INNER] = maps[:, OUTER] - maps[:, INNER]  # which is thickness in a population's file
    return Population(population.names, maps, population.bone)


def _pose_factors(outer_mm: Map) -> NDArray[np.float64]:
    """Return the factors (9, SIZE, SIZE) of shifts, turns and stretches along each axis.

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
    return np.moveaxis(np.concatenate(moves, axis=-1), -1, 0)


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
