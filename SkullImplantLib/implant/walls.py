"""Walls that can be made: an implant's field opened by its least wall, in one piece.

A field is float32 (z, y, x) on a lattice of equal sides, positive in the implant, in mm near its
surface. What is filled is cut by the room that bone leaves; opening only takes away.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.distances import away_mm
from ..core.images import bounding_box
from ..core.interpolation import values_at
from .level_set import closed_surface_at_zero
from .mesh_distance import MeshDistance
from .pieces import main_piece, without_cavities
from .strips import FULL, Across, without_strips
from .tunnels import without_tunnels

Field = NDArray[np.float32]

# Exactly done is an opening so far around what voxels say that it takes, and a closing.
AROUND_BITES_MM, AROUND_PITS_MM = 2.5, 1.0
# Beside a ball that touches the lattice's end, so many voxels tell that it is one.
AROUND_BALLS = 2
# A place between voxels that is deeper than they lies so many steps farther from the surface.
WAY_TO_THE_MIDDLE = (0.25, 0.5, 0.75, 1.0)
TINY = 1e-9
# Straight inwards a wall gets deeper by as much as one goes, up to its middle; this share of it
# tells that the middle is farther.
STEEP = 0.9
# Walls are made so much thicker than the least on each side: none is thinner when measured, or
# when a printer's lattice is laid over it.
SURELY_MM = 0.1
# So far at most the rounding of an edge draws back.
ROUNDED_MM = 1.5
# The rim is smoothed by about a voxel of a coarse CT (standard deviation), and of the clearance no
# more is given for that than this.
RIM_BLUR_MM, RIM_GIVES_MM, RIM_ROUNDS = 1.0, 0.1, 2


def opened(
    field: Field,
    spacing_mm: float,
    radius_mm: float,
    where: NDArray[np.bool_] | None = None,
    around_mm: float = AROUND_BITES_MM,
) -> Field:
    """Return the field without what a ball of `radius_mm` within it does not reach, `where` asked,
    and as far as `around_mm` around what goes, where it begins to take nothing.

    What is left is nowhere thinner than the ball, and its edges are rounded by that radius. Where
    voxels say that something goes, it is done on exact distances: what lies within the radius of
    what lies that deep stays.
    """
    inside = field > 0.0
    if radius_mm <= 0.0 or not inside.any():
        return field
    deep_mm = away_mm(~inside, spacing_mm)
    touched = _bitten(inside, deep_mm, spacing_mm, radius_mm)
    if where is not None:
        touched &= where
    if not touched.any():
        return field
    reach_mm = away_mm(touched, spacing_mm)
    within_mm = radius_mm + 2.0 * spacing_mm
    far_mm = 2.0 * radius_mm + around_mm
    surface = _surface_near(field, spacing_mm, reach_mm, far_mm + within_mm)
    near = reach_mm < far_mm
    depth = _depth_near(field, deep_mm, surface, spacing_mm, within_mm, near)
    del deep_mm, touched
    fitting = _balls_between(depth, surface, spacing_mm, radius_mm, near)
    del surface, near
    asked = (reach_mm < around_mm + spacing_mm) & (depth <= radius_mm)
    asked &= ndimage.maximum_filter(inside, size=3)
    places = np.argwhere(asked)[:, ::-1] * spacing_mm
    depth -= np.float32(radius_mm)
    core = _surface_near(depth, spacing_mm, reach_mm, around_mm + spacing_mm + within_mm)
    del depth, reach_mm
    reached = np.maximum(radius_mm - _from_surface_mm(core, places, within_mm), -spacing_mm)
    reached = np.maximum(reached, _within_balls_mm(fitting, places, within_mm))
    result = field.copy()
    result[asked] = np.minimum(field[asked], reached)
    return result


def _balls_between(
    depth: Field,
    surface: MeshDistance | None,
    spacing_mm: float,
    radius_mm: float,
    where: NDArray[np.bool_],
) -> tuple[NDArray[np.floating], NDArray[np.float32]]:
    """Return middles (n, 3; x, y, z, mm) and radii (n,) of balls of `radius_mm` and more within a
    surface, in walls so thin that no voxel is so deep, though a place between two voxels is.
    """
    nearly = (depth > radius_mm - spacing_mm) & (depth <= radius_mm) & where
    index = np.argwhere(nearly)
    radii = depth[nearly]
    if surface is None or len(index) == 0:
        return np.empty((0, 3)), radii[:0]
    alone = ~ndimage.maximum_filter(depth > radius_mm, size=3)[nearly]
    # Where the wall goes on getting deeper, the voxels' own core says exactly how deep it is.
    rising = _rises_mm(depth, index) > STEEP * spacing_mm
    index, radii, alone = index[~rising], radii[~rising], alone[~rising]
    start = index[:, ::-1] * spacing_mm
    away, nearest, _ = surface.closest(start)
    inwards = (start - nearest) / np.maximum(away, TINY)[:, None]
    middles = start.copy()
    left = np.arange(len(start))
    for share in WAY_TO_THE_MIDDLE:
        tried = start[left] + share * spacing_mm * inwards[left]
        deep = surface.unsigned_mm(tried)
        deeper = deep > radii[left]
        radii[left[deeper]], middles[left[deeper]] = deep[deeper], tried[deeper]
        # No place is deeper than another by more than what lies between them.
        left = left[deep + (1.0 - share) * spacing_mm >= radius_mm]
    fits = radii >= radius_mm
    # Between balls a voxel apart a wall would get dimples, which it has not.
    dimple_mm = radius_mm - np.sqrt(max(radius_mm**2 - spacing_mm**2 / 2.0, 0.0))
    radii[alone] += min(dimple_mm, spacing_mm / 4.0)
    return middles[fits], radii[fits]


def _rises_mm(depth: Field, index: NDArray[np.intp]) -> Field:
    """Return by how much (n,) the depth rises a voxel on from places (n, 3), straight inwards."""
    last = np.array(depth.shape) - 1
    slope = np.empty(index.shape, np.float32)
    for axis, step in enumerate(np.eye(3, dtype=np.intp)):
        after = depth[tuple(np.minimum(index + step, last).T)]
        slope[:, axis] = after - depth[tuple(np.maximum(index - step, 0).T)]
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), np.float32(TINY))
    return np.asarray(values_at(depth, list((index + slope).T)) - depth[tuple(index.T)])


def _within_balls_mm(
    balls: tuple[NDArray[np.floating], NDArray[np.float32]],
    places_mm: NDArray[np.floating],
    within_mm: float,
) -> Field:
    """Return how far (n,) places (n, 3) lie within the nearest of some balls, negative beyond; less
    than anything where its middle is farther than `within_mm`.
    """
    middles, radii = balls
    result = np.full(len(places_mm), np.float32(-np.inf))
    if len(middles):
        away, nearest = cKDTree(middles).query(
            places_mm, distance_upper_bound=within_mm, workers=-1
        )
        met = np.isfinite(away)
        result[met] = radii[nearest[met]] - away[met]
    return result


def closed(field: Field, spacing_mm: float, radius_mm: float, where: NDArray[np.bool_]) -> Field:
    """Return the field with all filled, `where` asked, that a ball of `radius_mm` outside of it
    does not reach: pits, clefts and pores.

    Beyond the lattice it goes on as at its end, for a ball that has no room before it.
    """
    more = math.ceil(2.0 * radius_mm / spacing_mm) + AROUND_BALLS
    outside = np.pad(-field, more, mode="edge")
    kept = opened(outside, spacing_mm, radius_mm, np.pad(where, more), AROUND_PITS_MM)
    return -kept[(slice(more, -more),) * field.ndim]


def _bitten(
    inside: NDArray[np.bool_], deep_mm: Field, spacing_mm: float, radius_mm: float
) -> NDArray[np.bool_]:
    """Mark the voxels inside that an opening may take away; on smooth faces there are none."""
    core = deep_mm > radius_mm + spacing_mm / 2
    if not core.any():
        return inside
    return np.asarray(inside & (away_mm(core, spacing_mm) > radius_mm + spacing_mm / 2))


def _depth_near(
    field: Field,
    deep_mm: Field,
    surface: MeshDistance | None,
    spacing_mm: float,
    within_mm: float,
    where: NDArray[np.bool_],
) -> Field:
    """Return the field with the exact distance to its surface, in it, that is at most `within_mm`,
    `where` asked. deep_mm: the distance between voxels.
    """
    inside = field > 0.0
    result = np.where(inside, np.minimum(deep_mm, np.float32(within_mm)), field)
    near = where & inside & (deep_mm < within_mm)
    away = _from_surface_mm(surface, np.argwhere(near)[:, ::-1] * spacing_mm, within_mm)
    # Between voxels all of these are within reach; where the surface is not, they are deep.
    result[near] = np.minimum(away, within_mm)
    return result


def _from_surface_mm(
    surface: MeshDistance | None, places_mm: NDArray[np.floating], within_mm: float
) -> Field:
    """Return how far (n,) places (n, 3) lie from a surface, infinite where that is more than
    `within_mm`.
    """
    if surface is None:
        return np.full(len(places_mm), np.float32(np.inf))
    return surface.unsigned_mm(places_mm, within_mm)


def _surface_near(
    field: Field, spacing_mm: float, reach_mm: Field, limit_mm: float
) -> MeshDistance | None:
    """Return the field's surface where `reach_mm` is less than the limit, and a little beyond; None
    where there is none.
    """
    points, triangles = closed_surface_at_zero(field)
    # From a place to its voxel, and from a triangle to its own: a diagonal at both ends.
    x, y, z = np.clip(points, 0.0, np.array(field.shape[::-1]) - 1.0).astype(np.intp).T
    met = reach_mm[z, y, x] < limit_mm + 4.0 * spacing_mm
    triangles = triangles[met[triangles[:, 0]]]
    return MeshDistance(points * spacing_mm, triangles) if len(triangles) else None


def one_solid(
    field: Field,
    room: Field,
    spacing_mm: float,
    least_wall_mm: float,
    core: NDArray[np.bool_],
    across: Across | None = None,
) -> Field:
    """Return the field as one solid without tunnels, no wall of it thinner than `least_wall_mm`.

    room: what the implant may take, positive in it: what is filled stays within. core: bool, what
    belongs to this hole; the piece that holds most of it is kept. across: the sheet's normals
    (`strips.py`); None: strips of it are not looked for.
    """
    radius_mm = least_wall_mm / 2.0 + SURELY_MM

    def made(rough: Field) -> Field:
        wall = opened(main_piece(rough, core), spacing_mm, radius_mm)
        return without_cavities(main_piece(wall, core))

    def made_again(changed: Field, since: Field) -> Field:
        wall = opened_where_changed(changed, since, spacing_mm, radius_mm)
        return without_cavities(main_piece(wall, core))

    solid = made(field)
    if across is not None:
        # Where a strip was cut off its root may be thin.
        solid = made_again(without_strips(solid, across, spacing_mm), solid)
    return without_tunnels(solid, room, spacing_mm, radius_mm, across, made_again)


def opened_where_changed(field: Field, since: Field, spacing_mm: float, radius_mm: float) -> Field:
    """Return the field opened again near where it is not what it was when it had been opened;
    elsewhere it stays: an opening done twice takes a little more each time.
    """
    changed = field != since
    if not changed.any():
        return field
    # Balls that a change lets in, or keeps out, reach so far; what they lie in, farther.
    reach_mm = 2.0 * radius_mm + spacing_mm
    around_mm = reach_mm + 2.0 * radius_mm + AROUND_BITES_MM + 2.0 * spacing_mm
    box = bounding_box(changed, math.ceil(around_mm / spacing_mm))
    near = away_mm(changed[box], spacing_mm) <= reach_mm
    made = opened(field[box], spacing_mm, radius_mm)
    result = field.copy()
    result[box] = np.where(near, made, field[box])
    return result


def taken_away(
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    at_outside: NDArray[np.bool_],
    spacing_mm: float,
) -> tuple[float, NDArray[np.float64]]:
    """Return how much (mm³) of the implant's outside was taken away for being too thin, beyond the
    rounding of its edges, and the middle (3,; z, y, x) of the largest part.

    before, after: bool (z, y, x), the implant. at_outside: a layer at its outer surface.
    """
    gone = before & ~after & at_outside
    if gone.any():
        gone &= away_mm(after, spacing_mm) > ROUNDED_MM
    labels, count = ndimage.label(gone, FULL)
    if count == 0:
        return 0.0, np.zeros(3)
    largest = int(np.argmax(np.bincount(labels[gone])))
    middle = np.argwhere(labels == largest).mean(axis=0)
    return float(np.count_nonzero(gone)) * spacing_mm**3, middle


def smoothed_along_the_rim(
    room: Field, where: NDArray[np.bool_], spacing_mm: float, most_given_mm: float = RIM_GIVES_MM
) -> Field:
    """Return the room left by bone, its surface smoothed by `RIM_BLUR_MM`.

    Steps of the voxels in the bone's edge are no anatomy, and an implant need not have them. No
    more than `RIM_GIVES_MM` of the clearance is given for that; any more is taken. Where no more
    than `most_given_mm` may be, it is done by that share of it: who asks for contact gets it.
    """
    share = np.float32(min(1.0, most_given_mm / RIM_GIVES_MM))
    most = np.clip(room, -2.0, 2.0) + np.float32(RIM_GIVES_MM)
    smooth = most
    # Every round takes more of what stands out, and what is given stays given.
    for _ in range(RIM_ROUNDS):
        smooth = np.minimum(ndimage.gaussian_filter(smooth, RIM_BLUR_MM / spacing_mm), most)
    return np.where(where, room + share * (smooth - room), room)
