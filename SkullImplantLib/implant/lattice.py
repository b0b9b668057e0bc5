"""Lattices: grids with voxels of equal sides, along the axes of the image they are laid over."""

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, index_to_lps_mm, resample


def lattice_over(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Return an empty lattice (uint8) from the first voxel of `image` to its last and no farther
    beyond it than one step.
    """
    size = [
        math.ceil((n - 1) * s / spacing_mm - 1e-6) + 1
        for n, s in zip(image.GetSize(), image.GetSpacing())
    ]
    lattice = sitk.Image(size, sitk.sitkUInt8)
    lattice.SetOrigin(image.GetOrigin())
    lattice.SetDirection(image.GetDirection())
    lattice.SetSpacing([spacing_mm] * 3)
    return lattice


def values_on(
    image: sitk.Image, lattice: sitk.Image, outside: float, interpolator: int = sitk.sitkLinear
) -> NDArray[np.float32]:
    """Return `image` interpolated on a lattice, float32 (z, y, x); beyond it is `outside`."""
    values: NDArray[np.float32] = array_of(
        resample(image, lattice, interpolator, outside, sitk.sitkFloat32)
    )
    return values


def places_of(lattice: sitk.Image, index: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the LPS points (n, 3), mm, of voxels whose `index` is (n, 3; z, y, x)."""
    frame = index_to_lps_mm(lattice)
    return np.asarray(index[:, ::-1] @ frame[:3, :3].T + frame[:3, 3])


def to_index(image: sitk.Image, points_mm: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return LPS points (n, 3) as indices (n, 3; x, y, z) of an image, fractions between voxels."""
    inverse = np.linalg.inv(index_to_lps_mm(image))
    return np.asarray(points_mm @ inverse[:3, :3].T + inverse[:3, 3])
