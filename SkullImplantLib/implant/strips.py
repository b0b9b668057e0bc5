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
# Between the roundings of two places to voxels at most: a voxel's diagonal.
ROUNDED_VOXELS = 1.75


def without_strips(field: Field, across: Across, spacing_mm: float) -> Field:
    """Return the field (z, y, x), positive in the implant, mm, without strips.

    across: the sheet's unit normals at given places.
    """
    inside = field > 0.0
    wide = drawn_out(away_mm(inside, spacing_mm), across, spacing_mm, STRIP_MM)
    left = reached_mm(wide, spacing_mm, STRIP_MM)
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
    return reached_from_depth_mm(away_mm(~solid, spacing_mm), spacing_mm, radius_mm)


def reached_from_depth_mm(depth_mm: Field, spacing_mm: float, radius_mm: float) -> Field:
    """Return `reached_mm` of what `depth_mm` is the distance to the outside of, 0 outside."""
    return np.float32(radius_mm + spacing_mm / 2) - away_mm(depth_mm > radius_mm, spacing_mm)


def drawn_out(to_sheet_mm: Field, across: Across, spacing_mm: float, reach_mm: float) -> Flags:
    """Return a sheet made thicker by `reach_mm` on both sides, and no wider.

    to_sheet_mm: the distance to the sheet, 0 in it.
    """
    index = np.argwhere(to_sheet_mm <= reach_mm)
    start, steps = index.astype(np.float32), across(index)
    met = to_sheet_mm[tuple(index.T)] == 0.0
    last = np.array(to_sheet_mm.shape) - 1
    count = int(np.ceil(reach_mm / spacing_mm))
    for side in (1.0, -1.0):
        active = np.flatnonzero(~met)
        gone = np.zeros(len(active), np.float32)
        while active.size:
            places = np.rint(start[active] + np.float32(side) * gone[:, None] * steps[active])
            here = to_sheet_mm[tuple(np.clip(places.astype(np.intp), 0, last).T)]
            met[active[here == 0.0]] = True
            # The sheet is no nearer than that, but for the rounding of two places.
            gone += np.maximum(np.floor(here / spacing_mm - ROUNDED_VOXELS), 1.0)
            on = (here > 0.0) & (gone <= count)
            active, gone = active[on], gone[on]
    thick = np.zeros(to_sheet_mm.shape, bool)
    thick[tuple(index[met].T)] = True
    return thick
