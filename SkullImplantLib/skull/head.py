"""Where the head is: a coarse model of cranial cavity and foramen magnum, from anything bright.

`segmentation.py` decides with it what is skull. The model lives on an isotropic 3 mm grid along
L, P and S, so that the orientation and spacing of the image are forgotten here.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.blocks import grid_of_blocks, share_per_block
from ..core.images import array_of, image_like, index_to_lps_mm
from ..errors import SkullImplantError

VAULT_BELOW_CENTRE_MM = 8.0  # the vault reaches down to here: above orbits and zygomatic arches
COARSE_MM = 3.0  # finer than any structure the model looks for
WALL_PERCENT = 15  # of a coarse voxel's volume: a plate of half a millimetre is still a wall
CAVITY_RADIUS_MM = 18.0  # a ball that fits the cranial cavity, not the foramen magnum (15-17)
CAVITY_CM3 = (200.0, 3500.0)  # newborn about 350, adult 1100-1700, hydrocephalus below 3000
ENCLOSED_PART = 0.6  # of 26 directions that end at bone; a hole of 120 cm² takes about 0.17
# A second cavity of so much of the first's volume is another head's, where bone encloses it as
# skulls do; ribs leave more directions open.
SECOND_PART, WELL_ENCLOSED_PART = 0.5, 0.85
SOLID_RADIUS_MM = 20.0  # no bone is so thick that a ball of this radius fits
FORAMEN_MM = (15.0, 50.0)  # across; normal is 28-38
PITCHES = (0.0, 20.0, -20.0, 40.0, -40.0)  # degrees at which the foramen is looked for
FREE_BELOW_MM = 12.0  # no bone for so far below the foramen's middle
FORAMEN_BEHIND_MM = 10.0  # the cavity's centre, in a level head (5 to 20 in the skulls seen)
FORAMEN_AWAY_MM = 45.0  # from below the cavity's centre; a tilt of 35 degrees moves it so far
FORAMEN_RISE_MM = 20.0  # the foramen lies no higher above the cavity's lowest point, also tilted
# The part of the image that can hold the skull, from the cavity's box: face, mandible, mastoids.
REACH_MM = {"side": 45.0, "front_back": 75.0, "above": 30.0, "below": 130.0}

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]  # (3,)


@dataclass(frozen=True)
class Head:
    """The coarse model.

    `bone`, `cavity`: bool (z, y, x). `to_cavity_mm`: float32 (z, y, x), the distance to the
    cavity's surface, negative inside. `origin_mm`: LPS of voxel 0. `centre_mm`: LPS of the
    cavity's centroid. `inertia_mm2`: the covariance (3, 3) of the cavity about it. `foramen_mm`:
    LPS of the middle of the foramen magnum, None where the image does not show it.
    """

    bone: Flags
    cavity: Flags
    to_cavity_mm: NDArray[np.float32]
    origin_mm: Vector
    centre_mm: Vector
    inertia_mm2: NDArray[np.float64]
    foramen_mm: Vector | None

    @property
    def up(self) -> Vector:
        """The head's own upward direction, a unit vector in LPS.

        From the point before the foramen that lies below the centre of a level head; without a
        foramen, +S.
        """
        if self.foramen_mm is None:
            return np.array([0.0, 0.0, 1.0])
        axis = self.centre_mm - self.foramen_mm + [0.0, FORAMEN_BEHIND_MM, 0.0]
        return axis / np.linalg.norm(axis)

    def distance_on(self, grid: sitk.Image) -> NDArray[np.int8]:
        """Return `to_cavity_mm` on the voxels of `grid`, int8 (z, y, x), at most 127."""
        image = sitk.GetImageFromArray(np.clip(self.to_cavity_mm, -127, 127).astype(np.int8))
        image.SetOrigin(self.origin_mm.tolist())
        image.SetSpacing([COARSE_MM] * 3)
        near = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, 127.0)
        return sitk.GetArrayFromImage(near)

    def vault_on(self, grid: sitk.Image) -> Flags:
        """Return where `grid` lies above the skull base, bool (z, y, x)."""
        full = tuple(slice(0, n) for n in grid.GetSize()[::-1])
        return above(grid, self.up, self.centre_mm - VAULT_BELOW_CENTRE_MM * self.up, full)

    def box_on(self, grid: sitk.Image) -> tuple[slice, ...]:
        """Return the box (z, y, x) of `grid` that holds the bone connected to the cavity."""
        labels, _ = ndimage.label(self.bone, np.ones((3, 3, 3)))
        touching = np.bincount(labels[self.bone & (self.to_cavity_mm < 3 * COARSE_MM)])
        main = labels == touching[1:].argmax() + 1 if touching.size > 1 else self.bone
        ranges = []
        for axis, (before, after) in enumerate(
            [("side", "side"), ("front_back", "front_back"), ("below", "above")]
        ):
            used = self._range_mm(main, axis) + [-2 * COARSE_MM, 2 * COARSE_MM]
            limit = self._range_mm(self.cavity, axis) + [-REACH_MM[before], REACH_MM[after]]
            ranges.append([max(used[0], limit[0]), min(used[1], limit[1])])
        points = np.vstack([np.reshape(np.meshgrid(*ranges), (3, -1)), np.ones(8)])
        index = (np.linalg.inv(index_to_lps_mm(grid)) @ points)[:3]
        box = []
        for low, high, n in zip(index.min(axis=1), index.max(axis=1), grid.GetSize()):
            start = int(np.clip(np.floor(low), 0, n - 1))
            box.append(slice(start, int(np.clip(np.ceil(high) + 1, start + 1, n))))
        return tuple(box[::-1])

    def _range_mm(self, mask: Flags, lps_axis: int) -> NDArray[np.float64]:
        """Return from where to where (2,) a coarse mask reaches along an axis of LPS."""
        used = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {2 - lps_axis})))[[0, -1]]
        return self.origin_mm[lps_axis] + COARSE_MM * used


def find_head(bright: sitk.Image) -> Head:
    """Return the coarse model of the head in a mask of everything bright (uint8 0/1).

    The cavity is what bone encloses: 26 rays are cast from each voxel, and where most of them end
    at bone the voxel is inside. This holds with a wide hole in the vault, where a flood would leak.
    The lower end of the image counts as bone, because the field of view may end above the base.

    Raises `SkullImplantError` where no cavity of the size of a head's is found.
    """
    bone, origin = _coarse(bright)
    walls = bone.copy()
    levels = np.flatnonzero(bone.any(axis=(1, 2)))
    if levels.size:
        lowest = levels[0]
        walls[lowest] |= _filled_outline(np.any(bone[lowest : lowest + 4], axis=0))
    rays = _rays_that_end_at(walls)
    inside = (rays >= ENCLOSED_PART * 26) & ~walls
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1, 1:-1] * COARSE_MM
    cores, count = ndimage.label(depth > CAVITY_RADIUS_MM)
    if count == 0:
        raise _no_cavity(bone)
    sizes = np.bincount(cores.ravel())[1:]
    cavity = _around_core(cores == sizes.argmax() + 1)
    volume_cm3 = _volume_cm3(cavity)
    if not CAVITY_CM3[0] <= volume_cm3 <= CAVITY_CM3[1]:
        raise SkullImplantError(
            f"The largest cavity within the bone has {volume_cm3:.0f} cm³, and a head's has "
            f"{CAVITY_CM3[0]:.0f} to {CAVITY_CM3[1]:.0f}; check the image's spacing and that it is "
            "a head."
        )
    if count > 1:
        _require_one_head(cores, sizes, rays, volume_cm3)
    outside = ndimage.distance_transform_edt(~cavity) - ndimage.distance_transform_edt(cavity)
    inner = origin + np.argwhere(cavity)[:, ::-1] * COARSE_MM
    centre, inertia = inner.mean(axis=0), np.cov(inner.T)
    # A cavity that reaches down to the image's end has no base in view, nor a foramen.
    base_in_view = np.argwhere(cavity)[0, 0] > levels[0] + 2
    foramen = _find_foramen(bone, cavity) if base_in_view else None
    place = None if foramen is None else origin + foramen[::-1] * COARSE_MM
    to_cavity = (outside * COARSE_MM).astype(np.float32)
    return Head(bone, cavity, to_cavity, origin, centre, inertia, place)


def _no_cavity(bone: Flags) -> SkullImplantError:
    """Return what is wrong with coarse bone (z, y, x) in which there is no cranial cavity."""
    if (ndimage.distance_transform_edt(np.pad(bone, 1)) * COARSE_MM).max() > SOLID_RADIUS_MM:
        return SkullImplantError(
            "The image does not look like a head: what counts as bone fills it; give a mask of the "
            "bone alone, or a CT with a higher bone threshold."
        )
    return SkullImplantError(
        "The image does not look like a head: no cranial cavity was found within the bone; check "
        "that it is a head CT or skull mask with most of the vault in it, its spacing, and the "
        "bone threshold of a CT."
    )


def _require_one_head(
    cores: NDArray[np.int32], sizes: NDArray[np.intp], rays: NDArray[np.uint8], volume_cm3: float
) -> None:
    """Raise where the second largest core is that of a cavity like the largest one's."""
    second = cores == np.argsort(sizes)[-2] + 1
    enclosed = rays[second].mean() >= WELL_ENCLOSED_PART * 26
    if enclosed and _volume_cm3(_around_core(second)) > max(
        SECOND_PART * volume_cm3, CAVITY_CM3[0]
    ):
        raise SkullImplantError(
            "There seem to be two heads in the image; crop it to the patient's."
        )


def _around_core(core: Flags) -> Flags:
    """Return the cavity around its core, the voxels (z, y, x) far from every wall."""
    return np.asarray(ndimage.distance_transform_edt(~core) * COARSE_MM <= CAVITY_RADIUS_MM)


def _volume_cm3(mask: Flags) -> float:
    return float(mask.sum()) * COARSE_MM**3 / 1000


def _coarse(bright: sitk.Image) -> tuple[Flags, Vector]:
    """Return `bright` on the coarse grid, bool (z, y, x), and the LPS of its voxel 0 in mm."""
    sizes = zip(bright.GetSpacing()[::-1], bright.GetSize()[::-1])
    z, y, x = (max(1, min(int(COARSE_MM / s), n)) for s, n in sizes)
    percent = share_per_block(array_of(bright), (z, y, x), 100)
    part = image_like(percent, grid_of_blocks(bright, (0, 0, 0), (z, y, x), percent.shape))
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in bright.GetSize()])).reshape(3, -1)
    corners = (index_to_lps_mm(bright) @ np.vstack([corners, np.ones(8)]))[:3]
    low, high = corners.min(axis=1), corners.max(axis=1)
    grid = sitk.Image([int(n) for n in np.ceil((high - low) / COARSE_MM) + 1], sitk.sitkUInt8)
    grid.SetSpacing([COARSE_MM] * 3)
    grid.SetOrigin(low.tolist())
    coarse = sitk.Resample(part, grid, sitk.Transform(), sitk.sitkLinear, 0, sitk.sitkUInt8)
    return sitk.GetArrayFromImage(coarse) >= WALL_PERCENT, low


def _filled_outline(mask: Flags) -> Flags:
    """Return the 2-D `mask` (y, x) with what lies between two of its pixels in a row or column."""

    def between(axis: int) -> Flags:
        before = np.logical_or.accumulate(mask, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
        return before & after

    return between(0) | between(1)


def _rays_that_end_at(walls: Flags) -> NDArray[np.uint8]:
    """Return, per voxel (z, y, x), how many of the 26 neighbour directions meet a wall."""
    hits = np.zeros(walls.shape, np.uint8)
    steps = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
    for step in steps[np.any(steps != 0, axis=1)]:
        axis = int(np.flatnonzero(step)[0])
        across = tuple(int(step[k]) for k in range(3) if k != axis)
        layers, out = np.moveaxis(walls, axis, 0), np.moveaxis(hits, axis, 0)
        order = range(len(layers)) if step[axis] < 0 else range(len(layers) - 1, -1, -1)
        seen = np.zeros(layers.shape[1:], bool)
        for k in order:
            seen = _shifted(seen, across)
            out[k] += seen
            seen |= layers[k]
    return hits


def _shifted(plane: Flags, step: tuple[int, ...]) -> Flags:
    """Return the 2-D `plane` taken at index + step, False where that lies outside."""
    out = np.zeros_like(plane)
    to = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, plane.shape))
    of = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(step, plane.shape))
    out[to] = plane[of]
    return out


def _find_foramen(bone: Flags, cavity: Flags) -> Vector | None:
    """Return the coarse index (z, y, x) of the middle of the foramen magnum, or None.

    The head is looked at as it lies, then nodded forward and backward.
    """
    middle = np.argwhere(cavity).mean(axis=0)
    around = 10 * np.ones(3)  # voxels: room for what a rotation moves out of the box
    for degrees in PITCHES:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        offset = middle - turn @ (middle + around)
        shape = tuple(n + 20 for n in bone.shape)
        # Beyond the image may be bone: no opening is seen there.
        turned_bone = ndimage.affine_transform(bone, turn, offset, shape, order=0, cval=1)
        turned_cavity = ndimage.affine_transform(cavity, turn, offset, shape, order=0)
        place = _foramen_below(turned_bone, turned_cavity)
        if place is not None:
            return turn @ place + offset
    return None


def _foramen_below(bone: Flags, cavity: Flags) -> Vector | None:
    """Return the index (z, y, x) of the middle of a foramen magnum that opens downward, or None.

    Seen from the floor of the cavity downward, it is a patch without bone for the next 12 mm, as
    wide as a foramen magnum, framed by floor that has bone, and the nearest such patch to the
    point a centimetre behind the foot of the cavity's centre.
    """
    levels = np.arange(len(bone))[:, None, None]
    floor = cavity.argmax(axis=0)
    free = round(FREE_BELOW_MM / COARSE_MM)
    bone_below = (bone & (levels <= floor) & (levels >= floor - free)).any(axis=0)
    low = floor <= np.flatnonzero(cavity.any(axis=(1, 2)))[0] + FORAMEN_RISE_MM / COARSE_MM
    open_below = ndimage.binary_opening(cavity.any(axis=0) & low & ~bone_below, np.ones((3, 3)))
    patches, count = ndimage.label(open_below)
    expected = np.argwhere(cavity).mean(axis=0)[1:] + [FORAMEN_BEHIND_MM / COARSE_MM, 0.0]
    best, nearest = None, FORAMEN_AWAY_MM / COARSE_MM
    for label in range(1, count + 1):
        patch = patches == label
        width = COARSE_MM * np.sqrt(patch.sum())
        frame = ndimage.binary_dilation(patch, iterations=3) & ~patch
        framed = bone_below[frame].mean() if frame.any() else 0.0
        rows, columns = np.nonzero(patch)
        place = np.array([np.median(floor[patch]), rows.mean(), columns.mean()])
        distance = float(np.hypot(*(place[1:] - expected)))
        if FORAMEN_MM[0] <= width <= FORAMEN_MM[1] and framed > 0.5 and distance < nearest:
            best, nearest = place, distance
    return best


def above(grid: sitk.Image, up: Vector, point_mm: Vector, box: tuple[slice, ...]) -> Flags:
    """Return which voxels in `box` lie above the plane through a point: bool (z, y, x)."""
    matrix = index_to_lps_mm(grid)
    x, y, z = (step * np.arange(s.start, s.stop) for step, s in zip(up @ matrix[:3, :3], box[::-1]))
    limit = up @ (point_mm - matrix[:3, 3])
    return (z[:, None] + y).astype(np.float32)[:, :, None] > (limit - x).astype(np.float32)
