"""A closed surface of triangles: exact distances to it, and what straight lines meet of it.

Points are (n, 3) x, y, z in LPS mm. Part of the measuring from outside, which shares no code with
the product.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkIdList, vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData, vtkStaticCellLocator
from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil
from vtkmodules.vtkIOGeometry import vtkSTLReader

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

EDGE_MM = 1e-6  # with none, a line slips through between two triangles
SAME_HIT_MM = 1e-4  # crossings nearer together are one: the line met an edge of two triangles


@dataclass(frozen=True, eq=False)
class Facets:
    """Triangles (m, 3) of points (n, 3) in mm, counter-clockwise as seen from outside."""

    points: Floats
    triangles: NDArray[np.int64]

    @cached_property
    def corners(self) -> Floats:
        """(m, 3, 3): triangle, corner, x y z."""
        return self.points[self.triangles]

    @cached_property
    def _doubled_normals(self) -> Floats:
        first, second, third = self.corners.transpose(1, 0, 2)
        return np.cross(second - first, third - first)

    @cached_property
    def areas(self) -> Floats:
        """(m,) mm²."""
        return np.linalg.norm(self._doubled_normals, axis=1) / 2

    @cached_property
    def normals(self) -> Floats:
        """(m, 3) outward unit vectors; zero for a triangle without area."""
        return self._doubled_normals / np.maximum(2 * self.areas[:, None], 1e-12)

    @property
    def volume_mm3(self) -> float:
        """Of what is enclosed, by the divergence theorem; negative where turned inside out."""
        first, second, third = self.corners.transpose(1, 0, 2)
        return float(np.einsum("ij,ij->", first, np.cross(second, third)) / 6)

    @cached_property
    def polydata(self) -> vtkPolyData:
        """The same for VTK."""
        points = vtkPoints()
        points.SetData(numpy_to_vtk(np.ascontiguousarray(self.points, np.float64), deep=1))
        cells = vtkCellArray()
        offsets = np.arange(0, 3 * len(self.triangles) + 1, 3, dtype=np.int64)
        links = np.ascontiguousarray(self.triangles.ravel(), np.int64)
        cells.SetData(numpy_to_vtk(offsets, deep=1), numpy_to_vtk(links, deep=1))
        data = vtkPolyData()
        data.SetPoints(points)
        data.SetPolys(cells)
        return data

    @cached_property
    def _distance(self) -> vtkImplicitPolyDataDistance:
        distance = vtkImplicitPolyDataDistance()
        distance.SetInput(self.polydata)
        return distance

    @cached_property
    def _locator(self) -> vtkStaticCellLocator:
        locator = vtkStaticCellLocator()
        locator.SetDataSet(self.polydata)
        locator.BuildLocator()
        return locator

    def signed_distances(self, places: Floats) -> Floats:
        """Exact distances (n,) in mm from points (n, 3) to the nearest triangle, less than 0
        inside (sign by angle-weighted normals: Baerentzen and Aanaes 2005, as VTK does it).
        """
        if len(places) == 0:
            return np.zeros(0)
        result = numpy_to_vtk(np.zeros(len(places)), deep=1)
        self._distance.FunctionValue(
            numpy_to_vtk(np.ascontiguousarray(places, np.float64), deep=1), result
        )
        return vtk_to_numpy(result).copy()

    def crossings(self, starts: Floats, directions: Floats, reach_mm: float) -> list[Floats]:
        """For each line from a start (n, 3) along a unit vector (n, 3): how far away, in mm and in
        order, it crosses the surface within `reach_mm`.
        """
        met, cells = vtkPoints(), vtkIdList()
        found = []
        for start, direction in zip(starts, directions):
            self._locator.IntersectWithLine(
                start, start + reach_mm * direction, EDGE_MM, met, cells
            )
            if met.GetNumberOfPoints() == 0:
                found.append(np.zeros(0))
                continue
            along = np.sort((vtk_to_numpy(met.GetData()) - start) @ direction)
            found.append(along[np.concatenate([[True], np.diff(along) > SAME_HIT_MM])])
        return found

    def first_crossings(self, starts: Floats, directions: Floats, reach_mm: float) -> Floats:
        """As `crossings`, the first (n,) only; infinite where there is none."""
        return np.array(
            [
                hits[0] if len(hits) else np.inf
                for hits in self.crossings(starts, directions, reach_mm)
            ]
        )

    def samples(self, a_mm2: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw points (n, 3) all over the surface, `a_mm2` of them per mm², with the unit normals
        (n, 3) of their triangles.
        """
        total = self.areas.sum()
        count = max(int(total * a_mm2), 1)
        # One draw in each of `count` equal shares of the area: evener than free draws.
        marks = (np.arange(count) + rng.random(count)) / count * total
        chosen = np.minimum(np.searchsorted(np.cumsum(self.areas), marks), len(self.areas) - 1)
        first, second = rng.random((2, count, 1))
        root = np.sqrt(first)
        weights = np.concatenate([1 - root, root * (1 - second), root * second], axis=1)
        places = np.einsum("nk,nkx->nx", weights, self.corners[chosen])
        return places, self.normals[chosen]

    def moved(self, rotation: Floats, shift_mm: Floats | float = 0.0) -> "Facets":
        """The surface with each point p at `rotation @ p + shift_mm`; no mirror image."""
        return Facets(self.points @ rotation.T + shift_mm, self.triangles)


def inside_lattice(surface: Facets, low_mm: Floats, shape_xyz: NDArray, step_mm: float) -> Mask:
    """Which places of a lattice lie within a closed surface: (z, y, x) bool.

    The lattice begins at `low_mm` (x, y, z) and has `shape_xyz` places `step_mm` apart.
    """
    whole = (0, int(shape_xyz[0]) - 1, 0, int(shape_xyz[1]) - 1, 0, int(shape_xyz[2]) - 1)
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(surface.polydata)
    stencil.SetOutputOrigin(*low_mm)
    stencil.SetOutputSpacing(step_mm, step_mm, step_mm)
    stencil.SetOutputWholeExtent(*whole)
    stencil.SetTolerance(0.0)
    image = vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutsideValue(0)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    values = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars())
    return values.reshape(tuple(int(count) for count in shape_xyz[::-1])) != 0


def read_stl(path: Path) -> Facets:
    """Read an STL file, binary or text, points of the same place as one.

    Raises `ValueError` where there is no triangle in it.
    """
    reader = vtkSTLReader()
    reader.SetFileName(str(path))
    reader.Update()
    data = reader.GetOutput()
    if data.GetNumberOfCells() == 0:
        raise ValueError(f"There is no triangle in {path}.")
    points = vtk_to_numpy(data.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return Facets(points, triangles.astype(np.int64))
