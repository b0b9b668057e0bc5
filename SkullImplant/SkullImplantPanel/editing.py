"""The way to the Segment Editor and back, and the implants as they were made, to which an edit is undone."""

from typing import Any

import numpy as np
import vtk

import slicer
from slicer.i18n import tr as _

from .inputs import SAME_GRID, matrixOf, referenceGrid
from .results import ResultNodes, implantIdsOf, originOf
from .review import isEdited


class EditVisit:
    """A visit to the Segment Editor: what it changes of the views and of the editor is put back."""

    def __init__(self) -> None:
        self._nodes: ResultNodes | None = None
        self._shown: list[tuple[str, bool, bool]] = []  # of each implant, whether 3D shows segment and surface
        self._editorNode: slicer.vtkMRMLSegmentEditorNode | None = None
        self._modeBefore = self._tag = 0

    def begin(self, nodes: ResultNodes, volumeNode: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Open the implants in the Segment Editor, the first one chosen, shown in 3D as they are edited.

        :raises RuntimeError: there is no Segment Editor, or no main window; then nothing has changed.
        """
        if not hasattr(slicer.modules, "segmenteditor"):
            raise RuntimeError(_("This application has no Segment Editor; edit the segment 'Implant' by other means, "
                                 "then click 'Update from edit'."))
        slicer.util.selectModule("SegmentEditor")
        self._showSegments(nodes)
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(nodes.segmentation)
        if volumeNode is not None:
            editor.setSourceVolumeNode(volumeNode)
        editor.setCurrentSegmentID(implantIdsOf(nodes)[0])
        # The implant lies within the completed skull, which an edit must not take away.
        self._editorNode = editor.mrmlSegmentEditorNode()
        self._modeBefore = self._editorNode.GetOverwriteMode()
        self._editorNode.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
        self._tag = self._editorNode.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onEditorNode)

    def end(self) -> None:
        """The user is back: the editor overwrites as before, and where nothing was edited, 3D shows what it showed."""
        self._putModeBack()
        nodes, self._nodes = self._nodes, None
        if nodes is None or not slicer.mrmlScene.IsNodePresent(nodes.segmentation) or isEdited(nodes, lookAgain=True):
            return
        for (segmentId, segmentShown, modelShown), modelNode in zip(self._shown, nodes.models):
            _show(nodes, segmentId, modelNode, segmentShown, modelShown)

    def forget(self) -> None:
        """The scene is closed."""
        self._putModeBack()
        self._nodes = None

    def _showSegments(self, nodes: ResultNodes) -> None:
        """Let 3D show the segments, which follow every edit, instead of the surfaces made before it."""
        display, self._nodes, self._shown = nodes.segmentation.GetDisplayNode(), nodes, []
        for segmentId, modelNode in zip(implantIdsOf(nodes), nodes.models):
            modelDisplay = modelNode.GetDisplayNode()
            modelShown = modelDisplay is not None and bool(modelDisplay.GetVisibility())
            self._shown.append((segmentId, bool(display.GetSegmentVisibility3D(segmentId)), modelShown))
            _show(nodes, segmentId, modelNode, True, False)

    def _onEditorNode(self, caller: Any, event: Any) -> None:
        """Other segmentations are edited as the user has it."""
        node, nodes = self._editorNode, self._nodes
        if node is not None and nodes is not None and node.GetSegmentationNode() is not nodes.segmentation:
            self._putModeBack()

    def _putModeBack(self) -> None:
        node, self._editorNode = self._editorNode, None
        if node is None:
            return
        node.RemoveObserver(self._tag)
        if node.GetOverwriteMode() == slicer.vtkMRMLSegmentEditorNode.OverwriteNone:  # else the user has chosen
            node.SetOverwriteMode(self._modeBefore)


def _show(
    nodes: ResultNodes, segmentId: str, modelNode: slicer.vtkMRMLModelNode, segmentShown: bool, modelShown: bool
) -> None:
    nodes.segmentation.GetDisplayNode().SetSegmentVisibility3D(segmentId, segmentShown)
    if modelNode.GetDisplayNode() is not None:
        modelNode.GetDisplayNode().SetVisibility(modelShown)


def canBeRestored(nodes: ResultNodes) -> bool:
    """Say whether the voxels that the implants were made with are there, on the grid that the result has now."""
    if nodes.made is None:
        return False
    kept = [nodes.made.GetBinaryLabelmapInternalRepresentation(segmentId) for segmentId in implantIdsOf(nodes)]
    grid = matrixOf(referenceGrid(nodes.segmentation))
    return all(image is not None and np.abs(matrixOf(image) - grid).max() < SAME_GRID for image in kept)


def restoreImplants(nodes: ResultNodes) -> None:
    """Give the implants' segments the voxels back that surfaces and checks were made of.

    :raises ValueError: they are not there, see ``canBeRestored``.
    """
    if nodes.made is None:
        raise ValueError("a result of an earlier version does not keep its implants")
    labelmapName = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    surfaceName = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    for segmentId, modelNode in zip(implantIdsOf(nodes), nodes.models):
        segment = nodes.segmentation.GetSegmentation().GetSegment(segmentId)
        labelmap = slicer.vtkOrientedImageData()
        labelmap.DeepCopy(nodes.made.GetBinaryLabelmapInternalRepresentation(segmentId))
        surface = vtk.vtkPolyData()
        surface.DeepCopy(modelNode.GetPolyData())
        segment.SetLabelValue(1)  # the editor may have put several segments into one labelmap
        segment.AddRepresentation(labelmapName, labelmap)
        segment.AddRepresentation(surfaceName, surface)
        _show(nodes, segmentId, modelNode, False, True)


def undoTarget(nodes: ResultNodes) -> str | None:
    """Return to what an edit can be undone now: ``made``, the voxels as they were made; ``origin``; or None."""
    if isEdited(nodes):
        return "made" if canBeRestored(nodes) else None
    return "origin" if originOf(nodes.segmentation) is not None else None
