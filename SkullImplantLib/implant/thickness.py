"""How thick the implant is: as the bone that is missing, or what was asked; nowhere too thin.

Thickness is measured from the outer surface, which stays: an implant is made thicker or thinner on
the side of the brain. Where the missing bone is thinner than the least wall, the implant is
thickened inwards as far as `MOST_INWARD_MM`; where that is not enough, what is left too thin is
taken away later (`walls.py`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.interpolation import values_at
from ..options import ImplantOptions
from .flush import FACING, Sheet
from .level_set import surface_at_zero
from .meshes import facet_vectors
from .mesh_distance import MeshDistance

Field = NDArray[np.float32]

# Thicker than the missing bone by no more than this, for a least wall: brain and dura give way to
# so much, and neighbours' inner tables differ by as much.
MOST_INWARD_MM = 1.0
# What lies under the sheet, not beyond its edge, is met along the facet's normal about.
UNDER = 0.7
THICKENED_CM2 = 1.0  # less is not worth a note


@dataclass(frozen=True)
class Solid:
    """The sheet with its thickness: field (z, y, x), mm, positive in it; notes."""

    field: Field
    notes: tuple[str, ...] = ()


def with_thickness(sheet: Sheet, spacing_mm: float, options: ImplantOptions) -> Solid:
    """Return the sheet with the thickness that `options` ask for."""
    if options.thickness_mm is not None:
        below = _below_outer_mm(sheet, spacing_mm, options.thickness_mm)
        return Solid(np.minimum(below, np.float32(options.thickness_mm) - below))
    below = _below_outer_mm(sheet, spacing_mm, MOST_INWARD_MM)
    wall = np.minimum(below, np.float32(options.least_wall_mm) - below)
    thicker = np.maximum(
        sheet.field, np.minimum(wall, sheet.field + np.float32(MOST_INWARD_MM))
    )
    return Solid(thicker)


def _below_outer_mm(sheet: Sheet, spacing_mm: float, beyond_mm: float) -> Field:
    """Return the distance below the sheet's outer surface, mm, float32 (z, y, x).

    Negative above it and beyond the sheet's edges. Known as far as `beyond_mm` below the sheet's
    inner surface; deeper it is negative as well.
    """
    field = sheet.field
    points, triangles = surface_at_zero(field)
    normals = facet_vectors(points, triangles)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    middles = points[triangles].mean(axis=1)
    outward = np.stack(
        [values_at(sheet.normals[k], list(middles.T[::-1])) for k in (2, 1, 0)], axis=1
    )
    outer = triangles[np.einsum("ij,ij->i", normals, outward) > FACING]
    result = np.full(field.shape, np.float32(-spacing_mm))
    if len(outer) == 0:
        return result
    distance = MeshDistance(points * spacing_mm, outer)
    looked_at = field > -max(beyond_mm, spacing_mm)
    places = np.argwhere(looked_at)[:, ::-1] * spacing_mm
    away, nearest, facet = distance.closest(places)
    along = -np.einsum("ij,ij->i", places - nearest, facet)
    under = np.abs(along) >= UNDER * away
    result[looked_at] = np.where(under, np.copysign(away, along), -away)
    return result
