"""The try-in model: the bone around the holes, cut flat, to be printed and the implant tried in it.

It is the surface that the implant was fitted to (`implant.bone_surface`), not that of the mask, so
that what fits the one fits the other.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.images import array_of, index_to_lps_mm
from ..errors import SkullImplantError
from ..implant.bone_surface import BoneSurface
from ..implant.level_set import surface_at_zero
from ..implant.meshes import arrays_of, enclosed_volume_mm3, mesh_of
from ..implant.solids import mesh_of_solid, solid_library, solid_of

# So much bone around the implants, along each axis of the image; a common design value.
AROUND_MM = 25.0
# Smaller pieces are left out: the face's thin bones, cut off from what holds the implant.
LEAST_PIECE_MM3 = 1000.0
# Of the field's largest value, what is not zero.
LEAST_SHARE = 1e-6
# Facets that this moves by no more are merged away; a fortieth of the clearance.
SLIVER_MM = 0.0125


def try_in_model(bone: BoneSurface) -> vtkPolyData:
    """Return the bone as a closed mesh, LPS mm, flat where its image ends.

    bone: around the implants, in a box that reaches `AROUND_MM` beyond them. Raises
    `SkullImplantError` where manifold3d is not installed or there is no bone to speak of.
    """
    manifold3d = solid_library("A try-in model needs", "export without it")
    field = array_of(bone.field)
    # Beyond the image is as much air as there is bone at its border: the cut is flat between them.
    closed = np.pad(field, 1, mode="edge")
    border = np.ones(closed.shape, bool)
    border[1:-1, 1:-1, 1:-1] = False
    # Never zero, which would be bone.
    closed[border] = -np.maximum(np.abs(closed[border]), LEAST_SHARE * np.abs(field).max())
    index, triangles = surface_at_zero(closed)
    frame = index_to_lps_mm(bone.field)
    points = (index - 1.0) @ frame[:3, :3].T + frame[:3, 3]
    if enclosed_volume_mm3(points, triangles) < 0:
        triangles = triangles[:, ::-1]
    mesh = _large_pieces(points, triangles)
    solid = solid_of(mesh, manifold3d, "The bone around the implant")
    return mesh_of_solid(solid.simplify(SLIVER_MM))


def _large_pieces(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> vtkPolyData:
    """Return the pieces of closed surfaces that enclose enough; spaces within bone are none.

    Raises `SkullImplantError` where there are none.
    """
    ends = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    joined = coo_array((np.ones(len(ends), np.int8), tuple(ends.T)), (len(points), len(points)))
    piece = connected_components(joined, directed=False)[1]
    a, b, c = (points[triangles[:, k]] - points.mean(axis=0) for k in range(3))
    sixth = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0
    kept = (np.bincount(piece[triangles[:, 0]], sixth) >= LEAST_PIECE_MM3)[piece]
    if not kept.any():
        raise SkullImplantError("There is too little bone around the implant for a try-in model.")
    number = np.cumsum(kept) - 1
    return mesh_of(points[kept], number[triangles[kept[triangles[:, 0]]]])


def reaches(mesh: vtkPolyData, grid: sitk.Image) -> tuple[slice, ...]:
    """Return the box, slices (z, y, x), of a grid that reaches `AROUND_MM` beyond a mesh."""
    points = arrays_of(mesh)[0]
    low, high = points.min(axis=0) - AROUND_MM, points.max(axis=0) + AROUND_MM
    corners = np.array(np.meshgrid(*zip(low, high))).reshape(3, -1).T
    index = np.array([grid.TransformPhysicalPointToContinuousIndex(c) for c in corners.tolist()])
    size = np.array(grid.GetSize())
    first = np.clip(np.floor(index.min(axis=0)).astype(int), 0, size - 1)
    last = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, first + 1, size)
    return tuple(slice(int(a), int(b)) for a, b in zip(first[::-1], last[::-1]))
