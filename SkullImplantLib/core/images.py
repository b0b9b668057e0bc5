"""The ground that every stage stands on: images with their geometry, and arrays taken from them.

Images are `SimpleITK.Image` in LPS millimetres; arrays are indexed (z, y, x). Points are (x, y, z)
in LPS millimetres, as SimpleITK gives them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import DiskError, SkullImplantError
from .blocks import FULL, grid_of_blocks, share_per_block
from .files import atomic_path, for_native

# Cosine between axes; over a head of 250 mm the points are within 0.25 mm.
DIRECTION_TOLERANCE = 1e-3
# So far from orthonormal a matrix is taken as it is: 0.000 003 mm over a head.
ORTHONORMAL = 1e-8
# Smaller cosines are rounding. ITK's inverse of a matrix with denormal numbers is not a number.
LEAST_COSINE = 1e-9


class _KeptBuffer:
    """A buffer for numpy to view that keeps its image alive, which SimpleITK's view does not."""

    def __init__(self, image: sitk.Image) -> None:
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def array_of(image: sitk.Image) -> NDArray[Any]:
    """Return the voxels of `image` as a read-only view, shape (z, y, x); it outlives `image`."""
    array = np.asarray(_KeptBuffer(image))
    array.flags.writeable = False
    return array


def image_like(array: NDArray[Any], reference: sitk.Image) -> sitk.Image:
    """Return `array` (z, y, x), of the shape of `reference`, as an image with its geometry.

    A boolean array becomes a `uint8` mask.
    """
    if array.shape != reference.GetSize()[::-1]:
        raise ValueError(f"array {array.shape} does not fit an image {reference.GetSize()[::-1]}")
    image = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    image.CopyInformation(reference)
    return image


def straighten_axes(image: sitk.Image) -> None:
    """Make the direction matrix of `image` one that ITK can work with, in place.

    It becomes the nearest orthonormal matrix (its polar factor), of the same handedness, without
    cosines that are only rounding; the origin stays. What is orthonormal already stays as it is.
    Raises `SkullImplantError` for axes that are sheared, missing or not numbers.
    """
    direction = np.reshape(image.GetDirection(), (3, 3))
    if not np.isfinite(direction).all():
        raise SkullImplantError("The image's orientation is not a finite number; export it again.")
    off = float(np.abs(direction.T @ direction - np.eye(3)).max())
    if off > DIRECTION_TOLERANCE:
        raise SkullImplantError(
            "The image's axes are not at right angles (sheared, as by a gantry tilt); resample it "
            "to a rectangular grid."
        )
    if off > ORTHONORMAL:
        left, _, right = np.linalg.svd(direction)
        direction = left @ right
    image.SetDirection(np.where(np.abs(direction) < LEAST_COSINE, 0.0, direction).ravel().tolist())


def index_to_lps_mm(image: sitk.Image) -> NDArray[np.float64]:
    """Return the 4x4 matrix that takes a voxel index (x, y, z, 1) to a point in LPS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def voxel_volume_mm3(image: sitk.Image) -> float:
    """Return the volume of one voxel in mm³."""
    return float(np.prod(image.GetSpacing()))


def same_grid(a: sitk.Image, b: sitk.Image, tolerance_mm: float = 1e-3) -> bool:
    """Say whether two images have the same size and every corner in the same place."""
    if a.GetSize() != b.GetSize():
        return False
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in a.GetSize()])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = (index_to_lps_mm(a) - index_to_lps_mm(b)) @ corners
    return bool(np.abs(apart).max() <= tolerance_mm)


def bounding_box(mask: NDArray[Any], margin: int | tuple[int, int, int] = 0) -> tuple[slice, ...]:
    """Return slices (z, y, x) around the non-zero voxels, widened by `margin` voxels per axis.

    Raises `ValueError` where the mask is empty.
    """
    margins = (margin,) * 3 if isinstance(margin, int) else margin
    in_plane = np.any(mask, axis=0)
    box = []
    along = np.any(mask, axis=(1, 2)), np.any(in_plane, axis=1), np.any(in_plane, axis=0)
    for axis, used in enumerate(along):
        at = np.flatnonzero(used)
        if at.size == 0:
            raise ValueError("the mask is empty")
        start = max(int(at[0]) - margins[axis], 0)
        box.append(slice(start, min(int(at[-1]) + 1 + margins[axis], mask.shape[axis])))
    return tuple(box)


def crop(image: sitk.Image, box: tuple[slice, ...]) -> sitk.Image:
    """Return the part of `image` in `box`, slices (z, y, x), in its place in space."""
    start = [int(s.start) for s in box[::-1]]
    return sitk.RegionOfInterest(image, [int(s.stop - s.start) for s in box[::-1]], start)


def resample(
    image: sitk.Image,
    grid: sitk.Image,
    interpolator: int = sitk.sitkLinear,
    outside: float = 0.0,
    pixel_type: int = sitk.sitkUnknown,
) -> sitk.Image:
    """Return `image` sampled on the geometry of `grid`, both lying in the same LPS space."""
    return sitk.Resample(image, grid, sitk.Transform(), interpolator, outside, pixel_type)


def write_image(image: sitk.Image, path: Path) -> None:
    """Write `image` compressed, in the format of the path's ending, whole or not at all.

    Raises `DiskError` where it cannot be written.
    """
    with atomic_path(Path(path)) as temporary:
        try:
            sitk.WriteImage(image, for_native(temporary), useCompression=True)
        except RuntimeError as error:
            raise DiskError(
                f"Cannot write {Path(path).name}; check free space and permissions."
            ) from error


def fraction_on(mask: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """Return, as float32 on `grid`, which part of each of its voxels the 0/1 `mask` fills.

    The mask is averaged in blocks of about half the grid's spacing and then interpolated, which
    keeps thin bone where plain sampling of a coarse grid would drop it.
    """
    half_mm = 0.5 * min(grid.GetSpacing())
    shares = shares_in_blocks(mask, half_mm)
    return resample(shares, grid, pixel_type=sitk.sitkFloat32) / float(FULL)


def shares_in_blocks(mask: sitk.Image, block_mm: float, full: int = FULL) -> sitk.Image:
    """Return which part of blocks of about `block_mm` the 0/1 `mask` fills, as 0 to `full` (uint8).

    Axes already coarser keep their spacing; what is left over of whole blocks at the far ends of
    the axes is left out.
    """
    sizes = zip(mask.GetSpacing()[::-1], mask.GetSize()[::-1])
    z, y, x = (max(1, min(round(block_mm / s), n)) for s, n in sizes)
    shares = share_per_block(array_of(mask), (z, y, x), full)
    return image_like(shares, grid_of_blocks(mask, (0, 0, 0), (z, y, x), shares.shape))
