"""Where the surface of a mesh passes through itself.

Pairs of facets whose boxes meet are found on a grid; two facets intersect where an edge of the one
passes through the face of the other (Möller and Trumbore 1997). Facets that share a corner are
asked about the edges opposite to it; those that share an edge can only touch.
Points are (n, 3), mm.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..implant.meshes import facet_vectors

Floats = NDArray[np.floating]
Numbers = NDArray[np.int64]

# Cells of the grid are so many times as long as most facets' boxes; no facet is longer than
# so many cells.
CELL_FACETS, USUAL_PERCENT, MOST_CELLS = 1.0, 90.0, 12
# Nearer to an edge or corner than this share of the facet, two facets touch and do not pass.
TOUCHING = 1e-6
TINY = 1e-30


def intersecting_facets(points_mm: Floats, triangles: Numbers) -> Numbers:
    """Return the numbers (k,) of the facets that pass through another one, in order."""
    corners = points_mm[triangles]
    planes = facet_vectors(points_mm, triangles)
    found = [np.zeros(0, np.int64)]
    for pairs in _pairs_in_reach(corners):
        pairs = pairs[_both_cut(corners, planes, pairs)]
        found.append(pairs[_pass(corners, triangles, pairs)].ravel())
    return np.unique(np.concatenate(found))


def _pairs_in_reach(corners: Floats) -> Iterator[Numbers]:
    """Yield pairs (n, 2) of facets whose boxes meet, each once."""
    low, high = _extremes(corners)
    origin = low.min(axis=0)
    size = _extremes(high - low)[1]
    cell = max(
        float(np.percentile(size, USUAL_PERCENT)) * CELL_FACETS, float(size.max()) / MOST_CELLS
    )
    start = np.floor((low - origin) / cell).astype(np.int64)
    sides = np.floor((high - origin) / cell).astype(np.int64) - start + 1
    shape = (start + sides).max(axis=0)
    counts = sides.prod(axis=1)
    facet = np.repeat(np.arange(len(corners)), counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    at, across = start[facet], sides[facet]
    at[:, 0] += step % across[:, 0]
    at[:, 1] += step // across[:, 0] % across[:, 1]
    at[:, 2] += step // (across[:, 0] * across[:, 1])
    keys = (at[:, 2] * shape[1] + at[:, 1]) * shape[0] + at[:, 0]
    order = np.argsort(keys, kind="stable")
    keys, facet, at = keys[order], facet[order], at[order]
    # Facets of one cell stand in a row: each with the next, the next but one, and so on.
    here = np.arange(len(keys))
    ahead = 0
    while here.size:
        ahead += 1
        here = here[here + ahead < len(keys)]
        here = here[keys[here] == keys[here + ahead]]
        one, other, row = facet[here], facet[here + ahead], here
        # Two facets may meet in several cells: the one where both have begun counts.
        for axis in range(3):
            begun = np.maximum(start[one, axis], start[other, axis]) == at[row, axis]
            along = (low[one, axis] <= high[other, axis]) & (low[other, axis] <= high[one, axis])
            meet = begun & along
            one, other, row = one[meet], other[meet], row[meet]
        yield np.stack([one, other], axis=1)


def _extremes(values: Floats) -> tuple[Floats, Floats]:
    """Return the least and the most of three values along axis 1; faster than numpy's own."""
    a, b, c = values[:, 0], values[:, 1], values[:, 2]
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def _both_cut(corners: Floats, planes: Floats, pairs: Numbers) -> NDArray[np.bool_]:
    """Say which pairs (n, 2) of facets have each corners on both sides of the other's plane."""
    cut = np.ones(len(pairs), bool)
    for one, other in ((0, 1), (1, 0)):
        a, b = pairs[cut, one], pairs[cut, other]
        least, most = _extremes(np.einsum("nkj,nj->nk", corners[a] - corners[b, :1], planes[b]))
        cut[cut] = (most > TINY) & (least < -TINY)
    return cut


def _pass(corners: Floats, triangles: Numbers, pairs: Numbers) -> NDArray[np.bool_]:
    """Say which pairs (n, 2) of facets pass through one another."""
    alike = triangles[pairs[:, 0]][:, :, None] == triangles[pairs[:, 1]][:, None, :]
    shared = alike.sum(axis=(1, 2))
    result = np.zeros(len(pairs), bool)
    apart, corner = np.flatnonzero(shared == 0), np.flatnonzero(shared == 1)
    rows = np.arange(len(corner))
    for one, other, axis in ((0, 1, 2), (1, 0, 1)):
        own, faces = corners[pairs[apart, one]], corners[pairs[apart, other]]
        for k in range(3):
            result[apart] |= _through_face(own[:, k], own[:, (k + 1) % 3], faces)
        at = alike[corner].any(axis=axis).argmax(axis=1)
        own, faces = corners[pairs[corner, one]], corners[pairs[corner, other]]
        result[corner] |= _through_face(own[rows, (at + 1) % 3], own[rows, (at + 2) % 3], faces)
    return result


def _through_face(start: Floats, end: Floats, faces: Floats) -> NDArray[np.bool_]:
    """Say which stretches (n, 3) pass through the inside of their face (n, 3, 3)."""
    a = faces[:, 0]
    ab, ac, along = faces[:, 1] - a, faces[:, 2] - a, end - start
    across = np.cross(along, ac)
    area = np.einsum("ij,ij->i", ab, across)
    size = np.linalg.norm(np.cross(ab, ac), axis=1) * np.linalg.norm(along, axis=1)
    level = np.abs(area) <= TOUCHING * size + TINY
    scale = 1.0 / np.where(level, 1.0, area)
    from_a = start - a
    u = np.einsum("ij,ij->i", from_a, across) * scale
    over = np.cross(from_a, ab)
    v = np.einsum("ij,ij->i", along, over) * scale
    t = np.einsum("ij,ij->i", ac, over) * scale
    least = TOUCHING
    inside = (u > least) & (v > least) & (u + v < 1.0 - least)
    return ~level & inside & (t > least) & (t < 1.0 - least)
