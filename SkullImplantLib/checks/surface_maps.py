"""What the checks measure, at every point of an implant's surface: to be shown as colours.

The gap and the step are those of the checks (`rim_gap.py`, `rim_profile.py`). The thickness is how
far it is through the solid from a face, straight in; edges do not count. Points are (n, 3), LPS mm.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonCore import mutable
from vtkmodules.vtkCommonDataModel import vtkPolyData, vtkStaticCellLocator

from ..implant.meshes import arrays_of, facet_vectors, mesh_of
from .near_bone import NearBone
from .plate_surface import PlateSurface
from .rim_gap import OPPOSITE_MM, RimGap
from .rim_profile import FACE_MM, MIDDLE_MM, RimProfile

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]
Values = NDArray[np.float32]

# So far off the surface that was checked, a point is of a hole that was drilled since.
DRILLED_MM = 0.02
# A gap is shown so far on the faces as well, as a wall is not seen from outside.
BAND_MM = 3.0
# A face's step is shown as far in as it is measured, where a site that knows one is so near.
STEP_MM, SITE_REACH_MM = FACE_MM, 10.0
# Straight in is the mean way of so many points of the same face, over which facets' ways waver.
SMOOTHED_OVER = 16
# A ray begins so far below its own facets, and goes on through no more than any implant is thick.
BELOW_MM, THICKEST_MM = 1e-3, 40.0
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Measured:
    """What an implant's checks were measured on."""

    plate: PlateSurface
    bone: NearBone
    rim: RimGap
    profile: RimProfile


@dataclass(frozen=True, eq=False)
class SurfaceMaps:
    """Values at the points of an implant's mesh, float32 (p,), not a number where there is none.

    gap_mm: to the bone, on the rim's walls where bone is opposite, less than 0 in bone; and within
    3 mm of them that of the wall's middle. step_mm: on the outer and the inner face within 5 mm of
    such walls, how far the face stands out of the bone's, positive out of the head. thickness_mm:
    everywhere. inner, outer: bool (p,), the two faces.
    """

    gap_mm: Values
    step_mm: Values
    thickness_mm: Values
    inner: Flags
    outer: Flags


def surface_maps(mesh: vtkPolyData, measured: Measured) -> SurfaceMaps:
    """Return the maps of `mesh` (LPS mm), which is what was measured or that with holes drilled."""
    points = arrays_of(mesh)[0]
    plate = measured.plate
    at = at_points(mesh, plate)
    count = len(points)
    drilled = np.zeros(count, bool)
    if count != len(plate.points_mm) or not np.array_equal(points, plate.points_mm):
        drilled = ~np.isfinite(plate.distance.unsigned_mm(points, DRILLED_MM))
    gap = _gaps(points, measured)
    gap[drilled] = np.nan
    step = _steps(points, at, measured)
    step[drilled] = np.nan
    return SurfaceMaps(gap, step, _thickness(at, drilled), at.inner, at.outer & ~drilled)


def at_points(mesh: vtkPolyData, plate: PlateSurface) -> PlateSurface:
    """Return an implant's surface with the points of its mesh (p, 3; LPS mm) for places, the mean
    of their facets' normals and the sheet's there.
    """
    points, triangles = arrays_of(mesh)
    vectors = facet_vectors(points, triangles)
    normals = np.stack(
        [
            sum(
                np.bincount(triangles[:, corner], vectors[:, axis], len(points))
                for corner in range(3)
            )
            for axis in range(3)
        ],
        axis=1,
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), TINY)
    nearest = plate.tree.query(points, workers=-1)[1]
    # A new one: what is worked out of the places is not taken along.
    return replace(
        plate,
        places_mm=points,
        normals=normals,
        sheet=plate.sheet[nearest],
        heights_mm=plate.heights_mm[nearest],
    )


def _gaps(points: Floats, measured: Measured) -> Values:
    """Return the gap at the points next to the checked places that have bone opposite, and in a
    band around them that of the wall's middle, (p,).
    """
    gap = np.full(len(points), np.nan, np.float32)
    plate, rim = measured.plate, measured.rim
    if len(rim.walls) == 0:
        return gap
    opposite = np.zeros(len(plate.places_mm), bool)
    opposite[rim.walls] = True
    chosen = opposite[plate.tree.query(points, workers=-1)[1]]
    # No checked place is without a point, so that the worst is shown.
    chosen[cKDTree(points).query(plate.places_mm[rim.walls], workers=-1)[1]] = True
    mm = measured.bone.signed_mm(points[chosen], OPPOSITE_MM)
    gap[chosen] = np.where(np.isfinite(mm), np.maximum(mm, -OPPOSITE_MM), np.nan)
    others = np.flatnonzero(~chosen)
    walls = plate.places_mm[rim.walls]
    away = cKDTree(walls).query(points[others], distance_upper_bound=BAND_MM, workers=-1)[0]
    others = others[np.isfinite(away)]
    # Of the wall's middle: at its edges the surface is rounded, and bone farther.
    height = np.abs(plate.heights_mm[rim.walls])
    middle = height < max(MIDDLE_MM, float(height.min()) + TINY)
    gap[others] = rim.gap_mm[middle][cKDTree(walls[middle]).query(points[others], workers=-1)[1]]
    return gap


def _steps(points: Floats, at: PlateSurface, measured: Measured) -> Values:
    """Return the step of the nearest site at the faces' points that lie beside the rim, (p,)."""
    step = np.full(len(points), np.nan, np.float32)
    walls = measured.plate.places_mm[measured.rim.walls]
    if len(walls) == 0:
        return step
    faces = np.flatnonzero(~at.walls)
    away = cKDTree(walls).query(points[faces], distance_upper_bound=STEP_MM, workers=-1)[0]
    beside = np.zeros(len(points), bool)
    beside[faces[np.isfinite(away)]] = True
    profile = measured.profile
    for face, lies in enumerate((at.outer, at.inner)):
        known = np.isfinite(profile.steps_mm[:, face])
        some = np.flatnonzero(beside & lies)
        if not known.any() or len(some) == 0:
            continue
        away, site = cKDTree(profile.places_mm[known]).query(
            points[some], distance_upper_bound=SITE_REACH_MM
        )
        found = np.isfinite(away)
        step[some[found]] = profile.steps_mm[known, face][site[found]]
    return step


def _thickness(at: PlateSurface, drilled: Flags) -> Values:
    """Return how far it is through the solid from each point, (p,), mm.

    On the faces along the surface's normal; a wall has the thickness of the face beside it.
    """
    points = at.places_mm
    thickness = np.full(len(points), np.nan)
    for face in (at.outer & ~drilled, at.inner & ~drilled):
        some = np.flatnonzero(face)
        if len(some):
            thickness[some] = _through(at, points[some], _smoothed(points[some], at.normals[some]))
    known = np.isfinite(thickness)
    if known.any() and not known.all():
        nearest = cKDTree(points[known]).query(points[~known], workers=-1)[1]
        thickness[~known] = thickness[known][nearest]
    return thickness.astype(np.float32)


def _smoothed(points: Floats, normals: Floats) -> Floats:
    """Return the mean unit normals of the points (n, 3) around each."""
    near = cKDTree(points).query(points, min(SMOOTHED_OVER, len(points)), workers=-1)[1]
    mean = normals[near.reshape(len(points), -1)].mean(axis=1)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), TINY))


def _through(at: PlateSurface, points: Floats, normals: Floats) -> Floats:
    """Return how far it is from points of the surface, against their normals, to where the solid
    ends, (n,); not a number where it does not.
    """
    locator = vtkStaticCellLocator()
    locator.SetDataSet(mesh_of(at.points_mm, at.triangles))
    locator.BuildLocator()
    begin, end = (points - below * normals for below in (BELOW_MM, THICKEST_MM))
    share, where, parameters, number = mutable(0.0), [0.0] * 3, [0.0] * 3, mutable(0)
    met = np.full(len(points), np.nan)
    for k in range(len(points)):
        if locator.IntersectWithLine(begin[k], end[k], 0.0, share, where, parameters, number):
            met[k] = share.get()
    return np.asarray(BELOW_MM + met * (THICKEST_MM - BELOW_MM))
