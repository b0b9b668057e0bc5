"""Walls that can be made: an implant's field opened by its least wall, in one piece.

A field is float32 (z, y, x) on a lattice of equal sides, positive in the implant, in mm near its
surface. Whatever is filled stays within the room that the fit leaves.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of
from .level_set import surface_at_zero
from .mesh_distance import MeshDistance
from .meshes import mesh_health, mesh_of

Field = NDArray[np.float32]

# Of another piece, or of a void filled, the field says at least this little.
LEAST = 0.05
# Tunnels are closed by filling windows, or cutting bridges, of at most these radii, the least first.
TUNNEL_RADII_MM = (2.0, 3.5, 5.0, 8.0)
# The rim is smoothed by about a voxel of a coarse CT (standard deviation), and of the clearance no
# more is given for that than this.
RIM_BLUR_MM, RIM_GIVES_MM = 1.0, 0.1


def opened(field: Field, spacing_mm: float, radius_mm: float) -> Field:
    """Return the field without what a ball of `radius_mm` within it does not reach.

    What is left is nowhere thinner than the ball, and its edges are rounded by that radius. The
    opening is done on exact distances: what lies within the radius of what lies that deep.
    """
    if radius_mm <= 0.0 or not (field > 0.0).any():
        return field
    depth = redistanced(field, spacing_mm, radius_mm + spacing_mm)
    if not (depth > radius_mm).any():
        return np.full_like(field, -spacing_mm)
    points, triangles = surface_at_zero(_closed_in(depth - np.float32(radius_mm)))
    core = MeshDistance((points - 1.0) * spacing_mm, triangles)
    band = _band(field, spacing_mm)
    places = np.argwhere(band)[:, ::-1] * spacing_mm
    away = core.unsigned_mm(places, within_mm=radius_mm + 2.0 * spacing_mm)
    reached = np.full(field.shape, np.float32(-spacing_mm))
    reached[depth > radius_mm] = np.inf
    reached[band] = np.where(
        depth[band] > radius_mm, np.inf, np.maximum(radius_mm - away, -spacing_mm)
    )
    # Between the band and the core all is within the radius, or nothing of it is near.
    between = (field > 0.0) & ~band & (depth <= radius_mm)
    if between.any():
        places = np.argwhere(between)[:, ::-1] * spacing_mm
        away = core.unsigned_mm(places, within_mm=radius_mm + 2.0 * spacing_mm)
        reached[between] = np.maximum(radius_mm - away, -spacing_mm)
    return np.minimum(field, reached)


def redistanced(field: Field, spacing_mm: float, within_mm: float) -> Field:
    """Return the exact distance to the field's surface, positive in it, float32.

    As far as `within_mm` into it and a lattice step out of it; beyond it is clipped there.
    """
    points, triangles = surface_at_zero(_closed_in(field))
    surface = MeshDistance((points - 1.0) * spacing_mm, triangles)
    inside = field > 0.0
    deep = ndimage.distance_transform_edt(inside, spacing_mm) if inside.any() else inside
    out = ~inside & ndimage.binary_dilation(inside, np.ones((3, 3, 3)))
    near = (inside & (deep < within_mm + spacing_mm)) | out
    result = np.where(inside, np.float32(within_mm), np.float32(-spacing_mm))
    away = surface.unsigned_mm(np.argwhere(near)[:, ::-1] * spacing_mm)
    signed = np.where(inside[near], away, -away)
    result[near] = np.clip(signed, -spacing_mm, within_mm)
    return result


def one_solid(
    field: Field, room: Field, spacing_mm: float, least_wall_mm: float, core: NDArray[np.bool_]
) -> Field:
    """Return the field as one solid without tunnels, no wall of it thinner than `least_wall_mm`.

    room: what the implant may take, positive in it: what is filled stays within. core: bool, what
    belongs to this hole; the piece that holds most of it is kept.
    """
    field = main_piece(field, core)
    found = _solid(field, spacing_mm, least_wall_mm, core)
    if genus_of(found) == 0:
        return found
    best = found
    for radius_mm in TUNNEL_RADII_MM:
        for other in (
            _windows_filled(field, room, spacing_mm, radius_mm),
            _bridges_cut(found, spacing_mm, radius_mm),
        ):
            tried = _solid(other, spacing_mm, least_wall_mm, core)
            genus = genus_of(tried)
            if (tried > 0.0).any() and genus < genus_of(best):
                best = tried
            if genus == 0:
                return best
    return best


def _solid(
    field: Field, spacing_mm: float, least_wall_mm: float, core: NDArray[np.bool_]
) -> Field:
    """Return the field opened by the least wall, its main piece, without cavities."""
    return _without_cavities(
        main_piece(opened(main_piece(field, core), spacing_mm, least_wall_mm / 2.0), core)
    )


def main_piece(field: Field, core: NDArray[np.bool_]) -> Field:
    """Return the field of the face-connected piece that holds most of `core`, or is largest."""
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


def genus_of(field: Field) -> int:
    """Return the number of tunnels of the field's surface, all pieces together."""
    points, triangles = surface_at_zero(_closed_in(field))
    if len(triangles) == 0:
        return 0
    return mesh_health(mesh_of(points, triangles)).genus


def smoothed_along_the_rim(room: Field, where: NDArray[np.bool_], spacing_mm: float) -> Field:
    """Return the room left by bone, its surface smoothed by `RIM_BLUR_MM`.

    Steps of the voxels in the bone's edge are no anatomy, and an implant need not have them. No
    more than `RIM_GIVES_MM` of the clearance is given for it; any more is taken.
    """
    local = np.clip(room, -2.0, 2.0)
    smooth = ndimage.gaussian_filter(local, RIM_BLUR_MM / spacing_mm)
    return np.where(where, np.minimum(smooth, room + np.float32(RIM_GIVES_MM)), room)


def _windows_filled(field: Field, room: Field, spacing_mm: float, radius_mm: float) -> Field:
    """Return the field closed by a ball: windows narrower than it filled, within the room."""
    inside = field > 0.0
    out_mm = ndimage.distance_transform_edt(~inside, spacing_mm)
    grown = out_mm < radius_mm
    deep_mm = ndimage.distance_transform_edt(grown, spacing_mm)
    closed = (deep_mm - radius_mm + spacing_mm / 2).astype(np.float32)
    return np.maximum(field, np.minimum(closed, room))


def _bridges_cut(field: Field, spacing_mm: float, radius_mm: float) -> Field:
    """Return the field without what is thinner than a ball: bridges."""
    inside = field > 0.0
    deep_mm = ndimage.distance_transform_edt(inside, spacing_mm)
    core = deep_mm > radius_mm / 2.0
    if not core.any():
        return field
    reach_mm = ndimage.distance_transform_edt(~core, spacing_mm)
    return np.minimum(field, (1.5 * radius_mm / 2.0 + spacing_mm - reach_mm).astype(np.float32))


def _without_cavities(field: Field) -> Field:
    """Return the field with enclosed voids filled: no printer reaches them."""
    inside = _as_mask(field > 0.0)
    filled = array_of(sitk.BinaryFillhole(inside, fullyConnected=True)) > 0
    voids = filled & (field <= 0.0)
    return np.where(voids, np.float32(LEAST), field) if voids.any() else field


def _as_mask(flags: NDArray[np.bool_]) -> sitk.Image:
    return sitk.GetImageFromArray(flags.astype(np.uint8))


def _band(field: Field, spacing_mm: float) -> NDArray[np.bool_]:
    """Mark the lattice points around the field's surface, and those that lie a step outside."""
    inside = field > 0.0
    return np.asarray(
        ndimage.binary_dilation(inside, np.ones((3, 3, 3)))
        & ~ndimage.binary_erosion(inside, iterations=3)
    )


def _closed_in(field: Field) -> Field:
    """Return the field with a border of outside around it, one step wide."""
    outside = min(float(field.min()), -1e-3)
    return np.pad(field, 1, constant_values=np.float32(outside))
