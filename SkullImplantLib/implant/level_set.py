"""The surface of a field where it is zero: closed triangles, by flying edges (Schroeder 2015)."""

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

from .meshes import arrays_of


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
    image.GetPointData().SetScalars(numpy_to_vtk(values, deep=False))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.0)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.InterpolateAttributesOff()
    edges.Update()
    points, triangles = arrays_of(edges.GetOutput())
    return points, triangles
