"""Coarse labels on a fine grid by interpolation alone: what super-resolution is compared with.

Each label is a volume of its own: its share of a voxel, 0 or 1, or the signed distance to its
surface, interpolated linearly. Where several claim a voxel, the one that is surest takes it.
"""

from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import between_voxels_mm
from ..core.finer_grid import places_of
from ..core.images import array_of, bounding_box, image_like
from ..core.interpolation import along_axes
from .coarse_grid import labels_in

Method = Literal["trilinear", "signed-distance"]
METHODS: tuple[Method, ...] = ("trilinear", "signed-distance")
AROUND_VOXELS = 2  # coarse ones, around a label, in which its distances are worked out
SLAB_SLICES = 32  # fine ones, brought to the fine grid at a time


def upsampled(labels: sitk.Image, grid: sitk.Image, method: Method) -> sitk.Image:
    """Return coarse `labels` (uint8) on a finer `grid` along the same axes.

    `trilinear`: a voxel takes the label whose interpolated share is largest, background among them.
    `signed-distance`: the one in which it lies deepest, if it lies in any.
    """
    coarse = array_of(labels)
    at = places_of(grid, labels)
    fine = np.zeros(grid.GetSize()[::-1], np.uint8)
    surest = np.zeros(fine.shape, np.float32)
    filled = np.zeros(fine.shape if method == "trilinear" else (0, 0, 0), np.float32)
    for label in labels_in(labels):
        volume, box = _claim(coarse == label, labels.GetSpacing()[::-1], method)
        reach = tuple(
            slice(*np.searchsorted(axis, [part.start - 1, part.stop]).tolist())
            for axis, part in zip(at, box)
        )
        for first in range(reach[0].start, reach[0].stop, SLAB_SLICES):
            last = min(first + SLAB_SLICES, reach[0].stop)
            where = (slice(first, last), *reach[1:])
            here = [axis[part] - own.start for axis, part, own in zip(at, where, box)]
            claim = along_axes(volume, here)
            wins = claim > surest[where]
            fine[where][wins] = label
            np.maximum(surest[where], claim, out=surest[where])
            if method == "trilinear":
                filled[where] += claim
    if method == "trilinear":
        fine[surest <= 1.0 - filled] = 0
    return image_like(fine, grid)


def _claim(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, ...], method: Method
) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
    """Return what is interpolated of a label, on the box around it."""
    box = bounding_box(mask, AROUND_VOXELS)
    if method == "trilinear":
        return mask[box].astype(np.float32), box
    return between_voxels_mm(mask[box], spacing_mm), box
