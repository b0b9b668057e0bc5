"""A result folder of the library into the scene: segmentation, surface, table of checks, design data.

``readResults`` may run in any thread and makes what is slow; ``addResults`` puts it into the scene
in the GUI's thread. Nothing is in the scene until all of it has been read.
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
from slicer.i18n import tr as _

from SkullImplantLib.core.images import array_of, index_to_lps_mm

from .inputs import FLIP_RAS_LPS


@dataclass(frozen=True)
class Piece:
    """One of the three masks: its segment id, file, codes (SNOMED CT) and colour.

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
# Slicer's own colour of the skull; blue and orange are told apart by colour-blind people as well.
SKULL = Piece("Skull", "skull.nrrd", ANATOMY, SKULL_CODE, (0.945, 0.835, 0.565))
COMPLETED = Piece("CompletedSkull", "completed.nrrd", ANATOMY, SKULL_CODE, (0.45, 0.65, 0.85))
IMPLANT = Piece("Implant", "implant.nrrd", OBJECT, "SCT^40388003^Implant", (0.90, 0.40, 0.10))
PIECES = (SKULL, COMPLETED, IMPLANT)
TERMINOLOGY = ("Segmentation category and type - DICOM master list~{category}~{type}~^^"
               "~Anatomic codes - DICOM master list~^^~^^")
# Surfaces of the two skulls are for looking at: made on voxels of this size they turn smoothly.
DISPLAY_SPACING_MM = 1.0
DISPLAY_PASSES, DISPLAY_PASS_BAND = 20, 0.02
# Slicer's number for this way from labelmap to surface (vtkBinaryLabelmapToClosedSurfaceConversionRule).
SURFACE_NETS = "1"


@dataclass(frozen=True)
class Results:
    """What a result folder holds, as VTK objects in RAS, not in any scene yet."""

    labelmaps: dict[str, slicer.vtkOrientedImageData]
    surfaces: dict[str, vtk.vtkPolyData]
    design: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class ResultNodes:
    """The nodes of one result; they share a folder of the subject hierarchy.

    The segmentation refers to all others and to the input, so that a result is chosen by it alone. The report
    is there once an export has asked for it.
    """

    segmentation: slicer.vtkMRMLSegmentationNode
    model: slicer.vtkMRMLModelNode
    table: slicer.vtkMRMLTableNode
    design: slicer.vtkMRMLTextNode
    report: slicer.vtkMRMLTextNode | None


# Marks a result's segmentation, with the name of its input; and its folder, so that only such are removed.
RESULT_ATTRIBUTE = "SkullImplant.Result"
# What the implant's voxels were when its surface was made of them.
FINGERPRINT_ATTRIBUTE = "SkullImplant.Fingerprint"
ROLE = "SkullImplant.{name}"


def nodesOfResult(segmentation: slicer.vtkMRMLSegmentationNode | None) -> ResultNodes | None:
    """Return the nodes of the result that a segmentation belongs to.

    None where it is none, where a part of it was removed, or where its data are not loaded yet.
    """
    if segmentation is None:
        return None
    others = {name: segmentation.GetNodeReference(ROLE.format(name=name))
              for name in ("model", "table", "design", "report")}
    nodes = ResultNodes(segmentation, **others)
    whole = nodes.model is not None and nodes.table is not None and nodes.design is not None
    return nodes if whole and nodes.design.GetText() else None


def inputOfResult(segmentation: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLTransformableNode | None:
    """Return the volume or segmentation that a result was made from, or None where it was removed."""
    return segmentation.GetNodeReference(ROLE.format(name="input"))


def inputNameOfResult(segmentation: slicer.vtkMRMLSegmentationNode) -> str:
    """Return what the input of a result was called."""
    return segmentation.GetAttribute(RESULT_ATTRIBUTE) or ""


def allResults() -> list[slicer.vtkMRMLSegmentationNode]:
    """Return the segmentations of all results in the scene."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return [node for node in nodes if node.GetAttribute(RESULT_ATTRIBUTE) is not None]


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
    labelmaps, surfaces = {}, {}
    for piece in PIECES:
        mask = sitk.ReadImage(str(folder / piece.fileName))
        start, used = _used(mask)
        if piece is IMPLANT:
            implant = fingerprint(array_of(used), start[::-1])
        labelmaps[piece.segmentId] = _labelmap(used, start, mask)
        if piece is not IMPLANT:
            surfaces[piece.segmentId] = _displaySurface(used)
    surfaces[IMPLANT.segmentId] = _readStl(folder / "implant.stl")
    return Results(
        labelmaps,
        surfaces,
        json.loads((folder / "design.json").read_text(encoding="utf-8")),
        implant,
    )


def _used(mask: sitk.Image) -> tuple[list[int], sitk.Image]:
    """Return where (x, y, z) the used part of a mask begins, and that part.

    With SimpleITK, which gives up Python's lock; numpy would keep it for as long as a large CT takes.
    """
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputePerimeterOff()
    shape.Execute(mask)
    box = shape.GetBoundingBox(1) if shape.HasLabel(1) else (0, 0, 0, 1, 1, 1)
    start, size = list(box[:3]), list(box[3:])
    return start, sitk.RegionOfInterest(mask, size, start)


def _labelmap(used: sitk.Image, start: list[int], grid: sitk.Image) -> slicer.vtkOrientedImageData:
    """Return the used part of a mask, which begins at voxel ``start``, as labels on the whole grid."""
    image = slicer.vtkOrientedImageData()
    image.SetExtent([limit for a, n in zip(start, used.GetSize()) for limit in (a, a + n - 1)])
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(FLIP_RAS_LPS @ index_to_lps_mm(grid)))
    image.GetPointData().SetScalars(numpy_to_vtk(array_of(used).ravel(), deep=True))
    return image


def _displaySurface(mask: sitk.Image) -> vtk.vtkPolyData:
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


def _readStl(path: Path) -> vtk.vtkPolyData:
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


def addResults(
    results: Results, inputNode: slicer.vtkMRMLTransformableNode, inputName: str | None = None
) -> ResultNodes:
    """Put results into the scene, beside the input in the subject hierarchy and under its transform.

    Where that fails, the scene is left as it was.

    :param inputNode: the input; or, where that was removed, the segmentation of an earlier result of it.
    :param inputName: its name then.
    """
    scene = slicer.mrmlScene
    scene.SaveStateForUndo()
    before = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    try:
        return _add(results, inputNode, inputName or inputNode.GetName())
    except Exception:
        nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
        for node in nodes:
            if node.GetID() not in before:
                scene.RemoveNode(node)  # and what the subject hierarchy shows of it
        raise


def _add(results: Results, inputNode: slicer.vtkMRMLTransformableNode, name: str) -> ResultNodes:
    scene = slicer.mrmlScene
    segmentation = _addSegmentation(results, inputNode, name)
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", scene.GenerateUniqueName(_("Implant surface")))
    model.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
    model.SetAndObservePolyData(results.surfaces[IMPLANT.segmentId])
    model.CreateDefaultDisplayNodes()
    model.GetDisplayNode().SetColor(IMPLANT.color)
    model.GetDisplayNode().SetVisibility2D(False)  # in slices the segment shows the implant
    table = _addTable(results.design["checks"])
    design = _addText(_("Design data"), json.dumps(results.design, indent=2), "json")
    nodes = ResultNodes(segmentation, model, table, design, None)
    segmentation.SetAttribute(FINGERPRINT_ATTRIBUTE, results.fingerprint)
    for role in ("model", "table", "design"):
        segmentation.SetNodeReferenceID(ROLE.format(name=role), getattr(nodes, role).GetID())
    if inputNode.GetAttribute(RESULT_ATTRIBUTE) is None:
        segmentation.SetNodeReferenceID(ROLE.format(name="input"), inputNode.GetID())
    _intoFolder(nodes, inputNode, _("Skull implant of {name}").format(name=name))
    return nodes


def addReport(nodes: ResultNodes, text: str) -> None:
    """Keep the report (HTML) of a result in the scene, beside its design data."""
    report = _addText(_("Design report"), text, "html")
    nodes.segmentation.SetNodeReferenceID(ROLE.format(name="report"), report.GetID())
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(nodes.design))
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(report), folder)


def _addSegmentation(
    results: Results, inputNode: slicer.vtkMRMLTransformableNode, name: str
) -> slicer.vtkMRMLSegmentationNode:
    scene = slicer.mrmlScene
    node = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
    node.UnRegister(None)  # Python's variable owns it
    node.SetName(scene.GenerateUniqueName(_("Implant design of {name}").format(name=name)))
    node.SetAttribute(RESULT_ATTRIBUTE, name)  # before selectors see the node, which look at it
    scene.AddNode(node)
    node.SetSourceRepresentationToBinaryLabelmap()
    # Surfaces are not saved; a loaded scene makes them anew, and with surface nets in a moment.
    rule = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
    node.GetSegmentation().SetConversionParameter(rule.GetConversionMethodParameterName(), SURFACE_NETS)
    # Before the reference grid, which MRML brings from the volume's frame into the segmentation's.
    node.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
    if inputNode.IsA("vtkMRMLVolumeNode"):
        node.SetReferenceImageGeometryParameterFromVolumeNode(inputNode)
    else:
        key = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        node.GetSegmentation().SetConversionParameter(key, inputNode.GetSegmentation().GetConversionParameter(key))
    names = {SKULL: _("Skull"), COMPLETED: _("Completed skull"), IMPLANT: _("Implant")}
    for piece, name in names.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(piece.color)
        entry = TERMINOLOGY.format(category=piece.category, type=piece.type)
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entry)
        segment.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(),
                                  results.labelmaps[piece.segmentId])
        segment.AddRepresentation(slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName(),
                                  results.surfaces[piece.segmentId])
        node.GetSegmentation().AddSegment(segment, piece.segmentId)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSegmentVisibility(COMPLETED.segmentId, False)
    display.SetSegmentOpacity2DFill(SKULL.segmentId, 0.25)
    display.SetSegmentVisibility3D(IMPLANT.segmentId, False)  # in 3D the model shows the implant
    return node


def _addTable(checks: list[dict[str, Any]]) -> slicer.vtkMRMLTableNode:
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(_("Implant checks")))
    rows = [checkRow(check) for check in checks]
    titles = (_("Check"), _("Verdict"), _("Value"), _("Limit"), _("Unit"), _("What it says"))
    for number, title in enumerate(titles):
        column = vtk.vtkStringArray()
        column.SetName(title)
        for row in rows:
            column.InsertNextValue(row[number])
        node.AddColumn(column)
    return node


def checkRow(check: dict[str, Any]) -> tuple[str, ...]:
    """Return a check as texts: name, verdict, value, limit, unit, sentence."""
    limit = check["limit"]
    if check["comparison"] == "between":
        limit = "{:g}–{:g}".format(*limit)
    else:
        limit = {"=": "", "<=": "≤ ", ">=": "≥ "}[check["comparison"]] + f"{limit:g}"
    verdict = _("passed") if check["passed"] else _("look at it")
    return check["name"], verdict, f"{check['value']:.3g}", limit, check["unit"], check["sentence"]


def _addText(name: str, text: str, extension: str) -> slicer.vtkMRMLTextNode:
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", scene.GenerateUniqueName(name))
    # A file of its own in the saved scene; as an attribute of the scene file a report would be heavy.
    node.SetForceCreateStorageNode(True)
    node.SetText(text)
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    storage.SetSupportedWriteFileExtensions([extension])
    storage.SetSupportedReadFileExtensions([extension])
    return node


def _intoFolder(nodes: ResultNodes, inputNode: slicer.vtkMRMLTransformableNode, name: str) -> None:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(inputNode)) or hierarchy.GetSceneItemID()
    folder = hierarchy.CreateFolderItem(parent, hierarchy.GenerateUniqueItemName(name))
    hierarchy.SetItemAttribute(folder, RESULT_ATTRIBUTE, "1")
    for node in vars(nodes).values():
        if node is not None:
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)


def removeResults(result: ResultNodes) -> None:
    """Remove the nodes of an earlier result, and their folder where nothing else is in it."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    nodes = [node for node in vars(result).values() if node is not None]
    folders = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes}
    # MRML removes display nodes with their node, but leaves storage nodes behind.
    storages = [node.GetStorageNode() for node in nodes]
    for node in [*nodes, *filter(None, storages)]:
        slicer.mrmlScene.RemoveNode(node)
    for folder in folders:
        empty = hierarchy.GetNumberOfItemChildren(folder) == 0
        if empty and hierarchy.GetItemAttribute(folder, RESULT_ATTRIBUTE):
            hierarchy.RemoveItem(folder)
