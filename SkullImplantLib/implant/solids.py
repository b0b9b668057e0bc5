"""Meshes as solids that can be cut out of one another, by manifold3d, which is optional."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..errors import SkullImplantError
from .meshes import arrays_of, mesh_of
from .slivers import without_slivers
from .touching_points import with_points_apart


def solid_library(wanted: str, instead: str) -> Any:
    """Return the module manifold3d.

    wanted: what needs it, begins the sentence. instead: what to do without it, ends it. Raises
    `SkullImplantError` where it is not installed.
    """
    try:
        import manifold3d
    except ImportError as error:
        raise SkullImplantError(
            f"{wanted} the library manifold3d; install it (pip install manifold3d), or {instead}."
        ) from error
    return manifold3d


def solid_of(mesh: vtkPolyData, manifold3d: Any, what: str) -> Any:
    """Return a closed mesh as a `Manifold`.

    Raises `SkullImplantError`, which names `what` it is, where it is no solid.
    """
    points, triangles = arrays_of(mesh)
    solid = manifold3d.Manifold(
        manifold3d.Mesh(points.astype(np.float32), triangles.astype(np.uint32))
    )
    if solid.is_empty():
        raise SkullImplantError(f"{what} is no solid; check its surface for open edges first.")
    return solid


def mesh_of_solid(solid: Any) -> vtkPolyData:
    """Return a `Manifold` as a mesh of triangles, without the slivers that cuts leave, its points
    apart from one another.
    """
    result = solid.to_mesh()
    mesh = mesh_of(np.asarray(result.vert_properties)[:, :3], np.asarray(result.tri_verts))
    return with_points_apart(without_slivers(mesh))


def largest_piece(solid: Any) -> Any:
    """Return the largest piece of a solid; a cut beside a surface leaves crumbs."""
    return max(solid.decompose(), key=lambda piece: piece.volume())


def axes_along(direction: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return a right-handed frame (3, 3) whose third column is the direction, a unit vector."""
    aside = np.eye(3)[np.argmin(np.abs(direction))]
    first = np.cross(direction, aside)
    first /= np.linalg.norm(first)
    return np.column_stack([first, np.cross(direction, first), direction])
