"""The shapes of facets: what makes a triangle a sliver or a fold, and what is worse than before."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .zero_level import TINY, dot, lengths

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

# A facet leans at most 60 degrees from the field's normals at its corners, unless it did before.
MOST_LEAN = 1.0 - 0.5
# Longest side over the inradius, 1 where the sides are equal: a step makes none above this.
MOST_ASPECT = 6.0
EQUAL_ASPECT = 2.0 * np.sqrt(3.0)


class FacetShapes(NamedTuple):
    """Facets' longest sides (mm), aspects, 1 less the cosine to the field's normals, and bends.

    The bend (mm) is eight times what a curve through corners with such normals rises above them.
    """

    longest_mm: Floats
    aspect: Floats
    lean: Floats
    bend: Floats

    def over(self, longest_mm: float) -> NDArray[np.intp]:
        """Return the facets over a limit."""
        limits = (longest_mm, MOST_ASPECT, MOST_LEAN)
        return np.flatnonzero(
            np.logical_or.reduce([new > limit for new, limit in zip(self, limits)])
        )

    def worse(self, before: "FacetShapes", longest_mm: float) -> Bools:
        """Return which facets are over a limit and worse than before."""
        limits = (longest_mm, MOST_ASPECT, MOST_LEAN)
        return np.logical_or.reduce(
            [new > np.maximum(old, limit) for new, old, limit in zip(self, before, limits)]
        )

    def worst(self, groups: Ints, count: int) -> "FacetShapes":
        """Return the worst of each of `count` groups of facets."""
        worst = np.zeros((4, count))
        for row, values in zip(worst, self):
            np.maximum.at(row, groups, values)
        return FacetShapes(*worst)

    def of(self, which: Ints) -> "FacetShapes":
        """Return those of some facets."""
        return FacetShapes(*(values[which] for values in self))


def shapes_of(corners: Floats, normals: Floats) -> FacetShapes:
    """Return the shapes of facets with these corners (k, 3, 3) and field's normals there."""
    a, b, c = (corners[:, (k + 1) % 3] - corners[:, k] for k in range(3))
    first, second, third = lengths(a), lengths(b), lengths(c)
    longest = np.maximum(np.maximum(first, second), third)
    facing = np.cross(a, b)
    twice = np.maximum(lengths(facing), TINY)
    mean = normals.sum(axis=1)
    square = dot(mean, mean)
    cosine = dot(facing, mean) / np.maximum(twice * np.sqrt(square), TINY)
    # The squares of the normals' differences add to 9 less that of their sum.
    bend = longest * np.sqrt(np.maximum(9.0 - square, 0.0))
    aspect = longest * (first + second + third) / (twice * EQUAL_ASPECT)
    return FacetShapes(longest, aspect, 1.0 - cosine, bend)
