"""Looking at a result: views on the implant, the skull faded, and whether the implant was edited."""

import numpy as np
from vtk.util.numpy_support import vtk_to_numpy

import slicer

from .parameters import SkullImplantParameterNode
from .requests import inputNode
from .resultfiles import SKULL, fingerprint, together
from .results import (
    FINGERPRINT_ATTRIBUTE,
    ResultNodes,
    allResults,
    implantIdsOf,
    inputOfResult,
    nodesOfResult,
)

# The camera stands this many times the implant's size away, which shows the skull around it.
CAMERA_DISTANCE = 3.6
# How far a unit vector goes up that points as good as straight up.
STEEP = 0.9
# What isEdited found, with the state in which it looked, by node id.
_looked: dict[str, tuple[tuple[tuple[int, ...], str | None], bool]] = {}


def fadeSkull(segmentationNode: slicer.vtkMRMLSegmentationNode, opacity: float) -> None:
    """Set how opaque the skull is in 3D, 0 to 1."""
    display = segmentationNode.GetDisplayNode()
    if display is not None:
        display.SetSegmentOpacity3D(SKULL.segmentId, opacity)


def showOnly(nodes: ResultNodes | None) -> None:
    """Show one result, or none, and hide all others: two implants in one place cannot be told apart."""
    for segmentationNode in allResults():
        shown = nodes is not None and segmentationNode is nodes.segmentation
        others = nodesOfResult(segmentationNode)
        for node in (segmentationNode, *(others.models if others else ())):
            if node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(shown)


def isOfAnother(parameters: SkullImplantParameterNode) -> bool:
    """Say whether the result under review was made from another input than the chosen one."""
    if parameters.resultSegmentation is None:
        return False
    source, chosen = inputOfResult(parameters.resultSegmentation), inputNode(parameters)
    return chosen is not None and source is not chosen


def isEdited(nodes: ResultNodes, lookAgain: bool = False) -> bool:
    """Say whether an implant's segment is not what its surface was made of.

    :param lookAgain: also where MRML tells of no change since the last look, as a script may have changed voxels.
    """
    segmentationNode, ids = nodes.segmentation, implantIdsOf(nodes)
    images = [segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentId) for segmentId in ids]
    if any(image is None or image.GetPointData().GetScalars() is None for image in images):
        return True
    # Looked at again only after a change.
    state = (tuple(image.GetMTime() for image in images), segmentationNode.GetAttribute(FINGERPRINT_ATTRIBUTE))
    looked = _looked.get(segmentationNode.GetID())
    if lookAgain or looked is None or looked[0] != state:
        now = fingerprintNow(segmentationNode, ids)
        looked = _looked[segmentationNode.GetID()] = (state, now != state[1])
    return looked[1]


def fingerprintNow(segmentationNode: slicer.vtkMRMLSegmentationNode, ids: list[str]) -> str | None:
    """Return the fingerprint of segments as they are now; None where one has no voxels."""
    prints = []
    for segmentId in ids:
        image = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentId)
        if image is None or image.GetPointData().GetScalars() is None:
            return None
        # The labelmap alone, which is small after a run: the whole grid would block the window.
        labels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
        value = segmentationNode.GetSegmentation().GetSegment(segmentId).GetLabelValue()
        prints.append(fingerprint(labels == value, image.GetExtent()[::2][::-1]))
    return together(prints)


def centerViews(nodes: ResultNodes) -> None:
    """Put the slices through the first implant's middle, and look at it from outside of the head.

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
    modelNode.GetRASBounds(bounds)
    lookFrom(middle, outward, CAMERA_DISTANCE * float(np.linalg.norm(bounds.reshape(3, 2) @ [-1.0, 1.0])))


def lookFrom(place: np.ndarray, outward: np.ndarray, distanceMm: float) -> None:
    """Let all cameras look at a place (RAS mm) from a distance outside of it."""
    # From below nobody looks at a vault.
    outward = outward * [1.0, 1.0, float(outward[2] > 0.0)]
    length = np.linalg.norm(outward)
    outward = outward / length if length > 0 else np.array([0.0, 1.0, 0.0])
    viewIds = {node.GetLayoutName(): node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLViewNode")}
    for node in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
        camera = node.GetCamera()
        # Seen straight from above, the face is up.
        up = [0.0, 0.0, 1.0] if outward[2] < STEEP else [0.0, 1.0, 0.0]
        camera.SetFocalPoint(place)
        camera.SetPosition(place + distanceMm * outward)
        camera.SetViewUp(up)
        # In parallel projection it is the scale, not the distance, that decides how much is seen.
        scale = distanceMm * float(np.tan(np.radians(camera.GetViewAngle() / 2.0)))
        camera.SetParallelScale(scale)
        viewNode = slicer.mrmlScene.GetNodeByID(viewIds.get(node.GetLayoutName(), ""))
        if viewNode is not None:
            viewNode.SetFieldOfView(scale)  # Slicer takes it for the camera's scale when projections change
        node.ResetClippingRange()
