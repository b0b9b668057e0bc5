"""The surface of a field where it is zero: closed triangles, by flying edges (Schroeder 2015)."""

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

from .meshes import arrays_of

JUST_OUTSIDE = -1e-3  # where a field is not known to be anything less


def surface_at_zero(
    field: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the points (n, 3) in index coordinates (x, y, z) and the triangles (m, 3) where
    `field` (z, y, x) is zero.

    Facets look towards lower values where the axes are right-handed: out of what is positive.
    Points lie on the lattice's edges, by linear interpolation.
    """
    image = vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    values = np.ascontiguousarray(field, np.float32).reshape(-1)
    scalars = numpy_to_vtk(values, deep=False)
    image.GetPointData().SetScalars(scalars)
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.0)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.InterpolateAttributesOff()
    edges.Update()
    points, triangles = arrays_of(edges.GetOutput())
    # VTK frees `values` when `scalars` goes, unless something else of VTK's still holds it then.
    image.GetPointData().SetScalars(None)
    return points, triangles


def closed_surface_at_zero(
    field: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the same with outside all round the field, so that the surface is closed at its ends;
    indices of points there are up to a step less than 0, or more than the last.
    """
    outside = min(float(field.min()), JUST_OUTSIDE)
    points, triangles = surface_at_zero(np.pad(field, 1, constant_values=np.float32(outside)))
    return points - 1.0, triangles
