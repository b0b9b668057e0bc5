"""The edges of a closed triangle mesh: their facets, their ends' neighbours, sets far apart."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

# Sets of edges apart are grown so many times.
GROWTHS = 3


class MeshEdges(NamedTuple):
    """The edges of a closed mesh, in order of their ends, and each point's neighbours in rows."""

    one: Ints
    other: Ints
    forth: Ints  # the half-edge from one to other; half-edge h leaves corner h % 3 of facet h // 3
    back: Ints
    starts: Ints
    neighbours: Ints

    def numbers(self, one: Ints, other: Ints) -> NDArray[np.int64]:
        """Return a number for each pair of points; those of the edges ascend."""
        return one * np.int64(len(self.starts)) + other

    def are_among(self, numbers: NDArray[np.int64]) -> tuple[Bools, NDArray[np.intp]]:
        """Return which pairs are edges, and for each of these its place among the edges."""
        own = self.numbers(self.one, self.other)
        at = np.minimum(np.searchsorted(own, numbers), len(own) - 1)
        there = own[at] == numbers
        return there, at[there]

    def around(self, values: NDArray[Any], of: np.ufunc) -> NDArray[Any]:
        """Return `of` each point's value and its neighbours' values."""
        used = np.diff(self.starts) > 0
        found = values.copy()
        rows = self.starts[:-1][used]
        found[used] = of(values[used], of.reduceat(values[self.neighbours], rows))
        return found

    def may_join(self, one: Ints, other: Ints) -> Bools:
        """Return where the link condition holds: two neighbours shared, and no tetrahedron."""
        count = len(self.starts) - 1
        ones = np.ones(len(self.neighbours), np.int8)
        links = sparse.csr_matrix((ones, self.neighbours, self.starts), shape=(count, count))
        shared = np.asarray(links[one].multiply(links[other]).sum(axis=1)).ravel()
        degree = np.diff(self.starts)
        return np.asarray((shared == 2) & (degree[one] + degree[other] > 6))

    def apart(self, one: Ints, other: Ints) -> NDArray[np.intp]:
        """Return edges whose ends neither touch nor neighbour another's; the first given win."""
        free = np.arange(len(one), dtype=np.int32)
        chosen = []
        for _ in range(GROWTHS):
            best = np.full(len(self.starts) - 1, len(one), np.int32)
            np.minimum.at(best, one[free], free)
            np.minimum.at(best, other[free], free)
            best = self.around(best, np.minimum)
            won = free[(best[one[free]] == free) & (best[other[free]] == free)]
            chosen.append(won)
            taken = np.zeros(len(best), np.bool_)
            taken[one[won]] = taken[other[won]] = True
            near = self.around(taken, np.logical_or)
            free = free[~(near[one[free]] | near[other[free]])]
        return np.sort(np.concatenate(chosen))


def edges_of(triangles: Ints, count: int) -> MeshEdges:
    half = np.arange(triangles.size, dtype=np.int32)
    ends = (triangles.ravel(), triangles[:, [1, 2, 0]].ravel())
    into = sparse.coo_matrix((half, ends), shape=(count, count)).tocsc()
    out = into.tocsr()
    rows = np.repeat(np.arange(count, dtype=np.int32), np.diff(out.indptr))
    up = rows < out.indices
    return MeshEdges(
        rows[up], out.indices[up], out.data[up], into.data[up], out.indptr, out.indices
    )
