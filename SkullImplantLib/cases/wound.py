"""What is found in and beside an old craniectomy: splinters of bone, plates, clips and their halo.

Arrays are (z, y, x); lengths are in mm.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import bounding_box

Mask = NDArray[np.bool_]  # (z, y, x)
Floats = NDArray[np.float64]

MOST_FRAGMENTS = 4
FRAGMENT_MM = (2.0, 7.0)  # half length and half width
FRAGMENT_THICKNESS_MM = (1.0, 2.5)  # half of it: diploe and one table, or less
DEEPEST_FRAGMENT_MM = 6.0  # sunken towards the brain
ROUGHNESS = 0.35  # of a splinter's outline, as a part of its size
LOCAL_MM = 8.0  # bone around a place on the rim that shows its direction
PLATE_HALF_MM = (7.0, 2.0, 0.6)  # straight titanium plate: length, width, thickness
CLAMP_HALF_MM = (6.0, 6.0, 0.7)  # disc of a clamp
SCREW_MM = (0.9, 4.5)  # radius, and depth in the bone
BLOOMING_MM = 0.7  # metal looks thicker in a CT than it is
HALO_MM = 9.0  # streaks fade to a third over this distance
REACH_MM = 30.0
STREAK_TURNS = 9  # light and dark streaks in a turn
HALO_BLUR_MM = 0.8


@dataclass(frozen=True)
class Wound:
    """The hole (bool), the voxels' size and the unit vector to the vertex, axes (z, y, x)."""

    hole: Mask
    spacing_mm: Floats
    up: Floats

    def voxels(self, length_mm: float) -> tuple[int, int, int]:
        """Return how many voxels along each axis hold a length."""
        z, y, x = np.ceil(length_mm / self.spacing_mm).astype(int)
        return int(z), int(y), int(x)


def add_fragments(bone: Mask, wound: Wound, rng: np.random.Generator) -> Mask:
    """Return the mask (bool) with some splinters of bone in the hole, sunken and turned."""
    inside = np.argwhere(wound.hole)
    if len(inside) == 0:
        return bone
    result = bone.copy()
    middle = (np.array(bone.shape) - 1) / 2.0
    for _ in range(rng.integers(1, MOST_FRAGMENTS + 1)):
        place = inside[rng.integers(len(inside))]
        inward = (middle - place) * wound.spacing_mm
        inward /= max(float(np.linalg.norm(inward)), 1e-6)
        centre = place * wound.spacing_mm + inward * rng.uniform(0.0, DEEPEST_FRAGMENT_MM)
        half = np.array([*rng.uniform(*FRAGMENT_MM, 2), rng.uniform(*FRAGMENT_THICKNESS_MM)])
        axes = _frame(-inward + rng.normal(0.0, 0.3, 3), rng.normal(size=3))
        box = _box(centre, 1.5 * float(half.max()), bone.shape, wound)
        size = np.linalg.norm(_places(box, centre, wound) @ axes / half, axis=-1)
        outline = ndimage.gaussian_filter(rng.standard_normal(size.shape), 1.5 / wound.spacing_mm)
        outline *= ROUGHNESS / max(float(outline.std()), 1e-6)
        result[box] |= size + outline < 1.0
    return result


def add_metal(bone: Mask, wound: Wound, rng: np.random.Generator) -> Mask:
    """Return the mask (bool) with a plate or clamp screwed on at the rim, and its streaks.

    Streaks lie in the plane of the slices. They add bone where they are light and erase it where
    they are dark, most of all at surfaces, as they do in a CT before its threshold is taken.
    """
    hole = wound.hole
    box = bounding_box(hole, wound.voxels(2.0))
    rim = np.argwhere(bone[box] & ndimage.binary_dilation(hole[box], iterations=2))
    if len(rim) == 0:
        return bone
    rim += [s.start for s in box]
    place = rim[rng.integers(len(rim))] * wound.spacing_mm
    to_hole = np.argwhere(hole[box]).mean(axis=0) + [s.start for s in box]
    outward = place - (np.array(bone.shape) - 1) / 2.0 * wound.spacing_mm
    near = _box(place, LOCAL_MM, bone.shape, wound)
    around = _places(near, place, wound)[bone[near] | hole[near]]
    # Across the bone is the direction in which what is around here extends the least.
    normal = np.linalg.eigh(np.cov(around.T))[1][:, 0]
    normal *= np.sign(normal @ outward) or 1.0
    axes = _frame(normal, to_hole * wound.spacing_mm - place + rng.normal(0.0, 8.0, 3))
    sideways = np.linalg.norm(around - np.outer(around @ normal, normal), axis=1)
    surface = float((around @ normal)[sideways < 3.0].max(initial=0.0))

    reach = _box(place, REACH_MM, bone.shape, wound)
    places = _places(reach, place, wound)
    metal = _device(places @ axes - [0.0, 0.0, surface], rng)
    result = bone.copy()
    result[reach] = _with_halo(bone[reach], metal, places, wound, rng)
    return result


def _device(places: Floats, rng: np.random.Generator) -> Mask:
    """Return which places (along, across, above the surface of the bone) are metal."""
    along, across, above = np.moveaxis(places, -1, 0)
    if rng.random() < 0.5:
        half = np.array(CLAMP_HALF_MM)
        flat = np.hypot(along, across) - half[0]
        screws_at = [0.0]
    else:
        half = np.array(PLATE_HALF_MM)
        flat = np.maximum(np.abs(along) - half[0], np.abs(across) - half[1])
        screws_at = [2.0 - half[0], half[0] - 2.0]
    distance: Floats = np.maximum(flat, np.abs(above - half[2]) - half[2])
    radius, depth = SCREW_MM
    for at in screws_at:
        shaft = np.maximum(np.hypot(along - at, across) - radius, np.abs(above + depth / 2) - depth)
        distance = np.minimum(distance, shaft)
    return distance <= BLOOMING_MM


def _with_halo(
    bone: Mask,
    metal: Mask,
    places: Floats,
    wound: Wound,
    rng: np.random.Generator,
) -> Mask:
    axis = int(np.abs(wound.up).argmax())
    first, second = (places[..., k] for k in range(3) if k != axis)
    angle = np.arctan2(first, second)
    waves = np.arange(2, STREAK_TURNS + 1)
    phases = rng.uniform(0.0, 2.0 * math.pi, len(waves))
    heights = rng.normal(0.0, 1.0 / math.sqrt(len(waves)), len(waves))
    streaks = np.zeros(bone.shape, np.float32)
    for wave, phase, height in zip(waves, phases, heights):
        streaks += height * np.cos(wave * angle + phase)
    # A slice without metal has no streaks.
    in_slice = metal.any(axis=tuple(k for k in range(3) if k != axis), keepdims=True)
    fading = np.exp(-np.hypot(first, second) / HALO_MM)
    share = ndimage.gaussian_filter(bone.astype(np.float32), HALO_BLUR_MM / wound.spacing_mm)
    halo = rng.uniform(0.2, 0.8) * streaks * fading * in_slice
    touched = np.abs(halo) > 0.1
    return np.where(touched, share + halo > 0.5, bone) | metal


def _frame(normal: Floats, towards: Floats) -> Floats:
    """Return orthonormal axes as columns: along (about `towards`), across, and the normal."""
    normal = normal / np.linalg.norm(normal)
    along = towards - (towards @ normal) * normal
    along /= max(float(np.linalg.norm(along)), 1e-6)
    return np.stack([along, np.cross(normal, along), normal], axis=1)


def _box(
    centre_mm: Floats, reach_mm: float, shape: tuple[int, ...], wound: Wound
) -> tuple[slice, ...]:
    low = np.floor((centre_mm - reach_mm) / wound.spacing_mm).astype(int)
    high = np.ceil((centre_mm + reach_mm) / wound.spacing_mm).astype(int) + 1
    return tuple(slice(max(0, int(a)), min(n, int(b))) for a, b, n in zip(low, high, shape))


def _places(box: tuple[slice, ...], origin_mm: Floats, wound: Wound) -> Floats:
    """Return where the voxels of `box` lie from `origin_mm`, shape (z, y, x, 3)."""
    index = np.moveaxis(np.mgrid[box], 0, -1)
    return index * wound.spacing_mm - origin_mm
