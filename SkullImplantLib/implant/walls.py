"""Walls that can be made: an implant's field opened by its least wall, in one piece.

A field is float32 (z, y, x) on a lattice of equal sides, positive in the implant, in mm near its
surface. Every step here only takes away.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of
from .level_set import surface_at_zero
from .mesh_distance import MeshDistance

Field = NDArray[np.float32]

# So far around its surface a field is made anew; marching cubes looks one lattice step each way.
BAND_STEPS = 1.75


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


def largest_piece(field: Field) -> Field:
    """Return the field of its largest face-connected piece alone."""
    labels = array_of(
        sitk.ConnectedComponent(sitk.GetImageFromArray((field > 0.0).astype(np.uint8)))
    )
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    if len(sizes) < 3:
        return field
    others = (labels > 0) & (labels != sizes.argmax())
    return np.where(others, -np.abs(field), field)


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
