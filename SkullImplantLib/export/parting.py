"""Where the two halves of a mould part: a height field along the way in, through the implant's rim.

Seen along the direction, each pixel of the implant's shadow has an interval that is implant. Within
the shadow the halves part in its middle; around it, where they touch, the surface goes on from the
rim as smoothly as it can (harmonic), so that it leaves the block's sides square to them.
Arrays are (rows, columns) of pixels, heights in mm along the direction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..implant.level_set import closed_surface_at_zero
from ..implant.mesh_mask import scanned
from ..implant.meshes import arrays_of
from ..implant.strips import FULL

Floats = NDArray[np.float64]

PIXEL_MM = 0.5
# Heights are told apart by this; an interval shorter than it is missed.
STEP_MM = 0.25
# Less of it in one place is the pixels of a steep wall.
LEAST_UNDERCUT_MM3 = 1.0


@dataclass(frozen=True, eq=False)
class Parting:
    """The parting surface on pixels `PIXEL_MM` apart, the first at `start_mm` (column, row), in a
    frame whose third axis is the direction.

    height_mm: of the surface. inside: the implant's shadow. top_mm, bottom_mm: the implant's ends
    over each pixel of it, not a number elsewhere. undercut (layers, rows, columns): what of the
    space between them is no implant: no half that comes off straight can leave it free; its layers
    are `STEP_MM` apart, the first at `first_mm`.
    """

    start_mm: Floats
    height_mm: Floats
    inside: NDArray[np.bool_]
    top_mm: Floats
    bottom_mm: Floats
    undercut: NDArray[np.bool_]
    first_mm: float

    @property
    def undercut_mm3(self) -> float:
        """How much that is."""
        return float(np.count_nonzero(self.undercut)) * PIXEL_MM**2 * STEP_MM

    def overhung(self) -> tuple[Floats, NDArray[np.int64]]:
        """Return points (n, 3) and triangles of the closed surface of what is undercut, which goes
        a pixel into the implant around it; none where it is no more than pixels make.
        """
        pieces, _ = ndimage.label(self.undercut, FULL)
        sizes = np.bincount(pieces.ravel()) * PIXEL_MM**2 * STEP_MM
        told = (sizes >= LEAST_UNDERCUT_MM3)[pieces] & self.undercut
        if not told.any():
            return np.empty((0, 3)), np.empty((0, 3), np.int64)
        height = self.first_mm + np.arange(len(told))[:, None, None] * STEP_MM
        between = (height > self.bottom_mm) & (height < self.top_mm)
        grown = ndimage.binary_dilation(told, FULL) & between
        points, triangles = closed_surface_at_zero(np.where(grown, 0.5, -0.5).astype(np.float32))
        steps = np.array([PIXEL_MM, PIXEL_MM, STEP_MM])
        return points * steps + [*self.start_mm, self.first_mm], triangles


def parting_of(mesh: vtkPolyData, margin_mm: float) -> Parting:
    """Return the parting surface of a closed mesh along the third axis of its frame, which reaches
    `margin_mm` beyond its shadow.
    """
    points = arrays_of(mesh)[0]
    low, high = points.min(axis=0), points.max(axis=0)
    start_mm = low[:2] - margin_mm
    columns, rows = (np.ceil((high[:2] - low[:2] + 2 * margin_mm) / PIXEL_MM) + 1).astype(int)
    layers = int(np.ceil((high[2] - low[2]) / STEP_MM)) + 2
    first_mm = low[2] - STEP_MM / 2.0
    last = np.array([columns, rows, layers]) - 1
    steps = (PIXEL_MM, PIXEL_MM, STEP_MM)
    filled = scanned(mesh, np.zeros_like(last), last, (*start_mm, first_mm), steps) > 0
    inside = np.asarray(filled.any(axis=0))
    lowest = np.argmax(filled, axis=0)
    highest = layers - 1 - np.argmax(filled[::-1], axis=0)
    layer = np.arange(layers)[:, None, None]
    undercut = ~filled & inside & (layer > lowest) & (layer < highest)
    none = np.where(inside, 0.0, np.nan)
    bottom_mm = first_mm + (lowest - 0.5) * STEP_MM + none
    top_mm = first_mm + (highest + 0.5) * STEP_MM + none
    height_mm = _harmonic((bottom_mm + top_mm) / 2.0, inside)
    return Parting(start_mm, height_mm, inside, top_mm, bottom_mm, undercut, float(first_mm))


def _harmonic(known_mm: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return heights that are known inside, and outside the mean of their neighbours: Laplace's
    equation with nothing across the field's border.
    """
    number = np.full(inside.shape, -1)
    number[~inside] = np.arange(np.count_nonzero(~inside))
    count = int(number.max()) + 1
    rows, columns, values = [], [], []
    neighbours, right_side = np.zeros(count), np.zeros(count)
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        beside = np.roll(number, step, axis)
        height = np.roll(known_mm, step, axis)
        there = np.roll(np.ones(inside.shape, bool), step, axis)
        edge = 0 if step == 1 else -1
        there[(slice(None),) * axis + (edge,)] = False
        mine = ~inside & there
        neighbours += np.bincount(number[mine], minlength=count)
        free, held = mine & (beside >= 0), mine & (beside < 0)
        rows.append(number[free])
        columns.append(beside[free])
        values.append(np.full(np.count_nonzero(free), -1.0))
        right_side += np.bincount(number[held], height[held], minlength=count)
    every = np.arange(count)
    matrix = sparse.coo_array(
        (
            np.concatenate([*values, neighbours]),
            (np.concatenate([*rows, every]), np.concatenate([*columns, every])),
        ),
        (count, count),
    )
    found = known_mm.copy()
    found[~inside] = spsolve(matrix.tocsc(), right_side)
    return found


def highest_places(parting: Parting, least_apart_mm: float, most: int) -> list[tuple[int, int]]:
    """Return pixels (row, column) where the implant's top is highest around, the highest first, so
    far apart at least: where air stays when the mould is filled.
    """
    top = np.where(parting.inside, parting.top_mm, -np.inf)
    reach = max(int(least_apart_mm / PIXEL_MM), 1)
    peaks = parting.inside & (top >= ndimage.maximum_filter(top, size=2 * reach + 1))
    # Of a plateau one place; its middle is best reached.
    labels, count = ndimage.label(peaks, np.ones((3, 3)))
    places = ndimage.center_of_mass(peaks, labels, range(1, count + 1))
    found: list[tuple[int, int]] = []
    for row, column in sorted(places, key=lambda p: -top[int(p[0]), int(p[1])]):
        place = int(row), int(column)
        apart = [np.hypot(place[0] - r, place[1] - c) for r, c in found]
        if parting.inside[place] and all(d >= reach for d in apart) and len(found) < most:
            found.append(place)
    return found
