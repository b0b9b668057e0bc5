"""Field to watertight triangle mesh: one closed, oriented 2-manifold in LPS millimetres.

Flying edges (Schroeder 2015) place the points where the fit's field is zero; `remeshing.py` makes
their triangles even, within `TOLERANCE_MM` of that surface. Nothing is smoothed afterwards: what
the fit decided is what is printed.
"""

import numpy as np
import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkAppendPolyData

from ..core.images import array_of, index_to_lps_mm
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from .level_set import surface_at_zero
from .meshes import arrays_of, enclosed_volume_mm3, mesh_of
from .remeshing import remeshed


def surface_of(field: sitk.Image, progress: Progress = silent) -> vtkPolyData:
    """Return the surface of a field (float32, mm, positive inside) on a lattice of equal sides, as
    a closed mesh in LPS mm, its facets turned outward.

    Raises `SkullImplantError` where nothing is inside.
    """
    values = array_of(field)
    if not (values > 0.0).any():
        raise SkullImplantError(
            "There is nothing to make a surface of: the implant is empty; check the input."
        )
    spacing_mm = float(field.GetSpacing()[0])
    closed = np.pad(values, 1, constant_values=np.float32(min(values.min(), -spacing_mm)))
    points, triangles = remeshed(closed, spacing_mm, progress=progress)
    return _in_lps(points / spacing_mm - 1.0, triangles, field)


def surface_of_mask(mask: sitk.Image) -> vtkPolyData:
    """Return the surface of a mask (uint8 0/1) as it is, for pictures: closed, LPS mm."""
    values = np.pad(array_of(mask).astype(np.float32), 1) - np.float32(0.5)
    points, triangles = surface_at_zero(values)
    return _in_lps(points - 1.0, triangles, mask)


def together(meshes: tuple[vtkPolyData, ...]) -> vtkPolyData:
    """Return several meshes as one."""
    if len(meshes) == 1:
        return meshes[0]
    joined = vtkAppendPolyData()
    for mesh in meshes:
        joined.AddInputData(mesh)
    joined.Update()
    return mesh_of(*arrays_of(joined.GetOutput()))


def _in_lps(index: np.ndarray, triangles: np.ndarray, grid: sitk.Image) -> vtkPolyData:
    """Return the mesh with points given in index coordinates (x, y, z) of `grid`."""
    frame = index_to_lps_mm(grid)
    points = index @ frame[:3, :3].T + frame[:3, 3]
    if enclosed_volume_mm3(points, triangles) < 0:
        triangles = triangles[:, ::-1]
    return mesh_of(points, triangles)
