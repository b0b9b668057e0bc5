"""Exact distances to a triangle mesh: the ground of the fit, and of the checks.

The closest point of a triangle after Ericson, *Real-Time Collision Detection* (2005), 5.1.5: by
the region (corner, edge or face) that the point lies over. Which triangles are worth looking at a
k-d tree tells: those whose middles are nearest, and no others where all triangles are about a
voxel large, as those of marching cubes are. Points are (n, 3) in mm, in any one frame.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..core.threads import worker_count

Floats = NDArray[np.floating]

# Of so many triangles around a point the nearest is taken: more than meet at a corner of it.
CANDIDATES = 8
LEAF = 32  # middles of triangles
# Larger sides than this are halved for the search (the distance stays that to the triangle).
LONGEST_SIDE_MM = 2.0
POINTS_AT_A_TIME = 1 << 15
TINY = 1e-300
# Facets that share the nearest edge or corner are as near as one another but for rounding.
TIE_MM = 1e-7


class MeshDistance:
    """The distance to the triangles of a mesh: `points_mm` (m, 3), `triangles` (k, 3)."""

    def __init__(self, points_mm: Floats, triangles: NDArray[np.integer]) -> None:
        if len(triangles) == 0:
            raise ValueError("a mesh without triangles is nowhere")
        if not np.isfinite(points_mm).all():
            raise ValueError("the mesh has points that are no numbers")
        self._corners = np.asarray(points_mm, np.float64)[triangles]
        middles, self._of, reach_mm = _middles(self._corners)
        # One more for "none within reach", which the tree gives the last number and infinity.
        self._reach_mm = np.append(reach_mm, 0.0)
        # Of a lattice's triangles such a tree is made twice as fast as scipy's own, and is as good.
        self._tree = cKDTree(middles, leafsize=LEAF, balanced_tree=False)

    def unsigned_mm(self, points_mm: Floats, within_mm: float = np.inf) -> NDArray[np.float32]:
        """Return each point's distance (n,), float32, infinite where it is beyond `within_mm`."""
        distance = np.full(len(points_mm), np.inf, np.float32)

        def work(some: slice) -> None:
            distance[some] = self._of_some(points_mm[some], within_mm)[0]

        self._each(work, len(points_mm))
        return distance

    def signed_mm(self, points_mm: Floats) -> NDArray[np.float32]:
        """Return each point's distance (n,), float32, negative on the inner side of the facets.

        Where several facets are the nearest, at an edge or corner, the one that is seen most
        straight says which side it is.
        """
        distance = np.full(len(points_mm), np.inf, np.float32)

        def work(some: slice) -> None:
            away, nearest, chosen = self._of_some(points_mm[some], np.inf)
            across = np.einsum("ij,ij->i", points_mm[some] - nearest, self._normals_of(chosen))
            distance[some] = np.copysign(away, across)

        self._each(work, len(points_mm))
        return distance

    def closest(
        self, points_mm: Floats, within_mm: float = np.inf
    ) -> tuple[Floats, Floats, Floats]:
        """Return each point's distance (n,), the closest point (n, 3) and its facet's unit
        normal (n, 3); of points beyond `within_mm` the distance is infinite, the rest no answer.
        """
        distance = np.full(len(points_mm), np.inf)
        nearest, normal = np.zeros((len(points_mm), 3)), np.zeros((len(points_mm), 3))

        def work(some: slice) -> None:
            distance[some], nearest[some], chosen = self._of_some(points_mm[some], within_mm)
            normal[some] = self._normals_of(chosen)

        self._each(work, len(points_mm))
        return distance, nearest, normal

    @staticmethod
    def _each(work: Callable[[slice], None], count: int) -> None:
        parts = [slice(k, k + POINTS_AT_A_TIME) for k in range(0, count, POINTS_AT_A_TIME)]
        with ThreadPoolExecutor(worker_count()) as threads:
            list(threads.map(work, parts))

    def _normals_of(self, chosen: NDArray[np.intp]) -> Floats:
        a, b, c = (self._corners[chosen, k] for k in range(3))
        normals = np.cross(b - a, c - a)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.asarray(normals / np.maximum(length, TINY))

    def _of_some(self, points: Floats, within_mm: float) -> tuple[Floats, Floats, NDArray[np.intp]]:
        points = np.asarray(points, np.float64)
        count = min(CANDIDATES, len(self._of))
        reach = within_mm + self._reach_mm.max()
        apart, index = self._tree.query(points, count, distance_upper_bound=reach)
        apart, index = apart.reshape(len(points), count), index.reshape(len(points), count)
        best = np.full(len(points), np.inf)
        nearest = np.zeros_like(points)
        chosen = np.zeros(len(points), np.intp)
        for k in range(count):
            # A triangle that does not reach nearer than another lies cannot be the nearest.
            middle = index[:, k]
            rows = np.flatnonzero(apart[:, k] - self._reach_mm[middle] < best)
            triangle = self._of[middle[rows]]
            here = closest_on_triangles(points[rows], self._corners[triangle])
            distance = _away(points[rows], here)
            nearer = distance < best[rows] - TIE_MM
            tied = np.flatnonzero(~nearer & (distance < best[rows] + TIE_MM))
            if len(tied):
                away = points[rows[tied]] - here[tied]
                straight = np.abs(np.einsum("ij,ij->i", away, self._normals_of(triangle[tied])))
                so_far = points[rows[tied]] - nearest[rows[tied]]
                before = self._normals_of(chosen[rows[tied]])
                nearer[tied] = straight > np.abs(np.einsum("ij,ij->i", so_far, before))
            rows = rows[nearer]
            best[rows], nearest[rows] = distance[nearer], here[nearer]
            chosen[rows] = triangle[nearer]
        best[best > within_mm] = np.inf
        return best, nearest, chosen


def closest_on_triangles(points: Floats, corners: Floats) -> Floats:
    """Return for each point (n, 3) the closest point (n, 3) of its triangle, corners (n, 3, 3)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    d1, d2 = _dot(ab, ap), _dot(ac, ap)
    bp = points - b
    d3, d4 = _dot(ab, bp), _dot(ac, bp)
    cp = points - c
    d5, d6 = _dot(ab, cp), _dot(ac, cp)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    area = np.maximum(va + vb + vc, TINY)
    v, w = vb / area, vc / area  # over the face
    on_ab = (vc <= 0) & (d1 >= 0) & (d3 <= 0)
    on_ac = (vb <= 0) & (d2 >= 0) & (d6 <= 0)
    on_bc = (va <= 0) & (d4 - d3 >= 0) & (d5 - d6 >= 0)
    along_bc = (d4 - d3) / np.maximum((d4 - d3) + (d5 - d6), TINY)
    v = np.where(on_bc, 1.0 - along_bc, v)
    w = np.where(on_bc, along_bc, w)
    v = np.where(on_ac, 0.0, v)
    w = np.where(on_ac, d2 / np.maximum(d2 - d6, TINY), w)
    v = np.where(on_ab, d1 / np.maximum(d1 - d3, TINY), v)
    w = np.where(on_ab, 0.0, w)
    for at, corner_v, corner_w in (
        ((d6 >= 0) & (d5 <= d6), 0.0, 1.0),
        ((d3 >= 0) & (d4 <= d3), 1.0, 0.0),
        ((d1 <= 0) & (d2 <= 0), 0.0, 0.0),
    ):
        v, w = np.where(at, corner_v, v), np.where(at, corner_w, w)
    return np.asarray(a + v[:, None] * ab + w[:, None] * ac)


def _dot(one: Floats, other: Floats) -> Floats:
    return np.einsum("ij,ij->i", one, other)


def _away(one: Floats, other: Floats) -> Floats:
    apart = one - other
    return np.asarray(np.sqrt(_dot(apart, apart)))


def _middles(corners: Floats) -> tuple[Floats, NDArray[np.intp], Floats]:
    """Return middles (m, 3) of the triangles, of large ones those of their quarters, the triangle
    (m,) that each is of, and how far (m,) it, or its quarter, reaches from its middle.
    """
    of = np.arange(len(corners))
    done_middles, done_of, done_reach = [], [], []
    while len(corners):
        a, b, c = (corners[:, k] for k in range(3))
        small = np.maximum(np.maximum(_away(a, b), _away(b, c)), _away(c, a)) <= LONGEST_SIDE_MM
        middles = (a[small] + b[small] + c[small]) / 3.0
        reach = [_away(corner[small], middles) for corner in (a, b, c)]
        done_reach.append(np.maximum(np.maximum(reach[0], reach[1]), reach[2]))
        done_middles.append(middles)
        done_of.append(of[small])
        a, b, c = a[~small], b[~small], c[~small]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
        corners = np.concatenate([np.stack(q, axis=1) for q in quarters])
        of = np.tile(of[~small], 4)
    return np.concatenate(done_middles), np.concatenate(done_of), np.concatenate(done_reach)
