"""The skull and the holes that were found, in the scene: a segmentation, numbers at the holes, what is told of them.

One of each input; it refers to its input and to the other nodes, so that a saved scene keeps it.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from vtk.util.numpy_support import vtk_to_numpy

import slicer
from slicer.i18n import tr as _

from .foundfiles import Found, holeId
from .inputs import FLIP_RAS_LPS, FOUND_ATTRIBUTE, HOLE_TAG, inWorld, matrixOf
from .newsegmentation import addSegment, newSegmentation
from .resultfiles import ANATOMY, SKULL, SKULL_CODE, TERMINOLOGY
from .results import ROLE, addText
from .scenenodes import segmentations

# Told apart by color-blind people as well, and from the implants' orange and the skull (Okabe and Ito 2008).
HOLE_COLORS = ((0.0, 0.62, 0.45), (0.80, 0.47, 0.65), (0.34, 0.71, 0.91), (0.94, 0.89, 0.26), (0.0, 0.45, 0.70))
NUMBER_COLOR, NUMBER_SIZE = (1.0, 1.0, 1.0), 5.0
NUMBER_BEFORE_MM = 12.0  # from the middle of the missing bone, whose thickest has 15 mm
NAMES = ("numbers", "numbers3D", "data")
# So many places of a hole tell to which one a point is nearest.
MOST_PLACES = 3000


@dataclass(frozen=True)
class FoundNodes:
    """The nodes of what was found for one input."""

    segmentation: slicer.vtkMRMLSegmentationNode
    numbers: slicer.vtkMRMLMarkupsFiducialNode
    numbers3D: slicer.vtkMRMLMarkupsFiducialNode
    data: slicer.vtkMRMLTextNode


def allFound() -> list[slicer.vtkMRMLSegmentationNode]:
    """Return the segmentations of all skulls that were found."""
    return [node for node in segmentations() if node.GetAttribute(FOUND_ATTRIBUTE) is not None]


def foundOf(node: slicer.vtkMRMLTransformableNode | None) -> FoundNodes | None:
    """Return what was found in an input, the last if there are several; None where a part of it was removed."""
    for segmentation in reversed(allFound()):
        if node is not None and segmentation.GetNodeReference(ROLE.format(name="input")) is node:
            others = {name: segmentation.GetNodeReference(ROLE.format(name=name)) for name in NAMES}
            if None not in others.values() and others["data"].GetText():
                return FoundNodes(segmentation, **others)
    return None


def dataOf(nodes: FoundNodes) -> dict[str, Any]:
    """Return the contents of ``holes.json``."""
    return dict(json.loads(nodes.data.GetText()))


def removeFound(nodes: FoundNodes) -> None:
    """Take what was found out of the scene."""
    for node in (nodes.numbers, nodes.numbers3D, nodes.data, nodes.segmentation):
        slicer.mrmlScene.RemoveNode(node)


def addFound(found: Found, node: slicer.vtkMRMLTransformableNode, madeWith: str) -> FoundNodes:
    """Put what was found into the scene, in place of what was found in the same input before.

    :param madeWith: the state of the parameters that it was found with, see ``stateOf`` in ``finding``.
    """
    before = foundOf(node)
    if before is not None:
        removeFound(before)
    segmentation = _addSegmentation(found, node)
    places = [FLIP_RAS_LPS[:3, :3] @ hole["centre_mm_xyz"] for hole in found.data["holes"]]
    numbers = _addNumbers(found.data["holes"], places, node)
    numbers.GetDisplayNode().SetVisibility3D(False)
    # Before the holes, so that the head hides those of its other side; slices through the holes would miss these.
    numbers3D = _addNumbers(found.data["holes"], [_before(place, segmentation) for place in places], node)
    numbers3D.GetDisplayNode().SetVisibility2D(False)
    data = addText(_("Holes found"), json.dumps(found.data), "json")
    segmentation.SetAttribute(FOUND_ATTRIBUTE, madeWith)
    for name, other in zip((*NAMES, "input"), (numbers, numbers3D, data, node)):
        segmentation.SetNodeReferenceID(ROLE.format(name=name), other.GetID())
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) or hierarchy.GetSceneItemID()
    name = hierarchy.GenerateUniqueItemName(_("Holes of {name}").format(name=node.GetName()))
    folder = hierarchy.CreateFolderItem(parent, name)
    for other in (segmentation, numbers, numbers3D, data):
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(other), folder)
    return FoundNodes(segmentation, numbers, numbers3D, data)


def show(nodes: FoundNodes | None, withSkull: bool = True) -> None:
    """Show what was found in one input, or nothing, and hide all others.

    :param withSkull: the skull, too, in 3D; a result that is shown has its own.
    """
    for segmentation in allFound():
        shown = nodes is not None and segmentation is nodes.segmentation
        numbers = [segmentation.GetNodeReference(ROLE.format(name=name)) for name in NAMES[:2]]
        for node in (segmentation, *numbers):
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(shown)
        if shown and segmentation.GetDisplayNode() is not None:
            segmentation.GetDisplayNode().SetSegmentVisibility(SKULL.segmentId, withSkull)


def placesOf(nodes: FoundNodes) -> dict[int, np.ndarray]:
    """Return some places (n, 3) of each hole that can be filled, LPS mm in the input's frame, by its number."""
    places = {}
    for hole in dataOf(nodes)["holes"]:
        labelmap = nodes.segmentation.GetBinaryLabelmapInternalRepresentation(holeId(hole["number"]))
        if not hole["fillable"] or labelmap is None or labelmap.GetPointData().GetScalars() is None:
            continue
        value = nodes.segmentation.GetSegmentation().GetSegment(holeId(hole["number"])).GetLabelValue()
        shape = labelmap.GetDimensions()[::-1]
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(shape)
        index = np.argwhere(voxels == value)
        index = index[:: max(1, len(index) // MOST_PLACES), ::-1] + labelmap.GetExtent()[::2]
        matrix = FLIP_RAS_LPS @ matrixOf(labelmap)
        places[hole["number"]] = index @ matrix[:3, :3].T + matrix[:3, 3]
    return places


def placeInWorld(nodes: FoundNodes, hole: dict[str, Any]) -> np.ndarray:
    """Return the middle of a hole, RAS mm in the world."""
    return inWorld(hole["centre_mm_xyz"], nodes.segmentation)


def _addSegmentation(
    found: Found, inputNode: slicer.vtkMRMLTransformableNode
) -> slicer.vtkMRMLSegmentationNode:
    name = _("Skull and holes of {name}").format(name=inputNode.GetName())
    node = newSegmentation(name, inputNode, {FOUND_ATTRIBUTE: ""})
    for number, segmentId in enumerate(found.labelmaps):
        isHole = segmentId != SKULL.segmentId
        tags = {slicer.vtkSegment.GetTerminologyEntryTagName(): TERMINOLOGY.format(category=ANATOMY, type=SKULL_CODE)}
        if isHole:
            tags[HOLE_TAG] = str(number)  # so that it is not taken for bone
        addSegment(
            node, segmentId, _("Hole {number}").format(number=number) if isHole else _("Skull"),
            HOLE_COLORS[(number - 1) % len(HOLE_COLORS)] if isHole else SKULL.color, tags,
            found.labelmaps[segmentId], found.surfaces[segmentId])
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSegmentOpacity2DFill(SKULL.segmentId, 0.25)
    return node


def _addNumbers(
    holes: list[dict[str, Any]], places: list[np.ndarray], inputNode: slicer.vtkMRMLTransformableNode
) -> slicer.vtkMRMLMarkupsFiducialNode:
    scene = slicer.mrmlScene
    name = scene.GenerateUniqueName(_("Numbers of the holes of {name}").format(name=inputNode.GetName()))
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
    for hole, place in zip(holes, places):
        node.AddControlPoint(place, str(hole["number"]))
    node.SetLocked(True)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSelectedColor(NUMBER_COLOR)
    display.SetTextScale(NUMBER_SIZE)
    return node


def _before(place: np.ndarray, segmentation: slicer.vtkMRMLSegmentationNode) -> np.ndarray:
    """Return a place before a hole, seen from outside, in the segmentation's frame, RAS mm."""
    bounds = np.zeros(6)
    segmentation.GetBounds(bounds)
    out = place - bounds.reshape(3, 2).mean(axis=1)
    return np.asarray(place + NUMBER_BEFORE_MM * out / max(float(np.linalg.norm(out)), 1.0))
