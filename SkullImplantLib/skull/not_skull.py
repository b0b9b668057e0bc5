"""What a threshold takes for skull and is none: streaks, spine and loose pieces."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.bit_mask import BitMask
from ..core.blocks import grid_of_blocks, mean_per_block, per_block
from ..core.components import components_of
from ..core.images import array_of, index_to_lps_mm, voxel_volume_mm3
from ..errors import Remedy, SkullImplantError
from .head import Head

MIN_PART_OF_SKULL = 0.08  # a separate piece with so much of the bone around the cavity stays
MIN_FRAGMENT_MM3 = 500.0  # smaller specks are not worth a note
# Markers for the spine. Surely skull: so near the cavity, so far above the foramen's plane, or so
# far from its axis (the atlas lies within 45 mm). Surely spine: so far from the cavity, so far
# below that plane (occiput and condyles end 12 to 15 mm below it) and so near the axis.
SKULL_TO_CAVITY_MM, SKULL_ABOVE_MM, SKULL_ASIDE_MM = 7, 5.0, 50.0
SPINE_TO_CAVITY_MM, SPINE_BELOW_MM, SPINE_ASIDE_MM = 14, 14.0, 30.0
SPINE_BOX_MM = 60.0  # half of the box that is looked at, centred 20 mm below the foramen
# Samples of the bone tell which piece is the skull: one in a mm, from so far within the cavity's
# wall to so far beyond. The coarse model of the wall is off by up to two of its 3 mm voxels, and
# the vault is at most 10 mm thick.
SAMPLE_MM = 1.0
WALL_WITHIN_MM, WALL_BEYOND_MM = -8, 12
AT_VAULT_PART = 0.5  # a loose piece of which so much lies there is told of
JAW_FROM_CAVITY_MM = 15  # metal and streaks are dealt with beyond; nearer, every voxel counts
STREAK_REACH_MM = 3.0  # bone among streaks goes on within this of bone in a clean slice


def _along_lps(
    region: sitk.Image, direction: np.ndarray, origin_mm: np.ndarray, box: tuple[slice, ...]
) -> np.ndarray:
    """Return (p - origin_mm) . direction, mm, for the voxels p in `box`: float32 (z, y, x)."""
    matrix = index_to_lps_mm(region)
    steps = (direction @ matrix[:3, :3]).astype(np.float32)
    z, y, x = (np.arange(s.start, s.stop, dtype=np.float32) for s in box)
    first = np.float32(direction @ (matrix[:3, 3] - origin_mm))
    return steps[2] * z[:, None, None] + (steps[1] * y[:, None] + (steps[0] * x + first))


def remove_streaks(mask: np.ndarray, metal: np.ndarray, region: sitk.Image, head: Head) -> None:
    """Take the streaks around dental metal out of `mask`, in place.

    Streaks stay within the slices of the metal that cast them. So in a run of such slices bone is
    believed where the clean slice above or below has bone within 3 mm, and near the cavity, where
    nothing is taken away.
    """
    axis = 2 - int(np.abs(np.reshape(region.GetDirection(), (3, 3))[2]).argmax())
    near = head.distance_on(region) < JAW_FROM_CAVITY_MM
    spacing = np.delete(region.GetSpacing()[::-1], axis)
    layers, nearby = np.moveaxis(mask, axis, 0), np.moveaxis(near, axis, 0)
    struck = (np.moveaxis(metal, axis, 0) & ~nearby).sum(axis=(1, 2)) * np.prod(spacing) > 10.0
    struck = ndimage.binary_dilation(struck, iterations=1)
    runs, count = ndimage.label(struck)
    for run in range(1, count + 1):
        first, last = np.flatnonzero(runs == run)[[0, -1]]
        clean = np.zeros(layers.shape[1:], bool)
        for neighbour in (first - 1, last + 1):
            if 0 <= neighbour < len(layers):
                clean |= layers[neighbour]
        if not clean.any():
            continue
        reached = ndimage.distance_transform_edt(~clean, spacing) <= STREAK_REACH_MM
        layers[first : last + 1] &= reached | nearby[first : last + 1]


def remove_spine(mask: np.ndarray, region: sitk.Image, head: Head, grey: np.ndarray | None) -> None:
    """Take the cervical spine out of `mask`, in place.

    Below the foramen magnum a watershed (Beucher and Meyer 1993) runs from bone that is surely
    skull (at the cavity, above the foramen, or far to the side) and from bone that is surely spine
    (well below the foramen, near the axis from the cavity through it), over a relief that is low
    in bone: minus the CT, or for a mask minus the depth in bone. The two floods meet in the joints
    between occiput and atlas.
    """
    if head.foramen_mm is None:
        return
    axis = head.foramen_mm - head.centre_mm
    axis /= np.linalg.norm(axis)
    to_index = np.linalg.inv(index_to_lps_mm(region))
    middle = (to_index @ np.append(head.foramen_mm + 20.0 * axis, 1.0))[:3]
    reach = SPINE_BOX_MM / np.asarray(region.GetSpacing())
    low = np.clip(middle - reach, 0, np.array(region.GetSize()) - 1).astype(int)
    high = np.clip(middle + reach, low + 1, region.GetSize()).astype(int)
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1]))
    local = mask[part]
    # About 1 mm is fine enough for a cut through a joint, and eight times faster than 0.5 mm.
    block = tuple(max(1, round(1.0 / s)) for s in region.GetSpacing()[::-1])
    bone = per_block(local, block, np.logical_or)
    spacing = np.multiply(block, region.GetSpacing()[::-1])
    if grey is None:
        solid = ndimage.gaussian_filter(bone.astype(np.float32), 1.0 / spacing) > 0.5
        relief = -ndimage.distance_transform_edt(solid, spacing).astype(np.float32)
    else:
        relief = -mean_per_block(grey[part], block)
    grid = grid_of_blocks(region, low[::-1], block, bone.shape)
    to_cavity = head.distance_on(grid)
    full = tuple(slice(0, n) for n in bone.shape)
    depth = _along_lps(grid, axis, head.foramen_mm, full)
    squared = sum(_along_lps(grid, e, head.foramen_mm, full) ** 2 for e in np.eye(3))
    radius = np.sqrt(np.maximum(squared - depth**2, 0))
    surely_skull = to_cavity < SKULL_TO_CAVITY_MM
    surely_skull |= (depth < -SKULL_ABOVE_MM) | (radius > SKULL_ASIDE_MM)
    surely_skull &= bone
    surely_spine = bone & ~surely_skull & (to_cavity > SPINE_TO_CAVITY_MM)
    surely_spine &= (depth > SPINE_BELOW_MM) & (radius < SPINE_ASIDE_MM)
    if not surely_spine.any():
        return
    relief[~bone] = relief.max() + 1
    markers = sitk.GetImageFromArray(surely_skull + 2 * surely_spine.astype(np.uint8))
    basins = array_of(
        sitk.MorphologicalWatershedFromMarkers(
            sitk.GetImageFromArray(relief), markers, False, False
        )
    )
    for k, size in enumerate(block):
        basins = np.repeat(basins, size, axis=k)
    local &= basins[tuple(slice(0, n) for n in local.shape)] != 2


def samples_at_cavity(region: sitk.Image, head: Head) -> NDArray[np.bool_]:
    """Return which samples of `region` lie at the cavity's wall, where the skull is (z, y, x).

    There is about one sample in a mm along each axis: see `_sample_step`.
    """
    step = _sample_step(region)
    # As many as `mask[z // 2 :: z, ...]` has.
    shape = tuple(-(-(n - k // 2) // k) for n, k in zip(region.GetSize()[::-1], step))
    distance_mm = head.distance_on(grid_of_blocks(region, (0, 0, 0), step, shape))
    return (distance_mm > WALL_WITHIN_MM) & (distance_mm < WALL_BEYOND_MM)


def _sample_step(region: sitk.Image) -> tuple[int, int, int]:
    """Return how many voxels (z, y, x) lie between samples; each is the middle of such a block."""
    z, y, x = (max(1, round(SAMPLE_MM / s)) for s in region.GetSpacing()[::-1])
    return z, y, x


def pieces_of_skull(
    mask: BitMask, region: sitk.Image, at_cavity: NDArray[np.bool_]
) -> tuple[BitMask, tuple[str, ...]]:
    """Return the pieces of `mask`, on the grid of `region`, that are the skull, and a note on
    loose ones. `at_cavity`: `samples_at_cavity` of the region.

    The skull is the piece with the most bone around the cavity, with any other that has much: a
    wide defect can part the vault in two.
    """
    pieces = components_of(mask)
    z, y, x = step = np.array(_sample_step(region))
    rows = mask.rows(slice(z // 2, None, z), slice(y // 2, None, y))
    bone = np.flatnonzero(rows.voxels()[..., x // 2 :: x] & at_cavity)
    indices = np.stack(np.unravel_index(bone, at_cavity.shape), axis=1) * step + step // 2
    voxel_mm3 = voxel_volume_mm3(region)
    beside = np.bincount(pieces.at(mask.positions_of(indices)), minlength=pieces.count)
    beside_mm3 = beside * (voxel_mm3 * step.prod())
    if not beside.any():
        raise SkullImplantError(
            "No bone was left around the cranial cavity.", Remedy.LOWER_THRESHOLD
        )
    keep = beside_mm3 >= MIN_PART_OF_SKULL * beside_mm3.max()
    sizes_mm3 = pieces.sizes() * voxel_mm3
    at_vault = (beside_mm3 > AT_VAULT_PART * sizes_mm3) & (sizes_mm3 > MIN_FRAGMENT_MM3)
    loose_cm3 = sizes_mm3[~keep & at_vault].sum() / 1000
    notes = (f"Loose pieces of bone ({loose_cm3:.1f} cm³) at the vault were left out.",)
    return pieces.only(keep), notes if loose_cm3 else ()
