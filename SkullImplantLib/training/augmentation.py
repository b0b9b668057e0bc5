"""One random deformation for all channels of a training case: affine, elastic, mirrored.

For arrays on the standard grid, where the last axis (x) runs from right to left across the
mid-sagittal plane in the middle of the grid, so that turning it over mirrors the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

Floats = NDArray[np.float64]

# A cubic B-spline through knots of variance 1 has, averaged over an interval, this variance.
SPLINE_VARIANCE = 151 / 315


@dataclass(frozen=True)
class AugmentationOptions:
    """How far a head is deformed; amounts are drawn evenly up to these, elastic ones normally."""

    rotation_deg: float = 8.0  # about each axis; what pose estimation leaves and more
    scale: float = 0.10  # of each axis on its own: heads differ in length, width and height
    shear: float = 0.04
    translation_mm: float = 5.0
    elastic_mm: float = 2.0  # standard deviation of the elastic displacement along each axis
    elastic_knots_mm: float = 40.0  # spacing of the cubic B-spline; small against it never folds
    asymmetry_mm: float = (
        1.0  # as `elastic_mm`, of the mirrored half against the half that it is on
    )
    mirror: bool = True  # left and right, every other time


def augment(
    arrays: Sequence[NDArray[Any]],
    spacing_mm: float,
    rng: np.random.Generator,
    options: AugmentationOptions = AugmentationOptions(),
    mirrored: Sequence[NDArray[Any]] = (),
) -> list[NDArray[Any]]:
    """Return the arrays (z, y, x) of one isotropic grid, all deformed by the same random map.

    The elastic part is drawn on either side of the head for itself. What is `mirrored` (the head
    turned over, as it is laid on the defect) would follow it and fit as well as before; it is
    therefore deformed a little more, as the other side of a less symmetric head. It comes last in
    the result.

    Floating-point arrays are read linearly and come back as `float32`; masks (`bool`, integers
    0/1) come back as masks of their type. Beyond the grid its border goes on. The same generator
    state gives the same arrays, whatever the number of threads.
    """
    shape = arrays[0].shape
    every = [*arrays, *mirrored]
    if any(array.shape != shape for array in every):
        raise ValueError(f"arrays of different shapes: {[array.shape for array in every]}")
    where = sampling_grid(shape, spacing_mm, rng, options)
    deformed = _read(arrays, where)
    if mirrored:
        apart = _elastic(shape, spacing_mm, options.asymmetry_mm, options.elastic_knots_mm, rng)
        deformed += _read(mirrored, where + apart)
    return deformed


def _read(arrays: Sequence[NDArray[Any]], where: Floats) -> list[NDArray[Any]]:
    """Return the arrays read at `where` (z, y, x, 3), each in its own kind."""
    channels = torch.from_numpy(np.stack([np.asarray(a, dtype=np.float32) for a in arrays]))
    places = torch.from_numpy(where.astype(np.float32))[None]
    deformed = grid_sample(channels[None], places, align_corners=True, padding_mode="border")[0]
    return [
        new if np.issubdtype(old.dtype, np.floating) else (new >= 0.5).astype(old.dtype)
        for old, new in zip(arrays, deformed.numpy())
    ]


def sampling_grid(
    shape: tuple[int, ...],
    spacing_mm: float,
    rng: np.random.Generator,
    options: AugmentationOptions,
) -> Floats:
    """Return where each voxel is read: (z, y, x, 3), in (x, y, z) from -1 to 1 over the grid."""
    half_mm = _half_mm(shape, spacing_mm)
    matrix, shift_mm = _random_affine(rng, options)
    theta = np.hstack([matrix * half_mm / half_mm[:, None], (shift_mm / half_mm)[:, None]])
    # Sums written out: BLAS, which matrix products go through, sums differently by thread count.
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij", sparse=True)
    by_x, by_y, by_z, offset = theta.T
    where: Floats = x[..., None] * by_x + y[..., None] * by_y + z[..., None] * by_z + offset
    if options.elastic_mm > 0:
        where += _elastic(shape, spacing_mm, options.elastic_mm, options.elastic_knots_mm, rng)
    return where


def _elastic(
    shape: tuple[int, ...],
    spacing_mm: float,
    deviation_mm: float,
    knots_mm: float,
    rng: np.random.Generator,
) -> Floats:
    """Return random smooth displacements (z, y, x, 3) as parts of half the grid, in (x, y, z)."""
    amplitude = deviation_mm / SPLINE_VARIANCE**1.5 / _half_mm(shape, spacing_mm)
    bases = [_spline_basis(n, spacing_mm, knots_mm) for n in shape]
    shift: Floats = rng.standard_normal([*[basis.shape[1] for basis in bases], 3]) * amplitude
    # Sums written out here too, for the same bytes on any number of threads.
    for basis, sums in zip(bases, ("ijkc,zi->zjkc", "zjkc,yj->zykc", "zykc,xk->zyxc")):
        shift = np.einsum(sums, shift, basis, optimize=False)
    return shift


def _half_mm(shape: tuple[int, ...], spacing_mm: float) -> Floats:
    """Return half of the grid's extent along (x, y, z)."""
    extent_mm: Floats = np.maximum(np.array(shape[::-1]) - 1, 1) * spacing_mm
    return extent_mm / 2


def _spline_basis(count: int, spacing_mm: float, knots_mm: float) -> Floats:
    """Return the weights (voxels, knots) of uniform cubic B-splines along an axis."""
    at = np.arange(count) * spacing_mm / knots_mm
    knots = np.arange(-1, int(at[-1]) + 3)
    away = np.abs(at[:, None] - knots[None])
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.maximum(2 - away, 0) ** 3 / 6
    weights: Floats = np.where(away < 1, near, far)
    return weights


def _random_affine(rng: np.random.Generator, options: AugmentationOptions) -> tuple[Floats, Floats]:
    """Return the matrix (3, 3) and shift (3,) in mm, axes (x, y, z), from new to old places."""
    a, b, c = np.deg2rad(rng.uniform(-1, 1, 3) * options.rotation_deg)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    stretch = np.diag(1 + rng.uniform(-1, 1, 3) * options.scale)
    stretch[np.triu_indices(3, 1)] = rng.uniform(-1, 1, 3) * options.shear
    if options.mirror and rng.random() < 0.5:
        stretch[0] *= -1
    return about_x @ about_y @ about_z @ stretch, rng.uniform(-1, 1, 3) * options.translation_mm
