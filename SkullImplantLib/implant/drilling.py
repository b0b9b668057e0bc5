"""Holes through an implant, along its way in: perforations for drainage, holes for sutures.

Where they lie is decided on the implant's footprint, its shadow along the direction of insertion:
perforations on a hexagonal pattern, suture holes evenly along the rim, all at a stated distance
from it. They are cut as exact cylinders out of the mesh by manifold3d, which is optional. No
standard gives their sizes: 2 to 3 mm wide and 10 to 20 mm apart, 5 mm and more from the rim, is
what is commonly drilled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkIdList
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkContourFilter, vtkStripper

from ..core.images import array_of
from ..errors import SkullImplantError
from ..options import DrillOptions
from .lattice import places_of
from .meshes import arrays_of, mesh_health
from .solids import axes_along, mesh_of_solid, solid_library, solid_of

Floats = NDArray[np.float64]

PIXEL_MM = 0.5
# A circle of so many sides is round to a hundredth of its radius.
SIDES = 32
# Facets that this moves by no more, slivers at the holes' edges, are merged away.
SLIVER_MM = 0.005
# A cylinder ends so far beyond the implant.
BEYOND_MM = 5.0
# Of a hexagonal pattern the rows are so many pitches apart.
ROWS = np.sqrt(3.0) / 2.0


@dataclass(frozen=True)
class Hole:
    """A hole of `diameter_mm` through a place (LPS, mm) in the middle of the implant."""

    place_mm: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class Footprint:
    """An implant's shadow along a direction.

    inside_mm: (rows, columns) of `PIXEL_MM`, the distance to the shadow's outline, 0 beyond it.
    middle_mm: the middle of the implant over each pixel, along the direction. start_mm: (2,) of
    the first pixel. axes: (3, 3), columns: along the columns, along the rows, the direction.
    """

    inside_mm: Floats
    middle_mm: Floats
    start_mm: Floats
    axes: Floats

    def place(self, rows: Floats, columns: Floats) -> Floats:
        """Return LPS points (n, 3) in the middle of the implant, for pixels with fractions."""
        nearest = (np.rint(rows).astype(int), np.rint(columns).astype(int))
        along = np.column_stack([columns, rows]) * PIXEL_MM + self.start_mm
        return np.asarray(np.column_stack([along, self.middle_mm[nearest]]) @ self.axes.T)


def footprint_of(field: sitk.Image, direction: Floats) -> Footprint:
    """Return the footprint of an implant's field (positive in it) along a unit vector (LPS)."""
    points = places_of(field, np.argwhere(array_of(field) > 0.0))
    axes = axes_along(direction)
    local = points @ axes
    start = local[:, :2].min(axis=0) - 2 * PIXEL_MM
    columns, rows = np.rint((local[:, :2] - start) / PIXEL_MM).astype(int).T
    shape = (rows.max() + 3, columns.max() + 3)
    pixel = rows * shape[1] + columns
    count = np.bincount(pixel, minlength=shape[0] * shape[1]).reshape(shape)
    height = np.bincount(pixel, local[:, 2], shape[0] * shape[1]).reshape(shape)
    shadow = ndimage.binary_closing(count > 0)
    # Of a pixel between two rows of lattice points the middle is that of the nearest pixel.
    nearest = ndimage.distance_transform_edt(
        count == 0, return_distances=False, return_indices=True
    )
    middle = (height / np.maximum(count, 1))[tuple(nearest)]
    inside = ndimage.distance_transform_edt(shadow) * PIXEL_MM
    return Footprint(inside, middle, start, axes)


def holes_for(field: sitk.Image, direction: Floats, options: DrillOptions) -> tuple[Hole, ...]:
    """Return the holes that `options` ask for in an implant (field, positive in it)."""
    if not options.any:
        return ()
    shadow = footprint_of(field, np.asarray(direction, np.float64))
    holes = []
    if options.suture_holes:
        for place in _along_the_rim(shadow, options):
            holes.append(Hole((place[0], place[1], place[2]), options.suture_hole_mm))
    if options.perforation_mm:
        taken = np.array([hole.place_mm for hole in holes]).reshape(-1, 3)
        for place in _perforations(shadow, options):
            apart = np.linalg.norm(taken - place, axis=1).min(initial=np.inf)
            if apart >= options.perforation_mm + options.suture_hole_mm:
                holes.append(Hole((place[0], place[1], place[2]), options.perforation_mm))
    return tuple(holes)


def _perforations(shadow: Footprint, options: DrillOptions) -> Floats:
    """Return places (n, 3) on a hexagonal pattern, centred on the footprint."""
    assert options.perforation_mm is not None
    pitch = options.perforation_pitch_mm / PIXEL_MM
    height, width = shadow.inside_mm.shape
    middle = np.array(ndimage.center_of_mass(shadow.inside_mm > 0.0))
    reach = int(max(height, width) / (pitch * ROWS)) + 2
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    rows = middle[0] + row * pitch * ROWS
    columns = middle[1] + (column + 0.5 * (row % 2)) * pitch
    within = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    rows, columns = rows[within], columns[within]
    inside = ndimage.map_coordinates(shadow.inside_mm, [rows, columns], order=1)
    free = inside >= options.perforation_from_rim_mm + options.perforation_mm / 2
    return shadow.place(rows[free], columns[free])


def _along_the_rim(shadow: Footprint, options: DrillOptions) -> Floats:
    """Return places (n, 3), evenly along a line at the asked distance from the outline."""
    level = options.suture_from_rim_mm + options.suture_hole_mm / 2
    line = longest_loop(shadow.inside_mm, level)
    if len(line) < 3:
        raise SkullImplantError(
            "The implant is too narrow for suture holes so far from its rim; ask for a smaller "
            "distance, or for none."
        )
    sides = np.linalg.norm(np.diff(line, axis=0), axis=1)
    gone = np.concatenate([[0.0], np.cumsum(sides)])
    at = np.arange(options.suture_holes) / options.suture_holes * gone[-1]
    return shadow.place(np.interp(at, gone, line[:, 1]), np.interp(at, gone, line[:, 0]))


def longest_loop(values: Floats, level: float) -> Floats:
    """Return the points (n, 2; column, row) of the longest line where `values` is `level`."""
    image = vtkImageData()
    image.SetDimensions(values.shape[1], values.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(values).ravel(), deep=True))
    contour = vtkContourFilter()
    contour.SetInputData(image)
    contour.SetValue(0, level)
    strips = vtkStripper()
    strips.SetInputConnection(contour.GetOutputPort())
    strips.JoinContiguousSegmentsOn()
    strips.Update()
    lines = strips.GetOutput()
    if lines.GetNumberOfLines() == 0:
        return np.zeros((0, 2))
    points = vtk_to_numpy(lines.GetPoints().GetData())[:, :2].astype(np.float64)
    found, cell = [], vtkIdList()
    lines.GetLines().InitTraversal()
    while lines.GetLines().GetNextCell(cell):
        found.append(points[[cell.GetId(k) for k in range(cell.GetNumberOfIds())]])
    return max(found, key=lambda line: np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def drilled(mesh: vtkPolyData, holes: tuple[Hole, ...], direction: Floats) -> vtkPolyData:
    """Return a closed mesh (LPS mm) with cylindrical holes along a unit vector.

    Raises `SkullImplantError` where manifold3d is not installed, the mesh is no solid for it, or
    holes meet one another or the rim.
    """
    if not holes:
        return mesh
    manifold3d = _library()
    solid = solid_of(mesh, manifold3d, "The implant's surface")
    axes = axes_along(direction)
    along = arrays_of(mesh)[0] @ axes[:, 2]
    length = float(np.ptp(along)) + 2 * BEYOND_MM
    cutters = []
    for hole in holes:
        foot = np.array(hole.place_mm)
        foot = foot + (along.min() - BEYOND_MM - foot @ axes[:, 2]) * axes[:, 2]
        cutter = manifold3d.Manifold.cylinder(length, hole.diameter_mm / 2, -1.0, SIDES)
        cutters.append(cutter.transform(np.column_stack([axes, foot])))
    cut = manifold3d.Manifold.batch_boolean([solid, *cutters], manifold3d.OpType.Subtract)
    holed = mesh_of_solid(cut.simplify(SLIVER_MM))
    health = mesh_health(holed)
    if not health.watertight or health.genus != len(holes):
        raise SkullImplantError(
            "The holes do not all go through the implant one by one; ask for fewer, or farther "
            "from one another and from the rim."
        )
    return holed


def check_library(options: DrillOptions) -> None:
    """Raise `SkullImplantError` where holes are asked for and manifold3d is not installed."""
    if options.any:
        _library()


def _library() -> Any:
    instead = "ask for no perforations and suture holes"
    return solid_library("Holes through the implant need", instead)
