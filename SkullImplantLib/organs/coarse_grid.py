"""The grid on which a dense network sees a whole CT, and what CT and labels are on it."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, image_like
from ..errors import SkullImplantError

CELLS = (128, 128, 128)  # along (x, y, z), as published
MOST_LABELS = 16
SAME_SHARE = 1e-5  # of a voxel: what rounding leaves of equal shares


def coarse_grid(image: sitk.Image, cells: Sequence[int] = CELLS) -> sitk.Image:
    """Return the grid (uint8, empty) over the same box and axes as `image`, of so many voxels.

    cells: along (x, y, z). An axis that has fewer voxels keeps them.
    """
    size = [min(int(n), own) for n, own in zip(cells, image.GetSize())]
    steps = np.divide(image.GetSize(), size)
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing((steps * image.GetSpacing()).tolist())
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(((steps - 1) / 2).tolist()))
    return grid


def mean_on(image: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """Return the mean of `image` (float32) over each voxel of a `coarse_grid` of it."""
    return image_like(_means(array_of(image).astype(np.float32), grid.GetSize()[::-1]), grid)


def labels_on(labels: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """Return labels (uint8) on a `coarse_grid` of theirs: in each voxel the one that fills most.

    Background, 0, is one of them: this is what a perfect dense segmentation would find. Raises
    `SkullImplantError` for values that are no labels.
    """
    fine = array_of(labels)
    shape = grid.GetSize()[::-1]
    most = np.zeros(shape, np.float32)
    found = np.zeros(shape, np.uint8)
    filled = np.zeros(shape, np.float32)
    for label in labels_in(labels):
        share = _means((fine == label).astype(np.float32), shape)
        found[share > most + SAME_SHARE] = label
        np.maximum(most, share, out=most)
        filled += share
    found[most <= 1.0 - filled + SAME_SHARE] = 0
    return image_like(found, grid)


def labels_in(labels: sitk.Image) -> list[int]:
    """Return the labels of an image but for background, rising; raises `SkullImplantError`."""
    values = np.unique(array_of(labels))
    if len(values) > MOST_LABELS or values[0] < 0 or values[-1] > 255 or (values % 1).any():
        raise SkullImplantError(
            f"A label map has whole numbers from 0 to 255, at most {MOST_LABELS} of them; choose "
            "the labels of the organs."
        )
    return [int(value) for value in values if value]


def _means(values: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return the mean of `values` (z, y, x) over boxes that divide it evenly, in `shape` of them.

    Boxes may end within a voxel, which then counts to both by its parts.
    """
    z, y, x = (_parts(length, count) for length, count in zip(values.shape, shape))
    values = values @ x.T
    values = y @ values
    return (z @ values.reshape(len(values), -1)).reshape(shape)


def _parts(length: int, count: int) -> NDArray[np.float32]:
    """Return the matrix (count, length) that takes means over `count` equal parts of a line."""
    ends = np.linspace(0.0, length, count + 1)
    voxel = np.arange(length)
    within = np.minimum(ends[1:, None], voxel + 1.0) - np.maximum(ends[:-1, None], voxel)
    return (np.clip(within, 0.0, 1.0) * (count / length)).astype(np.float32)
