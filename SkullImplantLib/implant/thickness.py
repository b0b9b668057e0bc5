"""How thick the implant is: as the bone that is missing, or what was asked; nowhere too thin.

Thickness is measured from the outer surface, which stays: an implant is made thicker or thinner on
the side of the brain. Where the missing bone is thinner than the least wall, the implant is
thickened inwards as far as `MOST_INWARD_MM`; where that is not enough, what is left too thin is
taken away later (`walls.py`).
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..options import ImplantOptions
from .flush import FACING, Sheet
from .lattice import values_on
from .level_set import surface_at_zero
from .mesh_distance import MeshDistance
from .meshes import facet_middles, facet_vectors
from .walls import SURELY_MM

Field = NDArray[np.float32]

# Thicker than the missing bone by no more than this, for a least wall: brain and dura give way to
# so much, and neighbours' inner tables differ by as much.
MOST_INWARD_MM = 1.2
# So much thicker than the wall that is opened for, that nothing of it is lost there.
OPENED_MM = 2.0 * SURELY_MM + 0.3
# What lies under the sheet, not beyond its edge, is met along the facet's normal about.
UNDER = 0.7
# Where the sheet's outer share is under this, its own outer surface is not the nearest.
INNER_SHARE = 0.7


def with_thickness(
    sheet: Sheet, lattice: sitk.Image, options: ImplantOptions, where: NDArray[np.bool_]
) -> Field:
    """Return the sheet's field (z, y, x), mm, with the thickness that `options` ask for.

    lattice: that of the field. where: bool, what may belong to the implant; elsewhere nothing
    changes.
    """
    if options.thickness_mm is not None:
        asked_mm = np.float32(options.thickness_mm)
        looked_at = where & (sheet.field > -asked_mm)
        below = below_outer_mm(sheet, lattice, looked_at, options.thickness_mm)
        return np.where(looked_at, np.minimum(below, asked_mm - below), sheet.field)
    least_mm = np.float32(options.least_wall_mm + OPENED_MM)
    # On the outer half the sheet is its own wall; deeper than half a wall it is thick enough.
    looked_at = where & (sheet.field > -MOST_INWARD_MM) & (sheet.field < least_mm / 2.0)
    looked_at &= values_on(sheet.outer_share, lattice, 1.0) < INNER_SHARE
    below = below_outer_mm(sheet, lattice, looked_at, float(least_mm))
    wall = np.minimum(below, least_mm - below)
    thicker = np.minimum(wall, sheet.field + np.float32(MOST_INWARD_MM))
    return np.where(looked_at, np.maximum(sheet.field, thicker), sheet.field)


def below_outer_mm(
    sheet: Sheet, lattice: sitk.Image, looked_at: NDArray[np.bool_], within_mm: float
) -> Field:
    """Return the distance below the sheet's outer surface where `looked_at`, float32 (z, y, x), mm.

    Negative above it, and beyond the sheet's edges; at most `within_mm` and a step.
    """
    spacing_mm = float(lattice.GetSpacing()[0])
    result = np.full(sheet.field.shape, np.float32(-spacing_mm))
    points, triangles = surface_at_zero(sheet.field)
    if len(triangles) == 0 or not looked_at.any():
        return result
    normals = facet_vectors(points, triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    middles = facet_middles(points, triangles)
    facing = np.einsum("ij,ij->i", normals[:, ::-1], sheet.across(lattice)(middles[:, ::-1]))
    outer = triangles[facing > FACING]
    if len(outer) == 0:
        return result
    places = np.argwhere(looked_at)[:, ::-1] * spacing_mm
    away, nearest, facet = MeshDistance(points * spacing_mm, outer).closest(
        places, within_mm + spacing_mm
    )
    along = -np.einsum("ij,ij->i", places - nearest, facet)
    under = np.abs(along) >= UNDER * away
    signed = np.where(under | np.isinf(away), np.copysign(away, along), -away)
    result[looked_at] = np.where(np.isinf(away), within_mm + spacing_mm, signed)
    return result
