"""Where a mesh meets itself: facets of two sheets that cross, and facets folded onto each other."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .facet_shapes import MOST_LEAN
from .mesh_edges import edges_of
from .meshes import facet_middles, facet_vectors
from .zero_level import TINY, ZeroLevel

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

# Facets that have another sheet within this are tested; those on the level cross no other ones.
SHEET_MM = 0.2
# So much of the way to it, in mm of field, tells that no other sheet is there.
CLEAR_SHARE = 0.3
# Facets whose normals are so far apart (162 degrees) lie on each other.
FOLDED_COSINE = -0.95


def meeting_facets(points: Floats, triangles: Ints, level: ZeroLevel) -> NDArray[np.intp]:
    """Return which facets cross another, or are folded onto it.

    points (n, 3), mm, of a closed mesh, within `SHEET_MM` / 2 of the level.
    """
    middles = facet_middles(points, triangles)
    vectors = facet_vectors(points, triangles)
    normals = vectors / np.maximum(np.linalg.norm(vectors, axis=1), TINY)[:, None]
    edges = edges_of(triangles, len(points))
    left, right = edges.forth // 3, edges.back // 3
    folded = np.einsum("ij,ij->i", normals[left], normals[right]) < FOLDED_COSINE
    out, _ = level.at(middles + SHEET_MM * normals)
    into, _ = level.at(middles - SHEET_MM * normals)
    _, gradients = level.at(middles)
    leans = np.einsum("ij,ij->i", normals, gradients) > -(1.0 - MOST_LEAN) * np.linalg.norm(
        gradients, axis=1
    )
    near = (out > -CLEAR_SHARE * SHEET_MM) | (into < CLEAR_SHARE * SHEET_MM) | leans
    some = np.flatnonzero(near)
    crossing = some[crossing_facets(points, triangles[some])]
    return np.unique(np.concatenate([left[folded], right[folded], crossing]))


def crossing_facets(points: Floats, triangles: Ints) -> NDArray[np.intp]:
    """Return which of the triangles cross another with which they share no edge."""
    if len(triangles) < 2:
        return np.zeros(0, np.intp)
    corners = points[triangles]
    middles = corners.mean(axis=1)
    radii = np.linalg.norm(corners - middles[:, None], axis=2).max(axis=1)
    pairs = cKDTree(middles).query_pairs(2.0 * radii.max(), output_type="ndarray")
    one, other = pairs.T
    reach = np.linalg.norm(middles[one] - middles[other], axis=1) < radii[one] + radii[other]
    one, other = one[reach], other[reach]
    shared = (triangles[one][:, :, None] == triangles[other][:, None, :]).sum(axis=(1, 2))
    one, other = one[shared < 2], other[shared < 2]
    cross = np.zeros(len(one), np.bool_)
    for a, b in ((one, other), (other, one)):
        for k in range(3):
            ends = triangles[a][:, [k, (k + 1) % 3]]
            apart = (ends[:, :, None] != triangles[b][:, None, :]).all(axis=(1, 2))
            cross |= apart & _pierces(corners[a, k], corners[a, (k + 1) % 3], corners[b])
    return np.unique(np.concatenate([one[cross], other[cross]]))


def _pierces(start: Floats, end: Floats, corners: Floats) -> Bools:
    """Return where the line from start to end (k, 3) goes through the triangle (k, 3, 3)."""
    a, b, c = (corners[:, k] for k in range(3))
    sides = _volume(a, b, c, start) * _volume(a, b, c, end) < 0.0
    turns = [_volume(start, end, p, q) for p, q in ((a, b), (b, c), (c, a))]
    return np.asarray(sides & (np.ptp(np.sign(turns), axis=0) < 2.0))


def _volume(a: Floats, b: Floats, c: Floats, d: Floats) -> Floats:
    """Return six times the signed volume of a tetrahedron."""
    return np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a)
