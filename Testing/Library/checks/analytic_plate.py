"""A spherical vault with a round hole and a plate in it, all by formula: every number is known."""

import numpy as np
import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from SkullImplantLib.core.images import image_like
from SkullImplantLib.implant.bone_surface import BoneSurface, bone_surface
from SkullImplantLib.implant.level_set import closed_surface_at_zero
from SkullImplantLib.implant.meshes import mesh_of

OUTER_MM, THICKNESS_MM, HOLE_MM, CLEARANCE_MM = 70.0, 6.0, 25.0, 0.5
LATTICE_MM, LOW_MM, HIGH_MM = 0.5, (-36.0, -36.0, 36.0), (36.0, 36.0, 78.0)
BONE_SPACING_MM = (0.9, 0.8, 1.0)
BONE_LOW_MM, BONE_HIGH_MM = (-56.0, -56.0, 20.0), (56.0, 56.0, 80.0)
HU_A_MM, THRESHOLD_HU = 300.0, 300.0
UP = np.array([0.0, 0.0, 1.0])


class AnalyticPlate:
    """The vault: a sphere's shell of 70 mm radius and 6 mm thickness about the origin, with a hole
    of 25 mm around the z axis whose walls stand upright on the shell. Points are LPS mm.
    """

    def __init__(self, hole_mm: float = HOLE_MM) -> None:
        grid = _grid(BONE_LOW_MM, BONE_HIGH_MM, BONE_SPACING_MM)
        radius, around = _polar(_places(grid))
        shell = _shell(radius, OUTER_MM - THICKNESS_MM, OUTER_MM)
        depth = np.minimum(shell, (around - hole_mm / OUTER_MM) * radius)
        self.ct = image_like((THRESHOLD_HU + HU_A_MM * depth).astype(np.float32), grid)
        self.skull = image_like(depth > 0.0, grid)
        self.completed = image_like(shell.astype(np.float32), grid)
        self.bone: BoneSurface = bone_surface(self.skull, self.ct, THRESHOLD_HU)
        self.lattice = _grid(LOW_MM, HIGH_MM, (LATTICE_MM,) * 3)
        self.places = _places(self.lattice)
        self.radius, self.around = _polar(self.places)

    def plate(
        self,
        inner_mm: float = OUTER_MM - THICKNESS_MM,
        outer_mm: float = OUTER_MM,
        edge_mm: float = HOLE_MM,
        clearance_mm: float = CLEARANCE_MM,
    ) -> np.ndarray:
        """The field of a plate with upright walls, positive in it."""
        rim = (edge_mm / OUTER_MM - self.around) * self.radius - clearance_mm
        return np.minimum(_shell(self.radius, inner_mm, outer_mm), rim).astype(np.float32)

    def mesh(self, field: np.ndarray) -> vtkPolyData:
        """The surface of a field, LPS mm."""
        apart = np.where(np.abs(field) < 0.02, np.copysign(np.float32(0.02), field), field)
        points, triangles = closed_surface_at_zero(apart)
        return mesh_of(points * LATTICE_MM + np.array(LOW_MM), triangles)


def _shell(radius: np.ndarray, inner_mm: float, outer_mm: float) -> np.ndarray:
    return np.minimum(outer_mm - radius, radius - inner_mm)


def _polar(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    radius = np.linalg.norm(places, axis=-1)
    return radius, np.arctan2(np.hypot(places[..., 0], places[..., 1]), places[..., 2])


def _grid(
    low: tuple[float, ...], high: tuple[float, ...], spacing: tuple[float, ...]
) -> sitk.Image:
    size = [round((b - a) / s) + 1 for a, b, s in zip(low, high, spacing)]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetOrigin(low)
    grid.SetSpacing(spacing)
    return grid


def _places(grid: sitk.Image) -> np.ndarray:
    axes = [
        np.arange(n) * s + o for n, s, o in zip(grid.GetSize(), grid.GetSpacing(), grid.GetOrigin())
    ]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    return np.stack([x, y, z], axis=-1)
