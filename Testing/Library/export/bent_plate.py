"""Implants of known shape for the tests of what is made of them."""

import manifold3d
import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkPolyData, vtkStaticCellLocator

from SkullImplantLib.implant.meshes import mesh_of

OUTER_MM, INNER_MM, WIDE_MM = 80.0, 75.0, 30.0


def mesh_from(solid: manifold3d.Manifold) -> vtkPolyData:
    result = solid.to_mesh()
    return mesh_of(np.asarray(result.vert_properties)[:, :3], np.asarray(result.tri_verts))


def bent_plate(direction=(0.0, 0.0, 1.0), place=(0.0, 0.0, 0.0)) -> vtkPolyData:
    """A plate 60 mm wide and 5 mm thick, a piece of a ball's shell whose middle lies along a unit
    vector from the ball's, which is moved to `place`."""
    shell = manifold3d.Manifold.sphere(OUTER_MM, 200) - manifold3d.Manifold.sphere(INNER_MM, 200)
    plate = shell ^ manifold3d.Manifold.cylinder(2 * OUTER_MM, WIDE_MM, -1.0, 120)
    up = np.asarray(direction, float)
    aside = np.eye(3)[np.argmin(np.abs(up))]
    first = np.cross(up, aside)
    first /= np.linalg.norm(first)
    axes = np.column_stack([first, np.cross(up, first), up])
    return mesh_from(plate.transform(np.column_stack([axes, np.asarray(place, float)])))


def crossings(mesh: vtkPolyData, starts: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    """Return, for rays (n, 3) to (n, 3), where (share of the way, sorted) each crosses a mesh."""
    locator = vtkStaticCellLocator()
    locator.SetDataSet(mesh)
    locator.BuildLocator()
    found = []
    for start, end in zip(starts, ends):
        points = vtkPoints()
        locator.IntersectWithLine(start, end, 1e-7, points, None)
        places = vtk_to_numpy(points.GetData()) if points.GetNumberOfPoints() else np.zeros((0, 3))
        share = (places - start) @ (end - start) / ((end - start) @ (end - start))
        share = np.sort(share)
        # Two triangles that share an edge are met at one place.
        found.append(
            share[np.concatenate([[True], np.diff(share) > 1e-6])] if len(share) else share
        )
    return found
