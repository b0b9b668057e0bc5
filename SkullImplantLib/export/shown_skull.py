"""The skull's surface as pictures, report and viewers show it, made once for all of them."""

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkQuadricDecimation

from ..core.read_once import ReadOnce
from ..core.working_axes import as_working
from ..implant.mesh_distance import MeshDistance
from ..implant.meshes import arrays_of, mesh_of
from .picture_mesh import picture_mesh

# The share of the triangles that is taken away: with 0.8 thin bone of the face moved by
# more than 1 mm.
REDUCTION = 0.6
# Crumbs of bone with fewer points than this in the surface for pictures are not shown: 5 mm across.
CRUMB_POINTS = 150


class Simplified(NamedTuple):
    """A mesh with fewer triangles, and how far the points of the others were at most from it."""

    mesh: vtkPolyData
    off_mm: float


class ShownSkull:
    """The surface of a skull's mask (uint8 0/1, on any axes), LPS mm, made by whoever asks first.

    May be asked by several threads at once.
    """

    def __init__(self, skull: sitk.Image) -> None:
        self._skull = skull
        self._once = ReadOnce()

    def surface(self) -> vtkPolyData:
        """Return the surface for pictures, see `picture_mesh`."""
        return self._once.get("surface", lambda: picture_mesh(as_working(self._skull)))

    def simpler(self) -> vtkPolyData:
        """Return it with fewer triangles, for programs that turn it."""
        return self._once.get("simpler", lambda: _decimated(self._whole()))

    def simplified(self) -> Simplified:
        """Return the same, and how far it is from the surface."""
        return self._once.get("simplified", lambda: _measured(self.simpler(), self._whole()))

    def _whole(self) -> vtkPolyData:
        return self._once.get("whole", lambda: _without_crumbs(self.surface()))


def _without_crumbs(mesh: vtkPolyData) -> vtkPolyData:
    """Return a mesh without its smallest pieces; the largest stays whatever its size."""
    points_mm, triangles = arrays_of(mesh)
    count = len(points_mm)
    ends = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    joined = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (count, count))
    piece = connected_components(joined, directed=False)[1]
    sizes = np.bincount(piece, minlength=1)
    large = sizes >= min(CRUMB_POINTS, sizes.max())
    kept = large[piece]
    number = np.cumsum(kept) - 1
    return mesh_of(points_mm[kept], number[triangles[kept[triangles[:, 0]]]])


def simplified(mesh: vtkPolyData) -> Simplified:
    """Return a mesh without crumbs and with fewer triangles."""
    whole = _without_crumbs(mesh)
    return _measured(_decimated(whole), whole)


def _measured(mesh: vtkPolyData, whole: vtkPolyData) -> Simplified:
    away = MeshDistance(*arrays_of(mesh)).unsigned_mm(arrays_of(whole)[0])
    return Simplified(mesh, float(away.max()))


def _decimated(mesh: vtkPolyData) -> vtkPolyData:
    """Return a mesh with `REDUCTION` fewer triangles: quadric decimation (Garland and Heckbert
    1997), which keeps the volume.
    """
    decimation = vtkQuadricDecimation()
    decimation.SetInputData(mesh)
    decimation.SetTargetReduction(REDUCTION)
    decimation.VolumePreservationOn()
    decimation.Update()
    return decimation.GetOutput()
