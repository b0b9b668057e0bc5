"""A closed mesh as a mask on an image's grid."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

from ..core.images import image_like, index_to_lps_mm
from .meshes import arrays_of, mesh_of


def mask_of_mesh(mesh: vtkPolyData, grid: sitk.Image) -> sitk.Image:
    """Return the voxels of `grid` whose centre lies in a closed mesh (LPS mm), as a uint8 mask.

    VTK's scan conversion, in the grid's own indices, so that any direction and handedness will do.
    What lies beside the grid is cut off.
    """
    points, triangles = arrays_of(mesh)
    size = np.array(grid.GetSize())
    values = np.zeros(size[::-1], np.uint8)
    if len(triangles):
        inverse = np.linalg.inv(index_to_lps_mm(grid))
        index = points @ inverse[:3, :3].T + inverse[:3, 3]
        low = np.maximum(np.floor(index.min(axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(index.max(axis=0)), size - 1).astype(int)
        if (low <= high).all():
            box = tuple(slice(int(a), int(b) + 1) for a, b in zip(low[::-1], high[::-1]))
            values[box] = scanned(mesh_of(index, triangles), low, high)
    return image_like(values, grid)


def scanned(
    mesh: vtkPolyData,
    low: NDArray[np.integer],
    high: NDArray[np.integer],
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    spacing_mm: float | Sequence[float] = 1.0,
) -> NDArray[np.uint8]:
    """Return 1 in a closed mesh, else 0, at the places `low` to `high` (x, y, z) of a lattice along
    the axes, whose place 0 lies at `origin_mm`; (z, y, x). spacing_mm: along all axes, or along
    each (x, y, z). VTK's scan conversion, exact.
    """
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(mesh)
    stencil.SetOutputOrigin(*(float(x) for x in origin_mm))
    stencil.SetOutputSpacing(*(float(s) for s in np.broadcast_to(spacing_mm, 3)))
    extent = [int(end) for pair in zip(low, high) for end in pair]
    stencil.SetOutputWholeExtent(*extent)
    to_image = vtkImageStencilToImage()
    to_image.SetInputConnection(stencil.GetOutputPort())
    to_image.SetOutputScalarTypeToUnsignedChar()
    to_image.SetInsideValue(1)
    to_image.SetOutsideValue(0)
    to_image.Update()
    scalars = to_image.GetOutput().GetPointData().GetScalars()
    return np.asarray(vtk_to_numpy(scalars)).reshape((high - low + 1)[::-1])
