"""Outlines of craniectomies, drawn on the outer surface of the vault.

The surface is seen from the centre of the head as radial maps (`geometry/radial.py`). Outlines
follow Kodym et al. (2020): a primary ball and a few smaller ones on its border, with a noisy edge;
some get burr holes at the corners. The five kinds carry the names of SkullBreak.

A *standard* point is (x, y, z) in mm from the centre of the vault: +x left, +y posterior, +z
superior. Directions are seen at an azimuth (0 is the front, 90 degrees the left) and an elevation.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import NoPlaceForDefect
from ..geometry.radial import (
    DIRECTIONS,
    DISC,
    MEAN_RADIUS_MM,
    POLAR_MAX_RAD,
    SIZE,
    fill_nearest,
    to_map,
)

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

KINDS = ("bilateral", "frontoorbital", "parietotemporal", "random_1", "random_2")
# Burr holes and rounded corners change the area after the border was moved; a draw off by more is
# none.
AREA_TOLERANCE = 0.12
BONE_SHARE = 0.93  # of the outline's rays must meet bone; MRI skulls have pinholes
LEAST_SIDE_SHARE = 0.25  # of a bilateral defect lies on either side; less is one side's with a rim
PIXEL_MM = 2 * POLAR_MAX_RAD / SIZE * MEAN_RADIUS_MM

# The lower edge of the vault: the squama above the ear, the inion, the upper rim of the orbits.
SIDE_ELEVATION, BACK_ELEVATION, RIM_ELEVATION = np.deg2rad([-14.0, -20.0, -12.0])
RIM_SEARCH_UP, RIM_SEARCH_DOWN = np.deg2rad([25.0, 12.0])  # how far off the rim may be
RIM_AZIMUTHS = np.deg2rad(np.arange(16, 33, 2))  # above the middle of an orbit
RIM_DROP_MM = 7.0  # the surface falls back by this much where an orbit opens
ABOVE_BROW, BELOW_RIM = np.deg2rad([6.0, -2.0])
BURRED_CM2 = 40.0  # smaller defects have no room for corners with burr holes
ROUNDING_MM = 4.0  # radius to which the corners between balls are rounded
# Where the middle of a kind's defect lies, and how much wider than high it is: chosen as the kinds'
# names say. Azimuth from straight ahead; polar angle from the vertex.
BILATERAL_POLAR_DEG, BILATERAL_STRETCH = (-10, 50), (1.1, 2.0)  # just behind it to the forehead
SIDE_AZIMUTH_DEG = {"frontoorbital": (12, 45), "parietotemporal": (75, 115)}
SIDE_HEIGHT, SIDE_STRETCH = (0.6, 0.8), (0.9, 1.7)  # of its radius above the vault's edge
RANDOM_HEIGHT, RANDOM_STRETCH = 0.6, (0.7, 1.5)
BURRED_SHARE, BURR_COUNT = 0.4, (3, 5)  # of the defects that have room for burr holes
BURR_RADIUS_MM = (5.5, 7.5)  # perforators are 11 to 14 mm wide
# The balls of an outline, as parts of the radius of the disc of its area (after Kodym et al. 2020).
PRIMARY_BALL, BALL_REACH, SMALL_BALL, MOST_SMALL_BALLS = (0.75, 1.0), (0.5, 1.0), (0.35, 0.65), 4
# Waves on the edge, and their amplitudes in mm: long ones bend it, short ones are the saw.
WAVES_MM = ((9.0, (0.5, 3.0)), (3.0, (0.0, 0.7)))


@dataclass(frozen=True)
class Vault:
    """The outer surface of a skull as radial maps (n, n) in the standard frame."""

    outer_mm: Floats  # distance of the outer surface from the centre, gaps filled, smooth
    wall_mm: tuple[Floats, Floats]  # between these lies all bone of the wall
    bone: Mask  # bool: the ray meets bone

    @cached_property
    def surface_mm(self) -> Floats:
        """Points of the outer surface, (n, n, 3) in the standard frame."""
        return DIRECTIONS * self.outer_mm[..., None]

    @cached_property
    def area_mm2(self) -> Floats:
        """The outer surface seen through each pixel; zero outside the map's disc."""
        down, across = np.gradient(self.surface_mm, axis=(0, 1))
        area: Floats = np.linalg.norm(np.cross(across, down), axis=-1) * DISC
        return area

    @cached_property
    def rim(self) -> float:
        """Elevation (radians) of the orbits' upper rim, where the forehead ends.

        It is where the outer surface, followed downwards on both sides of the nose, falls back into
        the orbit or ends; the lowest elevation looked at where it goes on further.
        """
        azimuth = np.concatenate([-RIM_AZIMUTHS, RIM_AZIMUTHS])
        lowest = RIM_ELEVATION - RIM_SEARCH_DOWN
        highest = RIM_ELEVATION + RIM_SEARCH_UP
        elevation = np.arange(highest + 0.2, lowest, -0.5 * PIXEL_MM / MEAN_RADIUS_MM)
        pixel = _pixel_of(direction_of(azimuth[:, None], elevation[None, :]))
        forehead = np.where(self.bone, self.outer_mm, 0.0)[pixel]
        fallen = forehead < np.maximum.accumulate(forehead, axis=1) - RIM_DROP_MM
        ends = np.where(fallen.any(axis=1), elevation[fallen.argmax(axis=1)], lowest)
        return float(np.clip(np.median(ends), lowest, highest))

    def on_surface_mm(self, looking: Floats) -> Floats:
        """Return the point (3,) of the outer surface along `looking`, of any length."""
        unit: Floats = looking / np.linalg.norm(looking)
        point: Floats = unit * self.outer_mm[_pixel_of(unit)]
        return point

    def height_mm(self, front: float) -> Floats:
        """Return how far each pixel lies above the vault's lower edge, at elevation `front` ahead.

        A rim of the orbits above or below its usual place means a head that is pitched: the edge at
        the back then moves the other way.
        """
        elevation = np.pi / 2 - np.arccos(np.clip(DIRECTIONS[..., 2], -1, 1))
        forward = -DIRECTIONS[..., 1] / np.maximum(np.cos(elevation), 1e-3)
        back = BACK_ELEVATION - (self.rim - RIM_ELEVATION)
        ends = np.where(forward > 0, front, back)
        above: Floats = elevation - SIDE_ELEVATION - (ends - SIDE_ELEVATION) * forward**2
        return above * MEAN_RADIUS_MM


@dataclass(frozen=True)
class Outline:
    """The border of a defect on a vault's maps."""

    inside_mm: Floats  # (n, n) about the distance to the border along the surface, + inside
    area_cm2: float


def vault_from_maps(outer_mm: Floats, inner_mm: Floats, bone: Mask) -> Vault:
    """Return the vault of raw radial maps (n, n), of which those with `bone` count.

    Raises `NoPlaceForDefect` where there is no vault to see.
    """
    if bone[DISC & (DIRECTIONS[..., 2] > 0)].mean() < 0.5:
        raise NoPlaceForDefect(
            "No cranial vault is found in the skull; check the orientation of the image and that "
            "the top of the head is inside it."
        )
    outer, inner = fill_nearest(outer_mm, bone), fill_nearest(inner_mm, bone)
    # Single rays catch sutures, vessels and corners of voxels. The wall is taken a pixel further on
    # either side, so that a cut through it leaves no skin of bone.
    wall = ndimage.minimum_filter(inner, 3), ndimage.maximum_filter(outer, 3)
    return Vault(ndimage.gaussian_filter(ndimage.median_filter(outer, 5), 1.0), wall, bone)


def draw_outline(
    vault: Vault, kind: str, area_cm2: float, rng: np.random.Generator
) -> Outline | None:
    """Draw the outline of a defect of one of `KINDS`; None where this draw comes to nothing."""
    radius_mm = float(np.sqrt(100 * area_cm2 / np.pi))  # of the disc of that area
    # The fronto-orbital kind takes the rim of the orbit with it; the others keep off the brow.
    height = vault.height_mm(vault.rim + (BELOW_RIM if kind == "frontoorbital" else ABOVE_BROW))
    centre, stretch = _place(vault, kind, radius_mm, height, rng)
    inside = _balls(vault, centre, radius_mm, stretch, rng)
    inside = np.where(DISC, _soft_minimum(inside, height), -np.inf)

    least, most = BURR_COUNT
    burred = rng.random() < BURRED_SHARE and area_cm2 > BURRED_CM2
    burrs = int(rng.integers(least, most + 1)) if burred else 0
    burr_mm = float(rng.uniform(*BURR_RADIUS_MM))
    burr_area = burrs * 0.5 * np.pi * burr_mm**2  # half of each lies outside the border
    grown = _grow_to(vault, inside, centre, 100 * area_cm2 - burr_area)
    if grown is None:
        return None
    if burrs:
        holes = _burr_holes(vault, grown, centre, burrs, burr_mm, rng)
        grown = np.maximum(grown, np.minimum(holes, height))

    taken = grown > 0
    area = float(vault.area_mm2[taken].sum()) / 100
    if abs(area / area_cm2 - 1) > AREA_TOLERANCE or vault.bone[taken].mean() < BONE_SHARE:
        return None
    if kind == "bilateral":
        left = float(vault.area_mm2[taken & (DIRECTIONS[..., 0] > 0)].sum()) / 100 / area
        if not LEAST_SIDE_SHARE < left < 1 - LEAST_SIDE_SHARE:
            return None
    return Outline(grown, area)


def direction_of(azimuth: Floats | float, elevation: Floats | float) -> Floats:
    """Return unit vectors (..., 3) of the standard frame; angles in radians."""
    level = np.cos(elevation)
    x, y = level * np.sin(azimuth), -level * np.cos(azimuth)
    return np.stack(np.broadcast_arrays(x, y, np.sin(elevation)), axis=-1)


def _pixel_of(directions: Floats) -> tuple[Floats, Floats]:
    rows, columns, _ = to_map(directions)
    limit = SIZE - 1
    return (
        np.clip(np.rint(rows), 0, limit).astype(int),
        np.clip(np.rint(columns), 0, limit).astype(int),
    )


def _place(
    vault: Vault, kind: str, radius_mm: float, height: Floats, rng: np.random.Generator
) -> tuple[Floats, float]:
    """Return the centre of a defect (standard mm) and how much wider than high it is."""
    side = float(rng.choice([-1.0, 1.0]))
    if kind == "bilateral":
        polar = np.deg2rad(rng.uniform(*BILATERAL_POLAR_DEG))
        looking = direction_of(0.0, np.pi / 2 - polar) + np.array([rng.normal(0, 0.05), 0, 0])
        return vault.on_surface_mm(looking), float(rng.uniform(*BILATERAL_STRETCH))
    if kind in SIDE_AZIMUTH_DEG:
        azimuth = side * np.deg2rad(rng.uniform(*SIDE_AZIMUTH_DEG[kind]))
        # The lower border reaches the orbit or squama: the centre is less than a radius above.
        along = direction_of(azimuth, np.arange(np.pi / 2, -np.pi / 5, -0.01))
        wanted = radius_mm * rng.uniform(*SIDE_HEIGHT)
        looking = along[np.abs(height[_pixel_of(along)] - wanted).argmin()]
        return vault.on_surface_mm(looking), float(rng.uniform(*SIDE_STRETCH))
    usable = vault.bone & DISC
    room = usable & (height > min(RANDOM_HEIGHT * radius_mm, height[usable].max() - 10))
    rows, columns = np.nonzero(room)
    weight = vault.area_mm2[room]
    k = rng.choice(len(rows), p=weight / weight.sum())
    return vault.surface_mm[rows[k], columns[k]], float(rng.uniform(*RANDOM_STRETCH))


def _balls(
    vault: Vault, centre: Floats, radius_mm: float, stretch: float, rng: np.random.Generator
) -> Floats:
    """Return the depth (mm) of surface points in a primary ellipsoid, some balls and noise."""
    surface = vault.surface_mm
    sideways, upwards = _tangents(centre)
    away = surface - centre
    across, up = away @ sideways, away @ upwards
    out2 = np.maximum((away**2).sum(axis=-1) - across**2 - up**2, 0)
    primary = radius_mm * rng.uniform(*PRIMARY_BALL)
    inside: Floats = primary - np.sqrt(across**2 / stretch + up**2 * stretch + out2)
    for angle in rng.uniform(0, 2 * np.pi, size=int(rng.integers(0, MOST_SMALL_BALLS + 1))):
        reach = primary * rng.uniform(*BALL_REACH)
        beside = vault.on_surface_mm(
            centre + reach * (np.cos(angle) * sideways + np.sin(angle) * upwards)
        )
        ball = radius_mm * rng.uniform(*SMALL_BALL) - np.linalg.norm(surface - beside, axis=-1)
        inside = -_soft_minimum(-inside, -ball)
    # All amplitudes are drawn before any noise.
    for wave_mm, amplitude_mm in [(wave, rng.uniform(*ends)) for wave, ends in WAVES_MM]:
        noise = ndimage.gaussian_filter(rng.standard_normal(inside.shape), wave_mm / PIXEL_MM)
        inside = inside + noise * (amplitude_mm / noise.std())
    return inside


def _tangents(point: Floats) -> tuple[Floats, Floats]:
    """Return unit vectors sideways and upwards, at right angles to a point's direction."""
    normal = point / np.linalg.norm(point)
    upright = np.array([0.0, 0.0, 1.0]) if normal[2] < 0.8 else np.array([0.0, 1.0, 0.0])
    sideways = np.cross(upright, normal)
    sideways /= np.linalg.norm(sideways)
    return sideways, np.cross(normal, sideways)


def _soft_minimum(a: Floats, b: Floats) -> Floats:
    """Return the smaller of `a` and `b`, with the corner between them rounded."""
    negative: Floats = np.logaddexp(-a / ROUNDING_MM, -b / ROUNDING_MM)
    return -ROUNDING_MM * negative


def _grow_to(vault: Vault, inside: Floats, centre: Floats, area_mm2: float) -> Floats | None:
    """Move the border until the piece around `centre`, its holes filled, has the area asked for.

    Returns the depth map with everything else outside, or None where that is out of reach.
    """
    pixel = _pixel_of(centre)

    def piece(offset: float) -> Floats | None:
        labels, _ = ndimage.label(inside + offset > 0)
        label = labels[pixel]
        return ndimage.binary_fill_holes(labels == label) if label else None

    low, high = -40.0, 60.0
    for _ in range(14):  # to 0.01 mm
        offset = (low + high) / 2
        taken = piece(offset)
        if taken is None or vault.area_mm2[taken].sum() < area_mm2:
            low = offset
        else:
            high = offset
    taken = piece(high)
    if taken is None:
        return None
    depth = inside + high
    mended: Floats = np.where(taken, np.maximum(depth, 0.1), np.clip(depth, -20.0, -0.1))
    return mended


def _burr_holes(
    vault: Vault,
    inside: Floats,
    centre: Floats,
    count: int,
    radius_mm: float,
    rng: np.random.Generator,
) -> Floats:
    """Return the depth (mm) in `count` round holes spread along the border of an outline."""
    taken = inside > 0
    border = vault.surface_mm[taken & ~ndimage.binary_erosion(taken)]
    sideways, upwards = _tangents(centre)
    around = np.arctan2((border - centre) @ upwards, (border - centre) @ sideways)
    first = rng.uniform(0, 2 * np.pi)
    holes = np.full(inside.shape, -np.inf)
    for turn in first + 2 * np.pi * np.arange(count) / count:
        middle = border[np.abs(np.angle(np.exp(1j * (around - turn)))).argmin()]
        away = np.linalg.norm(vault.surface_mm - middle, axis=-1)
        holes = np.maximum(holes, radius_mm - away)
    return holes
