"""What a threshold takes for skull and is none: streaks, spine, posts and loose pieces."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..core.blocks import grid_of_blocks, per_block
from ..core.images import array_of, image_like, index_to_lps_mm, voxel_volume_mm3
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
POST_HEIGHT_MM, POST_WIDTH_MM = 5.0, 12.0  # what rises higher on a narrower foot is no bone
POST_CELL_MM, POST_AROUND_MM = 1.5, 15.0  # cells of the map, and how far around one compares
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
    bone = per_block(local, block, np.any)
    spacing = np.multiply(block, region.GetSpacing()[::-1])
    if grey is None:
        solid = ndimage.gaussian_filter(bone.astype(np.float32), 1.0 / spacing) > 0.5
        relief = -ndimage.distance_transform_edt(solid, spacing).astype(np.float32)
    else:
        relief = -per_block(grey[part].astype(np.float32), block, np.mean)
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


def pieces_of_skull(
    mask: np.ndarray, region: sitk.Image, head: Head
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the pieces of `mask` that are the skull, and a note on loose ones.

    The skull is the piece with the most bone around the cavity, with any other that has much: a
    wide defect can part the vault in two.
    """
    labels = array_of(sitk.ConnectedComponent(image_like(mask, region), False))
    sizes = np.bincount(labels[mask]) * voxel_volume_mm3(region)
    step = tuple(max(1, int(1.0 / s)) for s in region.GetSpacing()[::-1])
    some = labels[tuple(slice(k // 2, None, k) for k in step)]  # one in a mm counts well enough
    grid = grid_of_blocks(region, np.zeros(3), step, some.shape)
    distance = head.distance_on(grid)
    around = some[(some > 0) & (distance > -8) & (distance < 12)]
    beside = np.bincount(around, minlength=sizes.size) * voxel_volume_mm3(grid)
    if beside.sum() == 0:
        raise SkullImplantError(
            "No bone was left around the cranial cavity.", Remedy.LOWER_THRESHOLD
        )
    keep = beside >= MIN_PART_OF_SKULL * beside.max()
    loose = sizes[~keep & (beside > 0.5 * sizes) & (sizes > MIN_FRAGMENT_MM3)].sum() / 1000
    notes = (f"Loose pieces of bone ({loose:.1f} cm³) at the vault were left out.",)
    return keep[labels], notes if loose else ()


def remove_posts(mask: np.ndarray, region: sitk.Image, head: Head) -> None:
    """Take posts that stick out of the vault (fiducials, pins) out of `mask`, in place.

    The vault's outer surface is mapped as its distance from the cavity's centre over directions
    (azimuthal equidistant projection around the vertex). What rises above the median of its
    surroundings on a narrow foot, and higher than any bone does, is a post; it is cut off there.
    """
    at = np.argwhere(mask & head.vault_on(region)).astype(np.int32)
    if at.size == 0:
        return
    left = np.cross([0.0, 1.0, 0.0], head.up)
    left /= np.linalg.norm(left)
    frame = np.array([left, np.cross(head.up, left), head.up])  # the head's own L, P and S
    matrix = index_to_lps_mm(region)
    turn = (frame @ matrix[:3, :3]).astype(np.float32)
    first = (frame @ (matrix[:3, 3] - head.centre_mm)).astype(np.float32)
    away = at[:, ::-1].astype(np.float32) @ turn.T + first
    step = POST_CELL_MM / 80.0  # radians, on a vault of radius 80 mm
    radius = np.linalg.norm(away, axis=1)
    angle = np.arccos(np.clip(away[:, 2] / radius, -1, 1))
    stretch = angle / np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-3) / step
    half = int(2.0 / step)
    cells = np.clip(np.rint(away[:, :2] * stretch[:, None]).astype(np.int32) + half, 0, 2 * half)
    cell = cells[:, 0] * (2 * half + 1) + cells[:, 1]
    outer = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    np.maximum.at(outer.reshape(-1), cell, radius)
    reach = int(POST_AROUND_MM / POST_CELL_MM)
    seen = np.where(outer > 0, outer, np.float32(np.nan))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(seen, reach, constant_values=np.nan), (2 * reach + 1, 2 * reach + 1)
    )
    used = tuple(np.argwhere(outer > 0).T)
    around = np.sort(windows[used].reshape(len(used[0]), -1), axis=1)  # NaN last
    known = np.isfinite(around).sum(axis=1, keepdims=True)
    level, high = np.zeros_like(outer), np.full_like(outer, np.inf)
    level[used] = np.take_along_axis(around, known // 2, 1)[:, 0]
    high[used] = np.take_along_axis(around, known * 3 // 4, 1)[:, 0]
    feet, _ = ndimage.label(outer > high + POST_CELL_MM, np.ones((3, 3)))
    for foot, place in enumerate(ndimage.find_objects(feet), 1):
        shape = feet[place] == foot
        width = 2 * POST_CELL_MM * ndimage.distance_transform_edt(np.pad(shape, 1)).max()
        if width > POST_WIDTH_MM or (outer - high)[place][shape].max() < POST_HEIGHT_MM:
            feet[place][shape] = 0
    feet = ndimage.binary_dilation(feet > 0, iterations=2)
    post = feet.ravel()[cell] & (radius > level.ravel()[cell] + POST_CELL_MM)
    mask[tuple(at[post].T)] = False
