"""Volumes seen in blocks of voxels: for rules that need no more than a millimetre or two."""

from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

CACHED_BYTES = 1 << 22  # of an array worked on at a time: they stay in the processor's cache
FULL = 255  # the level of a block that is all mask: a byte tells shares to within 0.2 %


def per_block(
    array: NDArray[Any], block: tuple[int, ...], reduce: np.ufunc, dtype: Any = None
) -> NDArray[Any]:
    """Return `array` reduced over blocks of `block` voxels (z, y, x), in the reduction's order.

    `reduce` is a ufunc of two arguments (np.maximum, np.logical_or, np.add ...); blocks that reach
    beyond the array hold what there is of them. `dtype` is that of the result, of `array` if None.
    """
    layers = block[0] * max(1, CACHED_BYTES // (array[: block[0]].nbytes or 1))
    slabs = [array[start : start + layers] for start in range(0, len(array), layers)]
    return np.concatenate([_slab_per_block(slab, block, reduce, dtype) for slab in slabs])


def _slab_per_block(
    array: NDArray[Any], block: tuple[int, ...], reduce: np.ufunc, dtype: Any
) -> NDArray[Any]:
    for axis, size in enumerate(block):
        array = np.moveaxis(array, axis, 0)
        # Layer by layer: numpy works through whole planes so, not through rows of a few voxels.
        reduced = array[::size].astype(dtype or array.dtype)
        for layer in range(1, size):
            part = array[layer::size]
            reduce(reduced[: len(part)], part, out=reduced[: len(part)])
        array = np.moveaxis(reduced, 0, axis)
    return array


def mean_per_block(array: NDArray[Any], block: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the mean of `array` (z, y, x) over blocks of `block` voxels, or what there is of one.

    Exact for whole numbers, masks for instance, as long as their sums stay below 2^24.
    """
    total = per_block(array, block, np.add, np.float32)
    for axis, (size, n) in enumerate(zip(block, array.shape)):
        held = np.minimum(size, n - size * np.arange(total.shape[axis])).astype(np.float32)
        total /= held.reshape([-1 if k == axis else 1 for k in range(array.ndim)])
    return total


def share_per_block(
    mask: NDArray[Any], block: tuple[int, int, int], full: int = FULL
) -> NDArray[np.uint8]:
    """Return the share of a 0/1 mask (z, y, x) in each whole block of voxels, as 0 to `full`.

    Rounded half up; blocks that reach beyond the mask are left out.
    """
    whole = tuple(slice(0, n // size * size) for n, size in zip(mask.shape, block))
    voxels = int(np.prod(block))
    count = per_block(mask[whole].view(np.uint8), block, np.add, np.min_scalar_type(voxels))
    # One value for each possible count, as there are fewer of them than blocks.
    return ((2 * full * np.arange(voxels + 1) + voxels) // (2 * voxels)).astype(np.uint8)[count]


def grid_of_blocks(
    image: sitk.Image,
    start: NDArray[Any] | tuple[int, int, int],
    block: tuple[int, ...],
    shape: tuple[int, ...],
) -> sitk.Image:
    """Return the grid of `shape` blocks of `block` voxels from voxel `start` on (all z, y, x)."""
    grid = sitk.Image([int(n) for n in shape[::-1]], sitk.sitkUInt8)
    grid.SetSpacing(np.multiply(block[::-1], image.GetSpacing()).tolist())
    grid.SetDirection(image.GetDirection())
    first = np.asarray(start) + (np.array(block) - 1) / 2
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first[::-1].tolist()))
    return grid
