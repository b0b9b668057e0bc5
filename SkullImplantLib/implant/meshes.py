"""The ground for surfaces: a triangle mesh as arrays and back, and the measure of its health.

A mesh is a `vtkPolyData` of triangles in LPS millimetres, its points stored as float32, because
that is what an STL file holds: what is measured here is what a printer's software will read.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

MM3_PER_CM3 = 1000.0
MM2_PER_CM2 = 100.0
# A facet lower than this is a line to any software that computes with float32 near 200 mm, where
# neighbouring numbers are 1.5e-5 mm apart.
DEGENERATE_HEIGHT_MM = 1e-4


@dataclass(frozen=True)
class MeshHealth:
    """What makes a mesh printable: a solid's boundary has zeros in the first five and one piece."""

    open_edges: int
    non_manifold_edges: int
    non_manifold_points: int
    degenerate: int
    inconsistent_edges: int
    pieces: int
    genus: int
    points: int
    triangles: int
    volume_cm3: float
    area_cm2: float

    @property
    def outward(self) -> bool:
        """Whether every facet is turned the same way, and that way is out of the solid."""
        return self.inconsistent_edges == 0 and self.volume_cm3 > 0

    @property
    def watertight(self) -> bool:
        """Whether the mesh is a closed, oriented 2-manifold: the boundary of a solid."""
        faults = self.open_edges + self.non_manifold_edges + self.non_manifold_points
        return self.triangles > 0 and faults == 0 and self.outward


def mesh_of(points_mm: np.ndarray, triangles: np.ndarray) -> vtkPolyData:
    """Return the mesh with these points (n, 3), LPS mm, and triangles (m, 3) of point numbers."""
    mesh = vtkPolyData()
    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(points_mm, np.float32), deep=True))
    cells = vtkCellArray()
    cells.SetData(3, numpy_to_vtkIdTypeArray(np.ravel(triangles).astype(np.int64), deep=True))
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    return mesh


def arrays_of(mesh: vtkPolyData) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (n, 3), float64, and the triangles (m, 3), int64, of `mesh`.

    Raises `ValueError` where the mesh has a polygon that is no triangle.
    """
    if mesh.GetNumberOfPolys() == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    offsets = vtk_to_numpy(mesh.GetPolys().GetOffsetsArray())
    if np.any(np.diff(offsets) != 3):
        raise ValueError("the mesh has a polygon that is no triangle")
    corners = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64), corners.astype(np.int64)


def facet_vectors(points_mm: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return each facet's normal, its length twice the facet's area (mm²), shape (m, 3)."""
    a, b, c = (points_mm[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def facet_middles(points_mm: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the middle of each triangle, (m, 3)."""
    a, b, c = (points_mm[triangles[:, k]] for k in range(3))
    middles: np.ndarray = (a + b + c) / 3.0
    return middles


def enclosed_volume_mm3(points_mm: np.ndarray, triangles: np.ndarray) -> float:
    """Return the volume inside a closed mesh, positive where its facets look outward (mm³)."""
    if len(triangles) == 0:
        return 0.0
    local = points_mm - points_mm.mean(axis=0)
    a, b, c = (local[triangles[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def facet_heights(points_mm: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return each facet's smallest height (mm): twice its area over its longest side."""
    twice_area = np.linalg.norm(facet_vectors(points_mm, triangles), axis=1)
    corners = points_mm[triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    return np.asarray(twice_area / np.maximum(longest, np.finfo(np.float64).tiny))


def mesh_health(mesh: vtkPolyData) -> MeshHealth:
    """Measure `mesh`; see `MeshHealth`."""
    points, triangles = arrays_of(mesh)
    count = len(triangles)
    used = np.unique(triangles)

    starts, ends = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    keys = low * np.int64(len(points) + 1) + high
    order = np.argsort(keys, kind="stable")
    unique, first, times = np.unique(keys[order], return_index=True, return_counts=True)
    forward = np.add.reduceat((starts < ends)[order].astype(np.int64), first) if count else times
    paired = times == 2

    # Corner c of facet f is node 3f + c. Two facets that share an edge join their corners at each
    # of its ends, so the nodes of one point fall into as many groups as fans of facets meet there.
    one, other = order[first[paired]], order[first[paired] + 1]
    following = np.roll(np.arange(3 * count).reshape(-1, 3), -1, axis=1).ravel()
    same_way = starts[one] == starts[other]
    joined_one = np.concatenate([one, following[one]])
    joined_other = np.concatenate(
        [np.where(same_way, other, following[other]), np.where(same_way, following[other], other)]
    )
    fans = _groups(joined_one, joined_other, 3 * count)[0]
    pieces = _groups(one // 3, other // 3, count)[0]

    # Euler's formula, summed over the pieces: V - E + F = 2 pieces - 2 genus.
    euler = fans - len(unique) + count
    return MeshHealth(
        open_edges=int((times == 1).sum()),
        non_manifold_edges=int((times > 2).sum()),
        non_manifold_points=int(fans - len(used)),
        degenerate=int((facet_heights(points, triangles) < DEGENERATE_HEIGHT_MM).sum()),
        inconsistent_edges=int((paired & (forward != 1)).sum()),
        pieces=int(pieces),
        genus=int((2 * pieces - euler) // 2),
        points=len(used),
        triangles=count,
        volume_cm3=enclosed_volume_mm3(points, triangles) / MM3_PER_CM3,
        area_cm2=float(np.linalg.norm(facet_vectors(points, triangles), axis=1).sum())
        / 2.0
        / MM2_PER_CM2,
    )


def _groups(one: np.ndarray, other: np.ndarray, count: int) -> tuple[int, np.ndarray]:
    """Return the number of connected groups of `count` nodes joined in pairs, and their labels."""
    links = sparse.coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    number, labels = connected_components(links, directed=False)
    return int(number), labels
