"""Stand-in for Slicer's Segment Editor: its structure, on the host's `qMRMLSegmentEditorWidget`."""

from __future__ import annotations

import qt
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

DISCLOSURE = "The development host's small stand-in: of all effects it has only <i>Margin</i>."


class SegmentEditor(ScriptedLoadableModule):
    """The module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Segment Editor"
        parent.categories = ["", "Segmentation"]
        parent.dependencies = ["Segmentations", "SubjectHierarchy"]


class SegmentEditorWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel; `editor` is the widget that other modules tell what to edit."""

    def __init__(self, parent):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.parameterSetNode = None
        self.editor = None

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        note = qt.QLabel(DISCLOSURE)
        note.setWordWrap(True)
        self.layout.addWidget(note)
        self.editor = slicer.qMRMLSegmentEditorWidget()
        # The node comes before the scene: it keeps the selections that the scene brings.
        self.selectParameterNode()
        self.editor.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(self.editor)
        self.layout.addStretch(1)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self.onSceneChanged)

    def selectParameterNode(self):
        """Let the editor keep its selections in the scene's node for it, made if there is none."""
        tag, className = "SegmentEditor", "vtkMRMLSegmentEditorNode"
        node = slicer.mrmlScene.GetSingletonNode(tag, className)
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass(className)
            node.UnRegister(None)
            node.SetSingletonTag(tag)
            node = slicer.mrmlScene.AddNode(node)
        if node is not self.parameterSetNode:
            self.parameterSetNode = node
            self.editor.setMRMLSegmentEditorNode(node)

    def enter(self):
        """Select a segmentation if none is; a scene without one gets an empty one."""
        self.selectParameterNode()
        self.editor.updateWidgetFromMRML()
        if not self.editor.segmentationNodeID():
            className = "vtkMRMLSegmentationNode"
            node = slicer.mrmlScene.GetFirstNodeByClass(className)
            self.editor.setSegmentationNode(node or slicer.mrmlScene.AddNewNodeByClass(className))

    def onSceneStartClose(self, caller, event):
        """The nodes are about to go."""
        self.parameterSetNode = None
        self.editor.setSegmentationNode(None)

    def onSceneChanged(self, caller, event):
        """The scene was closed, or another came into it."""
        if self.parent.isEntered:
            self.selectParameterNode()
            self.editor.updateWidgetFromMRML()

    def cleanup(self):
        """The module is unloaded."""
        self.removeObservers()
