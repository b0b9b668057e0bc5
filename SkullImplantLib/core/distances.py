"""Distances to a mask, in mm on the image's own spacing (Maurer et al. 2003, exact, in ITK)."""

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .images import array_of


def signed_distance_mm(mask: sitk.Image) -> npt.NDArray[np.float32]:
    """Return each voxel's distance to the boundary voxels of a mask, negative within it, (z, y, x).

    mask: uint8; what is not 0 is in it. Between voxel centres: 0 on the mask's outermost voxels.
    """
    return array_of(sitk.SignedMaurerDistanceMap(mask, False, False, True))


def distance_mm(mask: sitk.Image) -> npt.NDArray[np.float32]:
    """Return each voxel's distance to the nearest voxel of a mask, 0 within it, (z, y, x)."""
    return array_of(sitk.Maximum(sitk.SignedMaurerDistanceMap(mask, False, False, True), 0.0))
