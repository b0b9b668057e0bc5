"""The cervical spine, which hangs on the skull by the joints of occiput and atlas."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.blocks import grid_of_blocks, mean_per_block, per_block
from ..core.images import array_of, index_to_lps_mm
from .head import Head

# Markers. Surely skull: so near the cavity, so far above the foramen's plane, or so far from its
# axis (the atlas lies within 45 mm). Surely spine: so far from the cavity, so far below that plane
# (occiput and condyles end 12 to 15 mm below it) and so near the axis.
SKULL_TO_CAVITY_MM, SKULL_ABOVE_MM, SKULL_ASIDE_MM = 7, 5.0, 50.0
SPINE_TO_CAVITY_MM, SPINE_BELOW_MM, SPINE_ASIDE_MM = 14, 14.0, 30.0
# Half of the box that is looked at, and how far below the foramen its middle lies.
BOX_MM, BOX_BELOW_MM = 60.0, 20.0
BLOCK_MM = 1.0  # fine enough for a cut through a joint, and eight times faster than 0.5 mm
SMOOTHING_MM = 1.0  # of a mask, whose depth would be rough without

Flags = NDArray[np.bool_]


def remove_spine(
    mask: Flags, region: sitk.Image, head: Head, grey: NDArray[np.number] | None
) -> None:
    """Take the cervical spine out of `mask` (z, y, x), on the grid of `region`, in place.

    Below the foramen magnum a watershed (Beucher and Meyer 1993) runs from bone that is surely
    skull (at the cavity, above the foramen, or far to the side) and from bone that is surely spine
    (well below the foramen, near the axis from the cavity through it), over a relief that is low
    in bone: minus the CT, `grey` (z, y, x), or for a mask minus the depth in bone. The two floods
    meet in the joints between occiput and atlas.
    """
    if head.foramen_mm is None:
        return
    canal = _Canal(head.foramen_mm, head.centre_mm)
    part = _box_below(region, canal)
    local = mask[part]
    z, y, x = (max(1, round(BLOCK_MM / s)) for s in region.GetSpacing()[::-1])
    block = z, y, x
    bone = per_block(local, block, np.logical_or)
    start = part[0].start, part[1].start, part[2].start
    grid = grid_of_blocks(region, start, block, bone.shape)
    skull, spine = _markers(bone, grid, head, canal)
    if not spine.any():
        return
    relief = _relief(bone, grid) if grey is None else -mean_per_block(grey[part], block)
    relief[~bone] = relief.max() + 1
    markers = sitk.GetImageFromArray(skull + 2 * spine.astype(np.uint8))
    basins = array_of(
        sitk.MorphologicalWatershedFromMarkers(
            sitk.GetImageFromArray(relief), markers, False, False
        )
    )
    for axis, size in enumerate(block):
        basins = np.repeat(basins, size, axis)
    local &= basins[tuple(slice(0, n) for n in local.shape)] != 2


@dataclass(frozen=True)
class _Canal:
    """The axis from the middle of the cavity through that of the foramen, in LPS mm."""

    foramen_mm: NDArray[np.float64]
    centre_mm: NDArray[np.float64]

    @property
    def down(self) -> NDArray[np.float64]:
        """The unit vector (3,) from the cavity to the foramen."""
        axis = self.foramen_mm - self.centre_mm
        return axis / np.linalg.norm(axis)


def _box_below(region: sitk.Image, canal: _Canal) -> tuple[slice, slice, slice]:
    """Return the box (z, y, x) of `region` that holds joints and spine."""
    to_index = np.linalg.inv(index_to_lps_mm(region))
    middle_mm = canal.foramen_mm + BOX_BELOW_MM * canal.down
    middle = (to_index @ np.append(middle_mm, 1.0))[:3]
    reach = BOX_MM / np.asarray(region.GetSpacing())
    low = np.clip(middle - reach, 0, np.array(region.GetSize()) - 1).astype(int)
    high = np.clip(middle + reach, low + 1, region.GetSize()).astype(int)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high))
    return z, y, x


def _markers(bone: Flags, grid: sitk.Image, head: Head, canal: _Canal) -> tuple[Flags, Flags]:
    """Return what of `bone` (z, y, x), on `grid`, is surely skull, and what is surely spine."""
    below_mm = _along(grid, canal.down, canal.foramen_mm)
    squared_mm2 = sum(_along(grid, e, canal.foramen_mm) ** 2 for e in np.eye(3))
    aside_mm = np.sqrt(np.maximum(squared_mm2 - below_mm**2, 0))
    to_cavity_mm = head.distance_on(grid)
    skull = to_cavity_mm < SKULL_TO_CAVITY_MM
    skull |= (below_mm < -SKULL_ABOVE_MM) | (aside_mm > SKULL_ASIDE_MM)
    skull &= bone
    spine = bone & ~skull & (to_cavity_mm > SPINE_TO_CAVITY_MM)
    spine &= (below_mm > SPINE_BELOW_MM) & (aside_mm < SPINE_ASIDE_MM)
    return skull, spine


def _along(
    grid: sitk.Image, direction: NDArray[np.float64], origin_mm: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return (p - origin_mm) . direction, mm, for the voxels p of `grid` (z, y, x), in LPS."""
    matrix = index_to_lps_mm(grid)
    steps = (direction @ matrix[:3, :3]).astype(np.float32)
    z, y, x = (np.arange(n, dtype=np.float32) for n in grid.GetSize()[::-1])
    first = np.float32(direction @ (matrix[:3, 3] - origin_mm))
    return steps[2] * z[:, None, None] + (steps[1] * y[:, None] + (steps[0] * x + first))


def _relief(bone: Flags, grid: sitk.Image) -> NDArray[np.float32]:
    """Return minus the depth in mm in `bone` (z, y, x), on `grid`, smoothed."""
    spacing_mm = grid.GetSpacing()[::-1]
    sigmas = SMOOTHING_MM / np.asarray(spacing_mm)
    solid = ndimage.gaussian_filter(bone.astype(np.float32), sigmas) > 0.5
    return -ndimage.distance_transform_edt(solid, spacing_mm).astype(np.float32)
