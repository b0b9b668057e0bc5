"""The bone's surface as the measuring sees it: a CT at the design's threshold, or a mask's blur."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from facets import Facets, Floats
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

MASK_BLUR_VOXELS = 0.7
CORE_VOXELS, SHELL_VOXELS = 1, 2  # so deep in the skull's mask all is bone; so far off it none is
MASK_CLEAR, CLEAR_HU = 0.01, 5.0  # move a surface by 0.02 voxel at most, where bone is bone
SURELY_HU = 200.0  # above the threshold in the mask's core, below it off the mask


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: LPS mm = `matrix` @ (x, y, z) index + `origin`."""

    matrix: Floats
    origin: Floats

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        direction = np.array(image.GetDirection()).reshape(3, 3)
        return cls(direction * image.GetSpacing(), np.array(image.GetOrigin()))

    def lps_mm(self, index_xyz: Floats) -> Floats:
        return index_xyz @ self.matrix.T + self.origin

    def index(self, lps_mm: Floats) -> Floats:
        return (lps_mm - self.origin) @ np.linalg.inv(self.matrix).T


def box_around(image: sitk.Image, low_mm: Floats, high_mm: Floats) -> tuple[slice, slice, slice]:
    """The part (z, y, x) of an image's array that holds a box of LPS mm."""
    corners = np.array(np.meshgrid(*zip(low_mm, high_mm))).reshape(3, -1).T
    index = Grid.of(image).index(corners)
    size = np.array(image.GetSize())
    low = np.clip(np.floor(index.min(0)).astype(int), 0, size - 1)
    high = np.clip(np.ceil(index.max(0)).astype(int) + 1, 1, size)
    return tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))


def mask_surface(mask: sitk.Image, low_mm: Floats, high_mm: Floats) -> Facets:
    """The surface of a binary mask within a box of LPS mm: blurred by 0.7 voxel, at one half."""
    box = box_around(mask, low_mm, high_mm)
    values = ndimage.gaussian_filter(
        sitk.GetArrayFromImage(mask)[box].astype(np.float32), MASK_BLUR_VOXELS, mode="nearest"
    )
    return surface_at(values, 0.5, Grid.of(mask), box, MASK_CLEAR)


def ct_surface(
    ct: sitk.Image, threshold_hu: float, skull: sitk.Image, low_mm: Floats, high_mm: Floats
) -> Facets:
    """The iso-surface of a CT within a box of LPS mm, on the CT's own grid.

    `skull` is a filled mask of the bone on the same grid: a voxel deep in it, marrow and air are
    bone; two voxels off it, nothing is (headrest, wires, skin).
    """
    box = box_around(ct, low_mm, high_mm)
    values = sitk.GetArrayFromImage(ct)[box].astype(np.float32)
    bone = sitk.GetArrayFromImage(skull)[box] != 0
    core = ndimage.binary_erosion(bone, iterations=CORE_VOXELS, border_value=1)
    off = ~ndimage.binary_dilation(bone, iterations=SHELL_VOXELS)
    values[core] = np.maximum(values[core], threshold_hu + SURELY_HU)
    values[off] = np.minimum(values[off], threshold_hu - SURELY_HU)
    return surface_at(values, threshold_hu, Grid.of(ct), box, CLEAR_HU)


def surface_at(
    values: NDArray[np.float32],
    level: float,
    grid: Grid,
    box: tuple[slice, slice, slice],
    clear: float = 1e-3,
) -> Facets:
    """Marching cubes (VTK's flying edges) of an array (z, y, x) cut out of `grid` at `box`.

    The inside is where values are over `level`. Closed where the box cuts through bone. Values
    nearer to the level than `clear` move away from it: they make triangles almost without area,
    near which the sign of a distance may be wrong.
    """
    closed = np.pad(values, 1, constant_values=min(float(values.min()), level) - 1.0)
    near = np.abs(closed - level) < clear
    closed[near] = np.where(closed[near] < level, level - clear, level + clear)
    image = vtkImageData()
    image.SetDimensions(*closed.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(closed.ravel(), deep=1))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, level)
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    data = edges.GetOutput()
    if data.GetNumberOfCells() == 0:
        raise ValueError("There is no bone near the implant: is it in the input's frame?")
    start = np.array([part.start for part in box[::-1]]) - 1
    points = grid.lps_mm(vtk_to_numpy(data.GetPoints().GetData()).astype(np.float64) + start)
    triangles = vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    surface = Facets(points, triangles.astype(np.int64))
    if surface.volume_mm3 < 0:
        surface = Facets(points, surface.triangles[:, ::-1])
    return surface
