"""The skull's surface for pictures: smooth, with light on its shape and shade in its creases."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core import images
from ..implant.level_set import surface_at_zero
from ..implant.meshes import mesh_of

# The skull is drawn from a grid of this spacing: a picture of 240 mm has no use for finer.
PICTURE_SPACING_MM = 1.0
# Width of the blur that tells creases (much bone around) from open surface.
CREASE_MM = 4.0
CREASE_DARKNESS = 0.9
CREASE_STEP = 2  # voxels of the picture's grid; half as wide as the blur
# Blur of the shape, and of the shape whose slopes the light sees, in mm or in the longest side of
# the mask's voxels, whichever is more: wide enough to hide the steps, not so wide as to hide bone.
SHAPE_MM, SHAPE_VOXELS = 0.6, 0.45
SHADING_MM, SHADING_VOXELS = 2.0, 1.2


def picture_mesh(skull: sitk.Image) -> vtkPolyData:
    """Return the surface of the mask `skull` for pictures: LPS mm, with normals and `shade`.

    `shade` is 1 on open surface and smaller in creases, as light from all around would leave it.
    """
    whole = images.bounding_box(images.array_of(skull), margin=2)
    field = _on_picture_grid(images.crop(skull, whole))
    longest_mm = max(skull.GetSpacing())
    smooth = sitk.SmoothingRecursiveGaussian(field, max(SHAPE_MM, SHAPE_VOXELS * longest_mm))
    # So wide a blur needs no finer grid.
    coarse = sitk.BinShrink(field, [CREASE_STEP] * 3)
    crowd = sitk.SmoothingRecursiveGaussian(coarse, CREASE_MM)

    index, triangles = surface_at_zero(images.array_of(smooth) - np.float32(0.5))
    points = index * PICTURE_SPACING_MM + np.array(field.GetOrigin())
    mesh = mesh_of(points, triangles)

    place = index[:, ::-1].T
    beside = ((points - np.array(crowd.GetOrigin())) / crowd.GetSpacing())[:, ::-1].T
    around = ndimage.map_coordinates(images.array_of(crowd), beside, order=1, mode="nearest")
    # A plane has half of its surroundings inside; a shell of bone less, a crease more.
    shade = np.clip(1.0 - CREASE_DARKNESS * (around - 0.4), 0.25, 1.0)
    add_point_array(mesh, "shade", shade)
    # Light falls on the shape, not on the steps of its voxels, which a blur takes out.
    shading_mm = max(SHADING_MM, SHADING_VOXELS * longest_mm)
    blurred = images.array_of(sitk.SmoothingRecursiveGaussian(field, shading_mm))
    normals = -np.stack([_slope(blurred, place, axis) for axis in (2, 1, 0)], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    add_point_array(mesh, "normals", normals)
    mesh.GetPointData().SetActiveNormals("normals")
    return mesh


def _slope(values: np.ndarray, place: np.ndarray, axis: int) -> np.ndarray:
    """Return how `values` (z, y, x) rise along an axis at places (3, n), by central differences."""
    ends = []
    for side in (-1.0, 1.0):
        beside = place.copy()
        beside[axis] += side
        ends.append(ndimage.map_coordinates(values, beside, order=1, mode="nearest"))
    return np.asarray((ends[1] - ends[0]) / 2.0)


def _on_picture_grid(mask: sitk.Image) -> sitk.Image:
    """Return the mask as float32 on a grid along LPS that covers it, with a border outside."""
    size = np.array(mask.GetSize())
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in size])).reshape(3, -1)
    frame = images.index_to_lps_mm(mask)
    places = frame[:3, :3] @ corners + frame[:3, 3:]
    low = places.min(axis=1) - 2 * PICTURE_SPACING_MM
    high = places.max(axis=1) + 2 * PICTURE_SPACING_MM
    grid = sitk.Image([int(n) for n in np.ceil((high - low) / PICTURE_SPACING_MM)], sitk.sitkUInt8)
    grid.SetSpacing([PICTURE_SPACING_MM] * 3)
    grid.SetOrigin([float(v) for v in low])
    return images.fraction_on(mask, grid)


def add_point_array(mesh: vtkPolyData, name: str, values: np.ndarray) -> None:
    """Add a number or vector for each point of `mesh`."""
    array = numpy_to_vtk(np.ascontiguousarray(values, np.float32), deep=True)
    array.SetName(name)
    mesh.GetPointData().AddArray(array)
