"""What the module does, without its panel: designs, updates, reports and exports of the scene's nodes."""

import json
import logging
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from .exportrun import ExportRun
from .parameters import SkullImplantParameterNode

# Slicer imports this file when it starts; what takes time is imported where it is used.
if TYPE_CHECKING:
    from SkullImplantLib.job.protocol import Step

    from .export import Export
    from .inputs import SegmentsSnapshot
    from .madewith import InputStates
    from .requests import Request
    from .results import ResultNodes
    from .run import LibraryRun, Outcome

    OnFinished = Callable[[Outcome], None]
    OnProgress = Callable[[Step], None]


class SkullImplantLogic(ScriptedLoadableModuleLogic):
    """What the module does, without its panel: start, cancel and take in designs, update them, export them.

    A design runs in another process. One run at a time; it calls back in the GUI's thread.
    Uses ScriptedLoadableModuleLogic base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self) -> None:
        """Called when the logic class is instantiated. Can be used for initializing member variables."""
        ScriptedLoadableModuleLogic.__init__(self)
        self._run: LibraryRun | None = None
        self._search: LibraryRun | None = None
        # What a result that was fitted again was fitted from, by the id of its segmentation.
        self._fittedFrom: dict[str, SegmentsSnapshot] = {}
        self._inputStates: InputStates | None = None
        self.exporting = ExportRun()

    def getParameterNode(self) -> SkullImplantParameterNode:
        return SkullImplantParameterNode(super().getParameterNode())

    @property
    def inputStates(self) -> "InputStates":
        """Of which voxels of their input the results of this session were made."""
        from .madewith import InputStates

        if self._inputStates is None:
            self._inputStates = InputStates()
        return self._inputStates

    @property
    def run(self) -> "LibraryRun | None":
        """The run in progress, or None."""
        return self._run

    def designProblem(self, parameters: SkullImplantParameterNode) -> str | None:
        """Return what keeps a design from being made, in one sentence, or None."""
        from .requests import designProblem

        return designProblem(parameters)

    def startDesign(
        self,
        parameters: SkullImplantParameterNode,
        onFinished: "OnFinished",
        onProgress: "OnProgress | None" = None,
    ) -> None:
        """
        Start a design; its result is put into the scene and into the parameter node.

        :param onFinished: called with the ``Outcome`` of the run.
        :param onProgress: called with each step of it.
        :raises ValueError: there is a ``designProblem``, or a run in progress.
        """
        from .replacing import replaceByDesign
        from .requests import designRequest

        earlier = None if parameters.keepResults else self.resultNodes(parameters)  # whatever is reviewed at the end
        request = designRequest(parameters)
        state = self.inputStates.of(request.node)

        def settle(new: "ResultNodes") -> None:
            self.inputStates.keep(new, state)
            if earlier is not None:
                replaceByDesign(earlier, new)

        self._startResult(request, parameters, settle, onFinished, onProgress)

    def startUpdate(
        self,
        parameters: SkullImplantParameterNode,
        onFinished: "OnFinished",
        onProgress: "OnProgress | None" = None,
    ) -> None:
        """Fit, mesh and check the implants of the result again, after a segment was edited.

        The automatic design stays, as it was made, to be gone back to.

        :raises ValueError: there is no result, or a run in progress.
        """
        from .replacing import replaceByUpdate
        from .requests import updateRequest

        nodes = self.resultNodes(parameters)
        if nodes is None:
            raise ValueError(_("There is no result to update; generate an implant first."))
        keep = parameters.keepResults

        def settle(new: "ResultNodes") -> None:
            self.inputStates.passOn(nodes, new)
            replaceByUpdate(nodes, new, keep)

        self._startResult(updateRequest(nodes), parameters, settle, onFinished, onProgress)

    def startRefit(
        self,
        parameters: SkullImplantParameterNode,
        onFinished: "OnFinished",
        onProgress: "OnProgress | None" = None,
    ) -> None:
        """Fit the result again, so that its implant comes out along the arrow of the parameters.

        :raises ValueError: there is no result or no arrow, or a run in progress.
        """
        from .replacing import replaceByRefit
        from .requests import implantsAsTheyAre, refitRequest
        from .review import isEdited

        nodes = self.resultNodes(parameters)
        if nodes is None or parameters.directionArrow is None:
            raise ValueError(_("There is no result with an arrow; generate an implant first."))
        # What the way in has cut off in an earlier try must be there again in the next.
        fitted = None if isEdited(nodes, lookAgain=True) else self._fittedFrom.get(nodes.segmentation.GetID())
        implants = fitted or implantsAsTheyAre(nodes)

        def finished(outcome: "Outcome") -> None:
            if outcome.state == "done":
                self._fittedFrom = {outcome.value.segmentation.GetID(): implants}
            onFinished(outcome)

        request = refitRequest(nodes, parameters.directionArrow, implants)
        def settle(new: "ResultNodes") -> None:
            self.inputStates.passOn(nodes, new)
            replaceByRefit(nodes, new)

        self._startResult(request, parameters, settle, finished, onProgress)

    def _startResult(
        self,
        request: "Request",
        parameters: SkullImplantParameterNode,
        settle: "Callable[[ResultNodes], None]",
        onFinished: "OnFinished",
        onProgress: "OnProgress | None",
    ) -> None:
        from .results import readResults

        self.startRun(request, readResults, lambda outcome: self._takeIn(outcome, request, parameters, settle),
                    onFinished, onProgress)

    def _takeIn(
        self,
        outcome: "Outcome",
        request: "Request",
        parameters: SkullImplantParameterNode,
        settle: "Callable[[ResultNodes], None]",
    ) -> "Outcome":
        """Put the results that were read into the scene; they come under review, unless another patient was chosen.

        :param settle: called with their nodes; does away with what they replace.
        """
        from .requests import inputNode
        from .results import addResults, inputOfResult
        from .review import fadeSkull, showOnly
        from .run import Outcome

        node = request.node
        assert node is not None  # a design's and an update's request have one
        if not slicer.mrmlScene.IsNodePresent(node):
            return Outcome("failed", _("The input was removed from the scene while the design ran; load it again."))
        new = addResults(outcome.value, node, request.inputName)

        reviewed = parameters.resultSegmentation
        # An update whose input is not there any more has the result before for its node.
        isOfReviewed = reviewed is not None and node in (inputOfResult(reviewed), reviewed)
        showsNew = isOfReviewed or inputNode(parameters) in (node, None)
        settle(new)
        fadeSkull(new.segmentation, parameters.skullOpacity)
        if showsNew:
            parameters.resultSegmentation = new.segmentation
            parameters.showHoles = False  # the design is what is looked at now
        else:
            outcome.notes.append(_("It is shown when {name} is chosen again.").format(name=node.GetName()))
        showOnly(self.resultNodes(parameters))
        outcome.value = new
        return outcome

    def startSample(self, onFinished: "OnFinished", onProgress: "OnProgress | None" = None) -> None:
        """Make the sample patient; its CT comes into the scene and is the outcome's value."""
        from .inputs import readImage
        from .requests import sampleRequest

        def takeIn(outcome: "Outcome") -> "Outcome":
            image = outcome.value
            name = slicer.mrmlScene.GenerateUniqueName(_("Sample patient"))
            outcome.value = slicer.util.addVolumeFromArray(image.voxels, ijkToRAS=image.ijkToRas, name=name)
            slicer.util.setSliceViewerLayers(background=outcome.value, fit=True)
            return outcome

        self.startRun(sampleRequest(), lambda folder: readImage(folder / "sample-ct.nrrd"), takeIn,
                    onFinished, onProgress)

    def startSampleFile(self, path: Path, onFinished: "OnFinished") -> None:
        """Make the sample patient; the file of its CT is kept under a path, and nothing comes into the scene."""
        from .requests import sampleRequest

        def keep(folder: Path) -> Path:
            path.parent.mkdir(parents=True, exist_ok=True)
            return Path(shutil.move(folder / "sample-ct.nrrd", path))

        self.startRun(sampleRequest(), keep, lambda outcome: outcome, onFinished, None)

    def startReport(
        self, nodes: "ResultNodes", onFinished: "OnFinished", onProgress: "OnProgress | None" = None
    ) -> None:
        """Make the report of a result; its text is kept in the scene and is the outcome's value.

        :raises ValueError: there is a run in progress.
        """
        from .requests import reportRequest
        from .results import addReport
        from .run import Outcome

        def takeIn(outcome: "Outcome") -> "Outcome":
            if not slicer.mrmlScene.IsNodePresent(nodes.segmentation):
                return Outcome("failed", _("The result was removed from the scene while its report was made."))
            addReport(nodes, outcome.value)
            return outcome

        self.startRun(reportRequest(nodes), lambda folder: (folder / "report.html").read_text(encoding="utf-8"),
                    takeIn, onFinished, onProgress)

    def startRun(
        self,
        request: "Request",
        collect: Callable[[Path], Any],
        takeIn: "Callable[[Outcome], Outcome]",
        onFinished: "OnFinished",
        onProgress: "OnProgress | None",
    ) -> None:
        """Start the run of a request: ``collect`` reads its result folder, ``takeIn`` goes on with its value.

        :raises ValueError: there is a run in progress.
        """
        from .requests import RESULT
        from .run import LibraryRun, Outcome
        from .slicerversion import versionProblem

        tooOld = versionProblem()
        if tooOld:
            raise ValueError(tooOld)
        if self._run:
            raise ValueError(_("A run is in progress; wait for its end, or cancel it."))
        folder = self._workFolder()
        arguments = request.argumentsIn(folder)

        def finished(outcome: "Outcome") -> None:
            self._run = None
            if outcome.state == "done":
                try:
                    outcome = takeIn(outcome)
                except Exception as error:
                    logging.exception("SkullImplant: what a run made could not be taken in")
                    message = _("The result could not be put into the scene; please copy the log and report it.")
                    outcome = Outcome("failed", message, traceback.format_exception(error))
            onFinished(outcome)

        self._run = LibraryRun(
            request.verb, arguments, folder, finished, onProgress,
            prepare=lambda: request.writeInto(folder),
            collect=lambda: collect(folder / RESULT),
            cpuArguments=[*arguments, "--device", "cpu"] if request.mayUseGpu else None,
        )
        try:
            self._run.start()
        except Exception:
            self._run = None
            raise

    def findDevices(self, then: Callable[[dict[str, Any] | None], None]) -> None:
        """Find the processors that a network can run on; ``then`` is called with the library's answer, or None.

        It runs beside everything else, because it only looks.
        """
        from .run import LibraryRun

        def finished(outcome: "Outcome") -> None:
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
        """End what is in progress without calling back."""
        self.exporting.abandon()
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

        while (self._run or self.exporting.running) and not qt.QCoreApplication.closingDown():
            slicer.app.processEvents()
            time.sleep(0.01)

    def resultNodes(self, parameters: SkullImplantParameterNode) -> "ResultNodes | None":
        """Return the ``ResultNodes`` under review, or None where there is no whole result."""
        from .results import nodesOfResult

        return nodesOfResult(parameters.resultSegmentation)

    def exportResults(self, parameters: SkullImplantParameterNode) -> list[Path]:
        """Write the result into the folder of the parameters and wait for it; return the files.

        :raises ValueError: no result, no folder or no format is chosen, or a run is in progress.
        :raises RuntimeError: the report or the files could not be made; the message says why.
        """
        from .exportrun import exportAndWait

        return exportAndWait(self, parameters)

    def startExport(
        self, export: "Export", onFinished: "OnFinished", onProgress: "OnProgress | None" = None
    ) -> None:
        """Write the files of an export, all or none, beside whatever else runs.

        :raises ValueError: an export is in progress, or it lacks its report.
        """
        self.exporting.start(export, self._workFolder(), onFinished, onProgress)

    def exportOf(self, parameters: SkullImplantParameterNode) -> "Export":
        """Return the ``Export`` that the parameters ask for.

        :raises ValueError: no result, no folder or no format is chosen, or a run is in progress.
        """
        from . import export

        problem = self.exportProblem(parameters)
        nodes = self.resultNodes(parameters)
        if problem or nodes is None:
            raise ValueError(problem)
        return export.exportOf(nodes, parameters.exportFolder, export.chosenFormats(parameters.exportFormats))

    def exportProblem(self, parameters: SkullImplantParameterNode) -> str | None:
        """Return what keeps the result from being exported, in one sentence, or None."""
        from .export import exportProblem

        return exportProblem(self.resultNodes(parameters), parameters, self._run is not None)

    @staticmethod
    def _workFolder() -> Path:
        from SkullImplantLib.job.work_folder import short_work_folder

        return short_work_folder(Path(slicer.app.temporaryPath))
