import json
import logging
import sys
import time
from pathlib import Path
from typing import Annotated

import vtk

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# In Slicer the library stands beside this file; in a source checkout, one folder above.
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "SkullImplantLib").is_dir() and str(_checkout) not in sys.path:
    sys.path.append(str(_checkout))


#
# SkullImplant
#


class SkullImplant(ScriptedLoadableModule):
    """Uses ScriptedLoadableModule base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent):
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
# Register sample data sets in Sample Data module
#


def registerSampleData():
    """Add the sample patient, which the library makes on this computer, to the Sample Data module."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataCategory("SkullImplant", title=_("Skull Implant"))
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SkullImplant",
        sampleName="Head CT with a craniectomy",
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "SkullImplantSample.png"),
        # Nothing is downloaded, but a source must have an address, a file name and a node name.
        uris="",
        fileNames="sample-ct.nrrd",
        nodeNames="Sample patient",
        customDownloader=loadSample,
    )


def loadSample(source=None):
    """Make the sample patient for the Sample Data module; what goes wrong is shown."""
    with slicer.util.tryWithErrorDisplay(_("The sample patient could not be made."), waitCursor=True):
        slicer.util.showStatusMessage(_("Making the sample patient, in about half a minute..."))
        makeSample()
        slicer.util.showStatusMessage(_("The sample patient is loaded."), 3000)


def makeSample():
    """Make the sample patient and wait for it; the application stays responsive.

    :return: the CT, a scalar volume with a craniectomy.
    :raises RuntimeError: it could not be made; the message says why.
    """
    logic = SkullImplantLogic()
    outcomes = []
    logic.startSample(outcomes.append)
    logic.wait()
    if not outcomes:
        raise RuntimeError(_("The application is being closed."))
    if outcomes[0].state != "done":
        raise RuntimeError(outcomes[0].message)
    return outcomes[0].value


#
# SkullImplantParameterNode
#


@parameterNodeWrapper
class SkullImplantParameterNode:
    """
    The parameters of the design and where its results are.

    inputVolume - The head CT (or a labelmap of the skull).
    skullIsSegmentation - Whether skullSegmentation is the input, instead of inputVolume.
    skullSegmentation - A segmentation whose visible segments are the skull.
    automaticThreshold - Whether the bone threshold is found from the CT.
    boneThresholdHu - The bone threshold where it is not automatic, in HU.
    leaveOut - A segmentation in whose visible segments bone does not count.
    clearanceMm - The gap between implant and bone.
    rimSlackMm - How far over the edge of the bone the rim may reach, to fill sharp corners.
    spurMm - Spurs of the implant thinner than this are removed.
    model - Shipped model by name, "auto" for the best that runs here, or the path of a weight file.
    device - Where a network runs: auto, cpu or cuda.
    keepResults - Whether earlier results stay in the scene when a new design is made.
    resultSegmentation - The result under review; it refers to the result's other nodes.
    skullOpacity - How opaque the skull is in the 3D view.
    exportFolder - Where the files go.
    exportStl, exportMasks, exportReport - Which files.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    skullIsSegmentation: bool = False
    skullSegmentation: vtkMRMLSegmentationNode
    automaticThreshold: bool = True
    boneThresholdHu: Annotated[float, WithinRange(0, 2000)] = 300
    leaveOut: vtkMRMLSegmentationNode
    clearanceMm: Annotated[float, WithinRange(0, 5)] = 0.5
    rimSlackMm: Annotated[float, WithinRange(0, 2)] = 0.5
    spurMm: Annotated[float, WithinRange(0, 10)] = 2.5
    model: str = "auto"
    device: str = "auto"
    keepResults: bool = False
    resultSegmentation: vtkMRMLSegmentationNode
    skullOpacity: Annotated[float, WithinRange(0, 1)] = 0.35
    exportFolder: Path
    exportStl: bool = True
    exportMasks: bool = False
    exportReport: bool = True


#
# SkullImplantWidget
#


class SkullImplantWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Uses ScriptedLoadableModuleWidget base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

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
        self.panel.enter()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        self.panel.exit()
        self._disconnectParameterNode()

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed: a run has no scene to come back to."""
        self.logic.abandon()
        self.panel.forgetRun()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event) -> None:
        """Called after a scene was loaded into this one."""
        # The parameter node was filled before the nodes it refers to were there; look at it anew.
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneChanged(self, caller, event) -> None:
        """A node came or went; what is loaded is whole only when the event loop comes round again."""
        import qt

        if self.parent.isEntered and not slicer.mrmlScene.IsBatchProcessing():
            qt.QTimer.singleShot(0, self.panel.onNodesChanged)

    def initializeParameterNode(self) -> None:
        """Ensure parameter node exists and observed."""
        self.setParameterNode(self.logic.getParameterNode())
        # Select the CT if there is one, to save a few clicks
        if not self._parameterNode.inputVolume:
            firstVolumeNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if firstVolumeNode:
                self._parameterNode.inputVolume = firstVolumeNode
        if not self._parameterNode.exportFolder.is_absolute():  # none yet, or one of another system
            self._parameterNode.exportFolder = Path.home() / "SkullImplant"

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

    def onParametersModified(self, caller=None, event=None) -> None:
        # While a scene is loaded the nodes are not yet what they will be.
        if self.parent.isEntered and self._parameterNode and not slicer.mrmlScene.IsBatchProcessing():
            self.panel.update()


#
# SkullImplantLogic
#


class SkullImplantLogic(ScriptedLoadableModuleLogic):
    """What the module does, without its panel: start, cancel and take in designs, update them, export them.

    A design runs in another process. One run at a time; it calls back in the GUI's thread.
    Uses ScriptedLoadableModuleLogic base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self) -> None:
        """Called when the logic class is instantiated. Can be used for initializing member variables."""
        ScriptedLoadableModuleLogic.__init__(self)
        self._run = None
        self._search = None

    def getParameterNode(self) -> SkullImplantParameterNode:
        return SkullImplantParameterNode(super().getParameterNode())

    @property
    def run(self):
        """The run in progress, or None."""
        return self._run

    def designProblem(self, parameters: SkullImplantParameterNode) -> str | None:
        """Return what keeps a design from being made, in one sentence, or None."""
        from SkullImplantPanel.requests import designProblem

        return designProblem(parameters)

    def startDesign(self, parameters: SkullImplantParameterNode, onFinished, onProgress=None) -> None:
        """
        Start a design; its result is put into the scene and into the parameter node.

        :param onFinished: called with the ``Outcome`` of the run.
        :param onProgress: called with each step of it.
        :raises ValueError: there is a ``designProblem``, or a run in progress.
        """
        from SkullImplantPanel.requests import designRequest

        self._startRun(designRequest(parameters), parameters, not parameters.keepResults, onFinished, onProgress)

    def startUpdate(self, parameters: SkullImplantParameterNode, onFinished, onProgress=None) -> None:
        """Mesh and check the implant of the result again, after its segment was edited.

        :raises ValueError: there is no result, or a run in progress.
        """
        from SkullImplantPanel.requests import updateRequest

        nodes = self.resultNodes(parameters)
        if nodes is None:
            raise ValueError(_("There is no result to update; generate an implant first."))
        self._startRun(updateRequest(parameters, nodes), parameters, True, onFinished, onProgress)

    def _startRun(self, request, parameters, replace: bool, onFinished, onProgress) -> None:
        from SkullImplantPanel.requests import RESULT
        from SkullImplantPanel.results import readResults
        from SkullImplantPanel.run import LibraryRun

        folder = self._newWorkFolder()
        arguments = request.argumentsIn(folder)

        def finished(outcome):
            self._run = None
            if outcome.state == "done":
                outcome = self._takeIn(outcome, request, parameters, replace)
            onFinished(outcome)

        self._run = LibraryRun(
            request.verb, arguments, folder, finished, onProgress,
            prepare=lambda: request.writeInto(folder),
            collect=lambda: readResults(folder / RESULT),
            cpuArguments=[*arguments, "--device", "cpu"] if request.mayUseGpu else None,
        )
        self._run.start()

    def _takeIn(self, outcome, request, parameters, replace: bool):
        """Put the results that were read into the scene, and make them the result under review."""
        from SkullImplantPanel.results import addResults, inputOfResult, removeResults
        from SkullImplantPanel.review import fadeSkull
        from SkullImplantPanel.run import Outcome

        node = request.node
        if not slicer.mrmlScene.IsNodePresent(node):
            return Outcome("failed", _("The input was removed from the scene while the design ran; load it again."))
        earlier = self.resultNodes(parameters)
        try:
            new = addResults(outcome.value, node, request.inputName)
        except Exception as error:
            logging.exception("SkullImplant: the result could not be put into the scene")
            message = _("The result could not be put into the scene; please copy the log and report it.")
            return Outcome("failed", message, [repr(error)])
        # A result of another patient stays, whatever is chosen.
        if earlier is not None and replace and node in (inputOfResult(earlier.segmentation), earlier.segmentation):
            removeResults(earlier)
        parameters.resultSegmentation = new.segmentation
        fadeSkull(new.segmentation, parameters.skullOpacity)
        outcome.value = new
        return outcome

    def startSample(self, onFinished, onProgress=None) -> None:
        """Make the sample patient; its CT comes into the scene and is the outcome's value."""
        from SkullImplantPanel.inputs import readImage
        from SkullImplantPanel.run import LibraryRun

        folder = self._newWorkFolder()

        def finished(outcome):
            self._run = None
            if outcome.state == "done":
                image = outcome.value
                name = slicer.mrmlScene.GenerateUniqueName(_("Sample patient"))
                outcome.value = slicer.util.addVolumeFromArray(image.voxels, ijkToRAS=image.ijkToRas, name=name)
                slicer.util.setSliceViewerLayers(background=outcome.value, fit=True)
            onFinished(outcome)

        self._run = LibraryRun("sample", ["-o", str(folder / "sample")], folder, finished, onProgress,
                               collect=lambda: readImage(folder / "sample" / "sample-ct.nrrd"))
        self._run.start()

    def findDevices(self, then) -> None:
        """Find the processors that a network can run on; ``then`` is called with the library's answer, or None.

        It runs beside everything else, because it only looks.
        """
        from SkullImplantPanel.run import LibraryRun

        def finished(outcome):
            try:
                then(json.loads("\n".join(run.output)) if outcome.state == "done" else None)
            except ValueError:
                logging.warning("SkullImplant: the list of devices could not be read")
                then(None)

        run = self._search = LibraryRun("devices", ["--json"], self._workFolder(), finished)
        run.start()

    def cancel(self) -> None:
        """End the run in progress; it calls back within a second."""
        if self._run:
            self._run.cancel()

    def abandon(self) -> None:
        """End the run in progress without calling back."""
        if self._run:
            self._run.abandon()
            self._run = None

    def close(self) -> None:
        """End all that runs without calling back; the application or the module ends."""
        self.abandon()
        if self._search:
            self._search.abandon()
            self._search = None

    def wait(self) -> None:
        """Return when no run is in progress; events are handled meanwhile."""
        import qt

        while self._run and not qt.QCoreApplication.closingDown():
            slicer.app.processEvents()
            time.sleep(0.01)

    def resultNodes(self, parameters: SkullImplantParameterNode):
        """Return the ``ResultNodes`` under review, or None where there is no whole result."""
        from SkullImplantPanel.results import nodesOfResult

        return nodesOfResult(parameters.resultSegmentation)

    def exportResults(self, parameters: SkullImplantParameterNode) -> list[Path]:
        """Write the result into the folder of the parameters; return the files.

        :raises ValueError: no result, no folder or no format is chosen.
        :raises SkullImplantError: the folder cannot be written.
        """
        return self.exportOf(parameters).write()

    def exportOf(self, parameters: SkullImplantParameterNode):
        """Return the ``Export`` that the parameters ask for; writing it may be done in a thread.

        :raises ValueError: no result, no folder or no format is chosen.
        """
        from SkullImplantPanel import export

        problem = self.exportProblem(parameters)
        if problem:
            raise ValueError(problem)
        chosen = {export.STL: parameters.exportStl, export.MASKS: parameters.exportMasks,
                  export.REPORT: parameters.exportReport}
        return export.exportOf(self.resultNodes(parameters), parameters.exportFolder,
                               [name for name, wanted in chosen.items() if wanted])

    def exportProblem(self, parameters: SkullImplantParameterNode) -> str | None:
        """Return what keeps the result from being exported, in one sentence, or None."""
        if self.resultNodes(parameters) is None:
            return _("There is no result yet; generate an implant first.")
        if not parameters.exportFolder.is_absolute():  # also one of another system, from a loaded scene
            return _("Choose the folder for the files.")
        if not (parameters.exportStl or parameters.exportMasks or parameters.exportReport):
            return _("Choose at least one kind of file.")
        return None

    def _newWorkFolder(self) -> Path:
        if self._run:
            raise ValueError(_("A run is in progress; wait for its end, or cancel it."))
        return self._workFolder()

    @staticmethod
    def _workFolder() -> Path:
        from SkullImplantLib.job import protocol as job

        return job.short_work_folder(Path(slicer.app.temporaryPath))


#
# SkullImplantTest
#


class SkullImplantTest(ScriptedLoadableModuleTest):
    """
    The sample patient end to end, without a network connection.
    Uses ScriptedLoadableModuleTest base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def setUp(self):
        """Do whatever is needed to reset the state - typically a scene clear will be enough."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run as few or as many tests as needed here."""
        self.setUp()
        self.test_SamplePatientToStl()

    def test_SamplePatientToStl(self):
        """Make the sample patient, design its implant, export the STL, and load that back into its place."""
        import tempfile

        import numpy as np

        self.delayDisplay("Making the sample patient")
        volumeNode = makeSample()
        self.delayDisplay("Designing the implant")
        logic = SkullImplantLogic()
        parameters = logic.getParameterNode()
        parameters.inputVolume = volumeNode
        outcomes, steps = [], []
        logic.startDesign(parameters, outcomes.append, steps.append)
        logic.wait()
        self.assertEqual(outcomes[0].state, "done", outcomes[0].message)
        self.assertGreater(len(steps), 10)
        nodes = logic.resultNodes(parameters)
        implant = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", volumeNode)
        skull = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Skull", volumeNode)
        self.assertFalse(np.any((implant > 0) & (skull > 0)), "the implant takes room that bone has")
        volumeCm3 = np.count_nonzero(implant) * np.prod(volumeNode.GetSpacing()) / 1000.0
        self.assertTrue(20.0 < volumeCm3 < 80.0, f"an implant of {volumeCm3:.1f} cm3")
        self.assertEqual(nodes.table.GetNumberOfRows(), len(json.loads(nodes.design.GetText())["checks"]))

        self.delayDisplay("Exporting")
        with tempfile.TemporaryDirectory() as folder:
            parameters.exportFolder = Path(folder)
            files = logic.exportResults(parameters)
            self.assertEqual([path.name for path in files], ["design.json", "implant.stl", "report.html"])
            loaded = slicer.util.loadModel(str(Path(folder) / "implant.stl"))
            found, expected = np.zeros(6), np.zeros(6)
            loaded.GetRASBounds(found)
            nodes.model.GetRASBounds(expected)
            self.assertLess(np.abs(found - expected).max(), 1e-3)
        self.delayDisplay("Test passed")
