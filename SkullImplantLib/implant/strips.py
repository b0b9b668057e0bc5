"""Strips of a sheet that are too narrow to be of use: hooks, legs, tongues at its free edges.

How wide a sheet is has nothing to do with how thick it is: it is drawn out on both sides along its
normals, and what no ball then reaches is a strip (an opening in the sheet's own surface). A corner
is no strip: of a right angle a ball leaves all but 0.4 of its radius.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.distances import away_mm

Field = NDArray[np.float32]
Flags = NDArray[np.bool_]
# From indices (n, 3; z, y, x) on the lattice to unit vectors (n, 3) along the same axes.
Across = Callable[[NDArray[Any]], NDArray[np.float32]]

# A strip is narrower than twice this, and stands out farther than a corner does.
STRIP_MM = 2.5
STANDS_OUT_MM = 2.0
FULL = np.ones((3, 3, 3))


def without_strips(field: Field, across: Across, spacing_mm: float) -> Field:
    """Return the field (z, y, x), positive in the implant, mm, without strips.

    across: the sheet's unit normals at given places.
    """
    inside = field > 0.0
    left = reached_mm(drawn_out(inside, across, spacing_mm, STRIP_MM), spacing_mm, STRIP_MM)
    labels, count = ndimage.label(inside & (left <= 0.0), FULL)
    if count == 0:
        return field
    within = labels > 0
    farthest_mm = np.zeros(count + 1, np.float32)
    np.maximum.at(farthest_mm, labels[within], -left[within])
    strips = farthest_mm > STANDS_OUT_MM
    where = ndimage.maximum_filter(strips[labels], size=3)
    return np.where(where, np.minimum(field, left), field)


def reached_mm(solid: Flags, spacing_mm: float, radius_mm: float) -> Field:
    """Return how far within what a ball in `solid` reaches each place lies, negative beyond."""
    core = away_mm(~solid, spacing_mm) > radius_mm
    return np.float32(radius_mm + spacing_mm / 2) - away_mm(core, spacing_mm)


def drawn_out(inside: Flags, across: Across, spacing_mm: float, reach_mm: float) -> Flags:
    """Return a sheet made thicker by `reach_mm` on both sides, and no wider."""
    index = np.argwhere(away_mm(inside, spacing_mm) <= reach_mm)
    steps = across(index)
    last = np.array(inside.shape) - 1
    met = np.zeros(len(index), bool)
    count = int(np.ceil(reach_mm / spacing_mm))
    for gone in range(-count, count + 1):
        places = np.clip(np.rint(index + np.float32(gone) * steps).astype(np.intp), 0, last)
        met |= inside[tuple(places.T)]
    thick = np.zeros_like(inside)
    thick[tuple(index[met].T)] = True
    return thick
