"""The surface of a whole skull at the full resolution of its mask, closed, for a printer."""

import numpy as np
import SimpleITK as sitk
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkConstrainedSmoothingFilter, vtkFlyingEdges3D

from ..core.images import array_of, bounding_box, crop, index_to_lps_mm
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from ..implant.meshes import arrays_of, mesh_of

BETWEEN = 0.5  # of the labels 0 and 1
# How far a point may leave the middle between a voxel of bone and one without, in voxels: less than
# half, so that no two points meet and the surface stays closed.
MOST_MOVED = 0.4
# Steps of voxels are gone after so many; more only nears the limit.
SMOOTHINGS, SHARE_OF_STEP = 8, 0.3


def skull_surface(mask: sitk.Image, progress: Progress = silent) -> vtkPolyData:
    """Return the surface of a mask (uint8 0/1) as a closed mesh in LPS mm, facets outward.

    Every voxel counts, also of bone that is one voxel thin: flying edges (Schroeder 2015) go
    between the voxels, and constrained smoothing (Gibson 1998) takes the steps out, moving no point
    by more than `MOST_MOVED` voxels along an axis. Raises `SkullImplantError` where the mask is
    empty.
    """
    voxels = array_of(mask)
    if not voxels.any():
        raise SkullImplantError("There is no bone to make a surface of; check the masks.")
    part = crop(mask, bounding_box(voxels, margin=1))
    padded = np.pad(array_of(part), 1)
    image = vtkImageData()
    image.SetDimensions(*padded.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(padded.reshape(-1), deep=False))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, BETWEEN)
    edges.ComputeScalarsOff()
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.Update()
    progress(0.3, "smoothing")
    # In voxels, so that thick slices lose their steps too.
    smooth = vtkConstrainedSmoothingFilter()
    smooth.SetInputConnection(edges.GetOutputPort())
    smooth.SetNumberOfIterations(SMOOTHINGS)
    smooth.SetRelaxationFactor(SHARE_OF_STEP)
    smooth.SetConstraintStrategyToConstraintBox()
    smooth.SetConstraintBox(*[2.0 * MOST_MOVED] * 3)
    smooth.Update()
    index, triangles = arrays_of(smooth.GetOutput())
    image.GetPointData().SetScalars(None)  # VTK does not own `padded`
    progress(0.8)
    frame = index_to_lps_mm(part)
    points = (index - 1.0) @ frame[:3, :3].T + frame[:3, 3]
    # Along the axes of the voxels flying edges turn facets outward.
    if np.linalg.det(frame[:3, :3]) < 0.0:
        triangles = triangles[:, ::-1]
    return mesh_of(points, triangles)
