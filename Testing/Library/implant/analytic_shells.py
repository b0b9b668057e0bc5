"""Shells with a hole, all by formula, on any grid: what the fit must find is known.

Lengths in mm. A shell stands around the point 0, its hole around the z axis; `placed` turns and
moves the whole, so that grids and heads of any frame come about. Depths are signed distances
(or, near the surface, as good as that), positive inside.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from SkullImplantLib.core.images import image_like, index_to_lps_mm, straighten_axes
from SkullImplantLib.implant.bone_surface import BoneSurface, bone_surface
from SkullImplantLib.implant.fit import Implant, make_implants
from SkullImplantLib.options import ImplantOptions

Places = NDArray[np.float64]
Depth = Callable[[Places], NDArray[np.float64]]

BONE_HU, SOFT_HU = 1200.0, 40.0
THRESHOLD_HU = (BONE_HU + SOFT_HU) / 2.0
# A voxel's grey is the mean of so many places in it, along each axis.
PARTS_OF_A_VOXEL = 3


def sphere(outer_mm: float, thickness_mm: float) -> Depth:
    """A sphere's shell."""

    def depth(p: Places) -> NDArray[np.float64]:
        radius = np.linalg.norm(p, axis=-1)
        return np.minimum(outer_mm - radius, radius - outer_mm + thickness_mm)

    return depth


def ellipsoid(halves_mm: tuple[float, float, float], thickness_mm: float) -> Depth:
    """An ellipsoid's shell; its distance to first order (Taubin 1991)."""
    halves = np.asarray(halves_mm)

    def depth(p: Places) -> NDArray[np.float64]:
        one = np.linalg.norm(p / halves, axis=-1)
        slope = np.linalg.norm(p / halves**2, axis=-1) / np.maximum(one, 1e-9)
        below = (1.0 - one) / np.maximum(slope, 1e-9)
        return np.minimum(below, thickness_mm - below)

    return depth


def conical_hole(at_z_mm: float, radius_mm: float, draft_deg: float) -> Depth:
    """A hole around the z axis: a cone of that radius at a height, wider outside by its draft."""
    draft = np.radians(draft_deg)

    def depth(p: Places) -> NDArray[np.float64]:
        wall = radius_mm + (p[..., 2] - at_z_mm) * np.tan(draft)
        inside = (wall - np.hypot(p[..., 0], p[..., 1])) * np.cos(draft)
        return np.minimum(inside, p[..., 2])  # not through the other side of the head

    return depth


def oblique_hole(radius_mm: float, way: Places, through: Places) -> Depth:
    """A hole drilled along the direction `way` through a place: a cylinder."""
    way = np.asarray(way) / np.linalg.norm(way)

    def depth(p: Places) -> NDArray[np.float64]:
        away = p - through
        along = away @ way
        across = np.linalg.norm(away - along[..., None] * way, axis=-1)
        return np.minimum(radius_mm - across, along + np.linalg.norm(through) / 2.0)

    return depth


@dataclass(frozen=True)
class Frame:
    """Where a head lies: LPS = turned @ place + moved."""

    turned: NDArray[np.float64]
    moved_mm: NDArray[np.float64]

    def to_lps(self, p: Places) -> Places:
        return p @ self.turned.T + self.moved_mm

    def from_lps(self, p: Places) -> Places:
        return (p - self.moved_mm) @ self.turned


AS_IT_IS = Frame(np.eye(3), np.zeros(3))


def placed(angles_deg: tuple[float, float, float], moved_mm: tuple[float, float, float]) -> Frame:
    turned = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    return Frame(turned, np.asarray(moved_mm, float))


@dataclass(frozen=True)
class Case:
    """A head with a hole on a grid: what `make_implants` is given."""

    shell: Depth
    hole: Depth
    frame: Frame
    depth: sitk.Image
    surface: BoneSurface
    missing: sitk.Image

    def fitted(self, options: ImplantOptions = ImplantOptions()) -> Implant:
        """The one implant for it."""
        (implant,), notes = make_implants(
            self.depth, self.surface, self.missing, self.frame.moved_mm, options
        )
        assert notes == ()
        return implant

    def bone(self, p: Places) -> NDArray[np.float64]:
        """The depth in bone at places of the head."""
        return np.minimum(self.shell(p), -self.hole(p))


def case_of(
    shell: Depth,
    hole: Depth,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    frame: Frame = AS_IT_IS,
    axes: NDArray[np.float64] | None = None,
    corners_mm: tuple[tuple[float, ...], tuple[float, ...]] = ((-34, -34, 8), (34, 34, 46)),
) -> Case:
    """A CT of the head with its hole, in partial volume, and all else that a fit is given.

    spacing_mm along the grid's axes x, y, z; axes (3, 3): the grid's directions (columns), which
    may be left-handed. corners_mm: the box of the head that must be in it.
    """
    grid = grid_over(corners_mm, spacing_mm, frame, np.eye(3) if axes is None else axes)
    places = frame.from_lps(places_of_grid(grid))
    depth = shell(places).astype(np.float32)
    missing = (depth > 0.0) & (hole(places) > 0.0)
    ct = partial_volume(lambda p: np.minimum(shell(p), -hole(p)), grid, frame)
    surface = bone_surface(ct >= THRESHOLD_HU, ct, THRESHOLD_HU)
    return Case(shell, hole, frame, image_like(depth, grid), surface, image_like(missing, grid))


def partial_volume(solid: Depth, grid: sitk.Image, frame: Frame) -> sitk.Image:
    """The CT (float32, HU) of a solid: each voxel's grey is the mean over all of it."""
    places = frame.from_lps(places_of_grid(grid))
    steps = (np.arange(PARTS_OF_A_VOXEL) - (PARTS_OF_A_VOXEL - 1) / 2.0) / PARTS_OF_A_VOXEL
    across = min(grid.GetSpacing()) / PARTS_OF_A_VOXEL
    matrix = index_to_lps_mm(grid)[:3, :3]
    share = np.zeros(places.shape[:-1])
    for part in np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3):
        here = solid(places + (matrix @ part) @ frame.turned)
        share += np.clip(0.5 + here / across, 0.0, 1.0)
    hu = SOFT_HU + (BONE_HU - SOFT_HU) * share / PARTS_OF_A_VOXEL**3
    return image_like(hu.astype(np.float32), grid)


def grid_over(
    corners_mm: tuple[tuple[float, ...], tuple[float, ...]],
    spacing_mm: tuple[float, float, float],
    frame: Frame,
    axes: NDArray[np.float64],
) -> sitk.Image:
    """An empty grid over a box of the head."""
    low, high = np.asarray(corners_mm, float)
    corners = np.array([np.where(np.array(k), high, low) for k in np.ndindex(2, 2, 2)])
    along = frame.to_lps(corners) @ axes
    first, last = along.min(axis=0), along.max(axis=0)
    size = np.ceil((last - first) / spacing_mm).astype(int) + 1
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing(spacing_mm)
    grid.SetDirection(np.asarray(axes).ravel().tolist())
    grid.SetOrigin((axes @ first).tolist())
    straighten_axes(grid)
    return grid


def places_of_grid(grid: sitk.Image) -> Places:
    """The LPS places of the voxels' centres, (z, y, x, 3), mm."""
    index = np.stack(np.indices(grid.GetSize()[::-1])[::-1], axis=-1)
    matrix = index_to_lps_mm(grid)
    return np.asarray(index @ matrix[:3, :3].T + matrix[:3, 3])
