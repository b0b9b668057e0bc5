"""Points of a closed mesh that lie in one place, moved apart.

Where a solid touches itself in a point, as letters cut into it may, two points of its surface have
one place. An STL knows points by their places alone: its reader makes them one, and the surface is
no longer the boundary of a solid there.
"""

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from .meshes import arrays_of, mesh_of

# Each moves so far; a hundredth of what a printer shows, and a hundred times what float32 tells
# apart near 200 mm.
APART_MM = 1e-3
# Where points move, others may lie.
MOST_ROUNDS = 8


def with_points_apart(mesh: vtkPolyData) -> vtkPolyData:
    """Return a closed mesh (LPS mm) no two points of which lie in one place; the mesh itself where
    none do.

    Each of them moves by `APART_MM` towards the middle of the points that it is joined with, so
    away from the other one, whether what touches is solid or hollow.
    """
    points, triangles = arrays_of(mesh)
    for _ in range(MOST_ROUNDS):
        shared = _sharing_a_place(points)
        if not shared.any():
            break
        for point in np.flatnonzero(shared):
            beside = np.unique(triangles[(triangles == point).any(axis=1)])
            way = points[beside].mean(axis=0) - points[point]
            length = float(np.linalg.norm(way))
            if length > 0.0:
                points[point] += way * (APART_MM / length)
        mesh = mesh_of(points, triangles)
    return mesh


def _sharing_a_place(points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points (n, 3) lie, in float32, where another does."""
    places = points_mm.astype(np.float32)
    # Few share even one number of their place.
    order = np.argsort(places[:, 0], kind="stable")
    same = np.diff(places[order, 0]) == 0.0
    few = order[np.append(same, False) | np.insert(same, 0, False)]
    _, place, times = np.unique(places[few], axis=0, return_inverse=True, return_counts=True)
    shared = np.zeros(len(places), bool)
    shared[few] = times[place.ravel()] > 1
    return shared
