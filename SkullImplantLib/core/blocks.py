"""Volumes seen in blocks of voxels: for rules that need no more than a millimetre or two."""

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk


def per_block(
    array: np.ndarray, block: tuple[int, ...], reduce: Callable[..., np.ndarray]
) -> np.ndarray:
    """Return `reduce` (a numpy reduction) of `array` over blocks of `block` voxels (z, y, x)."""
    for axis, size in enumerate(block):
        ends = [(0, -n % size if k == axis else 0) for k, n in enumerate(array.shape)]
        array = np.pad(array, ends, mode="edge")
        shape = (*array.shape[:axis], array.shape[axis] // size, size, *array.shape[axis + 1 :])
        array = reduce(array.reshape(shape), axis=axis + 1)
    return array


def grid_of_blocks(
    image: sitk.Image, start: np.ndarray, block: tuple[int, ...], shape: tuple[int, ...]
) -> sitk.Image:
    """Return the grid of `shape` blocks of `block` voxels from voxel `start` on (all z, y, x)."""
    grid = sitk.Image([int(n) for n in shape[::-1]], sitk.sitkUInt8)
    grid.SetSpacing(np.multiply(block[::-1], image.GetSpacing()).tolist())
    grid.SetDirection(image.GetDirection())
    first = start + (np.array(block) - 1) / 2
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first[::-1].tolist()))
    return grid
