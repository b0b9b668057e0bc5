"""The module as Slicer sees it: what it is, and its widget, which follows scene and parameter node.

The other classes that Slicer looks for here are in files of their own: logic, self-test, parameters.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtk

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from SkullImplantPanel.logic import SkullImplantLogic
from SkullImplantPanel.parameters import SkullImplantParameterNode
from SkullImplantPanel.sample import registerSampleData
from SkullImplantPanel.selftest import SkullImplantTest

if TYPE_CHECKING:
    from SkullImplantPanel.panel import Panel

__all__ = [
    "SkullImplant",
    "SkullImplantLogic",
    "SkullImplantParameterNode",
    "SkullImplantTest",
    "SkullImplantWidget",
    "registerSampleData",
]


#
# SkullImplant
#


class SkullImplant(ScriptedLoadableModule):
    """Uses ScriptedLoadableModule base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Skull Implant")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Planning")]
        self.parent.dependencies = []
        self.parent.contributors = ["The SkullImplant developers"]
        self.parent.helpText = _("""
From the head CT of a patient with a hole in the skull to a proposal for a cranial implant, ready to be printed.
Load the CT, click <b>Generate implant</b>, look at the result, correct it where needed, and export the STL.
Everything runs on this computer. The result is a proposal for review by a qualified person; this is not a medical
device. See the <a href="https://github.com/SkullImplant/SlicerSkullImplant">documentation</a>.
""")
        self.parent.acknowledgementText = _("""
Follows Li et al., "Sparse convolutional neural network for high-resolution skull shape completion and shape
super-resolution" (Sci Rep 2023), Kroviakov et al. (AutoImplant 2021) and Li et al., "Learning to rearrange voxels in
binary segmentation masks for smooth manifold triangulation" (2021).
""")
        slicer.app.connect("startupCompleted()", registerSampleData)


#
# SkullImplantWidget
#


class SkullImplantWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Uses ScriptedLoadableModuleWidget base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent: Any = None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic: SkullImplantLogic
        self.panel: Panel | None = None
        self._parameterNode: SkullImplantParameterNode | None = None
        self._parameterNodeGuiTag: int | None = None

    def setup(self) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.setup(self)
        from SkullImplantPanel.panel import Panel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/SkullImplant.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = SkullImplantLogic()
        self.panel = Panel(self.ui, self.logic)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self.onSceneChanged)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onSceneChanged)

        # Make sure parameter node is initialized (needed for module reload)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        self.setParameterNode(None)
        self.removeObservers()
        if self.panel:
            self.panel.close()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        if self.panel:
            self.panel.enter()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        if self.panel:
            self.panel.exit()
        self._disconnectParameterNode()

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Called just before the scene is closed: a run has no scene to come back to."""
        self.logic.abandon()
        if self.panel:
            self.panel.forgetRun()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Called just after the scene is closed."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller: Any, event: Any) -> None:
        """Called after a scene was loaded into this one."""
        # The parameter node was filled before the nodes it refers to were there; look at it anew.
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneChanged(self, caller: Any, event: Any) -> None:
        """A node came or went; what is loaded is whole only when the event loop comes round again."""
        import qt

        if self.panel and self.parent.isEntered and not slicer.mrmlScene.IsBatchProcessing():
            qt.QTimer.singleShot(0, self.panel.onNodesChanged)

    def initializeParameterNode(self) -> None:
        """Ensure parameter node exists and observed."""
        parameters = self.logic.getParameterNode()
        self.setParameterNode(parameters)
        # Select the CT if there is one, to save a few clicks
        if not parameters.inputVolume:
            firstVolumeNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if firstVolumeNode:
                parameters.inputVolume = firstVolumeNode
        if not parameters.exportFolder.is_absolute():  # none yet, or one of another system
            parameters.exportFolder = Path.home() / "SkullImplant"

    def setParameterNode(self, inputParameterNode: SkullImplantParameterNode | None) -> None:
        """Set and observe parameter node, so that the panel follows it at once."""
        self._disconnectParameterNode()
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        if self.panel:
            self.panel.setParameterNode(self._parameterNode)

    def _disconnectParameterNode(self) -> None:
        if self._parameterNode and self._parameterNodeGuiTag is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)

    def onParametersModified(self, caller: Any = None, event: Any = None) -> None:
        # While a scene is loaded the nodes are not yet what they will be.
        following = self.parent.isEntered and self._parameterNode and not slicer.mrmlScene.IsBatchProcessing()
        if self.panel and following:
            self.panel.update()
