"""Slivers taken out of a closed mesh: facets so flat that a reader that computes with float32
cannot tell which way they look, or sees no facet at all.

Cuts of solids leave them along their seams, where two points are one but for rounding, and where a
long flat side meets a fine edge. A side without length is collapsed (where the link condition of
Dey et al. 1999, "Topology preserving edge contraction", holds); a facet whose corner lies all but
on its longest side is joined with the facet beyond that side, and the two are parted the other way.
Neither moves the surface by more than `MOST_MOVED_MM`; no point is moved but to its neighbour.
"""

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from .meshes import DEGENERATE_HEIGHT_MM, arrays_of, facet_heights, facet_vectors, mesh_of

Floats = NDArray[np.float64]
Triangles = NDArray[np.int64]

# A facet is a sliver whose height is so small a share of its longest side: products of two sides
# are rounded by 6e-8 in float32, which leans such a facet's normal by less than a thousandth, as
# far as readers let a stored normal differ.
LEAST_FLATNESS = 2.5e-4
# A tenth of what a printer shows; sides that are shorter than a fifth of it are no sides.
MOST_MOVED_MM = 0.01
NO_SIDE_MM = 0.002


def without_slivers(mesh: vtkPolyData) -> vtkPolyData:
    """Return a closed mesh (LPS mm) with its slivers taken out, as far as that moves nothing; the
    mesh itself where it has none.
    """
    points, triangles = arrays_of(mesh)
    if len(triangles) == 0:
        return mesh
    sound = soundness(points, triangles)
    changed = False
    while sound.min() < 1.0:
        # What a sliver becomes depends on the facets at its corners alone, a few of very many.
        known = np.zeros(len(points), bool)
        known[triangles[sound < 1.0]] = True
        near = known[triangles].any(axis=1)
        found = _mended(points, triangles[near], sound[near], known)
        if found is None:
            break
        triangles = np.concatenate([triangles[~near], found[0]])
        sound = np.concatenate([sound[~near], found[1]])
        changed = True
    if not changed:
        return mesh
    used, numbers = np.unique(triangles, return_inverse=True)
    return mesh_of(points[used], numbers.reshape(-1, 3))


def _mended(
    points: Floats, triangles: Triangles, sound: Floats, known: NDArray[np.bool_]
) -> tuple[Triangles, Floats] | None:
    """Return facets with their slivers taken out, as far as these have `known` points (n,) alone,
    whose facets are all here; and how sound each is. None where no sliver can be changed.
    """
    ready = np.asarray(known[triangles].all(axis=1))
    changed = False
    # Each change takes a sliver away, or leaves a sounder one; what cannot be changed is left.
    while (open_ones := np.where(ready, sound, np.inf)).min() < 1.0:
        worst = int(np.argmin(open_ones))
        found = _collapsed(points, triangles, worst) or _parted(points, triangles, worst)
        if found is None:
            ready[worst] = False
            continue
        gone, made = found
        kept = np.ones(len(triangles), bool)
        kept[gone] = False
        triangles = np.concatenate([triangles[kept], made])
        sound = np.concatenate([sound[kept], soundness(points, made)])
        ready = np.append(ready[kept], known[made].all(axis=1))
        changed = True
    return (triangles, sound) if changed else None


def soundness(points_mm: Floats, triangles: Triangles) -> Floats:
    """Return how far each facet is from being a sliver, (m,): less than 1 is one, by its height
    over its longest side or by that height.
    """
    corners = points_mm[triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    heights = facet_heights(points_mm, triangles)
    flatness = heights / np.maximum(longest, np.finfo(np.float64).tiny)
    return np.asarray(np.minimum(flatness / LEAST_FLATNESS, heights / DEGENERATE_HEIGHT_MM))


Change = tuple[NDArray[np.intp], Triangles] | None


def _collapsed(points: Floats, triangles: Triangles, facet: int) -> Change:
    """Return the facets that go, and those in their place, where the facet's shortest side is none
    and may be collapsed; else None.
    """
    corners = triangles[facet]
    sides = np.linalg.norm(points[np.roll(corners, -1)] - points[corners], axis=1)
    shortest = int(np.argmin(sides))
    if sides[shortest] > NO_SIDE_MM:
        return None
    stays, goes = int(corners[shortest]), int(corners[(shortest + 1) % 3])
    at_one, at_other = (triangles == stays).any(axis=1), (triangles == goes).any(axis=1)
    beside = np.intersect1d(triangles[at_one], triangles[at_other])
    if np.count_nonzero(at_one & at_other) != 2 or len(beside) != 4:  # the two apexes, and the ends
        return None
    before = triangles[at_other & ~at_one]
    made = np.where(before == goes, stays, before)
    turned = np.einsum("ij,ij->i", facet_vectors(points, before), facet_vectors(points, made))
    if (turned < 0.0).any():
        return None
    return np.flatnonzero(at_other), made


def _parted(points: Floats, triangles: Triangles, facet: int) -> Change:
    """Return a facet and the one beyond its longest side, and the two that part their space the
    other way, where the flatter one becomes less flat; else None.
    """
    corners = triangles[facet]
    sides = np.linalg.norm(points[np.roll(corners, -1)] - points[corners], axis=1)
    longest = int(np.argmax(sides))
    first, second, apex = (int(corners[(longest + step) % 3]) for step in range(3))
    both = np.flatnonzero((triangles == first).any(axis=1) & (triangles == second).any(axis=1))
    if len(both) != 2:
        return None
    beyond = triangles[both[both != facet]][0]
    other = int(beyond[(beyond != first) & (beyond != second)][0])
    joined = (triangles == apex).any(axis=1) & (triangles == other).any(axis=1)
    if other == apex or joined.any():
        return None
    made = np.array([[apex, first, other], [other, second, apex]])
    before = triangles[both]
    if soundness(points, made).min() <= soundness(points, before).min():
        return None
    whole = facet_vectors(points, before).sum(axis=0)
    size = float(np.linalg.norm(whole))
    if size == 0.0 or (facet_vectors(points, made) @ whole <= 0.0).any():
        return None
    a, b, c, d = points[[first, second, apex, other]]
    # Six times the space between the two partings, over twice the area that it lies on.
    moved_mm = float(abs(np.dot(np.cross(b - a, c - a), d - a))) / size
    return None if moved_mm > MOST_MOVED_MM else (both, made)
