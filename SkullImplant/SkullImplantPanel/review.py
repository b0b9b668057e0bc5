"""Looking at a result: views on the implant, the skull faded, the implant in the Segment Editor."""

import numpy as np
from vtk.util.numpy_support import vtk_to_numpy

import slicer
from slicer.i18n import tr as _

from .parameters import SkullImplantParameterNode
from .requests import inputNode
from .results import (
    FINGERPRINT_ATTRIBUTE,
    IMPLANT,
    SKULL,
    ResultNodes,
    allResults,
    fingerprint,
    inputOfResult,
    nodesOfResult,
)

# The camera stands this many times the implant's size away, which shows the skull around it.
CAMERA_DISTANCE = 3.6
# What isEdited found, with the state in which it looked, by node id.
_looked: dict[str, tuple[tuple[int, str | None], bool]] = {}


def fadeSkull(segmentationNode: slicer.vtkMRMLSegmentationNode, opacity: float) -> None:
    """Set how opaque the skull is in 3D, 0 to 1."""
    display = segmentationNode.GetDisplayNode()
    if display is not None:
        display.SetSegmentOpacity3D(SKULL.segmentId, opacity)


def showOnly(nodes: ResultNodes) -> None:
    """Show one result, and hide all others: two implants in one place cannot be told apart."""
    for segmentationNode in allResults():
        shown = segmentationNode is nodes.segmentation
        others = nodesOfResult(segmentationNode)
        for node in (segmentationNode, others.model if others else None):
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(shown)


def isOfAnother(parameters: SkullImplantParameterNode) -> bool:
    """Say whether the result under review was made from another input than the chosen one."""
    if parameters.resultSegmentation is None:
        return False
    source, chosen = inputOfResult(parameters.resultSegmentation), inputNode(parameters)
    return chosen is not None and source is not chosen


def isEdited(nodes: ResultNodes) -> bool:
    """Say whether the implant's segment is not what its surface was made of."""
    segmentationNode = nodes.segmentation
    image = segmentationNode.GetBinaryLabelmapInternalRepresentation(IMPLANT.segmentId)
    if image is None or image.GetPointData().GetScalars() is None:
        return True
    # Looked at again only after a change.
    state = (image.GetMTime(), segmentationNode.GetAttribute(FINGERPRINT_ATTRIBUTE))
    looked = _looked.get(segmentationNode.GetID())
    if looked is None or looked[0] != state:
        # The labelmap alone, which is small after a design: the whole grid would block the window.
        labels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
        value = segmentationNode.GetSegmentation().GetSegment(IMPLANT.segmentId).GetLabelValue()
        found = fingerprint(labels == value, image.GetExtent()[::2][::-1])
        looked = _looked[segmentationNode.GetID()] = (state, found != state[1])
    return looked[1]


def centreViews(nodes: ResultNodes) -> None:
    """Put the slices through the implant's middle, and look at it from outside of the head.

    The slices show the volume that the implant was made for.
    """
    modelNode, segmentationNode = nodes.model, nodes.segmentation
    source = inputOfResult(segmentationNode)
    if source is not None and source.IsA("vtkMRMLVolumeNode"):
        slicer.util.setSliceViewerLayers(background=source)
    bounds = np.zeros(6)
    modelNode.GetRASBounds(bounds)
    middle = bounds.reshape(3, 2).mean(axis=1)
    # The slices keep their field of view, so that the other side can be compared.
    slicer.modules.markups.logic().JumpSlicesToLocation(*middle, False)
    segmentationNode.GetRASBounds(bounds)
    outward = middle - bounds.reshape(3, 2).mean(axis=1)
    # From below nobody looks at a vault.
    outward[2] = max(outward[2], 0.0)
    length = np.linalg.norm(outward)
    outward = outward / length if length > 0 else np.array([0.0, 1.0, 0.0])
    modelNode.GetRASBounds(bounds)
    size = np.linalg.norm(bounds.reshape(3, 2) @ [-1.0, 1.0])
    for node in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
        camera = node.GetCamera()
        # Seen straight from above, the face is up.
        up = [0.0, 0.0, 1.0] if outward[2] < 0.9 else [0.0, 1.0, 0.0]
        camera.SetFocalPoint(middle)
        camera.SetPosition(middle + CAMERA_DISTANCE * size * outward)
        camera.SetViewUp(up)
        node.ResetClippingRange()


def editInSegmentEditor(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    modelNode: slicer.vtkMRMLModelNode | None,
    volumeNode: slicer.vtkMRMLScalarVolumeNode | None,
) -> None:
    """Open the implant in the Segment Editor, shown in 3D as it is edited.

    :raises RuntimeError: there is no Segment Editor, or no main window.
    """
    if not hasattr(slicer.modules, "segmenteditor"):
        raise RuntimeError(_("This application has no Segment Editor; edit the segment 'Implant' by other means, "
                             "then click 'Update from edit'."))
    showDuringEdit(segmentationNode, modelNode)
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentationNode)
    if volumeNode is not None:
        editor.setSourceVolumeNode(volumeNode)
    # The implant lies within the completed skull, which an edit must not take away.
    editor.mrmlSegmentEditorNode().SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    editor.setCurrentSegmentID(IMPLANT.segmentId)


def showDuringEdit(
    segmentationNode: slicer.vtkMRMLSegmentationNode, modelNode: slicer.vtkMRMLModelNode | None
) -> None:
    """Let 3D show the segment, which follows every edit, instead of the surface made before it."""
    segmentationNode.GetDisplayNode().SetSegmentVisibility3D(IMPLANT.segmentId, True)
    if modelNode is not None and modelNode.GetDisplayNode() is not None:
        modelNode.GetDisplayNode().SetVisibility(False)


