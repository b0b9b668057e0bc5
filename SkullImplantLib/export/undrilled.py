"""An implant before it was drilled: its round holes along the way in closed again, for a mould.

Holes of a few millimetres are drilled into the casting; in a mould they would be as many thin posts
that break. A hole is told by its wall: facets along the way in, once around, that face an axis.
Over the hole each face goes on as it bends around it (a thin plate through its points there).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.interpolate import RBFInterpolator
from scipy.sparse.csgraph import connected_components
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..implant.meshes import arrays_of, facet_middles, facet_vectors, mesh_of
from ..implant.slivers import without_slivers
from ..implant.solids import axes_along

Floats = NDArray[np.float64]
Triangles = NDArray[np.int64]

# A wall's facets lean by less than this from the way in: cuts are exact but for merged slivers.
WALL_COSINE = 0.05
# A wall's points lie so near to its circle, mm, and nowhere farther apart around it, degrees.
ROUND_MM, MOST_APART_DEGREES = 0.05, 40.0
# The widest hole that is drilled, mm (`options.HOLE_MM`).
MOST_RADIUS_MM = 5.0
# How a face bends is told by its points so far around the hole, mm, which differ in height from the
# hole's edge by no more than half the least wall.
AROUND_MM, HEIGHT_MM = 2.0, 1.0
SMOOTHING = 1e-6  # of the thin plate: nothing to see, but two points may lie over one another


def undrilled(mesh: vtkPolyData, direction: Floats) -> tuple[vtkPolyData, int]:
    """Return an implant (closed mesh, LPS mm) without its round holes along a unit vector, and how
    many were closed; the mesh itself where there are none. Other holes stay.
    """
    points, triangles = arrays_of(mesh)
    axes = axes_along(np.asarray(direction, np.float64))
    local = points @ axes
    closed = 0
    for middle, radius in _circles(local, triangles):
        patched = _closed(local, triangles, middle, radius)
        if patched is not None:
            local, triangles = patched
            closed += 1
    if not closed:
        return mesh, 0
    every = np.vstack([points, local[len(points) :] @ axes.T])
    used, numbers = np.unique(triangles, return_inverse=True)
    return without_slivers(mesh_of(every[used], numbers.reshape(-1, 3))), closed


def _circles(local: Floats, triangles: Triangles) -> list[tuple[Floats, float]]:
    """Return the middle (2,) and the radius of each round wall that faces its own axis, which is
    the third one of the frame.
    """
    vectors = facet_vectors(local, triangles)
    length = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float64).tiny)
    walls = np.flatnonzero(np.abs(vectors[:, 2]) < WALL_COSINE * length)
    corners = triangles[walls]
    ends = np.concatenate([corners[:, :2], corners[:, 1:]])
    joined = sparse.coo_array(
        (np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (len(local), len(local))
    )
    piece = connected_components(joined, directed=False)[1][corners[:, 0]]
    found = []
    for number in np.unique(piece):
        facets = walls[piece == number]
        across = local[np.unique(triangles[facets]), :2]
        low, high = across.min(axis=0), across.max(axis=0)
        middle, radius = (low + high) / 2.0, float((high - low).max()) / 2.0
        away = across - middle
        if radius > MOST_RADIUS_MM + ROUND_MM or len(away) < 4:
            continue
        around = np.sort(np.degrees(np.arctan2(away[:, 1], away[:, 0])))
        apart = np.diff(around, append=around[0] + 360.0).max()
        off = np.abs(np.linalg.norm(away, axis=1) - radius).max()
        inward = vectors[facets, :2] * (facet_middles(local, triangles[facets])[:, :2] - middle)
        if off <= ROUND_MM and apart <= MOST_APART_DEGREES and inward.sum() < 0.0:
            found.append((middle, radius))
    return found


def _closed(
    local: Floats, triangles: Triangles, middle: Floats, radius: float
) -> tuple[Floats, Triangles] | None:
    """Return points and triangles with a hole closed at both ends; None where its wall does not
    end in two single lines.
    """
    from_axis = np.linalg.norm(local[:, :2] - middle, axis=1)
    wall = (from_axis[triangles] <= radius + ROUND_MM).all(axis=1)
    kept = triangles[~wall]
    ends = _ends(kept, np.unique(triangles[wall]))
    if ends is None:
        return None
    for line in ends:
        near = np.unique(kept)
        near = near[
            (from_axis[near] <= radius + AROUND_MM)
            & (np.abs(local[near, 2] - local[line, 2].mean()) <= HEIGHT_MM)
        ]
        height = RBFInterpolator(
            local[near, :2], local[near, 2], smoothing=SMOOTHING, kernel="thin_plate_spline"
        )
        across = np.vstack([(local[line, :2] + middle) / 2.0, middle])
        first = len(local) + np.arange(len(line))
        last, beside, next_one = len(local) + len(line), np.roll(line, -1), np.roll(first, -1)
        # A line runs as its facets have it; what joins them there has it the other way.
        made = [
            np.column_stack([beside, line, first]),
            np.column_stack([beside, first, next_one]),
            np.column_stack([next_one, first, np.full(len(line), last)]),
        ]
        local = np.vstack([local, np.column_stack([across, height(across)])])
        from_axis = np.linalg.norm(local[:, :2] - middle, axis=1)
        kept = np.concatenate([kept, *made])
    return local, kept


def _ends(triangles: Triangles, of_wall: NDArray[np.int64]) -> list[NDArray[np.int64]] | None:
    """Return the two lines of points in which a surface ends where a wall was taken out of it."""
    at = triangles[np.isin(triangles, of_wall).any(axis=1)]
    sides = np.concatenate([at[:, [k, (k + 1) % 3]] for k in range(3)])
    sides = sides[np.isin(sides, of_wall).all(axis=1)]
    there = {(int(a), int(b)) for a, b in sides}
    following: dict[int, int] = {}
    for a, b in there:
        if (b, a) not in there:
            if a in following:
                return None
            following[a] = b
    lines = []
    while following:
        line = [next(iter(following))]
        while line[-1] in following:
            line.append(following.pop(line[-1]))
        if len(line) < 4 or line[0] != line[-1]:
            return None
        lines.append(np.array(line[:-1]))
    return lines if len(lines) == 2 else None
