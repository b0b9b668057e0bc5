"""A mesh made even on a field's zero level: edges collapsed, flipped and split, points relaxed.

The steps are those of Botsch and Kobbelt 2004 ("A remeshing approach to multiresolution
modeling"), each taken at once wherever its places do not touch. Edges are collapsed only where the
link condition of Dey et al. 1999 ("Topology preserving edge contraction") holds, so pieces, genus
and closedness stay as they were.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .facet_shapes import FacetShapes, shapes_of
from .mesh_edges import edges_of
from .zero_level import TINY, ZeroLevel, dot, lengths

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

# So far from the zero level may the middles of facets and edges be; a step takes them no farther.
TOLERANCE_MM = 0.05
# Facets that bend less are as near as half of that: not measured.
LEAST_BEND_MM = 8.0 * TOLERANCE_MM / 2.0
# Points settle at most so far off the zero level.
SETTLED_MM = 0.025
# An edge is flipped where the cotangents of the angles opposite it add to less: not Delaunay.
FLIP_COTANGENTS = -0.02
# So far of the way to its neighbours' middle a point goes.
RELAX_SHARE = 0.7
# Under this share of the length below which edges are collapsed they are collapsed whatever slivers
# are left: where points lie in a cluster, one more goes next.
CLUSTER_SHARE = 0.4
# And at last even where facets lean up to 78 degrees, however far from the level.
CLUSTER_LEAN = 0.8
# Edges are collapsed in so many classes of length.
LENGTH_CLASSES = 4


class EvenMesh:
    """A closed mesh on a level, made even in place. Points in no triangle are kept until the end.

    locked: points (n,) that stay where and what they are.
    """

    def __init__(self, level: ZeroLevel, points: Floats, triangles: Ints, locked: Bools) -> None:
        self.level = level
        self.triangles = triangles.astype(np.int32)
        self.locked = locked
        self.points, self.normals, away = level.projected(points)
        stay = (away > TOLERANCE_MM) | locked
        self.points[stay] = points[stay]
        # Edges that could not be collapsed are not tried again before others changed.
        self.refused = np.zeros(0, np.int64)
        self._random = np.random.default_rng(0)

    def collapse(
        self,
        below_mm: float,
        longest_mm: float,
        share: float = 0.5,
        loose_mm: float = 0.0,
    ) -> int:
        """Collapse edges shorter than `below_mm` to the point at `share` of them; return how many.

        No side becomes longer than `longest_mm`. loose_mm: so far from the level may facets come,
        if more than the tolerance; or as far as they were.
        """
        count = len(self.points)
        if not (self._sides_mm() < below_mm).any():
            return 0
        edges = edges_of(self.triangles, count)
        length = lengths(self.points[edges.one] - self.points[edges.other])
        free = (length < below_mm) & ~(self.locked[edges.one] | self.locked[edges.other])
        free[edges.are_among(self.refused)[1]] = False
        may = np.flatnonzero(free)
        if len(may) == 0:
            return 0
        # Shortest first, but mixed within a class: in an order of place few would come first.
        may = self._random.permutation(may)
        classes = (length[may] * (LENGTH_CLASSES / below_mm)).astype(np.int8)
        may = may[np.argsort(classes, kind="stable")]
        may = may[edges.apart(edges.one[may], edges.other[may])]
        one, other = edges.one[may], edges.other[may]
        new, normals, away = self.level.projected(
            (1.0 - share) * self.points[one] + share * self.points[other]
        )
        good = edges.may_join(one, other) & (away <= TOLERANCE_MM)
        # A facet touches one collapse at most, as their ends are no neighbours.
        place = np.full(count, -1, np.int32)
        place[one] = place[other] = np.arange(len(one))
        at = place[self.triangles.T]
        ends, of = (at >= 0).sum(axis=0), at.max(axis=0)
        touched = np.flatnonzero(ends == 1)
        kept, of_kept = self.triangles[touched], of[touched]
        clustered = length[may] < CLUSTER_SHARE * below_mm
        moved = place[kept] >= 0
        corners = np.where(moved[..., None], new[of_kept][:, None], self.points[kept])
        facing = np.where(moved[..., None], normals[of_kept][:, None], self.normals[kept])
        shapes = shapes_of(corners, facing)
        # What fails is held against the worst of those facets that were there.
        over = shapes.over(longest_mm)
        star = np.flatnonzero((np.bincount(of_kept[over], minlength=len(one)) > 0)[of_kept])
        before = self._shapes(kept[star]).worst(of_kept[star], len(one))
        before.aspect[clustered] = np.inf
        if loose_mm > 0.0:
            before.lean[clustered] = np.maximum(before.lean[clustered], CLUSTER_LEAN)
        over = over[shapes.of(over).worse(before.of(of_kept[over]), longest_mm)]
        good[of_kept[over]] = False
        # A facet's middle and that of the side that leaves the new point: each new side once.
        some = np.flatnonzero(good[of_kept] & (shapes.bend > LEAST_BEND_MM))
        after = corners[some, (moved[some].argmax(axis=1) + 1) % 3]
        middles = [corners[some].mean(axis=1), 0.5 * (new[of_kept[some]] + after)]
        far = self.level.away_mm(np.concatenate(middles)).reshape(2, -1).max(axis=0)
        limits = np.full(len(one), max(TOLERANCE_MM, loose_mm))
        if loose_mm > 0.0:
            np.maximum.at(limits, of_kept, self.level.facets_away_mm(self.points, kept))
            limits[clustered] = np.inf
        good[of_kept[some[far > limits[of_kept[some]]]]] = False

        refused = edges.numbers(one, other)[~good]
        self.refused = np.concatenate([self.refused, refused])
        one, other = one[good], other[good]
        self.points[one], self.normals[one] = new[good], normals[good]
        into = np.arange(count, dtype=np.int32)
        into[other] = one
        self.triangles = into[self.triangles[~((ends == 2) & good[of])]]
        return len(one)

    def flip(self, longest_mm: float) -> None:
        """Flip edges whose opposite angles add to more than two right ones, if facets gain."""
        edges = edges_of(self.triangles, len(self.points))
        sides = [
            self.points[self.triangles[:, (k + 1) % 3]] - self.points[self.triangles[:, k]]
            for k in range(3)
        ]
        twice = np.maximum(lengths(np.cross(sides[0], sides[1])), TINY)
        opposite = [-dot(sides[(k + 1) % 3], sides[(k + 2) % 3]) / twice for k in range(3)]
        cotangents = np.stack(opposite, axis=1).ravel()
        apex = self.triangles[:, [2, 0, 1]].ravel()
        may = np.flatnonzero(
            (cotangents[edges.forth] + cotangents[edges.back] < FLIP_COTANGENTS)
            & ~(self.locked[apex[edges.forth]] | self.locked[apex[edges.back]])
        )
        above, below = apex[edges.forth[may]], apex[edges.back[may]]
        number = edges.numbers(np.minimum(above, below), np.maximum(above, below))
        fresh = ~edges.are_among(number)[0]
        may, above, below, number = may[fresh], above[fresh], below[fresh], number[fresh]
        one, other = edges.one[may], edges.other[may]
        left, right = edges.forth[may] // 3, edges.back[may] // 3
        first, second = np.stack([one, below, above], 1), np.stack([below, other, above], 1)
        twos = np.tile(np.arange(len(may)), 2)
        new = self._shapes(np.concatenate([first, second])).worst(twos, len(may))
        old = self._shapes(self.triangles[np.concatenate([left, right])]).worst(twos, len(may))
        middles = [self.points[above] + self.points[below], self.points[one] + self.points[other]]
        away, was = self.level.away_mm(0.5 * np.concatenate(middles)).reshape(2, -1)
        good = (new.aspect < old.aspect) & ~new.worse(old, longest_mm)
        which = np.flatnonzero(good & (away <= np.maximum(was, TOLERANCE_MM)))
        which = which[np.argsort(new.aspect[which] / old.aspect[which], kind="stable")]
        which = which[self._sole(left[which], right[which])]
        # Two flips may make one and the same edge.
        which = which[np.unique(number[which], return_index=True)[1]]
        self.triangles[left[which]], self.triangles[right[which]] = first[which], second[which]

    def relax(self, longest_mm: float) -> None:
        """Move points within the level towards their neighbours' middle."""
        which, move = self._to_middle()
        move -= dot(move, self.normals[which])[:, None] * self.normals[which]
        new, normals, away = self.level.projected(self.points[which] + RELAX_SHARE * move, 1)
        good = away <= TOLERANCE_MM
        self._move(which[good], new[good], normals[good], longest_mm)

    def settle(self, longest_mm: float) -> None:
        """Move points off the level by what flat facets and linear interpolation cut from it.

        On a sphere of radius R with edges L and lattice steps h the facets' mean lies L^2 / (8 R)
        within the points, the interpolated level h^2 / (6 R) within the sphere, and a point
        L^2 / (2 R) beyond its neighbours' middle, which tells R.
        """
        which, move = self._to_middle()
        square = np.square(self._sides_mm()).mean()
        share = 1.0 / 4.0 + self.level.spacing_mm**2 / (3.0 * square)
        out = np.clip(-share * dot(move, self.normals[which]), -SETTLED_MM, SETTLED_MM)
        normals = self.normals[which]
        self._move(which, self.points[which] + out[:, None] * normals, normals, longest_mm)

    def split(self, longest_mm: float, least_mm: float) -> None:
        """Split edges that are too long or, if longer than `least_mm`, off the level midway."""
        edges = edges_of(self.triangles, len(self.points))
        length = lengths(self.points[edges.one] - self.points[edges.other])
        free = (length > least_mm) & ~(self.locked[edges.one] | self.locked[edges.other])
        may = np.flatnonzero(free)
        middle = 0.5 * (self.points[edges.one[may]] + self.points[edges.other[may]])
        due = (length[may] > longest_mm) | (self.level.away_mm(middle) > TOLERANCE_MM)
        new, normals, away = self.level.projected(middle)
        which = np.flatnonzero(due & (away <= TOLERANCE_MM))
        which = which[np.argsort(-length[may[which]], kind="stable")]
        forth, back = edges.forth[may], edges.back[may]
        which = which[self._sole(forth[which] // 3, back[which] // 3)]
        number = np.arange(len(which), dtype=np.int32) + np.int32(len(self.points))
        self.points = np.concatenate([self.points, new[which]])
        self.normals = np.concatenate([self.normals, normals[which]])
        self.locked = np.concatenate([self.locked, np.zeros(len(which), np.bool_)])
        halves = []
        for half in (forth[which], back[which]):
            facet, corner = half // 3, half % 3
            copy = self.triangles[facet]
            copy[np.arange(len(which)), corner] = number
            self.triangles[facet, (corner + 1) % 3] = number
            halves.append(copy)
        self.triangles = np.concatenate([self.triangles, *halves])

    def _shapes(self, triangles: Ints) -> FacetShapes:
        return shapes_of(self.points[triangles], self.normals[triangles])

    def _sides_mm(self) -> Floats:
        ends = [self.points[self.triangles[:, k]] for k in range(3)]
        return np.stack([lengths(ends[k] - ends[k - 1]) for k in range(3)])

    def _sole(self, left: Ints, right: Ints) -> NDArray[np.intp]:
        """Return those of the edges between these facets that are the first at both."""
        rank = np.arange(len(left))
        best = np.full(len(self.triangles), len(left))
        np.minimum.at(best, left, rank)
        np.minimum.at(best, right, rank)
        return np.flatnonzero((best[left] == rank) & (best[right] == rank))

    def _to_middle(self) -> tuple[NDArray[np.intp], Floats]:
        """Return the points that may move, and the ways to their neighbours' middles."""
        count = len(self.points)
        ends = (self.triangles.ravel(), self.triangles[:, [1, 2, 0]].ravel())
        ones = np.ones(self.triangles.size)
        links = sparse.coo_matrix((ones, ends), shape=(count, count)).tocsr()
        degree = np.diff(links.indptr)
        which = np.flatnonzero((degree > 0) & ~self.locked)
        return which, (links @ self.points)[which] / degree[which, None] - self.points[which]

    def _move(
        self, which: NDArray[np.intp], new: Floats, normals: Floats, longest_mm: float
    ) -> None:
        """Move these points, but those whose facets would become worse than they may."""
        old, old_normals = self.points.copy(), self.normals.copy()
        moved = np.zeros(len(self.points), np.bool_)
        moved[which] = True
        self.points[which], self.normals[which] = new, normals
        a, b, c = self.triangles.T
        check = np.flatnonzero(moved[a] | moved[b] | moved[c])
        while len(check):
            some = self.triangles[check]
            shapes = self._shapes(some)
            over = shapes.over(longest_mm)
            before = shapes_of(old[some[over]], old_normals[some[over]])
            bad = np.zeros(len(some), np.bool_)
            bad[over] = shapes.of(over).worse(before, longest_mm)
            fine = np.flatnonzero(~bad & (shapes.bend > LEAST_BEND_MM))
            away = self.level.facets_away_mm(self.points, some[fine])
            far = np.flatnonzero(away > TOLERANCE_MM)
            bad[fine[far]] = away[far] > self.level.facets_away_mm(old, some[fine[far]])
            back = some[bad].ravel()
            back = back[moved[back]]
            self.points[back], self.normals[back] = old[back], old_normals[back]
            moved[back] = False
            again = np.zeros(len(moved), np.bool_)
            again[back] = True
            check = np.flatnonzero(again[a] | again[b] | again[c])
