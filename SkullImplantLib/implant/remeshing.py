"""Good triangles on a field's zero level: marching cubes' mesh made even, and proven sound."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..core.progress import Progress, part, silent
from .even_mesh import EvenMesh
from .level_set import surface_at_zero
from .mesh_contact import meeting_facets
from .meshes import facet_vectors
from .zero_level import ZeroLevel

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

# What collapsing edges that are shorter than allowed may cost; settling takes part of it back.
LOOSE_TOLERANCE_MM = 0.1
# Collapsed below and not made above these shares of the length aimed at (Botsch and Kobbelt 2004).
SHORT_SHARE, LONG_SHARE = 4.0 / 5.0, 4.0 / 3.0
# Edges are collapsed to a little over the shortest, which settling may shorten again.
SHORTEST_MARGIN = 1.03
# Facets times the squared length aimed at over the area: so four real designs came out, measured.
FACETS_PER_SQUARE = 2.6
# Crossings keep so many mm's worth of field from lattice points: no facet begins as a line.
NUDGE_MM = 0.01
# Rounds end when one collapses less than this share of the facets.
DONE_SHARE = 0.01
MOST_ROUNDS, LAST_ROUNDS = 30, 3
# Every so many rounds points are relaxed, and edges flipped.
RELAX_EVERY, FLIP_EVERY = 3, 2
# A facet of marching cubes so far off the level is left as it is, as are facets that met others,
# with what is round them: so far, and farther at each attempt. Slivers there are made wider by
# keeping crossings farther from lattice points.
DOUBT_MM = 0.2
PATCH_MM = 0.6
PATCH_STEPS = 4
PATCH_NUDGE_MM = 0.1
ATTEMPTS = 3
MESSAGE = "making triangles even"


def remeshed(
    field: NDArray[np.floating],
    spacing_mm: float,
    shortest_mm: float = 0.3,
    longest_mm: float = 1.5,
    most_triangles: int = 200_000,
    progress: Progress = silent,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return points (n, 3), x, y, z in mm from the first element, and triangles (m, 3).

    field: (z, y, x) on a lattice with sides of `spacing_mm`, positive inside, in mm near its zero
    level, negative on the lattice's border. Facets look out of what is positive.
    shortest_mm, longest_mm: bounds on the edges; the length aimed at is their geometric mean, and
    longer where `most_triangles` asks it, as far as the tolerance lets it. Made for lattice steps
    below that length.

    The middles of facets and edges are within 0.05 mm of the zero level (`TOLERANCE_MM`), within
    0.1 mm where an edge would else be too short. Where the lattice is too coarse for the field, in
    clefts and creases of about a step, marching cubes' own facets are farther, and some edges stay
    shorter. The mesh has the pieces and the genus of `surface_at_zero` and meets itself nowhere:
    where it would, it stays as marching cubes made it. Deterministic.

    Raises `ValueError` where the surface is not closed.
    """
    values = np.asarray(field, np.float32)
    level = ZeroLevel(values, spacing_mm)
    points, triangles = _cubes(values, spacing_mm)
    if len(triangles) == 0:
        return points, triangles
    euler = _euler(triangles, len(points))
    if euler is None:
        raise ValueError("the surface is not closed: the field reaches the lattice's border")
    # Where marching cubes and linear interpolation differ so much, the lattice is too coarse.
    places = points[triangles[level.facets_away_mm(points, triangles) > DOUBT_MM]].mean(axis=1)
    left_mm = PATCH_MM
    for attempt in range(1, ATTEMPTS + 1):
        near = np.zeros(len(points), np.bool_)
        if len(places):
            points = _cubes(values, spacing_mm, places)[0]
            near = cKDTree(places).query(points, distance_upper_bound=left_mm)[0] < left_mm
        mesh = EvenMesh(level, points, triangles, near)
        stretch = part(progress, 1.0 - 0.1 ** (attempt - 1), 1.0 - 0.1**attempt)
        _make_even(mesh, shortest_mm, longest_mm, most_triangles, stretch)
        meeting = mesh.triangles[meeting_facets(mesh.points, mesh.triangles, level)]
        # What marching cubes made stays.
        meeting = meeting[~mesh.locked[meeting].all(axis=1)]
        if len(meeting) == 0 and _euler(mesh.triangles, len(mesh.points)) == euler:
            progress(1.0, MESSAGE)
            return _compact(mesh.points, mesh.triangles)
        places = np.concatenate([places, mesh.points[meeting].mean(axis=1)])
        left_mm += PATCH_MM
    progress(1.0, MESSAGE)
    return _compact(points, triangles)


def _cubes(
    values: NDArray[np.float32], spacing_mm: float, places: Floats | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return marching cubes' mesh with points kept off the lattice's; more so near some places."""
    least = np.full(values.shape, np.float32(NUDGE_MM))
    if places is not None:
        cells = np.floor(places / spacing_mm).astype(np.intp)
        around = np.indices((PATCH_STEPS,) * 3).reshape(3, -1).T - PATCH_STEPS // 2 + 1
        x, y, z = np.clip(
            (cells[:, None] + around).reshape(-1, 3).T,
            0,
            np.array(values.shape[::-1])[:, None] - 1,
        )
        least[z, y, x] = PATCH_NUDGE_MM
    nudged = np.where(np.abs(values) < least, np.where(values < 0.0, -least, least), values)
    points, triangles = surface_at_zero(nudged)
    return points * spacing_mm, triangles


def _make_even(
    mesh: "EvenMesh", shortest_mm: float, longest_mm: float, most: int, progress: Progress
) -> None:
    area = np.linalg.norm(facet_vectors(mesh.points, mesh.triangles), axis=1).sum() / 2.0
    length = max(np.sqrt(shortest_mm * longest_mm), np.sqrt(FACETS_PER_SQUARE * area / most))
    length = min(length, longest_mm / LONG_SHARE)
    long = LONG_SHARE * length
    total = MOST_ROUNDS + LAST_ROUNDS + 1
    for turn in range(MOST_ROUNDS):
        progress(turn / total, MESSAGE)
        if turn % RELAX_EVERY == 0:
            mesh.relax(long)
        if turn % FLIP_EVERY == 0:
            mesh.flip(long)
        if mesh.collapse(SHORT_SHARE * length, long) < DONE_SHARE * len(mesh.triangles):
            if len(mesh.triangles) <= most or long >= longest_mm:
                break
            long = min(long * np.sqrt(len(mesh.triangles) / most), longest_mm)
            length = long / LONG_SHARE
    for turn in range(LAST_ROUNDS):
        progress((MOST_ROUNDS + turn) / total, MESSAGE)
        mesh.split(longest_mm, 2.0 * shortest_mm)
        mesh.flip(long)
        mesh.relax(long)
        for share in (0.5, 0.0, 1.0):
            mesh.refused = mesh.refused[:0]
            mesh.collapse(SHORTEST_MARGIN * shortest_mm, longest_mm, share, LOOSE_TOLERANCE_MM)
    mesh.flip(long)
    mesh.settle(longest_mm)


def _euler(triangles: Ints, count: int) -> int | None:
    """Return points less edges plus facets, None where an edge has not one facet on each side."""
    one, other = triangles.ravel().astype(np.int64), triangles[:, [1, 2, 0]].ravel()
    forth, back = np.sort(one * count + other), np.sort(other * np.int64(count) + one)
    if np.any(forth[1:] == forth[:-1]) or np.any(forth != back):
        return None
    return int(np.count_nonzero(np.bincount(one))) - len(forth) // 2 + len(triangles)


def _compact(points: Floats, triangles: Ints) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    used = np.zeros(len(points), np.bool_)
    used[triangles] = True
    number = np.cumsum(used) - 1
    return points[used].astype(np.float64), number[triangles].astype(np.int64)
