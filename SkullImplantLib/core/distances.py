"""Distances to a mask, in mm on the image's own spacing (Maurer et al. 2003, exact, in ITK)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .images import array_of, image_like

NOWHERE_MM = 1e3  # the distance to what there is none of
# Nearer than so many voxels to the surface the shares' slope tells the depth; beyond, voxels do.
NEAR_STEPS = 1.0
LEAST_SLOPE = 1e-3


def signed_distance_mm(mask: sitk.Image) -> npt.NDArray[np.float32]:
    """Return each voxel's distance to the boundary voxels of a mask, negative within it, (z, y, x).

    mask: uint8; what is not 0 is in it. Between voxel centres: 0 on the mask's outermost voxels.
    """
    return array_of(sitk.SignedMaurerDistanceMap(mask, False, False, True))


def depth_mm(mask: sitk.Image) -> sitk.Image:
    """Return the depth (float32, mm) within the surface of a mask, which runs between voxels.

    Half of the shortest voxel side within the outermost voxels, positive in the mask.
    """
    return image_like(np.float32(min(mask.GetSpacing()) / 2) - signed_distance_mm(mask), mask)


def depth_of_shares(share: sitk.Image) -> sitk.Image:
    """Return the depth (float32, mm) of a surface where shares (0 to 1) pass one half.

    Within a voxel of the surface by the shares' slope, farther by the distance between voxels.
    """
    values = array_of(share).astype(np.float32) - np.float32(0.5)
    far = array_of(depth_mm(image_like(values > 0.0, share)))
    spacing = share.GetSpacing()[::-1]
    slope = np.sqrt(sum(g * g for g in np.gradient(values, *spacing)))
    near = values / np.maximum(slope, LEAST_SLOPE)
    reach = np.float32(NEAR_STEPS * max(spacing))
    depth: npt.NDArray[np.float32] = np.where(
        np.abs(far) < reach, np.clip(near, -reach, reach), far
    )
    return image_like(depth.astype(np.float32), share)


def distance_mm(mask: sitk.Image) -> npt.NDArray[np.float32]:
    """Return each voxel's distance to the nearest voxel of a mask, 0 within it, (z, y, x)."""
    return array_of(sitk.Maximum(sitk.SignedMaurerDistanceMap(mask, False, False, True), 0.0))


def away_mm(flags: npt.NDArray[np.bool_], spacing_mm: float) -> npt.NDArray[np.float32]:
    """Return the distance to the nearest of `flags` on a lattice of equal sides, (z, y, x).

    0 in them; `NOWHERE_MM` where there are none.
    """
    if not flags.any():
        return np.full(flags.shape, np.float32(NOWHERE_MM))
    image = sitk.GetImageFromArray(flags.astype(np.uint8))
    image.SetSpacing([spacing_mm] * 3)
    return distance_mm(image)


def between_voxels_mm(
    mask: npt.NDArray[np.bool_], spacing_mm: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return the signed distance to a mask's surface, positive in it, (z, y, x).

    spacing_mm: along (z, y, x). The surface runs half-way between voxels of different value along
    every axis, whatever their spacing. Where all is one value it is `NOWHERE_MM` away.
    """
    if mask.all() or not mask.any():
        return np.full(mask.shape, np.float32(NOWHERE_MM if mask.all() else -NOWHERE_MM))
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(s) for s in spacing_mm][::-1])
    # To the nearest voxel of the other value; its distance is a step of the grid at the least.
    apart = np.where(mask, distance_mm(1 - image), distance_mm(image))
    apart -= np.minimum(apart, np.float32(max(spacing_mm))) / 2
    return np.where(mask, apart, -apart)
