"""Steps at the rim: how far the faces of an implant stand out of the bone's beside them.

At sites all round, a plane is fitted to 5 mm of the implant's face, and another one to the bone's
face opposite; both are drawn on to the middle between them, where the step is the difference of
their heights. What lies near the other one is no face, but wall or its rounded edge. The same is
asked of the bone alone, farther out, where nobody cut: that is its own roughness.

Points are (n, 3), LPS mm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .near_bone import NearBone
from .plate_surface import FACE_COSINE, PlateSurface
from .rim_gap import RimGap

Floats = NDArray[np.floating]

# One site in each cube of this side, from the walls' places at most so far off the sheet's middle.
SITE_MM, MIDDLE_MM = 3.0, 2.0
# The way across the gap is the mean over the walls' places so near.
ALIKE_MM = 3.0
# What is nearer to the other than the gap and this is wall or edge. Of a face so much is looked at,
# and so wide along the rim.
SKIPPED_MM, FACE_MM, HALF_WIDTH_MM = 1.0, 5.0, 2.5
# Wider gaps are as good as this for telling walls.
WIDEST_MM = 3.0
# Facets farther from a site than this are not asked.
REACH_MM = 17.0
# A bone's face that begins farther off along the sheet's normal is another bone.
SAME_SHEET_MM = 5.0
LEAST_POINTS = 8
# A stretch is one where so many sites are measured, and this share of those it may have.
LEAST_SITES, FILLED_SHARE = 3, 0.6
# Bone so far beyond a face is another sheet, which the face looks at.
APART_MM = 1.0
# Points farther from a plane than this (root mean square) are of two sheets, or of no face.
ROUGHEST_MM = 0.5
OUTER, INNER = 1.0, -1.0
# An edge is where this share of the points lie farther from it.
EDGE_PERCENT = 3.0


@dataclass(frozen=True, eq=False)
class RimProfile:
    """Steps at the sites of a rim, mm; not a number where there is no face to measure.

    places_mm (n, 3): the sites. steps_mm (n, 2): outer and inner, positive where the implant
    stands farther out of the head. bone_steps_mm (n, 2): of the bone by itself. axes (n, 3, 3):
    unit vectors as rows, out across the gap, along the rim, out of the head. inner_planes (n, 3):
    of the bone's inner face, its height over the site, slope across and slope along.
    """

    places_mm: Floats
    steps_mm: Floats
    bone_steps_mm: Floats
    axes: Floats
    inner_planes: Floats

    @property
    def thicker_mm(self) -> Floats:
        """How much thicker the implant is than the bone beside it, (n,)."""
        return np.asarray(self.steps_mm[:, 0] - self.steps_mm[:, 1])

    @property
    def bone_thicker_mm(self) -> Floats:
        """How much the bone's own thickness changes over as much way, (n,)."""
        return np.asarray(self.bone_steps_mm[:, 0] - self.bone_steps_mm[:, 1])


def rim_profile(plate: PlateSurface, bone: NearBone, rim: RimGap) -> RimProfile:
    """Return the steps all along the rim where bone is opposite."""
    sites = _sites(plate, rim)
    count = len(sites)
    steps, own = np.full((2, count, 2), np.nan)
    if count == 0:
        return RimProfile(np.zeros((0, 3)), steps, own, np.zeros((0, 3, 3)), np.zeros((0, 3)))
    places = plate.places_mm[sites]
    wall_tree = cKDTree(plate.places_mm[rim.walls])
    near_walls = wall_tree.query_ball_point(places, ALIKE_MM)
    mine = plate.tree.query_ball_point(places, REACH_MM)
    bone_places, bone_normals = bone.middles_mm[bone.spots], bone.normals[bone.spots]
    bone_tree = cKDTree(bone_places)
    theirs = bone_tree.query_ball_point(places, REACH_MM)
    farthest = WIDEST_MM + SKIPPED_MM
    to_bone = bone_tree.query(plate.places_mm, distance_upper_bound=farthest)[0]
    to_plate = plate.tree.query(bone_places, distance_upper_bound=farthest)[0]
    all_axes = np.zeros((count, 3, 3))
    planes = np.full((2, count, 3), np.nan)
    for number in range(count):
        axes = _axes(plate, rim.walls[near_walls[number]])
        if axes is None:
            continue
        all_axes[number] = axes
        gap = float(np.median(rim.gap_mm[near_walls[number]]))
        apart = min(max(gap, 0.0), WIDEST_MM) + SKIPPED_MM
        strips = []
        for some, points, normals, away in (
            (mine[number], plate.places_mm, plate.normals, to_bone),
            (theirs[number], bone_places, bone_normals, to_plate),
        ):
            some = np.asarray(some)[away[some] > apart]
            strips.append(_strip(points[some], normals[some], places[number], axes))
        for face, side in enumerate((OUTER, INNER)):
            faces = [strip[side * up >= FACE_COSINE] for strip, up in strips]
            found = _step(*faces)
            strip, up = strips[1]
            if not _under_bone(found[2], side, strip[side * up <= -FACE_COSINE]):
                steps[number, face], own[number, face], planes[face, number] = found
    return RimProfile(places, steps, own, all_axes, planes[1])


def worst_stretch(values: Floats, places_mm: Floats, length_mm: float) -> tuple[float, Floats]:
    """Return the largest median of the values (n,) over the sites within half of `length_mm`, and
    its place (3,); not a number where there are too few.

    Steps of one site alone are noise; along a stretch they are a step.
    """
    known = np.isfinite(values)
    values, places = values[known], places_mm[known]
    if len(values) < LEAST_SITES:
        return float("nan"), np.zeros(3)
    near = cKDTree(places).query_ball_point(places, length_mm / 2.0)
    least = max(LEAST_SITES, round(FILLED_SHARE * length_mm / SITE_MM))
    medians = np.array([np.median(values[some]) if len(some) >= least else 0.0 for some in near])
    worst = int(np.argmax(medians))
    return float(medians[worst]), places[worst]


def _sites(plate: PlateSurface, rim: RimGap) -> NDArray[np.intp]:
    """Return numbers of places all along the rim, about as far apart as `SITE_MM`."""
    height = np.abs(plate.heights_mm[rim.walls])
    order = np.argsort(height, kind="stable")
    chosen = rim.walls[order[height[order] < MIDDLE_MM]]
    cells = np.floor(plate.places_mm[chosen] / SITE_MM).astype(np.int64)
    first = np.unique(cells, axis=0, return_index=True)[1]
    return chosen[np.sort(first)]


def _axes(plate: PlateSurface, near: NDArray[np.intp]) -> Floats | None:
    """Return unit vectors as rows: out across the gap, along the rim, out of the head."""
    up = plate.sheet[near].sum(axis=0)
    up /= max(float(np.linalg.norm(up)), 1e-9)
    across = plate.normals[near].sum(axis=0)
    across -= (across @ up) * up
    length = float(np.linalg.norm(across))
    if length < 1e-3 * len(near):
        return None
    across /= length
    return np.stack([across, np.cross(up, across), up])


def _strip(places: Floats, normals: Floats, origin: Floats, axes: Floats) -> tuple[Floats, Floats]:
    """Return (k, 3) across, along and height of those points of a surface that lie in the strip
    over a site, and how far their normals look up (k,).
    """
    local = (places - origin) @ axes.T
    chosen = np.abs(local[:, 1]) <= HALF_WIDTH_MM
    return local[chosen], normals[chosen] @ axes[2]


def _step(mine: Floats, theirs: Floats) -> tuple[float, float, Floats]:
    """Return the step between two faces, that of the second by itself, farther out, and the plane
    of the second; each not a number where there is none.
    """
    none = np.full(3, np.nan)
    if len(mine) < LEAST_POINTS:
        return np.nan, np.nan, none
    edge = float(np.percentile(mine[:, 0], 100.0 - EDGE_PERCENT))
    own_face = _plane(mine, edge - FACE_MM, edge)
    if own_face is None:
        return np.nan, np.nan, none
    there = np.abs(theirs[:, 2] - own_face @ _terms(theirs)) < SAME_SHEET_MM
    theirs = theirs[there & (theirs[:, 0] > edge)]
    if len(theirs) < LEAST_POINTS:
        return np.nan, np.nan, none
    begin = float(np.percentile(theirs[:, 0], EDGE_PERCENT))
    near = _plane(theirs, begin, begin + FACE_MM)
    if near is None:
        return np.nan, np.nan, none
    half = (begin - edge) / 2.0
    step = float((own_face - near) @ (1.0, edge + half, 0.0))
    # The same way over a gap that is none, farther out.
    beyond = _plane(theirs, begin + FACE_MM + 2.0 * half, begin + 2.0 * FACE_MM + 2.0 * half)
    if beyond is None:
        return step, np.nan, near
    return step, float((near - beyond) @ (1.0, begin + FACE_MM + half, 0.0)), near


def _under_bone(plane: Floats, side: float, facing_it: Floats) -> bool:
    """Say whether a face of the bone, a plane over a site, looks at other bone: the wall of an
    opened sinus is no inner table. facing_it (k, 3): the bone's places that look the other way.
    """
    beyond = side * (facing_it[:, 2] - plane @ _terms(facing_it)) > APART_MM
    return bool(np.count_nonzero(beyond) >= LEAST_POINTS)


def _plane(points: Floats, low_mm: float, high_mm: float) -> Floats | None:
    """Return height, slope across and slope along (3,) of the plane through the points between,
    None where they lie on none.
    """
    some = points[(points[:, 0] >= low_mm) & (points[:, 0] <= high_mm)]
    if len(some) < LEAST_POINTS or np.ptp(some[:, 0]) < FACE_MM / 2.0:
        return None
    terms = _terms(some)
    fitted: Floats = np.linalg.lstsq(terms.T, some[:, 2], rcond=None)[0]
    off = some[:, 2] - fitted @ terms
    return fitted if float(np.sqrt(np.mean(off**2))) <= ROUGHEST_MM else None


def _terms(points: Floats) -> Floats:
    """Return (3, k): one, across, along."""
    return np.stack([np.ones(len(points)), points[:, 0], points[:, 1]])
