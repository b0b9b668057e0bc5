"""The section Export: the result as files, its report made first where it is wanted."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.job.protocol import Step

from . import review
from .background import inBackground
from .export import Export
from .parameters import SkullImplantParameterNode
from .results import inputNameOfResult
from .run import Outcome
from .runcontrol import RunControl
from .widgets import Widgets
from .wrapping import breakable

if TYPE_CHECKING:
    from .logic import SkullImplantLogic


class ExportSection:
    """What the section shows and does; ``parameters`` are those of the scene, None while there are none."""

    def __init__(self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl) -> None:
        self.ui = ui
        self.logic = logic
        self.control = control
        self.parameters: SkullImplantParameterNode | None = None
        self._reporting = False  # the run in progress makes a report for an export
        self._writing = False
        ui.exportButton.connect("clicked()", self.onExport)
        ui.openFolderButton.connect("clicked()", self.onOpenFolder)

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui, problem = self.ui, self.logic.exportProblem(parameters)
        button = ui.exportButton
        if self._reporting and self.control.running:
            button.text, button.enabled = _("Cancel"), not self.control.cancelling
            button.toolTip = _("Stop; no file is written.")
        else:
            button.text, button.enabled = _("Export"), problem is None and not self._writing
            button.toolTip = problem or _("Write the chosen files into the folder.")
        # Whether the folder is there is not asked here: on a network that can take long.
        ui.openFolderButton.enabled = parameters.exportFolder.is_absolute()

    def forgetRun(self) -> None:
        """The scene is closed, and with it ends a report that is being made."""
        self._reporting = False
        self.ui.exportLabel.text = ""

    def onExport(self) -> None:
        """Write the files, or cancel the report that is made for them; asks before any is replaced."""
        parameters = self.parameters
        if self._reporting and self.control.running:
            self.control.cancel()
            return
        if parameters is None:
            return
        try:
            export = self.logic.exportOf(parameters)
        except (SkullImplantError, ValueError) as error:
            self._onFailed(error)
            return
        if not self._mayExport(parameters, export):
            return
        if not export.lacksReport:
            self._write(export)
            return
        self._reporting = True
        self.control.begin(
            _("Making the report"), partial(self.logic.startReport, export.nodes), partial(self._onReport, export),
            self._onProgress)

    def _mayExport(self, parameters: SkullImplantParameterNode, export: Export) -> bool:
        """Ask where the export may not be what is meant."""
        if review.isOfAnother(parameters):
            question = _("This is the implant of {name}, not of the chosen input. Export it?").format(
                name=inputNameOfResult(export.nodes.segmentation))
            if not slicer.util.confirmOkCancelDisplay(question, _("Export this implant?")):
                return False
        there = [path.name for path in export.files if path.exists()]
        question = _("{folder} already holds {files}. Replace them?").format(
            folder=export.folder, files=", ".join(there))
        return not there or bool(slicer.util.confirmOkCancelDisplay(question, _("Replace files?")))

    def _onProgress(self, step: Step) -> None:
        if not self.control.cancelling:
            self.ui.exportLabel.text = _("Making the report… {percent:.0f} %").format(percent=100 * step.overall)

    def _onReport(self, export: Export, outcome: Outcome) -> str:
        self._reporting = False
        if outcome.state == "done":
            self._write(export.withReport(outcome.value))
        else:
            self.ui.exportLabel.text = breakable(_("No file was written. {reason}").format(reason=outcome.message))
        return _("The report is made.")

    def _write(self, export: Export) -> None:
        self._writing = True
        self.ui.exportLabel.text = _("Writing…")
        self.ui.exportButton.enabled = False
        inBackground(export.write, self._onWritten, self._onFailed)

    def _onWritten(self, files: list[Path]) -> None:
        self._writing = False
        self.ui.exportLabel.text = breakable(_("Written to {folder}: {files}").format(
            folder=files[0].parent, files=", ".join(file.name for file in files)))
        self._updateAgain()

    def _onFailed(self, error: Exception) -> None:
        self._writing = False
        self.ui.exportLabel.text = ""
        self._updateAgain()
        with slicer.util.tryWithErrorDisplay(_("The implant could not be exported.")):
            raise error

    def _updateAgain(self) -> None:
        if self.parameters is not None:
            self.update(self.parameters)

    def onOpenFolder(self) -> None:
        """Show the folder in the system's file manager."""
        if self.parameters is None:
            return
        folder = self.parameters.exportFolder
        if not folder.is_dir():
            self.ui.exportLabel.text = _("The folder is not there yet; Export makes it.")
            return
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))
