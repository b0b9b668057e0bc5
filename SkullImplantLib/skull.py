"""From a head CT to the skull: which voxels are bone, and which bright things are not the skull.

The path is told once in `segment_skull`: thresholds from the CT's own histogram; a coarse model of
the head (`head.py`); then, in the head's box only, bone connected with the cranial cavity, without
streaks, spine and posts, with diploe and marrow filled. `clean_skull` walks the second half of the
path for a mask that somebody else made.

Every length is in millimetres, so that spacing and orientation do not matter; up is the patient's
superior direction (+S of LPS), from which a head may be tilted.
"""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .errors import SkullImplantError
from .head import Head, find_head
from .images import array_of, bounding_box, crop, image_like, index_to_lps_mm, voxel_volume_mm3
from .progress import Progress, silent

# --- CT numbers -------------------------------------------------------------------------------
AIR_HU = -500.0  # below: air; half-way between air (-1000) and water
SOFT_RANGE_HU = (-200.0, 300.0)  # fat, brain, muscle and blood, on a scale that may be off a little
CERTAIN_BONE_HU = 500.0  # above: never soft tissue, also on a scale off by a third
BONE_RANGE_HU = (150.0, 500.0)  # the automatic threshold stays in here
METAL_HU = 2800.0  # enamel ends near 2500; 12-bit scanners saturate at 3071
# Where the thresholds lie on the way from soft tissue to cortical bone. A quarter comes to about
# 300 HU, in common use for skull models; an eighth still finds bone a third of a voxel thick.
BONE_PART, THIN_PART = 0.25, 0.13
NOISE_SIGMAS = 4.0  # by so much bone has to stand out of the noise
NOISY_HU, SMOOTHING_MM = 40.0, 0.5  # above, as with a sharp kernel, thin bone drowns in it

# --- shapes -----------------------------------------------------------------------------------
BLOCK_MM = 2.0  # the neighbourhood for the local threshold is three such blocks wide
MAX_DIPLOE_MM = 10.0  # between the tables of a thick vault
MAX_PORE_MM = 3.0  # vessels that open the marrow spaces of the skull base to the outside
MAX_MARROW_RADIUS_MM = 4.5  # an enclosed space wider than twice this is a sinus and stays open
VAULT_BELOW_CENTRE_MM = 8.0  # the vault reaches down to here: above orbits and zygomatic arches
MIN_PART_OF_SKULL = 0.08  # a separate piece with so much of the bone around the cavity stays
MIN_FRAGMENT_MM3 = 500.0  # smaller specks are not worth a note
MIN_METAL_MM3 = 100.0  # a small filling; less is enamel
POST_HEIGHT_MM, POST_WIDTH_MM = 5.0, 12.0  # what rises higher on a narrower foot is no bone
JAW_FROM_CAVITY_MM = 15  # metal and streaks are dealt with beyond; nearer, every voxel counts
STREAK_REACH_MM = 3.0  # bone among streaks goes on within this of bone in a clean slice
THICK_SLICES_MM = 1.5  # above: thin temporal and orbital bone is lost to partial volume
VIEW_CUT_MM2 = 100.0  # so much vault on the image's border is a cut, not a touch


@dataclass(frozen=True)
class SkullOptions:
    """How to find bone: a fixed threshold in the CT's units, or None for the automatic one."""

    bone_threshold_hu: float | None = None


@dataclass(frozen=True)
class Skull:
    """A skull mask (uint8 0/1, on the grid of the input), its threshold and notes for the user.

    `bone_threshold_hu` is None where the input was a mask.
    """

    mask: sitk.Image
    bone_threshold_hu: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Levels:
    """Grey levels in the CT's units; bone is above `bone`, or above `thin` in thin plates."""

    noise: float
    air: float
    soft: float
    thin: float
    bone: float
    metal: float


def segment_skull(
    ct: sitk.Image, options: SkullOptions = SkullOptions(), progress: Progress = silent
) -> Skull:
    """Return the skull in a head CT, on the CT's grid.

    The mask holds cranium and face, with diploe and marrow filled, and with sinuses, orbits,
    foramina and any hole in the vault open. Table, headrest, wires, posts on the vault, the
    cervical spine, loose fragments and streaks around dental metal are not in it. The mandible
    stays where it touches the skull, at the joint or the teeth, because a cut there would be
    arbitrary and no implant of the vault depends on it; otherwise it goes with the loose pieces.

    Raises `SkullImplantError` where the image has no bone or does not look like a head.
    """
    progress(0.0, "Reading grey levels")
    levels, notes = _levels(ct, options)
    if levels.noise > NOISY_HU:
        progress(0.05, "Smoothing noise")
        sigmas = [max(SMOOTHING_MM, s / 2) for s in ct.GetSpacing()]
        ct = sitk.Cast(sitk.SmoothingRecursiveGaussian(ct, sigmas), ct.GetPixelID())
        levels, notes = _levels(ct, options)
        notes += ("The CT is noisy and was smoothed: the rim may be off by some 0.1 mm.",)
    progress(0.1, "Finding the head")
    bright = ct > levels.bone
    if not array_of(bright).any():
        raise SkullImplantError(
            f"No bone was found above {levels.bone:.0f} HU; check that the image is a CT in HU, "
            "or give another --bone-threshold."
        )
    head = find_head(bright)
    box = head.box_on(ct)
    del bright
    region = crop(ct, box)
    grey = array_of(region)
    progress(0.3, "Separating bone from soft tissue")
    mask = _bone_in(region, levels)
    metal = grey >= levels.metal
    if metal.sum() * voxel_volume_mm3(ct) > MIN_METAL_MM3:
        notes += ("Metal was found in the image: check the bone near it for streaks.",)
        _remove_streaks(mask, metal, region, head)
    del metal
    progress(0.5, "Removing what is not skull")
    _remove_spine(mask, region, head, grey)
    mask, loose = _pieces_of_skull(mask, region, head)
    _remove_posts(mask, region, head)
    progress(0.7, "Filling diploe")
    _fill_marrow(mask, region, head, grey > levels.air, grey > levels.thin)
    mask, _ = _pieces_of_skull(mask, region, head)
    progress(0.95, "Checking the view")
    notes += loose + _notes_on_view(mask, ct, box, head)
    skull = _put_back(mask, ct, box)
    progress(1.0, "Skull found")
    return Skull(skull, levels.bone, notes)


def clean_skull(mask: sitk.Image, progress: Progress = silent) -> Skull:
    """Return a given skull mask with diploe filled, without spine, posts and loose pieces.

    Every non-zero voxel of `mask` counts as bone. The grid is kept. Each step looks only some
    millimetres around a voxel, and none can close or round a hole in the vault, so that a complete
    skull and the same skull with a defect come out equal away from the defect.

    Raises `SkullImplantError` where the mask is empty, full or does not look like a skull.
    """
    progress(0.0, "Checking the skull mask")
    if mask.GetDimension() != 3:
        raise SkullImplantError("The skull mask is not a 3-D image; give a whole volume.")
    full = mask != 0
    if not array_of(full).any():
        raise SkullImplantError("The skull mask is empty; check that it is the right file.")
    if array_of(full).all():
        raise SkullImplantError("Every voxel of the skull mask is set; give a mask of bone only.")
    head = find_head(full)
    box = bounding_box(array_of(full), 1)
    region = crop(full, box)
    del full
    bone = array_of(region) != 0
    progress(0.3, "Removing what is not skull")
    _remove_spine(bone, region, head, None)
    bone, notes = _pieces_of_skull(bone, region, head)
    _remove_posts(bone, region, head)
    progress(0.6, "Filling diploe")
    _fill_marrow(bone, region, head)
    bone, _ = _pieces_of_skull(bone, region, head)
    progress(0.95, "Checking the view")
    notes += _notes_on_view(bone, mask, box, head)
    skull = _put_back(bone, mask, box)
    progress(1.0, "Skull mask ready")
    return Skull(skull, None, notes)


# --- grey levels ------------------------------------------------------------------------------


def _levels(ct: sitk.Image, options: SkullOptions) -> tuple[_Levels, tuple[str, ...]]:
    """Return the grey levels of `ct`, from some millions of its voxels, and a note on them.

    In HU: soft tissue is the mode between fat and blood, noise the width of that mode, cortical
    bone the median of what is certainly bone; a threshold at a fixed part of the way between them
    does not mind a scale that is off. Not in HU (nothing near -1000): the same from the medians of
    soft tissue and bone as two Otsu thresholds (1979) part them from air, on any scale.
    """
    if ct.GetDimension() != 3 or ct.GetNumberOfComponentsPerPixel() != 1:
        raise SkullImplantError("The CT is not a 3-D grey-level image; give a whole volume.")
    if min(ct.GetSize()) < 8:
        raise SkullImplantError("The CT has fewer than 8 slices; give the whole head.")
    grey = array_of(ct)
    step = max(1, round((grey.size / 4e6) ** (1 / 3)))
    sample = grey[::step, ::step, ::step].ravel().astype(np.float32)
    if not np.isfinite(sample).all():
        raise SkullImplantError("The CT holds values that are not numbers; export it again.")
    if sample.min() == sample.max():
        raise SkullImplantError("The CT has the same value everywhere; check the file.")
    notes: tuple[str, ...] = ()
    if sample.min() > AIR_HU:
        notes = ("The grey levels are not HU: check the skull, or give a --bone-threshold.",)
        levels = _levels_by_otsu(sample)
    else:
        levels = _levels_in_hu(sample)
    if options.bone_threshold_hu is not None:
        fixed = float(options.bone_threshold_hu)
        levels = replace(levels, air=min(levels.air, fixed), thin=fixed, bone=fixed)
    return levels, notes


def _levels_in_hu(sample: np.ndarray) -> _Levels:
    soft_values = sample[(sample > SOFT_RANGE_HU[0]) & (sample < SOFT_RANGE_HU[1])]
    certain = sample[(sample > CERTAIN_BONE_HU) & (sample < METAL_HU)]
    soft, noise = _mode_and_width(soft_values) if soft_values.size > 1000 else (40.0, 10.0)
    cortical = float(np.median(certain)) if certain.size > 100 else 1000.0
    bone = soft + max(BONE_PART * (cortical - soft), NOISE_SIGMAS * noise)
    bone = float(np.clip(bone, *BONE_RANGE_HU))
    thin = soft + max(THIN_PART * (cortical - soft), NOISE_SIGMAS * noise)
    top = float(sample.max())
    below_top = np.count_nonzero((sample < top) & (sample > top - 100))
    saturated = top > cortical and np.count_nonzero(sample == top) > below_top
    metal = min(METAL_HU, top) if saturated else METAL_HU
    return _Levels(noise, AIR_HU, soft, min(thin, bone), bone, metal)


def _mode_and_width(values: np.ndarray) -> tuple[float, float]:
    """Return the mode of `values` and the standard deviation of the peak around it."""
    counts, edges = np.histogram(values, bins=np.arange(*SOFT_RANGE_HU, 5.0))
    counts = ndimage.gaussian_filter1d(counts.astype(float), 2.0)
    top = int(counts.argmax())
    low = high = top
    while low > 0 and counts[low] > counts[top] / 2:
        low -= 1
    while high < counts.size - 1 and counts[high] > counts[top] / 2:
        high += 1
    return float(edges[top] + 2.5), float((high - low - 1) * 5.0 / 2.355)


def _levels_by_otsu(sample: np.ndarray) -> _Levels:
    """Return levels for any scale; less soft tissue than twice the bone is a dry skull in air."""
    otsu = sitk.OtsuMultipleThresholdsImageFilter()
    otsu.SetNumberOfThresholds(2)
    otsu.Execute(sitk.GetImageFromArray(sample[None]))
    low, high = otsu.GetThresholds()
    middle, upper = sample[(sample > low) & (sample <= high)], sample[sample > high]
    if middle.size < 2 * upper.size:
        air = float(np.median(sample[sample <= low]))
        return _Levels(0.0, -np.inf, air, low, high, np.inf)
    soft, cortical = float(np.median(middle)), float(np.median(upper))
    thin = soft + THIN_PART * (cortical - soft)
    return _Levels(0.0, low, soft, thin, soft + BONE_PART * (cortical - soft), np.inf)


def _bone_in(region: sitk.Image, levels: _Levels) -> np.ndarray:
    """Return bone in `region`: above half of the way to the highest level within about 3 mm.

    The limit runs between the thresholds of thin bone and of other bone, so that partial volume
    hollows out no thin plate and yet fattens no thick one. Below the threshold of other bone only
    plates count, not what is as thick as a vessel full of contrast.
    """
    grey = array_of(region)
    mask = grey > levels.bone
    if levels.thin >= levels.bone:
        return mask
    block = tuple(max(1, round(BLOCK_MM / s)) for s in region.GetSpacing()[::-1])
    highest = ndimage.maximum_filter(_per_block(grey, block, np.max), 3).astype(np.float32)
    at = np.argwhere((grey > levels.thin) & ~mask).astype(np.int32)
    local = ndimage.map_coordinates(highest, ((at + 0.5) / block - 0.5).T, order=1, mode="nearest")
    at = at[grey[tuple(at.T)] > np.minimum((local + levels.soft) / 2, levels.bone)]
    plates = np.zeros_like(mask)
    plates[tuple(at.T)] = True
    full = _per_block(plates, block, np.mean) > 0.9
    thick = ndimage.binary_dilation(ndimage.binary_erosion(full, None, 2), np.ones((3, 3, 3)), 3)
    at = at[~thick[tuple((at // block).T)]]
    mask[tuple(at.T)] = True
    return mask


def _per_block(array: np.ndarray, block: tuple[int, ...], reduce) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Return `reduce` (a numpy reduction) of `array` over blocks of `block` voxels (z, y, x)."""
    for axis, size in enumerate(block):
        ends = [(0, -n % size if k == axis else 0) for k, n in enumerate(array.shape)]
        array = np.pad(array, ends, mode="edge")
        shape = (*array.shape[:axis], array.shape[axis] // size, size, *array.shape[axis + 1 :])
        array = reduce(array.reshape(shape), axis=axis + 1)
    return array


# --- what is not skull ------------------------------------------------------------------------


def _along_lps(
    region: sitk.Image, direction: np.ndarray, origin_mm: np.ndarray, box: tuple[slice, ...]
) -> np.ndarray:
    """Return (p - origin_mm) . direction, mm, for the voxels p in `box`: float32 (z, y, x)."""
    matrix = index_to_lps_mm(region)
    steps = (direction @ matrix[:3, :3]).astype(np.float32)
    z, y, x = (np.arange(s.start, s.stop, dtype=np.float32) for s in box)
    first = np.float32(direction @ (matrix[:3, 3] - origin_mm))
    return steps[2] * z[:, None, None] + (steps[1] * y[:, None] + (steps[0] * x + first))


def _vault(region: sitk.Image, head: Head) -> np.ndarray:
    """Return where `region` lies above the skull base: bool (z, y, x)."""
    full = tuple(slice(0, n) for n in region.GetSize()[::-1])
    return _above(region, head.up, head.centre_mm - VAULT_BELOW_CENTRE_MM * head.up, full)


def _above(
    region: sitk.Image, up: np.ndarray, point_mm: np.ndarray, box: tuple[slice, ...]
) -> np.ndarray:
    """Return which voxels in `box` lie above the plane through a point: bool (z, y, x)."""
    matrix = index_to_lps_mm(region)
    x, y, z = (step * np.arange(s.start, s.stop) for step, s in zip(up @ matrix[:3, :3], box[::-1]))
    limit = up @ (point_mm - matrix[:3, 3])
    return (z[:, None] + y).astype(np.float32)[:, :, None] > (limit - x).astype(np.float32)


def _grid_of_blocks(
    region: sitk.Image, start: np.ndarray, block: tuple[int, ...], shape: tuple[int, ...]
) -> sitk.Image:
    """Return the grid of `shape` blocks of `block` voxels from voxel `start` on (all z, y, x)."""
    grid = sitk.Image([int(n) for n in shape[::-1]], sitk.sitkUInt8)
    grid.SetSpacing(np.multiply(block[::-1], region.GetSpacing()).tolist())
    grid.SetDirection(region.GetDirection())
    first = start + (np.array(block) - 1) / 2
    grid.SetOrigin(region.TransformContinuousIndexToPhysicalPoint(first[::-1].tolist()))
    return grid


def _remove_streaks(mask: np.ndarray, metal: np.ndarray, region: sitk.Image, head: Head) -> None:
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


def _remove_spine(
    mask: np.ndarray, region: sitk.Image, head: Head, grey: np.ndarray | None
) -> None:
    """Take the cervical spine out of `mask`, in place.

    Below the foramen magnum a watershed (Beucher and Meyer 1993) runs from bone that is surely
    skull (at the cavity, above the foramen, or far to the side) and from bone that is surely spine
    (well below the foramen, near the axis from the cavity through it), over a relief that is low
    in bone: minus the CT, or for a mask minus the depth in bone. The two floods meet in the joints
    between occiput and atlas.
    """
    if head.foramen_mm is None:
        return
    axis = -head.up
    to_index = np.linalg.inv(index_to_lps_mm(region))
    middle = (to_index @ np.append(head.foramen_mm + 20.0 * axis, 1.0))[:3]
    reach = 60.0 / np.asarray(region.GetSpacing())
    low = np.clip(middle - reach, 0, np.array(region.GetSize()) - 1).astype(int)
    high = np.clip(middle + reach, low + 1, region.GetSize()).astype(int)
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1]))
    local = mask[part]
    # About 1 mm is fine enough for a cut through a joint, and eight times faster than 0.5 mm.
    block = tuple(max(1, round(1.0 / s)) for s in region.GetSpacing()[::-1])
    bone = _per_block(local, block, np.any)
    spacing = np.multiply(block, region.GetSpacing()[::-1])
    if grey is None:
        solid = ndimage.gaussian_filter(bone.astype(np.float32), 1.0 / spacing) > 0.5
        relief = -ndimage.distance_transform_edt(solid, spacing).astype(np.float32)
    else:
        relief = -_per_block(grey[part].astype(np.float32), block, np.mean)
    grid = _grid_of_blocks(region, low[::-1], block, bone.shape)
    to_cavity = head.distance_on(grid)
    full = tuple(slice(0, n) for n in bone.shape)
    depth = _along_lps(grid, axis, head.foramen_mm, full)
    squared = sum(_along_lps(grid, e, head.foramen_mm, full) ** 2 for e in np.eye(3))
    radius = np.sqrt(np.maximum(squared - depth**2, 0))
    surely_skull = bone & ((to_cavity < 7) | (depth < -5) | (radius > 50))
    surely_spine = bone & (to_cavity > 14) & (depth > 14) & (radius < 30)
    if not surely_spine.any():
        return
    relief[~bone] = relief.max() + 1
    markers = sitk.GetImageFromArray(surely_skull + 2 * (surely_spine & ~surely_skull).astype("u1"))
    basins = array_of(
        sitk.MorphologicalWatershedFromMarkers(
            sitk.GetImageFromArray(relief), markers, False, False
        )
    )
    for k, size in enumerate(block):
        basins = np.repeat(basins, size, axis=k)
    local &= basins[tuple(slice(0, n) for n in local.shape)] != 2


def _pieces_of_skull(
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
    grid = _grid_of_blocks(region, np.zeros(3), step, some.shape)
    distance = head.distance_on(grid)
    around = some[(some > 0) & (distance > -8) & (distance < 12)]
    beside = np.bincount(around, minlength=sizes.size) * voxel_volume_mm3(grid)
    if beside.sum() == 0:
        raise SkullImplantError(
            "No bone was left around the cranial cavity; give a lower --bone-threshold."
        )
    keep = beside >= MIN_PART_OF_SKULL * beside.max()
    loose = sizes[~keep & (beside > 0.5 * sizes) & (sizes > MIN_FRAGMENT_MM3)].sum() / 1000
    notes = (f"Loose pieces of bone ({loose:.1f} cm³) at the vault were left out.",)
    return keep[labels], notes if loose else ()


def _remove_posts(mask: np.ndarray, region: sitk.Image, head: Head) -> None:
    """Take posts that stick out of the vault (fiducials, pins) out of `mask`, in place.

    The vault's outer surface is mapped as its distance from the cavity's centre over directions
    (azimuthal equidistant projection around the vertex). What rises above the median of its
    surroundings on a narrow foot, and higher than any bone does, is a post.
    """
    step = 1.5 / 80  # radians: cells of 1.5 mm on a vault of radius 80 mm
    at = np.argwhere(mask & _vault(region, head)).astype(np.int32)
    if at.size == 0:
        return
    matrix = index_to_lps_mm(region).astype(np.float32)
    away = at[:, ::-1].astype(np.float32) @ matrix[:3, :3].T + (
        matrix[:3, 3] - head.centre_mm.astype(np.float32)
    )
    radius = np.linalg.norm(away, axis=1)
    angle = np.arccos(np.clip(away[:, 2] / radius, -1, 1))
    stretch = angle / np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-3) / step
    half = int(2.0 / step)
    cells = np.clip(np.rint(away[:, :2] * stretch[:, None]).astype(np.int32) + half, 0, 2 * half)
    cell = cells[:, 0] * (2 * half + 1) + cells[:, 1]
    outer = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    np.maximum.at(outer.reshape(-1), cell, radius)
    reach = int(16.0 / 1.5)
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
    feet, _ = ndimage.label(outer > high + 1.5, np.ones((3, 3)))
    for foot, place in enumerate(ndimage.find_objects(feet), 1):
        shape = feet[place] == foot
        width = 3.0 * ndimage.distance_transform_edt(np.pad(shape, 1)).max()
        if width > POST_WIDTH_MM or (outer - high)[place][shape].max() < POST_HEIGHT_MM:
            feet[place][shape] = 0
    feet = ndimage.binary_dilation(feet > 0, iterations=2)
    above = feet.ravel()[cell] & (radius > level.ravel()[cell] + 1.5)
    mask[tuple(at[above].T)] = False


# --- filling ----------------------------------------------------------------------------------


def _fill_marrow(
    mask: np.ndarray,
    region: sitk.Image,
    head: Head,
    not_air: np.ndarray | None = None,
    trabecular: np.ndarray | None = None,
) -> None:
    """Fill diploe and marrow in `mask`, in place. `not_air`, `trabecular`: as in the CT, if any.

    Three local rules that cannot close a hole in the vault or round its rim. In the vault a voxel
    is filled that lies between the tables, also where diploe lies open at the rim. Anywhere it is
    filled if it is as bright as trabecular bone and has bone on both sides, at most 10 mm apart,
    along two image axes. Last, a space is filled that bone encloses, pores of 3 mm not counted as
    openings, and that is not as wide as a sinus.
    """
    filled = mask | _between_tables(mask, region, head, not_air)
    bridged = filled.copy()
    sides = np.zeros(mask.shape, np.uint8)
    for axis, spacing in enumerate(region.GetSpacing()[::-1]):
        step = tuple(int(k == axis) for k in range(3))
        bridged |= _closed_along(mask, step, int(MAX_PORE_MM / spacing))
        if trabecular is not None:
            sides += _closed_along(mask, step, int(MAX_DIPLOE_MM / spacing))
    if trabecular is not None:
        filled |= (sides >= 2) & trabecular
    del sides
    bridged |= filled
    enclosed = _narrow_enclosed(bridged, region)
    if not_air is not None:
        enclosed &= not_air
    mask |= filled
    mask |= enclosed


def _between_tables(
    mask: np.ndarray, region: sitk.Image, head: Head, not_air: np.ndarray | None
) -> np.ndarray:
    """Return the voxels of the vault with bone on both sides, at most 10 mm apart, across it.

    Across is, of the 26 directions to neighbouring voxels, the one nearest to the normal of the
    cavity's ellipsoid of inertia. Each direction is worked in the box of the voxels it serves.
    """
    spacing = np.array(region.GetSpacing()[::-1])
    steps = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
    steps = steps[np.any(steps != 0, axis=1)]
    block = tuple(max(1, round(2 * BLOCK_MM / s)) for s in spacing)
    shape = tuple(-(-n // b) for n, b in zip(mask.shape, block))
    grid = _grid_of_blocks(region, np.zeros(3), block, shape)
    index = np.indices(shape, np.float32).reshape(3, -1)[::-1]
    matrix = index_to_lps_mm(grid)
    away = matrix[:3, :3] @ index + (matrix[:3, 3] - head.centre_mm)[:, None]
    normals = np.linalg.inv(head.inertia_mm2) @ away
    axes = index_to_lps_mm(region)[:3, :3] @ steps[:, ::-1].T
    lengths = np.linalg.norm(axes, axis=0)
    serves = ((axes / lengths).T @ normals).argmax(axis=0) + 1
    serves = serves.astype(np.uint8).reshape(shape)
    vault = _vault(region, head)
    if not_air is not None:
        vault &= not_air
    serves[~_per_block(vault, block, np.any)] = 0
    between = np.zeros_like(mask)
    for number, cells in enumerate(ndimage.find_objects(serves), 1):
        if cells is None:
            continue
        gap = int(MAX_DIPLOE_MM / lengths[number - 1])
        starts = [c.start * b for c, b in zip(cells, block)]
        stops = [min(c.stop * b, n) for c, b, n in zip(cells, block, mask.shape)]
        wide = tuple(slice(max(a - gap, 0), z + gap) for a, z in zip(starts, stops))
        inner = tuple(slice(a - w.start, z - w.start) for a, z, w in zip(starts, stops, wide))
        closed = _closed_along(mask[wide], tuple(steps[number - 1]), gap)[inner]
        here = serves[cells] == number
        for axis, size in enumerate(block):
            here = np.repeat(here, size, axis)
        between[tuple(slice(a, z) for a, z in zip(starts, stops))] |= (
            closed & here[tuple(slice(0, n) for n in closed.shape)]
        )
    between &= vault
    # Slanted lines slip through a table one voxel thick: fill the pits that this leaves.
    pinned = np.zeros(mask.shape, np.uint8)
    for axis in range(3):
        pinned += _closed_along(mask | between, tuple(int(k == axis) for k in range(3)), 1)
    return between | ((pinned >= 2) & vault)


def _closed_along(mask: np.ndarray, step: tuple[int, ...], gap: int) -> np.ndarray:
    """Return `mask` with gaps of at most `gap` voxels along `step` (z, y, x; -1, 0 or 1) closed."""
    flip = tuple(slice(None, None, -1 if s < 0 else 1) for s in step)
    ahead = np.abs(step)
    lines = mask[flip]
    now = np.pad(lines, [(0, int(a) * gap) for a in ahead])

    def shifted(reach: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        late = tuple(slice(int(a) * reach, None) for a in ahead)
        early = tuple(slice(0, n - int(a) * reach) for a, n in zip(ahead, now.shape))
        return late, early

    reached = 0
    while reached < gap:  # now[k] becomes any of lines[k - gap .. k], doubling the reach
        reach = min(reached + 1, gap - reached)
        late, early = shifted(reach)
        then = now.copy()
        then[late] |= now[early]
        now, reached = then, reached + reach
    reached = 0
    while reached < gap:  # and then all of now[k .. k + gap]
        reach = min(reached + 1, gap - reached)
        late, early = shifted(reach)
        then = now.copy()
        then[early] &= now[late]
        now, reached = then, reached + reach
    return now[tuple(slice(0, n) for n in lines.shape)][flip]


def _narrow_enclosed(mask: np.ndarray, region: sitk.Image) -> np.ndarray:
    """Return the spaces that `mask` encloses and that are too narrow to be a sinus."""
    spaces = array_of(sitk.ConnectedComponent(image_like(~mask, region), False))
    block = tuple(max(1, int(MAX_MARROW_RADIUS_MM / s)) for s in region.GetSpacing()[::-1])
    wide = np.argwhere(_per_block(~mask, block, np.min)) * block
    keep_open = np.zeros(int(spaces.max()) + 1, bool)
    keep_open[0] = True
    keep_open[spaces[tuple(wide.T)]] = True
    for axis in range(3):
        keep_open[np.take(spaces, (0, -1), axis)] = True
    return ~keep_open[spaces]


# --- the result -------------------------------------------------------------------------------


def _notes_on_view(
    mask: np.ndarray, image: sitk.Image, box: tuple[slice, ...], head: Head
) -> tuple[str, ...]:
    """Return notes on thick slices, and on a vault that the field of view cuts off."""
    notes: tuple[str, ...] = ()
    thickest = max(image.GetSpacing())
    if thickest > THICK_SLICES_MM:
        notes += (f"Slices are {thickest:.1f} mm apart: thin bone may be missing, 1 mm is better.",)
    spacing = image.GetSpacing()[::-1]
    region, cut_mm2 = crop(image, box), 0.0
    for axis, (limits, size) in enumerate(zip(box, image.GetSize()[::-1])):
        pixel_mm2 = float(np.prod(np.delete(spacing, axis)))
        for side, at_border in ((0, limits.start == 0), (-1, limits.stop == size)):
            if not at_border:
                continue
            index = range(mask.shape[axis])[side]
            slab = tuple(
                slice(index, index + 1) if k == axis else slice(0, n)
                for k, n in enumerate(mask.shape)
            )
            high = _above(region, head.up, head.centre_mm, slab)
            cut_mm2 += float((mask[slab] & high).sum()) * pixel_mm2
    if cut_mm2 > VIEW_CUT_MM2:
        notes += ("The field of view cuts off part of the vault: only the part in view is known.",)
    return notes


def _put_back(mask: np.ndarray, grid: sitk.Image, box: tuple[slice, ...]) -> sitk.Image:
    """Return `mask`, which fills `box` of `grid`, as a uint8 image on `grid`."""
    full = np.zeros(grid.GetSize()[::-1], np.uint8)
    full[box] = mask
    return image_like(full, grid)
