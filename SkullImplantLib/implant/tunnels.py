"""Tunnels through an implant that nobody asked for: windows in it, and bridges over nothing.

A window is filled as far as bone leaves the room, or the bridge beside it is cut. Both are found
as what a ball cannot do: reach into the window from outside, or into the bridge from inside; or,
where all of the sheet is thinner than the ball, into a strip of it that is drawn out on both sides.
The number of tunnels is that of the field's surface, by Euler's formula.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..core.distances import away_mm
from .level_set import closed_surface_at_zero, surface_at_zero
from .strips import FULL, Across, drawn_out, reached_from_depth_mm, reached_mm

Field = NDArray[np.float32]
Flags = NDArray[np.bool_]

# Balls tried, the least first, as multiples of half the least wall.
RADII = (1.25, 1.5, 2.0, 2.5, 3.5, 5.0, 8.0)
# No more of the implant than this is given or taken to be rid of tunnels at one place.
MOST_CHANGED_SHARE = 0.02
# And of all that was given and taken on the way there, at all places, no more than this.
MOST_CHANGED_IN_ALL_SHARE = 0.06
# What changes is looked at with so many steps around.
AROUND = 3


def genus_of(field: Field) -> int:
    """Return the number of tunnels of the field's surface, all pieces together."""
    points, triangles = closed_surface_at_zero(field)
    # Two sides of a triangle join its corners.
    one, other = triangles[:, :2].ravel(), triangles[:, 1:].ravel()
    links = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(len(points),) * 2)
    pieces = connected_components(links, directed=False)[0]
    # Points less sides plus facets are twice the pieces less the tunnels; each triangle of a closed
    # surface has one and a half sides to itself.
    return int(pieces - (len(points) - len(triangles) // 2) // 2)


@dataclass(frozen=True)
class _Places:
    """Places where something may be changed.

    labels: (z, y, x), numbered pieces of what changes. numbers: those worth a try. values: the
    field to be reached in them, which `combine` (minimum, or maximum) puts into the field.
    """

    labels: NDArray[np.integer]
    numbers: NDArray[np.integer]
    values: Field
    combine: np.ufunc


class _Body:
    """A field, positive in it, and how far from it, and how deep in it, each place lies."""

    def __init__(self, field: Field, spacing_mm: float) -> None:
        self.field, self.spacing_mm = field, spacing_mm

    @cached_property
    def away_mm(self) -> Field:
        return away_mm(self.field > 0.0, self.spacing_mm)

    @cached_property
    def depth_mm(self) -> Field:
        return away_mm(self.field <= 0.0, self.spacing_mm)


def without_tunnels(
    field: Field,
    room: Field,
    spacing_mm: float,
    least_mm: float,
    across: Across | None,
    made: Callable[[Field, Field], Field],
) -> Field:
    """Return the field (z, y, x), positive in the implant, with as few tunnels as can be.

    room: positive where the implant may be. least_mm: half of the least wall. across: the sheet's
    normals (`strips.py`), or None. made: given a field and what it was changed from, brings it back
    to one piece that can be made, as `field` is. Changes that only moved a tunnel stay where a
    later one closes it.
    """
    best, fewest = field, genus_of(field)
    body, tunnels = _Body(best, spacing_mm), fewest
    for radius in RADII if fewest else ():
        mended, left = body, tunnels
        for places in _ways(room, radius * least_mm, across):
            if left:
                mended, left = _mended(mended, left, places(mended))
        if mended is body:
            continue
        again = made(mended.field, body.field)
        left = genus_of(again)
        # What opened again elsewhere is looked for by the next ball.
        if left > fewest or _changed_share(field, again) > MOST_CHANGED_IN_ALL_SHARE:
            continue
        body, tunnels = _Body(again, spacing_mm), left
        if left < fewest:
            best, fewest = again, left
        if fewest == 0:
            break
    return best


def _changed_share(before: Field, after: Field) -> float:
    """Return how much was given and taken, as a share of what was there."""
    inside = before > 0.0
    return float(np.count_nonzero(inside != (after > 0.0)) / np.count_nonzero(inside))


def _ways(room: Field, radius_mm: float, across: Across | None) -> list[Callable[[_Body], _Places]]:
    """Return what may be changed of a body that a ball of that radius tells."""

    def windows(body: _Body) -> _Places:
        return _windows(body, room, radius_mm)

    def bridges(body: _Body) -> _Places:
        return _bridges(body, reached_from_depth_mm(body.depth_mm, body.spacing_mm, radius_mm))

    def strips(body: _Body) -> _Places:
        assert across is not None
        wide = drawn_out(body.away_mm, across, body.spacing_mm, radius_mm)
        return _bridges(body, reached_mm(wide, body.spacing_mm, radius_mm))

    return [windows, bridges] if across is None else [windows, bridges, strips]


def _mended(body: _Body, tunnels: int, places: _Places) -> tuple[_Body, int]:
    """Return the body changed at those places where that, for little, leaves fewer tunnels, and
    how many it leaves.
    """
    field = body.field
    most = MOST_CHANGED_SHARE * np.count_nonzero(field > 0.0)
    sizes = np.bincount(places.labels.ravel())
    boxes = ndimage.find_objects(places.labels)
    for number in places.numbers[np.argsort(sizes[places.numbers], kind="stable")]:
        if tunnels == 0 or sizes[number] > most:
            break
        where = tuple(
            slice(max(along.start - AROUND, 0), along.stop + AROUND) for along in boxes[number - 1]
        )
        before = field[where]
        here = ndimage.binary_dilation(places.labels[where] == number, FULL)
        after = np.where(here, places.combine(before, places.values[where]), before)
        # A tunnel less is two more in Euler's formula, and so is another piece.
        if _euler(after) <= _euler(before):
            continue
        tried = field.copy()
        tried[where] = after
        left = genus_of(tried)
        if left < tunnels:
            field, tunnels = tried, left
    return (body if field is body.field else _Body(field, body.spacing_mm)), tunnels


def _euler(box: Field) -> int:
    """Return points less sides plus facets of the field's surface in a box."""
    points, triangles = surface_at_zero(box)
    pairs = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    sides = len(np.unique(pairs[:, 0] * len(points) + pairs[:, 1]))
    return len(np.unique(triangles)) - sides + len(triangles)


def _windows(body: _Body, room: Field, radius_mm: float) -> _Places:
    """Return the windows narrower than a ball, to be filled as far as the room goes.

    Of all that a closing by the ball adds a window is what meets the outside on both sides.
    """
    inside, spacing_mm = body.field > 0.0, body.spacing_mm
    filled = away_mm(body.away_mm >= radius_mm, spacing_mm) - np.float32(radius_mm - spacing_mm / 2)
    added = (filled > 0.0) & ~inside
    labels, count = ndimage.label(added, FULL)
    nearest = ndimage.grey_dilation(labels, size=(3, 3, 3))
    sides, _ = ndimage.label((nearest > 0) & ~added & ~inside, FULL)
    met = np.unique(np.column_stack([sides[sides > 0], nearest[sides > 0]]), axis=0)
    numbers = np.flatnonzero(np.bincount(met[:, 1], minlength=count + 1) >= 2)
    return _Places(labels, numbers, np.minimum(filled, room), np.maximum)


def _bridges(body: _Body, left: Field) -> _Places:
    """Return what of the body's inside no ball reaches, to be cut.

    left: how far within what a ball reaches each place lies, mm, negative beyond.
    """
    labels, count = ndimage.label((body.field > 0.0) & (left <= 0.0), FULL)
    return _Places(labels, np.arange(1, count + 1), left, np.minimum)
