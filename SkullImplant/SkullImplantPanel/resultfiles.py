"""A result folder of the library as VTK objects in RAS: labelmaps, surfaces, and the design's data.

``readResults`` may run in any thread; nothing here touches the scene.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import vtk
from vtk.util.numpy_support import numpy_to_vtk

import slicer

from SkullImplantLib.core.images import array_of, index_to_lps_mm

from .inputs import COMPLETED_ID, FLIP_RAS_LPS, IMPLANT_CODE


@dataclass(frozen=True)
class Piece:
    """One of the three masks: its segment id, file, codes (SNOMED CT) and color.

    Codes are those of Slicer's own terminology "Segmentation category and type": an
    anatomical structure, or a physical object.
    """

    segmentId: str
    fileName: str
    category: str
    type: str
    color: tuple[float, float, float]


ANATOMY = "SCT^123037004^Anatomical Structure"
OBJECT = "SCT^260787004^Physical object"
SKULL_CODE = "SCT^89546000^Skull"
# Slicer's own color of the skull; blue and orange are told apart by color-blind people as well.
SKULL = Piece("Skull", "skull.nrrd", ANATOMY, SKULL_CODE, (0.945, 0.835, 0.565))
COMPLETED = Piece(COMPLETED_ID, "completed.nrrd", ANATOMY, SKULL_CODE, (0.45, 0.65, 0.85))
IMPLANT = Piece("Implant", "implant.nrrd", OBJECT, IMPLANT_CODE, (0.90, 0.40, 0.10))
PIECES = (SKULL, COMPLETED, IMPLANT)
TERMINOLOGY = ("Segmentation category and type - DICOM master list~{category}~{type}~^^"
               "~Anatomic codes - DICOM master list~^^~^^")
# Surfaces of the two skulls are for looking at: made on voxels of this size they turn smoothly.
DISPLAY_SPACING_MM = 1.0
DISPLAY_PASSES, DISPLAY_PASS_BAND = 20, 0.02
# A design that was written before there could be several implants has one, in this file.
ONE_IMPLANT_FILE = "implant.stl"


@dataclass(frozen=True)
class Results:
    """What a result folder holds, as VTK objects in RAS, not in any scene yet; by segment id.

    ``fingerprint`` is that of the implants' voxels, ``grid`` that of the masks, without voxels.
    """

    labelmaps: dict[str, slicer.vtkOrientedImageData]
    surfaces: dict[str, vtk.vtkPolyData]
    design: dict[str, Any]
    fingerprint: str
    grid: slicer.vtkOrientedImageData


def implantFiles(design: dict[str, Any]) -> list[str]:
    """Return the names of the implants' STL files, from the contents of ``design.json``."""
    return [Path(told["file"]).name for told in design.get("implants", [{"file": ONE_IMPLANT_FILE}])]


def implantIds(count: int) -> list[str]:
    """Return the segment ids of so many implants."""
    if count == 1:
        return [IMPLANT.segmentId]
    return [f"{IMPLANT.segmentId}-{number}" for number in range(1, count + 1)]


def fingerprint(voxels: np.ndarray, start: Sequence[int]) -> str:
    """Return a short text that tells masks of one grid apart.

    :param voxels: a part of the mask that holds all of it, 0/1 (z, y, x).
    :param start: where on the grid the part begins (z, y, x).
    """
    used = [np.flatnonzero(voxels.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not used[0].size:
        return "empty"
    box = tuple(slice(int(u[0]), int(u[-1]) + 1) for u in used)
    checksum = zlib.crc32(np.ascontiguousarray(voxels[box], np.uint8).data)
    ends = (str(n + offset) for part, offset in zip(box, start) for n in (part.start, part.stop))
    return " ".join([*ends, f"{checksum:08x}"])


def readResults(folder: Path) -> Results:
    """Read what ``skull-implant design`` or ``update`` wrote into a folder."""
    design = json.loads((folder / "design.json").read_text(encoding="utf-8"))
    labelmaps, surfaces = {}, {}
    for piece in (SKULL, COMPLETED):
        mask = sitk.ReadImage(str(folder / piece.fileName))
        start, used = usedPart(mask)
        labelmaps[piece.segmentId] = labelmapOf(used, start, mask)
        surfaces[piece.segmentId] = displaySurface(used)
    names, prints = implantFiles(design), []
    mask = sitk.ReadImage(str(folder / IMPLANT.fileName))
    for number, (segmentId, name) in enumerate(zip(implantIds(len(names)), names), 1):
        start, used = usedPart(mask, number)
        labelmaps[segmentId] = labelmapOf(used, start, mask)
        surfaces[segmentId] = _readSurface(folder, name, design)
        prints.append(fingerprint(array_of(used), start[::-1]))
    return Results(labelmaps, surfaces, design, together(prints), _gridOf(mask))


def together(fingerprints: Sequence[str]) -> str:
    """Return the fingerprints of a result's implants as one."""
    return "; ".join(fingerprints)


def usedPart(mask: sitk.Image, label: int = 1) -> tuple[list[int], sitk.Image]:
    """Return where (x, y, z) the part of a mask with a label begins, and that part as 0/1.

    With SimpleITK, which gives up Python's lock; numpy would keep it for as long as a large CT takes.
    """
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputePerimeterOff()
    shape.Execute(mask)
    box = shape.GetBoundingBox(label) if shape.HasLabel(label) else (0, 0, 0, 1, 1, 1)
    start, size = list(box[:3]), list(box[3:])
    return start, sitk.RegionOfInterest(mask, size, start) == label


def labelmapOf(used: sitk.Image, start: list[int], grid: sitk.Image) -> slicer.vtkOrientedImageData:
    """Return the used part of a mask, which begins at voxel ``start``, as labels on the whole grid."""
    image = slicer.vtkOrientedImageData()
    image.SetExtent([limit for a, n in zip(start, used.GetSize()) for limit in (a, a + n - 1)])
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(FLIP_RAS_LPS @ index_to_lps_mm(grid)))
    image.GetPointData().SetScalars(numpy_to_vtk(array_of(used).ravel(), deep=True))
    return image


def _gridOf(mask: sitk.Image) -> slicer.vtkOrientedImageData:
    """Return the whole grid of a mask, without voxels."""
    grid = slicer.vtkOrientedImageData()
    grid.SetExtent([limit for n in mask.GetSize() for limit in (0, n - 1)])
    grid.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(FLIP_RAS_LPS @ index_to_lps_mm(mask)))
    return grid


def displaySurface(mask: sitk.Image) -> vtk.vtkPolyData:
    """Return a light, smooth surface of a mask in RAS."""
    shrink = [max(1, round(DISPLAY_SPACING_MM / s)) for s in mask.GetSpacing()]
    shares = sitk.BinShrink(sitk.Cast(mask, sitk.sitkFloat32), shrink)
    shares = sitk.ConstantPad(shares, [1, 1, 1], [1, 1, 1], 0.0)
    voxels = array_of(shares)
    image = vtk.vtkImageData()
    image.SetDimensions(shares.GetSize())
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    cubes = vtk.vtkFlyingEdges3D()
    cubes.SetInputData(image)
    cubes.SetValue(0, 0.5)
    cubes.ComputeNormalsOff()
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(cubes.GetOutputPort())
    smooth.SetNumberOfIterations(DISPLAY_PASSES)
    smooth.SetPassBand(DISPLAY_PASS_BAND)
    smooth.NormalizeCoordinatesOn()
    return _inRas(smooth, FLIP_RAS_LPS @ index_to_lps_mm(shares))


def _readSurface(folder: Path, stlName: str, design: dict[str, Any]) -> vtk.vtkPolyData:
    """Return an implant's surface, with the values at its points where the result has them."""
    told = [each.get("maps", {}).get("file") for each in design.get("implants", []) if each["file"] == stlName]
    if not (told and told[0]):
        return readStl(folder / stlName)
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(folder / Path(told[0]).name))
    return _inRas(reader, FLIP_RAS_LPS)


def readStl(path: Path) -> vtk.vtkPolyData:
    """Return the surface in an STL file of the library, in RAS."""
    reader = vtk.vtkSTLReader()
    reader.SetFileName(str(path))
    return _inRas(reader, FLIP_RAS_LPS)


def _inRas(source: vtk.vtkAlgorithm, matrix: np.ndarray) -> vtk.vtkPolyData:
    """Return what an algorithm makes, its points moved by a matrix, with normals for shading."""
    transform = vtk.vtkTransform()
    transform.SetMatrix(slicer.util.vtkMatrixFromArray(matrix))
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetInputConnection(source.GetOutputPort())
    moved.SetTransform(transform)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(moved.GetOutputPort())
    normals.SplittingOff()
    # A left-handed grid turns facets inside out.
    normals.SetFlipNormals(False)
    if np.linalg.det(matrix[:3, :3]) < 0:
        reverse = vtk.vtkReverseSense()
        reverse.SetInputConnection(moved.GetOutputPort())
        normals.SetInputConnection(reverse.GetOutputPort())
    normals.Update()
    return normals.GetOutput()
