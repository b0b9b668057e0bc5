"""From a head CT to the skull: which voxels are bone, and which bright things are not the skull.

The path is told once in `segment_skull`: threshold from the CT's own histogram, a coarse model of
the head (`_find_head`: where the cranial cavity is, where the foramen magnum opens), then, in the
head's box only, the bone connected with that cavity, without the cervical spine, with diploe and
marrow filled. `clean_skull` walks the second half of the path for a mask that somebody else made.

Every length is in millimetres, so that spacing and orientation do not matter; "up" is the patient's
superior direction (+z of LPS), which a tilted head may leave by some 40 degrees.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .errors import SkullImplantError
from .images import array_of, bounding_box, crop, image_like, index_to_lps_mm, voxel_volume_mm3
from .progress import Progress, silent

# --- CT numbers -------------------------------------------------------------------------------
AIR_HU = -500.0  # below: air; between air (-1000) and fat (-100)
SOFT_RANGE_HU = (-200.0, 300.0)  # fat, brain, muscle and blood, for an HU scale off by a little
CERTAIN_BONE_HU = 500.0  # above: cortical bone even on a scale off by a third, never soft tissue
BONE_RANGE_HU = (150.0, 500.0)  # the automatic threshold stays in here
METAL_HU = 2800.0  # enamel ends near 2500; 12-bit scanners saturate at 3071
# The threshold lies at this part of the way from soft tissue to cortical bone: low enough for bone
# about one voxel thick (partial volume), and near the 250-300 HU in common use for skull models.
BONE_PART, THIN_PART = 0.25, 0.13
NOISE_SIGMAS = 4.0  # thin bone has to stand out of the noise by so much

# --- shapes, mm -------------------------------------------------------------------------------
COARSE_MM = 3.0  # the grid of the head model: finer than any structure it looks for
CAVITY_RADIUS_MM = 18.0  # a ball that fits the cranial cavity but not the foramen magnum (15-17)
MIN_CAVITY_CM3 = 200.0  # a newborn's is about 350 (the ball loses some), an adult's 1100-1700
ENCLOSED_PART = 0.6  # a voxel is inside the head where so many of 26 directions end at bone
MAX_DIPLOE_MM = 10.0  # the marrow space between the tables of a thick vault
MAX_MARROW_RADIUS_MM = 4.5  # enclosed spaces wider than twice this are sinuses: they stay open
MIN_PART_OF_SKULL = 0.08  # a separate piece this large beside the largest belongs to the skull
THICK_SLICES_MM = 1.5  # above: thin temporal and orbital bone is lost to partial volume


@dataclass(frozen=True)
class SkullOptions:
    """How to find bone. `bone_threshold_hu`: a fixed threshold, in the CT's units; None = automatic."""

    bone_threshold_hu: float | None = None


@dataclass(frozen=True)
class Skull:
    """A skull mask (uint8 0/1, on the grid of the input), its threshold and notes for the user."""

    mask: sitk.Image
    bone_threshold_hu: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Levels:
    """Grey levels in the CT's units: soft tissue, the thresholds of thin and of other bone."""

    soft: float
    thin: float
    bone: float
    air: float
    metal: float


@dataclass(frozen=True)
class _Head:
    """The coarse model of the head, on an isotropic grid along L, P and S.

    `bone` and `cavity`: bool (z, y, x); `origin_mm`: LPS of voxel 0; `centre_mm`: the cavity's
    centre; `foramen_mm`: the foramen magnum's centre, None where the image ends above it.
    """

    bone: np.ndarray
    cavity: np.ndarray
    origin_mm: np.ndarray
    centre_mm: np.ndarray
    foramen_mm: np.ndarray | None

    def image(self, array: np.ndarray) -> sitk.Image:
        """Return `array` (z, y, x), on the model's grid, as an image."""
        image = sitk.GetImageFromArray(array.astype(np.uint8))
        image.SetOrigin(self.origin_mm.tolist())
        image.SetSpacing([COARSE_MM] * 3)
        return image


def segment_skull(
    ct: sitk.Image, options: SkullOptions | None = None, progress: Progress = silent
) -> Skull:
    """Return the skull in a head CT, on the CT's grid.

    The mask holds the cranium and the face, with diploe and marrow filled and sinuses, orbits,
    foramina and any hole in the vault open. Table, headrest, wires, the cervical spine and loose
    fragments are not in it. The mandible stays where it touches the skull, at the joint or the
    teeth, because a cut there would be arbitrary and no vault implant depends on it; otherwise it
    goes with the other loose pieces.

    Raises `SkullImplantError` where the image has no bone or does not look like a head.
    """
    options = options or SkullOptions()
    progress(0.0, "Reading grey levels")
    levels, notes = _levels(ct, options)
    progress(0.1, "Finding the head")
    bright = ct > levels.bone
    if not array_of(bright).any():
        raise SkullImplantError(
            f"No bone was found above {levels.bone:.0f} HU; check that the image is a CT in HU, "
            "or give another --bone-threshold."
        )
    head = _find_head(bright)
    box = _head_box(bright, head)
    del bright
    progress(0.3, "Separating bone from soft tissue")
    region = crop(ct, box)
    mask = _bone_in(region, levels)
    progress(0.5, "Removing what is not skull")
    grey = array_of(region)
    mask = _cut_spine(mask, region, head, lambda part: -array_of(crop(region, part)).astype("f4"))
    mask, pieces = _skull_components(mask, region, head)
    notes += pieces
    progress(0.7, "Filling diploe")
    mask = _fill_marrow(mask, region, head, grey > levels.air)
    notes += _view_notes(mask, ct, box)
    if (grey > levels.metal).any():
        notes += ("Metal was found in the image; bone near it may be streaked, look at it.",)
    progress(1.0, "Skull found")
    return Skull(_put_back(mask, ct, box), levels.bone, notes)


def clean_skull(mask: sitk.Image, progress: Progress = silent) -> Skull:
    """Return a given skull mask with diploe filled, and without spine, posts and specks.

    Every non-zero voxel of `mask` counts as bone. The grid is kept, and so is every voxel of the
    rim of a hole: each step looks at most some millimetres around a voxel, so that a complete
    skull and the same skull with a defect come out equal away from the defect.

    Raises `SkullImplantError` where the mask is empty, full or does not look like a skull.
    """
    progress(0.0, "Checking the skull mask")
    if mask.GetDimension() != 3:
        raise SkullImplantError("The skull mask is not a 3-D image; give a whole volume.")
    full = array_of(mask) != 0
    if not full.any():
        raise SkullImplantError("The skull mask is empty; check that it is the right file.")
    if full.all():
        raise SkullImplantError(
            "Every voxel of the skull mask is set; check that it is a mask of bone."
        )
    bright = image_like(full, mask)
    head = _find_head(bright)
    box = bounding_box(full, _margin_voxels(mask, 8.0))
    region = crop(bright, box)
    bone = array_of(region) != 0
    progress(0.3, "Removing what is not skull")
    bone = _cut_spine(bone, region, head, _depth_relief(bone, region))
    bone, notes = _skull_components(bone, region, head)
    progress(0.6, "Filling diploe")
    bone = _fill_marrow(bone, region, head, np.ones(1, bool))
    notes += _view_notes(bone, mask, box)
    progress(1.0, "Skull mask ready")
    return Skull(_put_back(bone, mask, box), None, notes)


# --- grey levels ------------------------------------------------------------------------------


def _levels(ct: sitk.Image, options: SkullOptions) -> tuple[_Levels, tuple[str, ...]]:
    """Return the grey levels of `ct`, from the histogram of some millions of its voxels.

    In HU: soft tissue is the mode between fat and blood, its noise the width of that mode, cortical
    bone the median of what is certainly bone. Not in HU (no air near -1000): the upper one of two
    Otsu thresholds (Otsu 1979), which part air, soft tissue and bone on any scale.
    """
    if ct.GetDimension() != 3 or ct.GetNumberOfComponentsPerPixel() != 1:
        raise SkullImplantError("The CT is not a 3-D grey-level image; give a whole volume.")
    if min(ct.GetSize()) < 8:
        raise SkullImplantError("The CT has too few slices for a skull; give the whole head.")
    grey = array_of(ct)
    step = max(1, round((grey.size / 4e6) ** (1 / 3)))
    sample = grey[::step, ::step, ::step].ravel().astype(np.float32)
    if not np.isfinite(sample).all():
        raise SkullImplantError("The CT holds values that are not numbers; export it again.")
    notes: tuple[str, ...] = ()
    if sample.min() > AIR_HU:
        otsu = sitk.OtsuMultipleThresholds(ct, 2)
        bone = float(grey[array_of(otsu) == 2].min()) if array_of(otsu).max() == 2 else np.inf
        notes += ("The grey levels are not HU; the bone threshold was set from their histogram.",)
        levels = _Levels(bone, bone, bone, -np.inf, np.inf)
    else:
        soft_values = sample[(sample > SOFT_RANGE_HU[0]) & (sample < SOFT_RANGE_HU[1])]
        certain = sample[(sample > CERTAIN_BONE_HU) & (sample < METAL_HU)]
        soft, noise = _mode_and_width(soft_values) if soft_values.size > 1000 else (40.0, 10.0)
        cortical = float(np.median(certain)) if certain.size > 100 else 1000.0
        bone = soft + max(BONE_PART * (cortical - soft), NOISE_SIGMAS * noise)
        bone = float(np.clip(bone, *BONE_RANGE_HU))
        thin = soft + max(THIN_PART * (cortical - soft), NOISE_SIGMAS * noise)
        levels = _Levels(soft, min(thin, bone), bone, AIR_HU, METAL_HU)
    if options.bone_threshold_hu is not None:
        bone = float(options.bone_threshold_hu)
        levels = _Levels(levels.soft, bone, bone, min(levels.air, bone), levels.metal)
    if not np.isfinite(levels.bone):
        raise SkullImplantError("The CT has no contrast to tell bone by; check the file.")
    return levels, notes


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


def _bone_in(region: sitk.Image, levels: _Levels) -> np.ndarray:
    """Return bone in `region`: above half of the highest level within about 3 mm.

    The limit runs between the thresholds of thin bone and of other bone, so that partial volume
    hollows out no thin plate and yet fattens no thick one.
    """
    grey = array_of(region)
    mask = grey > levels.bone
    if levels.thin >= levels.bone:
        return mask
    block = [max(1, round(2.0 / s)) for s in region.GetSpacing()[::-1]]
    ends = [-n % b for n, b in zip(grey.shape, block)]
    tops = np.pad(grey, [(0, e) for e in ends], mode="edge")
    for axis, b in enumerate(block):
        shape = tops.shape[:axis] + (tops.shape[axis] // b, b) + tops.shape[axis + 1 :]
        tops = tops.reshape(shape).max(axis=axis + 1)
    tops = ndimage.maximum_filter(tops, 3)
    doubtful = np.argwhere((grey > levels.thin) & ~mask)
    where = (doubtful + 0.5) / block - 0.5
    highest = ndimage.map_coordinates(tops.astype("f4"), where.T, order=1, mode="nearest")
    limit = np.minimum((highest + levels.soft) / 2, levels.bone)
    doubtful = doubtful[grey[tuple(doubtful.T)] > limit]
    mask[tuple(doubtful.T)] = True
    return mask


# --- the coarse model of the head -------------------------------------------------------------


def _find_head(bone: sitk.Image) -> _Head:
    """Return the coarse model of the head in a mask of everything bright.

    The cavity is what bone encloses: from each voxel 26 rays are cast, and where most of them
    end at bone the voxel is inside. This holds with a hole in the vault, where a flood would leak.
    The end of the image below the bone counts as bone: a field of view may cut off the base.

    Raises `SkullImplantError` where there is no cavity as large as that of a head.
    """
    coarse, origin = _coarse(bone)
    walls = coarse.copy()
    below = np.flatnonzero(coarse.any(axis=(1, 2)))[0]
    walls[below] |= _convex_footprint(coarse[: below + 4].any(axis=0))
    inside = (_rays_that_hit(walls) >= ENCLOSED_PART * 26) & ~walls
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1, 1:-1] * COARSE_MM
    cores, count = ndimage.label(depth > CAVITY_RADIUS_MM)
    if count == 0:
        raise _not_a_head()
    core = cores == np.bincount(cores.ravel())[1:].argmax() + 1
    cavity = ndimage.distance_transform_edt(~core) * COARSE_MM <= CAVITY_RADIUS_MM
    if cavity.sum() * COARSE_MM**3 / 1000 < MIN_CAVITY_CM3:
        raise _not_a_head()
    centre = origin + np.argwhere(cavity).mean(axis=0)[::-1] * COARSE_MM
    foramen = _find_foramen(coarse, cavity)
    place = None if foramen is None else origin + foramen[::-1] * COARSE_MM
    return _Head(coarse, cavity, origin, centre, place)


def _not_a_head() -> SkullImplantError:
    return SkullImplantError(
        "The image does not look like a head: no cranial cavity was found within the bone; "
        "check that it is a head CT or skull mask and that its orientation and spacing are right."
    )


def _coarse(bone: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return `bone` on the coarse grid along L, P and S: bool (z, y, x), and its origin in mm."""
    shrink = [max(1, min(int(COARSE_MM / s), n)) for s, n in zip(bone.GetSpacing(), bone.GetSize())]
    part = sitk.BinShrink(bone * 100, shrink)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in bone.GetSize()])).reshape(3, -1)
    corners = (index_to_lps_mm(bone) @ np.vstack([corners, np.ones(8)]))[:3]
    low, high = corners.min(axis=1), corners.max(axis=1)
    grid = sitk.Image([int(n) for n in np.ceil((high - low) / COARSE_MM) + 1], sitk.sitkUInt8)
    grid.SetSpacing([COARSE_MM] * 3)
    grid.SetOrigin(low.tolist())
    coarse = sitk.Resample(part, grid, sitk.Transform(), sitk.sitkLinear, 0, sitk.sitkUInt8)
    return sitk.GetArrayFromImage(coarse) >= 15, low


def _convex_footprint(mask: np.ndarray) -> np.ndarray:
    """Return the 2-D `mask` (y, x) filled row by row and column by column."""

    def between(axis: int) -> np.ndarray:
        before = np.logical_or.accumulate(mask, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
        return before & after

    return between(0) | between(1)


def _rays_that_hit(walls: np.ndarray) -> np.ndarray:
    """Return, for each voxel (z, y, x), how many of the 26 neighbour directions end at a wall."""
    hits = np.zeros(walls.shape, np.uint8)
    steps = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
    for step in steps[np.any(steps != 0, axis=1)]:
        axis = int(np.flatnonzero(step)[0])
        others = tuple(step[k] for k in range(3) if k != axis)
        layers = np.moveaxis(walls, axis, 0)
        out = np.moveaxis(hits, axis, 0)
        order = range(len(layers)) if step[axis] < 0 else range(len(layers) - 1, -1, -1)
        seen = np.zeros(layers.shape[1:], bool)
        for k in order:
            seen = _shifted(seen, others)
            out[k] += seen
            seen = seen | layers[k]
    return hits


def _shifted(plane: np.ndarray, step: tuple[int, ...]) -> np.ndarray:
    """Return the 2-D `plane` with the value at index + step at each index, False from outside."""
    out = np.zeros_like(plane)
    to, of = [], []
    for s, n in zip(step, plane.shape):
        to.append(slice(max(-s, 0), n - max(s, 0)))
        of.append(slice(max(s, 0), n - max(-s, 0)))
    out[tuple(to)] = plane[tuple(of)]
    return out


def _find_foramen(bone: np.ndarray, cavity: np.ndarray) -> np.ndarray | None:
    """Return the index (z, y, x) of the middle of the foramen magnum, or None.

    Seen from the cavity's floor downward, it is the patch, more than 15 mm across, without bone
    for the next 12 mm, that lies nearest below the cavity's centre, a little behind it.
    """
    footprint = cavity.any(axis=0)
    floor = cavity.argmax(axis=0)
    lowest = np.where(bone, np.arange(len(bone))[:, None, None], -(10**6))
    below = np.where(np.arange(len(bone))[:, None, None] <= floor, lowest, -(10**6)).max(axis=0)
    open_below = footprint & (floor - below > 12 / COARSE_MM)
    open_below = ndimage.binary_opening(open_below, ndimage.generate_binary_structure(2, 2))
    patches, count = ndimage.label(open_below)
    middle = np.argwhere(cavity).mean(axis=0)
    best, best_score = None, 45.0 / COARSE_MM
    for label in range(1, count + 1):
        rows, columns = np.nonzero(patches == label)
        area = rows.size * COARSE_MM**2
        if not 15.0**2 <= area <= 50.0**2:
            continue
        place = np.array([np.median(floor[rows, columns]), rows.mean(), columns.mean()])
        expected = middle[1:] + [10.0 / COARSE_MM, 0.0]
        away = float(np.hypot(*(place[1:] - expected)))
        if place[0] < middle[0] and away < best_score:
            best, best_score = place, away
    return best


def _head_box(bright: sitk.Image, head: _Head) -> tuple[slice, ...]:
    """Return the box (z, y, x) on the grid of `bright` around the bone connected to the cavity."""
    labels, _ = ndimage.label(head.bone, np.ones((3, 3, 3)))
    near = ndimage.binary_dilation(head.cavity, iterations=3)
    touching = np.bincount(labels[near & head.bone])
    main = labels == touching[1:].argmax() + 1 if touching.size > 1 else head.bone
    low_high = [np.flatnonzero(main.any(axis=tuple({0, 1, 2} - {k})))[[0, -1]] for k in (2, 1, 0)]
    margin = np.array([-8.0, 8.0])
    corners = np.meshgrid(
        *[o + COARSE_MM * ends + margin for o, ends in zip(head.origin_mm, low_high)]
    )
    points = np.vstack([np.reshape(corners, (3, -1)), np.ones(8)])
    index = (np.linalg.inv(index_to_lps_mm(bright)) @ points)[:3]
    box = []
    for low, high, n in zip(index.min(axis=1), index.max(axis=1), bright.GetSize()):
        start = int(np.clip(np.floor(low), 0, n - 1))
        box.append(slice(start, int(np.clip(np.ceil(high) + 1, start + 1, n))))
    return tuple(box[::-1])


# --- what is skull, what is not ---------------------------------------------------------------


def _lps_axis(region: sitk.Image, axis: int, box: tuple[slice, ...] | None = None) -> np.ndarray:
    """Return one LPS coordinate (0 L, 1 P, 2 S; mm) of the voxels in `box`, float32 (z, y, x)."""
    box = box or tuple(slice(0, n) for n in region.GetSize()[::-1])
    row = index_to_lps_mm(region)[axis].astype(np.float32)
    z, y, x = (np.arange(s.start, s.stop, dtype=np.float32) for s in box)
    return row[2] * z[:, None, None] + row[1] * y[:, None] + (row[0] * x + row[3])


def _margin_voxels(image: sitk.Image, margin_mm: float) -> tuple[int, int, int]:
    z, y, x = (int(np.ceil(margin_mm / s)) for s in image.GetSpacing()[::-1])
    return z, y, x


def _depth_relief(
    bone: np.ndarray, region: sitk.Image
) -> Callable[[tuple[slice, ...]], np.ndarray]:
    """Return the relief for the watershed of a mask: minus the depth in bone, mm."""

    def relief(part: tuple[slice, ...]) -> np.ndarray:
        spacing = region.GetSpacing()[::-1]
        return -ndimage.distance_transform_edt(bone[part], spacing).astype("f4")

    return relief


def _cut_spine(
    mask: np.ndarray,
    region: sitk.Image,
    head: _Head,
    relief: Callable[[tuple[slice, ...]], np.ndarray],
) -> np.ndarray:
    """Return `mask` without the cervical spine.

    Around the foramen magnum, a watershed (Beucher and Meyer 1993) floods `relief` (low in bone,
    high in joint spaces) from bone that is certainly skull (it borders the cavity, or lies above
    the foramen) and from bone that is certainly spine (well below the foramen, near its axis). So
    the cut runs through the joints between occiput and atlas.
    """
    if head.foramen_mm is None:
        return mask
    index = np.linalg.inv(index_to_lps_mm(region)) @ np.append(head.foramen_mm, 1.0)
    half = np.array([60.0, 60.0, 75.0])
    reach = np.abs(np.linalg.inv(index_to_lps_mm(region))[:3, :3]) @ half
    box = []
    for middle, r, n in zip(index[:3], reach, region.GetSize()):
        start = int(np.clip(middle - r, 0, n - 1))
        box.append(slice(start, int(np.clip(middle + r, start + 1, n))))
    part = tuple(box[::-1])
    local = mask[part]
    away = [_lps_axis(region, k, part) - head.foramen_mm[k] for k in range(3)]
    radius = np.hypot(away[0], away[1])
    reach_of_cavity = ndimage.distance_transform_edt(~head.cavity) * COARSE_MM
    distance = sitk.GetImageFromArray(reach_of_cavity.astype("f4"))
    distance.CopyInformation(head.image(head.cavity))
    near = sitk.Resample(distance, crop(region, part), sitk.Transform(), sitk.sitkLinear, 99.0)
    to_cavity = array_of(near)
    skull = local & ((to_cavity < 7.0) | (radius > 50.0) | (away[2] > 5.0))
    spine = local & (away[2] < -20.0) & (radius < 30.0) & (to_cavity > 14.0)
    if not spine.any():
        return mask
    markers = np.zeros(local.shape, np.uint8)
    markers[skull], markers[spine] = 1, 2
    height = relief(part)
    height[~local] = height.max() + 1
    basins = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(height), sitk.GetImageFromArray(markers), False, False
    )
    out = mask.copy()
    out[part] &= array_of(basins) != 2
    return out


def _skull_components(
    mask: np.ndarray, region: sitk.Image, head: _Head
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the pieces of `mask` that are the skull, and a note where loose pieces were dropped.

    The skull is the piece with most bone around the cavity, with any other large one there: a
    wide defect can part the vault in two.
    """
    labels = sitk.ConnectedComponent(image_like(mask, region), False)
    labels = sitk.RelabelComponent(labels, max(1, int(100 / voxel_volume_mm3(region))))
    found = array_of(labels)
    sizes = np.bincount(found[mask])
    if sizes.size < 2:
        raise _not_a_head()
    shell = ndimage.binary_dilation(head.cavity, iterations=4)
    around = sitk.Resample(head.image(shell), region, sitk.Transform(), sitk.sitkNearestNeighbor)
    beside = np.bincount(found[mask & (array_of(around) != 0)], minlength=sizes.size)
    sizes[0] = beside[0] = 0
    main = int(beside.argmax())
    keep = beside >= MIN_PART_OF_SKULL * beside[main]
    fragments = (~keep) & (beside > 0.5 * sizes) & (sizes > 0)
    notes: tuple[str, ...] = ()
    if fragments.any():
        volume = float(sizes[fragments].sum()) * voxel_volume_mm3(region) / 1000
        notes += (f"Loose bone fragments ({volume:.1f} cm³) beside the vault were left out.",)
    return keep[found], notes


# --- filling and putting back -----------------------------------------------------------------


def _fill_marrow(
    mask: np.ndarray, region: sitk.Image, head: _Head, fillable: np.ndarray
) -> np.ndarray:
    """Return `mask` with diploe and marrow filled; `fillable` is False in air.

    Two local rules that cannot close a hole in the vault or round its rim: a voxel is filled when
    bone lies on both sides of it along the direction from the cavity's centre, at most
    `MAX_DIPLOE_MM` apart, above the skull base (between the tables, also where diploe lies open
    at the rim); and a space enclosed by bone is filled where it is not as wide as a sinus.
    """
    away = [_lps_axis(region, k) - np.float32(head.centre_mm[k]) for k in range(3)]
    vault = away[2] > -0.1 * np.hypot(away[0], away[1])
    matrix = index_to_lps_mm(region)[:3, :3] / np.asarray(region.GetSpacing())
    along = [np.abs(sum(matrix[k, a] * away[k] for k in range(3))) for a in (2, 1, 0)]
    filled = mask.copy()
    for axis in range(3):
        others = [along[k] for k in range(3) if k != axis]
        cone = vault & (along[axis] >= others[0]) & (along[axis] >= others[1])
        gap = int(MAX_DIPLOE_MM / region.GetSpacing()[2 - axis])
        filled |= _closed_along(mask, axis, gap) & cone & fillable
    return filled | _narrow_enclosed(filled, region)


def _closed_along(mask: np.ndarray, axis: int, gap: int) -> np.ndarray:
    """Return `mask` with gaps of at most `gap` voxels along `axis` closed."""
    lines = np.moveaxis(mask, axis, 0)
    count = len(lines)
    spread = np.zeros((count + gap, *lines.shape[1:]), bool)
    spread[:count] = lines
    done = 0
    while done < gap:  # spread[k] = any of lines[k - gap .. k], by doubling the reach
        step = min(done + 1, gap - done)
        spread[step:] |= spread[:-step].copy()
        done += step
    done = 0
    while done < gap:  # then all of spread[k .. k + gap]
        step = min(done + 1, gap - done)
        spread[:-step] &= spread[step:].copy()
        done += step
    return np.moveaxis(spread[:count], 0, axis)


def _narrow_enclosed(mask: np.ndarray, region: sitk.Image) -> np.ndarray:
    """Return the spaces that `mask` encloses and that are too narrow to be a sinus."""
    holes = sitk.BinaryFillhole(image_like(mask, region)) - image_like(mask, region)
    found = array_of(sitk.ConnectedComponent(holes, False))
    shrink = [max(1, int(MAX_MARROW_RADIUS_MM / s)) for s in region.GetSpacing()]
    solid = sitk.BinShrink(holes * 100, [min(f, n) for f, n in zip(shrink, holes.GetSize())])
    wide = array_of(solid) >= 100
    middle = [np.minimum(np.arange(n) * f + f // 2, m - 1) for n, f, m in zip(
        wide.shape, shrink[::-1], found.shape)]
    names = np.unique(found[np.ix_(*middle)][wide])
    return (array_of(holes) != 0) & ~np.isin(found, names[names > 0])


def _view_notes(mask: np.ndarray, image: sitk.Image, box: tuple[slice, ...]) -> tuple[str, ...]:
    return ()


def _put_back(mask: np.ndarray, grid: sitk.Image, box: tuple[slice, ...]) -> sitk.Image:
    """Return `mask`, which fills `box` of `grid`, as a uint8 image on `grid`."""
    full = np.zeros(grid.GetSize()[::-1], np.uint8)
    full[box] = mask
    return image_like(full, grid)
