"""Walls that can be made: an implant's field opened by its least wall, in one piece.

A field is float32 (z, y, x) on a lattice of equal sides, positive in the implant, in mm near its
surface. What is filled is cut by the room that bone leaves; opening only takes away.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.distances import distance_mm
from ..core.images import array_of
from .bone_distance import NOWHERE_MM
from .level_set import surface_at_zero
from .mesh_distance import MeshDistance
from .meshes import mesh_health, mesh_of

Field = NDArray[np.float32]

# Of another piece, or of a void filled, the field says at least this little.
LEAST = 0.05
NO_ZERO_MM = 1e-3
# Exactly done is an opening so far around what voxels say that it takes, and a closing.
AROUND_BITES_MM, AROUND_PITS_MM = 2.5, 1.0
# Tunnels are closed by filling windows, or cutting bridges, of these radii, the least first.
TUNNEL_RADII_MM = (2.0, 3.5, 5.0, 8.0)
# No more of the implant than this is given or taken to be rid of a tunnel.
MOST_FOR_A_TUNNEL = 0.02
CORNER = 1.75  # of a cube's corner a ball leaves the square root of 3 of its radius
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
    deep_mm = _away_mm(~inside, spacing_mm)
    touched = _bitten(inside, deep_mm, spacing_mm, radius_mm)
    if where is not None:
        touched &= where
    if not touched.any():
        return field
    reach_mm = _away_mm(touched, spacing_mm)
    around = reach_mm - np.float32(2.0 * radius_mm + around_mm)
    depth = _depth_near(field, deep_mm, spacing_mm, radius_mm, around)
    if not (depth > radius_mm).any():
        return np.full_like(field, -spacing_mm)
    asked = (reach_mm < around_mm + spacing_mm) & (depth <= radius_mm)
    asked &= ndimage.maximum_filter(inside, size=3)
    away = _away_from_surface_mm(
        depth - np.float32(radius_mm),
        spacing_mm,
        asked,
        reach_mm - np.float32(around_mm + spacing_mm),
        radius_mm + 2.0 * spacing_mm,
    )
    result = field.copy()
    result[asked] = np.minimum(field[asked], np.maximum(radius_mm - away, -spacing_mm))
    return result


def closed(field: Field, spacing_mm: float, radius_mm: float, where: NDArray[np.bool_]) -> Field:
    """Return the field with all filled, `where` asked, that a ball of `radius_mm` outside of it
    does not reach: pits, clefts and pores.
    """
    return -opened(-field, spacing_mm, radius_mm, where, AROUND_PITS_MM)


def _bitten(
    inside: NDArray[np.bool_], deep_mm: Field, spacing_mm: float, radius_mm: float
) -> NDArray[np.bool_]:
    """Mark the voxels inside that an opening may take away; on smooth faces there are none."""
    core = deep_mm > radius_mm + spacing_mm / 2
    if not core.any():
        return inside
    return np.asarray(inside & (_away_mm(core, spacing_mm) > radius_mm + spacing_mm / 2))


def _depth_near(
    field: Field, deep_mm: Field, spacing_mm: float, within_mm: float, beyond_mm: Field
) -> Field:
    """Return the field with the exact distance to its surface, in it, that is at most `within_mm`
    and two steps more, where `beyond_mm` (the way to where it is asked) is negative.

    deep_mm: the distance between voxels.
    """
    inside = field > 0.0
    reach_mm = within_mm + 2.0 * spacing_mm
    result = np.where(inside, np.minimum(deep_mm, np.float32(reach_mm)), field)
    near = (beyond_mm < 0.0) & inside & (deep_mm < reach_mm)
    away = _away_from_surface_mm(field, spacing_mm, near, beyond_mm, reach_mm)
    # Between voxels all of these are within reach; where the surface is not, they are deep.
    result[near] = np.minimum(away, reach_mm)
    return result


def _away_from_surface_mm(
    field: Field,
    spacing_mm: float,
    asked: NDArray[np.bool_],
    beyond_mm: Field,
    within_mm: float,
) -> Field:
    """Return how far (n,) the voxels `asked` lie from the field's surface; infinite where that is
    more than `within_mm`. beyond_mm: how far each voxel lies beyond where any is asked, or less.
    """
    points, triangles = surface_at_zero(_closed_in(field))
    # Farther triangles than that, and a voxel's diagonal at both ends, are nearest to no voxel.
    x, y, z = np.minimum(points, np.array(field.shape[::-1])).astype(np.intp).T - 1
    met = beyond_mm[z, y, x] < within_mm + 4.0 * spacing_mm
    triangles = triangles[met[triangles[:, 0]]]
    if len(triangles) == 0:
        return np.full(np.count_nonzero(asked), np.float32(np.inf))
    surface = MeshDistance((points - 1.0) * spacing_mm, triangles)
    return surface.unsigned_mm(np.argwhere(asked)[:, ::-1] * spacing_mm, within_mm)


def one_solid(
    field: Field, room: Field, spacing_mm: float, least_wall_mm: float, core: NDArray[np.bool_]
) -> Field:
    """Return the field as one solid without tunnels, no wall of it thinner than `least_wall_mm`.

    room: what the implant may take, positive in it: what is filled stays within. core: bool, what
    belongs to this hole; the piece that holds most of it is kept.
    """
    found = _solid(field, spacing_mm, least_wall_mm, core)
    tunnels = genus_of(found)
    for radius_mm in TUNNEL_RADII_MM if tunnels else ():
        ways = (
            _solid(other, spacing_mm, least_wall_mm, core)
            for other in (
                _bridges_cut(found, spacing_mm, radius_mm),
                _windows_filled(found, room, spacing_mm, radius_mm),
            )
        )
        better = [(genus_of(way), _changed(found, way), way) for way in ways if (way > 0.0).any()]
        most = MOST_FOR_A_TUNNEL * np.count_nonzero(found > 0.0)
        better = [told for told in better if told[1] <= most]
        genus, _, way = min(better, key=lambda told: told[:2], default=(tunnels, 0, found))
        if genus < tunnels:
            found, tunnels = way, genus
        if tunnels == 0:
            break
    return found


def _changed(one: Field, other: Field) -> int:
    return int(np.count_nonzero((one > 0.0) != (other > 0.0)))


def _solid(field: Field, spacing_mm: float, least_wall_mm: float, core: NDArray[np.bool_]) -> Field:
    """Return the field opened by the least wall, its main piece, without cavities."""
    return _without_cavities(
        main_piece(opened(main_piece(field, core), spacing_mm, least_wall_mm / 2.0), core)
    )


def main_piece(field: Field, core: NDArray[np.bool_]) -> Field:
    """Return the field of the face-connected piece that holds most of `core`, or is largest."""
    # A zero is inside for marching cubes, but for no mask.
    field = np.where(np.abs(field) < NO_ZERO_MM, np.float32(-NO_ZERO_MM), field)
    labels = array_of(sitk.ConnectedComponent(_as_mask(field > 0.0)))
    if labels.max() <= 1:
        return field
    sizes = np.bincount(labels[core], minlength=int(labels.max()) + 1)
    sizes[0] = 0
    if not sizes.any():
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
    others = (labels > 0) & (labels != sizes.argmax())
    return np.where(others, np.minimum(-np.abs(field), np.float32(-LEAST)), field)


def without_flakes(field: Field, before: Field) -> Field:
    """Return the field with the largest part of each piece of `before` that it was cut from."""
    parts = array_of(sitk.ConnectedComponent(_as_mask(field > 0.0))).astype(np.intp)
    count = int(parts.max())
    pieces = array_of(sitk.ConnectedComponent(_as_mask(before > 0.0))).astype(np.intp)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    piece_of = np.zeros(count + 1, np.intp)
    piece_of[parts.ravel()] = pieces.ravel()
    # The largest part of a piece is the last that is put down, in the order of sizes.
    order = np.argsort(sizes[1:], kind="stable") + 1
    largest = np.zeros(int(piece_of.max()) + 1, np.intp)
    largest[piece_of[order]] = order
    kept = np.zeros(count + 1, bool)
    kept[largest] = True
    kept[0] = False
    flakes = (parts > 0) & ~kept[parts]
    return np.where(flakes, np.minimum(-np.abs(field), np.float32(-LEAST)), field)


def genus_of(field: Field) -> int:
    """Return the number of tunnels of the field's surface, all pieces together."""
    points, triangles = surface_at_zero(_closed_in(field))
    if len(triangles) == 0:
        return 0
    return mesh_health(mesh_of(points, triangles)).genus


def smoothed_along_the_rim(
    room: Field, where: NDArray[np.bool_], spacing_mm: float, most_given_mm: float = RIM_GIVES_MM
) -> Field:
    """Return the room left by bone, its surface smoothed by `RIM_BLUR_MM`.

    Steps of the voxels in the bone's edge are no anatomy, and an implant need not have them. No
    more than `RIM_GIVES_MM`, or `most_given_mm`, of the clearance is given; any more is taken.
    """
    most = np.clip(room, -2.0, 2.0) + np.float32(min(RIM_GIVES_MM, most_given_mm))
    smooth = most
    # Every round takes more of what stands out, and what is given stays given.
    for _ in range(RIM_ROUNDS):
        smooth = np.minimum(ndimage.gaussian_filter(smooth, RIM_BLUR_MM / spacing_mm), most)
    return np.where(where, smooth, room)


def _windows_filled(field: Field, room: Field, spacing_mm: float, radius_mm: float) -> Field:
    """Return the field with windows narrower than a ball filled, as far as the room goes.

    Of all that a closing by the ball adds a window is what meets the outside on both sides.
    """
    inside = field > 0.0
    grown = _away_mm(inside, spacing_mm) < radius_mm
    deep_mm = _away_mm(~grown, spacing_mm)
    closed = deep_mm - np.float32(radius_mm - spacing_mm / 2)
    added = (closed > 0.0) & ~inside
    full = np.ones((3, 3, 3))
    pieces, count = ndimage.label(added, full)
    if count == 0:
        return field
    nearest = ndimage.grey_dilation(pieces, size=(3, 3, 3))
    sides, _ = ndimage.label((nearest > 0) & ~added & ~inside, full)
    met = np.unique(np.column_stack([sides[sides > 0], nearest[sides > 0]]), axis=0)
    windows = np.bincount(met[:, 1], minlength=count + 1) >= 2
    plugs = ndimage.binary_dilation(windows[pieces] & added, full)
    return np.where(plugs, np.maximum(field, np.minimum(closed, room)), field)


def _bridges_cut(field: Field, spacing_mm: float, radius_mm: float) -> Field:
    """Return the field without what is thinner than a ball of `radius_mm`: bridges, hooks."""
    core = _away_mm(field <= 0.0, spacing_mm) > radius_mm / 2.0
    if not core.any():
        return field
    reach_mm = _away_mm(core, spacing_mm)
    # Corners of what stays are no bridges: a ball leaves no more of a right angle.
    most_mm = np.float32(CORNER * radius_mm / 2.0 + spacing_mm)
    return np.minimum(field, most_mm - reach_mm)


def _away_mm(flags: NDArray[np.bool_], spacing_mm: float) -> Field:
    """Return the distance to the nearest voxel of `flags`, mm, 0 in it, float32 (z, y, x)."""
    if not flags.any():
        return np.full(flags.shape, np.float32(NOWHERE_MM))
    image = _as_mask(flags)
    image.SetSpacing([spacing_mm] * 3)
    return distance_mm(image)


def _without_cavities(field: Field) -> Field:
    """Return the field with enclosed voids filled: no printer reaches them."""
    inside = _as_mask(field > 0.0)
    filled = array_of(sitk.BinaryFillhole(inside, fullyConnected=True)) > 0
    voids = filled & (field <= 0.0)
    return np.where(voids, np.float32(LEAST), field) if voids.any() else field


def _as_mask(flags: NDArray[np.bool_]) -> sitk.Image:
    return sitk.GetImageFromArray(flags.astype(np.uint8))


def _closed_in(field: Field) -> Field:
    """Return the field with a border of outside around it, one step wide."""
    outside = min(float(field.min()), -1e-3)
    return np.pad(field, 1, constant_values=np.float32(outside))
