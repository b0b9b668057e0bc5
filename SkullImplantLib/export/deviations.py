"""How far an implant's outer face lies from another surface: the head's other side, or the outer
face of a previous design. Points are (n, 3), LPS mm.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..checks.plate_surface import plate_surface
from ..checks.surface_maps import at_points
from ..implant.mesh_distance import MeshDistance
from ..implant.meshes import arrays_of, facet_middles, facet_vectors, mesh_of
from ..implant.surface import together

Floats = NDArray[np.floating]

# An implant comes out away from the head, so that the head's inside lies so far the other way.
INTO_HEAD_MM = 80.0
# What looks outward of the other surface: within 60 degrees of the ray from within the head.
FACING_COSINE = 0.5
# Where the nearest point of the other surface is not straight below or above, it ends before it.
STRAIGHT_COSINE, NEAR_MM = 0.8, 0.3


def deviation_mm(
    implant: vtkPolyData, direction: Floats | Sequence[float], others: Sequence[vtkPolyData]
) -> NDArray[np.float32]:
    """Return at each point of an implant's mesh (LPS mm) how far its outer face stands out of the
    others' outward surfaces (p,), mm; not a number on its other faces, and where there is nothing
    of the others below or above.

    direction: unit vector (LPS) along which it comes out.
    """
    within = _within_head(implant, direction)
    points = arrays_of(implant)[0]
    found = np.full(len(points), np.nan, np.float32)
    surface, triangles = arrays_of(together(tuple(others)))
    if len(triangles) == 0:
        return found
    rays = facet_middles(surface, triangles) - within
    normals = facet_vectors(surface, triangles)
    size = np.linalg.norm(rays, axis=1) * np.linalg.norm(normals, axis=1)
    outward = np.einsum("ij,ij->i", rays, normals) > FACING_COSINE * np.maximum(size, 1e-12)
    if not outward.any():
        return found
    outer = at_points(implant, plate_surface(implant, within)).outer
    places = points[outer]
    away, nearest, normal = MeshDistance(surface, triangles[outward]).closest(places)
    along = np.einsum("ij,ij->i", places - nearest, normal)
    straight = (np.abs(along) >= STRAIGHT_COSINE * away) | (away <= NEAR_MM)
    found[outer] = np.where(straight, np.copysign(away, along), np.nan)
    return found


def outer_face(implant: vtkPolyData, direction: Floats | Sequence[float]) -> vtkPolyData:
    """Return the outer face of an implant's mesh, which comes out along a unit vector."""
    plate = plate_surface(implant, _within_head(implant, direction))
    return mesh_of(plate.points_mm, plate.triangles[plate.outer_facets])


def _within_head(implant: vtkPolyData, direction: Floats | Sequence[float]) -> Floats:
    bounds = np.reshape(implant.GetBounds(), (3, 2))
    return np.asarray(bounds.mean(axis=1) - INTO_HEAD_MM * np.asarray(direction, np.float64))
