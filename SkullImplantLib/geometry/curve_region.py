"""The region of the head within a closed curve drawn on it, as seen from the middle of the vault.

A curve has no inside in space, but it has one on the sphere of directions: of the two parts that it
divides the sphere into, the one without the neck. What is inside is a cone from the middle of the
vault through the curve and on; its walls go through the bone about at right angles.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonComputationalGeometry import vtkParametricSpline
from vtkmodules.vtkCommonCore import vtkPoints

from ..core.images import array_of, image_like, index_to_lps_mm
from ..errors import SkullImplantError
from . import radial
from .frame import Pose
from .radial import FLOOR_RAD, Map

STEPS = 2000  # in which a curve is followed; around the largest hole less than 0.2 mm each
MOST_CORNERS = 400  # of the outline by which a direction is told inside from outside
LEAST_CM2 = 0.5  # less is a slip of the mouse
# Bone within the curve counts from the head's outermost bone so far inwards: the vault, whose
# thickest has 15 mm and its frontal sinus more, and not what lies behind it, such as the petrous.
DEEPEST_MM = radial.THICKEST_MM

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CurveRegion:
    """The directions within closed curves.

    inside_rad: how far within (positive) or outside of the nearest curve each direction of the
    radial map lies, as an angle. area_cm2: of the region, on the mean vault.
    """

    pose: Pose
    inside_rad: Map
    area_cm2: float

    @property
    def inside(self) -> NDArray[np.bool_]:
        """The directions within (SIZE, SIZE)."""
        return np.asarray(self.inside_rad > 0.0)

    def depth_on(self, grid: sitk.Image) -> NDArray[np.float32]:
        """Return how far (mm) the voxels of a grid, (z, y, x), lie within the cone; negative
        outside.
        """
        frame = index_to_lps_mm(grid)
        depth = np.empty(grid.GetSize()[::-1], np.float32)
        y, x = np.indices(depth.shape[1:])
        for z in range(len(depth)):  # slice by slice, which takes little memory
            places = np.stack([x, y, np.full_like(x, z)], axis=-1) @ frame[:3, :3].T + frame[:3, 3]
            rows, columns, radius = radial.to_map(self.pose.to_standard(places))
            depth[z] = radius * radial.look_up(self.inside_rad, rows, columns)
        return depth

    def bone_within(self, skull: sitk.Image) -> sitk.Image:
        """Return the bone of a skull mask (uint8 0/1) that lies within, `DEEPEST_MM` deep at the
        most.
        """
        shares = radial.share_of_bone(skull, radial.RAY_MM)
        outer, _, known = radial.shell_of(shares, self.pose.rotation, self.pose.centre_mm)
        within = np.zeros(skull.GetSize()[::-1], bool)
        if not (known & self.inside).any():
            return image_like(within, skull)
        outer = radial.fill_nearest(outer, known)
        frame, bone = index_to_lps_mm(skull), array_of(skull)
        for z in range(len(within)):
            index = np.argwhere(bone[z])
            if not len(index):
                continue
            places = index[:, ::-1] @ frame[:3, :2].T + frame[:3, 2] * z + frame[:3, 3]
            rows, columns, radius = radial.to_map(self.pose.to_standard(places))
            inside = radial.look_up(self.inside_rad, rows, columns) > 0.0
            inside &= radius > radial.look_up(outer, rows, columns) - DEEPEST_MM
            within[z][tuple(index[inside].T)] = True
        return image_like(within, skull)


def region_within(curves: Iterable[Points], pose: Pose) -> CurveRegion:
    """Return the region within closed curves, each given by points (n, 3; LPS mm) in their order.

    Where there are several it is all that lies within one of them. Raises `SkullImplantError` for a
    curve that encloses nothing of the vault.
    """
    inside = np.full(radial.DISC.shape, -np.inf)
    for points in curves:
        own = _inside_rad(pose.to_standard(drawn_curve(points)))
        vault = (own > 0.0) & (radial.POLAR_RAD < FLOOR_RAD)
        if _area_cm2(vault) < LEAST_CM2:
            raise SkullImplantError(
                "A curve encloses no part of the vault; draw it around a region of the skull "
                "above the base and the face."
            )
        inside = np.maximum(inside, own)
    return CurveRegion(pose, inside, _area_cm2(inside > 0.0))


def drawn_curve(points_mm: Points) -> Points:
    """Return a closed curve through points (n, 3) as `STEPS` points or more, mm.

    It is the one that Slicer draws: a closed cardinal spline (`vtkCurveGenerator`, whose splines
    are those of `vtkParametricSpline`, each point one step of the parameter from the next).
    """
    spline, given = vtkParametricSpline(), vtkPoints()
    for point in points_mm:
        given.InsertNextPoint(point)
    spline.SetPoints(given)
    spline.ClosedOn()
    spline.ParameterizeByLengthOff()
    drawn, slope = np.zeros((max(STEPS, 2 * len(points_mm)), 3)), [0.0] * 9
    for row, along in zip(drawn, np.arange(len(drawn)) / len(drawn)):
        place = [0.0, 0.0, 0.0]
        spline.Evaluate([float(along), 0.0, 0.0], place, slope)
        row[:] = place
    return drawn


def _inside_rad(curve: Points) -> Map:
    """Return how far within a closed curve each direction of the map lies, as an angle."""
    directions = curve / np.linalg.norm(curve, axis=1, keepdims=True)
    chord, _ = cKDTree(directions).query(radial.DIRECTIONS.reshape(-1, 3))
    away = 2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0)).reshape(radial.DISC.shape)
    rows, columns, _ = radial.to_map(directions[:: max(1, len(directions) // MOST_CORNERS)])
    return np.where(_encloses(rows, columns), away, -away)


def _encloses(rows: Map, columns: Map) -> NDArray[np.bool_]:
    """Return which pixels of the map lie in a polygon: a line from there crosses it an odd number
    of times.
    """
    y, x = np.indices(radial.DISC.shape, np.float64)
    inside = np.zeros(radial.DISC.shape, bool)
    ends = zip(rows, columns, np.roll(rows, -1), np.roll(columns, -1))
    for row, column, next_row, next_column in ends:
        if row == next_row:
            continue
        passes = (y < row) != (y < next_row)
        inside ^= passes & (x < column + (y - row) / (next_row - row) * (next_column - column))
    return inside


def _area_cm2(where: NDArray[np.bool_]) -> float:
    return float(radial.STERADIANS[where].sum()) * radial.MEAN_RADIUS_MM**2 / 100.0
