"""A result of the library in the scene: segmentation, surfaces, table of checks, design data.

``addResults`` puts what ``readResults`` has read into the scene, in the GUI's thread.
"""

import json
from dataclasses import dataclass
from typing import Any

import vtk

import slicer
from slicer.i18n import tr as _

from .inputs import RESULT_ATTRIBUTE
from .newsegmentation import addSegment, newSegmentation
from .resultfiles import (
    COMPLETED,
    IMPLANT,
    PIECES,
    SKULL,
    TERMINOLOGY,
    Results,
    fingerprint,
    implantFiles,
    implantIds,
    readResults,
    together,
)
from .scenenodes import segmentations
from .translation import translated

__all__ = [
    "COMPLETED",
    "IMPLANT",
    "PIECES",
    "RESULT_ATTRIBUTE",
    "SKULL",
    "ResultNodes",
    "Results",
    "addReport",
    "addResults",
    "addText",
    "allResults",
    "checkName",
    "checkRow",
    "designOf",
    "fingerprint",
    "implantFiles",
    "implantIds",
    "implantIdsOf",
    "inputNameOfResult",
    "inputOfResult",
    "nodesOfResult",
    "originOf",
    "readResults",
    "removeResults",
    "setOrigin",
    "together",
]


@dataclass(frozen=True)
class ResultNodes:
    """The nodes of one result; they share a folder of the subject hierarchy.

    The segmentation refers to all others and to the input, so that a result is chosen by it alone. ``models`` are
    the surfaces of the implants, the largest hole's first. The report is there once an export has asked for it;
    ``mirror``, the head's other side, once it was shown, where there is one. ``made`` is hidden and keeps the
    implants' voxels as they were made; results of earlier versions have none.
    """

    segmentation: slicer.vtkMRMLSegmentationNode
    models: tuple[slicer.vtkMRMLModelNode, ...]
    table: slicer.vtkMRMLTableNode
    design: slicer.vtkMRMLTextNode
    report: slicer.vtkMRMLTextNode | None
    made: slicer.vtkMRMLSegmentationNode | None = None
    mirror: slicer.vtkMRMLModelNode | None = None

    @property
    def model(self) -> slicer.vtkMRMLModelNode:
        """The surface of the first implant."""
        return self.models[0]

    @property
    def all(self) -> list[slicer.vtkMRMLTransformableNode]:
        """All nodes that are there and seen."""
        nodes = (self.segmentation, *self.models, self.table, self.design, self.report, self.mirror)
        return [node for node in nodes if node is not None]


# What the implants' voxels were when their surfaces were made of them.
FINGERPRINT_ATTRIBUTE = "SkullImplant.Fingerprint"
ROLE = "SkullImplant.{name}"
MODEL_ROLE = ROLE.format(name="model")
ORIGIN_ROLE = ROLE.format(name="origin")


def nodesOfResult(segmentation: slicer.vtkMRMLSegmentationNode | None) -> ResultNodes | None:
    """Return the nodes of the result that a segmentation belongs to.

    None where it is none, where a part of it was removed, or where its data are not loaded yet.
    """
    if segmentation is None:
        return None
    count = segmentation.GetNumberOfNodeReferences(MODEL_ROLE)
    models = tuple(segmentation.GetNthNodeReference(MODEL_ROLE, number) for number in range(count))
    names = ("table", "design", "report", "made", "mirror")
    others = {name: segmentation.GetNodeReference(ROLE.format(name=name)) for name in names}
    nodes = ResultNodes(segmentation, models, **others)
    if None in (*models, nodes.table, nodes.design) or not nodes.design.GetText():
        return None
    return nodes if len(models) == len(implantFiles(designOf(nodes))) else None


def designOf(nodes: ResultNodes) -> dict[str, Any]:
    """Return the data of a result's design, the contents of its ``design.json``."""
    return dict(json.loads(nodes.design.GetText()))


def implantIdsOf(nodes: ResultNodes) -> list[str]:
    """Return the ids of the segments that are a result's implants, in their order."""
    return implantIds(len(nodes.models))


def inputOfResult(segmentation: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLTransformableNode | None:
    """Return the volume or segmentation that a result was made from, or None where it was removed."""
    return segmentation.GetNodeReference(ROLE.format(name="input"))


def originOf(segmentation: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLSegmentationNode | None:
    """Return the result of the automatic design that an edited one goes back to, or None."""
    return segmentation.GetNodeReference(ORIGIN_ROLE)


def setOrigin(
    segmentation: slicer.vtkMRMLSegmentationNode, origin: slicer.vtkMRMLSegmentationNode | None
) -> None:
    """Keep which automatic design an edited result goes back to."""
    segmentation.SetNodeReferenceID(ORIGIN_ROLE, None if origin is None else origin.GetID())


def inputNameOfResult(segmentation: slicer.vtkMRMLSegmentationNode) -> str:
    """Return what the input of a result was called."""
    return segmentation.GetAttribute(RESULT_ATTRIBUTE) or ""


def allResults() -> list[slicer.vtkMRMLSegmentationNode]:
    """Return the segmentations of all results in the scene."""
    return [node for node in segmentations() if node.GetAttribute(RESULT_ATTRIBUTE) is not None]


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
        return _add(results, inputNode, inputName)
    except Exception:
        nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
        for node in nodes:
            if node.GetID() not in before:
                scene.RemoveNode(node)  # and what the subject hierarchy shows of it
        raise


def _add(results: Results, inputNode: slicer.vtkMRMLTransformableNode, inputName: str | None) -> ResultNodes:
    name = inputName or inputNode.GetName()
    segmentation = _addSegmentation(results, inputNode, name)
    ids = implantIds(len(implantFiles(results.design)))
    models = tuple(
        _addModel(results.surfaces[segmentId], inputNode, _("Implant {number}").format(number=number)
                  if len(ids) > 1 else _("Implant surface"))
        for number, segmentId in enumerate(ids, 1))
    table = _addTable(results.design["checks"])
    design = addText(_("Design data"), json.dumps(results.design, indent=2), "json")
    nodes = ResultNodes(segmentation, models, table, design, None, _addMade(results, ids))
    segmentation.SetAttribute(FINGERPRINT_ATTRIBUTE, results.fingerprint)
    for model in models:
        segmentation.AddNodeReferenceID(MODEL_ROLE, model.GetID())
    for role in ("table", "design", "made"):
        segmentation.SetNodeReferenceID(ROLE.format(name=role), getattr(nodes, role).GetID())
    if inputName is None or inputNode.GetAttribute(RESULT_ATTRIBUTE) is None:
        segmentation.SetNodeReferenceID(ROLE.format(name="input"), inputNode.GetID())
    _intoFolder(nodes, inputNode, _("Skull implant of {name}").format(name=name))
    return nodes


def _addModel(
    surface: vtk.vtkPolyData, inputNode: slicer.vtkMRMLTransformableNode, name: str
) -> slicer.vtkMRMLModelNode:
    scene = slicer.mrmlScene
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", scene.GenerateUniqueName(name))
    model.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
    model.SetAndObservePolyData(surface)
    model.CreateDefaultDisplayNodes()
    model.GetDisplayNode().SetColor(IMPLANT.color)
    model.GetDisplayNode().SetVisibility2D(False)  # in slices the segment shows the implant
    return model


def addReport(nodes: ResultNodes, text: str) -> None:
    """Keep the report (HTML) of a result in the scene, beside its design data."""
    report = addText(_("Design report"), text, "html")
    nodes.segmentation.SetNodeReferenceID(ROLE.format(name="report"), report.GetID())
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(nodes.design))
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(report), folder)


def _addSegmentation(
    results: Results, inputNode: slicer.vtkMRMLTransformableNode, name: str
) -> slicer.vtkMRMLSegmentationNode:
    title = _("Edited implant of {name}") if results.design.get("edited") else _("Implant design of {name}")
    node = newSegmentation(title.format(name=name), inputNode, {RESULT_ATTRIBUTE: name})
    if results.design.get("parameters", {}).get("refine_mm"):  # then the input's grid is not the masks'
        key = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(results.grid)
        node.GetSegmentation().SetConversionParameter(key, geometry)
    pieces = [(SKULL, SKULL.segmentId, _("Skull")), (COMPLETED, COMPLETED.segmentId, _("Completed skull"))]
    ids = implantIds(len(implantFiles(results.design)))
    names = [_("Implant {number}").format(number=number) for number in range(1, len(ids) + 1)]
    pieces += zip([IMPLANT] * len(ids), ids, names if len(ids) > 1 else [_("Implant")])
    for piece, segmentId, name in pieces:
        entry = TERMINOLOGY.format(category=piece.category, type=piece.type)
        addSegment(node, segmentId, name, piece.color, {slicer.vtkSegment.GetTerminologyEntryTagName(): entry},
                   results.labelmaps[segmentId], results.surfaces[segmentId])
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSegmentVisibility(COMPLETED.segmentId, False)
    display.SetSegmentOpacity2DFill(SKULL.segmentId, 0.25)
    for segmentId in ids:
        display.SetSegmentVisibility3D(segmentId, False)  # in 3D the model shows the implant
    return node


def _addMade(results: Results, ids: list[str]) -> slicer.vtkMRMLSegmentationNode:
    """Keep the implants' voxels where no edit reaches them."""
    node = newSegmentation(_("Implants as made"), isHidden=True)
    for segmentId in ids:
        labelmap = slicer.vtkOrientedImageData()
        labelmap.DeepCopy(results.labelmaps[segmentId])
        addSegment(node, segmentId, segmentId, IMPLANT.color, {}, labelmap, None)
    # A scene that is loaded gives a display to whatever has none.
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetVisibility(False)
    return node


def _addTable(checks: list[dict[str, Any]]) -> slicer.vtkMRMLTableNode:
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(_("Implant checks")))
    rows = [checkRow(check) for check in checks]
    titles = (_("Check"), _("Verdict"), _("Value"), _("Limit"), _("Unit"), _("What it says"), _("Source of the limit"))
    for number, title in enumerate(titles):
        column = vtk.vtkStringArray()
        column.SetName(title)
        for row in rows:
            column.InsertNextValue(row[number])
        node.AddColumn(column)
    return node


def checkRow(check: dict[str, Any]) -> tuple[str, ...]:
    """Return a check as texts: name, verdict, value, limit, unit, sentence, and where its limit comes from."""
    limit = check["limit"]
    if check["comparison"] == "between":
        limit = "{:g}–{:g}".format(*limit)
    else:
        limit = {"=": "", "<=": "≤ ", ">=": "≥ "}[check["comparison"]] + f"{limit:g}"
    verdict = _("passed") if check["passed"] else _("look at it")
    return (checkName(check), verdict, f"{check['value']:.3g}", limit, check["unit"], translated(check["sentence"]),
            check.get("source", ""))


def checkName(check: dict[str, Any]) -> str:
    """Return the name of a check, with its implant where there are several."""
    if "implant" not in check:
        return str(check["name"])
    return _("{number}: {check}").format(number=check["implant"], check=check["name"])


def addText(name: str, text: str, extension: str) -> slicer.vtkMRMLTextNode:
    """Return a new node with a text, which the saved scene keeps in a file of its own."""
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
    for node in nodes.all:
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)


def removeResults(result: ResultNodes) -> None:
    """Remove the nodes of an earlier result, and their folder where nothing else is in it."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    nodes = result.all
    hidden = [] if result.made is None else [result.made]
    folders = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes}
    # MRML removes display nodes with their node, but leaves storage nodes behind.
    storages = [node.GetStorageNode() for node in [*nodes, *hidden]]
    for node in [*nodes, *hidden, *filter(None, storages)]:
        slicer.mrmlScene.RemoveNode(node)
    for folder in folders:
        empty = hierarchy.GetNumberOfItemChildren(folder) == 0
        if empty and hierarchy.GetItemAttribute(folder, RESULT_ATTRIBUTE):
            hierarchy.RemoveItem(folder)
