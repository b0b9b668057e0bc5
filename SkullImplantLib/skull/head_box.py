"""The part of an image that can hold the head: all work is done in it, and the rest is air.

It is found from bone alone and reaches as far around it on every side, so that air, a table or
padding around the head change nothing: not the thresholds, not the coarse grids, not the implant.
"""

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.blocks import per_block
from ..core.images import array_of, crop
from .segmentation import Box
from .thresholds import AIR_HU, CERTAIN_BONE_HU

# Around the bone that is there. Where half of a vault is missing it rose 70 mm above the rest, and
# the implant, with what is looked at around it, lies within that.
REACH_MM = 80.0
# Bone is seen in blocks of about this side; pieces of it that touch are one.
BLOCK_MM = 3.0
# Of the largest piece; less is a headrest's screws, a tube or noise, and no head.
LEAST_PART = 0.05
SLAB = 16  # slices looked at together: temporaries stay small


def head_in(image: sitk.Image, kind: str) -> sitk.Image:
    """Return the part of an image of a `kind` (`ct`, `skull`) that can hold the head: `head_box`.

    The image itself, and no copy, where that is all of it.
    """
    box = head_box(image, kind)
    whole = all(b.stop - b.start == n for b, n in zip(box, image.GetSize()[::-1]))
    return image if whole else crop(image, box)


def head_box(image: sitk.Image, kind: str) -> Box:
    """Return the box, slices (z, y, x), of an image of a `kind` (`ct`, `skull`) that holds the head
    with `REACH_MM` around its bone, as far as the image goes.

    All of the image where it shows no bone, or is a CT without air, whose scale is not HU.
    """
    values = array_of(image)
    whole = tuple(slice(0, n) for n in values.shape)
    limit = CERTAIN_BONE_HU if kind == "ct" else 0
    if kind == "ct" and not _has_air(values):
        return whole
    spacing_mm = image.GetSpacing()[::-1]
    bright = _box_of(values, limit)
    if bright is None or _widened(bright, values.shape, spacing_mm) == whole:
        return whole
    z, y, x = (
        max(1, min(round(BLOCK_MM / s), b.stop - b.start)) for b, s in zip(bright, spacing_mm)
    )
    coarse = per_block(values[bright], (z, y, x), np.maximum) > limit
    pieces, count = ndimage.label(coarse, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    large = np.isin(pieces, np.flatnonzero(sizes >= LEAST_PART * sizes.max()) + 1)
    box = tuple(
        slice(b.start + int(at[0]) * n, min(b.start + (int(at[-1]) + 1) * n, b.stop))
        for b, n, at in zip(bright, (z, y, x), (np.flatnonzero(line) for line in _along(large)))
    )
    return _widened(box, values.shape, spacing_mm)


def _has_air(values: NDArray[np.number]) -> bool:
    """Say whether any voxel (z, y, x) is air in HU."""
    return any(bool((slab < AIR_HU).any()) for slab in _slabs(values))


def _slabs(values: NDArray[np.number]) -> list[NDArray[np.number]]:
    return [values[start : start + SLAB] for start in range(0, len(values), SLAB)]


def _along(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Return which planes across each axis (z, y, x) hold any of a mask."""
    in_plane = np.any(mask, axis=0)
    return np.any(mask, axis=(1, 2)), np.any(in_plane, axis=1), np.any(in_plane, axis=0)


def _box_of(values: NDArray[np.number], limit: float) -> Box | None:
    """Return the box of the voxels (z, y, x) above a limit; None without any."""
    parts = [_along(slab > limit) for slab in _slabs(values)]
    z = np.concatenate([part[0] for part in parts])
    y, x = (np.logical_or.reduce([part[k] for part in parts]) for k in (1, 2))
    places = [np.flatnonzero(line) for line in (z, y, x)]
    if not places[0].size:
        return None
    return tuple(slice(int(at[0]), int(at[-1]) + 1) for at in places)


def _widened(box: Box, shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> Box:
    """Return a box with `REACH_MM` around it, within an image of this shape."""
    reach = [math.ceil(REACH_MM / s) for s in spacing_mm]
    return tuple(
        slice(max(b.start - r, 0), min(b.stop + r, n)) for b, r, n in zip(box, reach, shape)
    )
