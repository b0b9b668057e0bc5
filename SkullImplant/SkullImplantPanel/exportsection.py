"""The section Export: the result as files, its report made first where it is wanted."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.formats import FORMATS
from SkullImplantLib.job.protocol import Step

from . import casename, dicomseries, review
from .colors import grayOf, lookStyle
from .export import Export, chosenFormats, labelProblem, outgoingOf
from .formatwords import titleAndSentence
from .openreport import ReportOpener
from .outgoingtable import OutgoingTable
from .parameters import SkullImplantParameterNode
from .printsize import PrintSizes
from .results import ResultNodes, designOf, inputNameOfResult
from .run import Outcome
from .runcontrol import DOUBLE_CLICK_S, RunControl
from .section import Section
from .widgets import Widgets
from .wrapping import breakable

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

FORMAT_COLUMNS = 2


class ExportSection(Section):
    """What the section shows and does, see ``Section``."""

    def __init__(
        self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl, update: Callable[[], None]
    ) -> None:
        super().__init__(ui, logic, control, update)
        self._reporting = False  # the run in progress makes a report for this section
        self._cancelling = False
        self._showingFolder = False  # what is typed there is the user's, what is shown is not
        self._report = ReportOpener(self._tell)
        self._sizes = PrintSizes(self._showSizes)
        self._showSizes("")
        self.boxes = self._formatBoxes()
        self._outgoing = OutgoingTable(ui)
        ui.exportNameEdit.connect("textEdited(QString)", self.onNameTyped)
        ui.exportNameButton.connect("clicked()", self.onFolderName)
        ui.dicomFolderEdit.connect("currentPathChanged(QString)", self.onDicomFolder)
        ui.engraveEdit.connect("textEdited(QString)", self.onLabelTyped)
        ui.exportButton.connect("clicked()", self.onExport)
        ui.openFolderButton.connect("clicked()", self.onOpenFolder)
        for button in (ui.openReportButton, ui.reviewReportButton):
            button.connect("clicked()", self.onOpenReport)

    def _formatBoxes(self) -> dict[str, qt.QCheckBox]:
        """Offer each format of the library's table."""
        frame, before, boxes = self.ui.exportFormatsFrame, self.ui.exportNameButton, {}
        layout = frame.layout()
        for number, format in enumerate(FORMATS):
            title, sentence = titleAndSentence(format)
            box = boxes[format.name] = qt.QCheckBox(title)
            box.toolTip = sentence
            box.accessibleName = _("Files: {format}").format(format=title)
            box.connect("clicked(bool)", lambda _on: self.onFormats())
            layout.addWidget(box, number // FORMAT_COLUMNS, number % FORMAT_COLUMNS)
            qt.QWidget.setTabOrder(before, box)
            before = box
        for widget in (self.ui.dicomFolderEdit, self.ui.engraveEdit, self.ui.outgoingTable, self.ui.exportButton):
            qt.QWidget.setTabOrder(before, widget)
            before = widget
        self.ui.exportFormatsLabel.setBuddy(boxes[FORMATS[0].name])
        return boxes

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui, problem = self.ui, self.logic.exportProblem(parameters)
        nodes = self.logic.resultNodes(parameters)
        button, making = ui.exportButton, self._reporting and self.control.running
        if making or self.logic.exporting.running:
            self._showCancel(button, _("Stop; no file is written."))
            button.enabled = button.enabled and not self._cancelling
        else:
            self._showBegin(button, _("Export"), _("Write the chosen files into the folder."), problem)
        # Whether the folder is there is not asked here: on a network that can take long.
        ui.openFolderButton.enabled = parameters.exportFolder.is_absolute()
        mayOpen = nodes is not None and (nodes.report is not None or not self.control.running)
        for openButton in (ui.openReportButton, ui.reviewReportButton):
            openButton.enabled = mayOpen
        chosen = parameters.exportFormats.split(",")
        for name, box in self.boxes.items():
            box.checked = name in chosen
        self._showName(nodes)
        self._showSeries(nodes, chosen)
        self._showLabel(nodes, chosen)
        self._outgoing.show(() if nodes is None else outgoingOf(nodes, chosenFormats(parameters.exportFormats)))
        self._sizes.follow(nodes)

    def _showName(self, nodes: ResultNodes | None) -> None:
        ui, typed = self.ui, "" if nodes is None else casename.typedName(nodes)
        ui.exportNameEdit.enabled = ui.exportNameButton.enabled = nodes is not None
        if ui.exportNameEdit.text != typed:
            ui.exportNameEdit.text = typed
        ui.exportNameNote.visible = bool(typed)
        if nodes is None:
            ui.exportNameEdit.placeholderText = ""
            return
        case = casename.caseName(nodes, designOf(nodes))
        if not typed:
            ui.exportNameEdit.placeholderText = case
        note = _("⚠ A name of your own can tell who the patient is, to everybody who gets the files.")
        if typed and case != typed:
            note += " " + _("The files are called {name}.").format(name=f"{case}-…")
        ui.exportNameNote.styleSheet = self._lookStyle()
        ui.exportNameNote.text = breakable(note)

    def _showSeries(self, nodes: ResultNodes | None, chosen: list[str]) -> None:
        """Say beside the boxes whether DICOM can be written, and that it carries the patient."""
        ui, problem = self.ui, None if nodes is None else dicomseries.seriesProblem(nodes)
        needing = [format for format in FORMATS if format.needs_series]
        isChosen = any(format.name in chosen for format in needing)
        for format in needing:
            # A box that is ticked, as in a scene that was loaded elsewhere, can be unticked.
            self.boxes[format.name].enabled = problem is None or format.name in chosen
            self.boxes[format.name].toolTip = problem or titleAndSentence(format)[1]
        note = problem or _("⚠ DICOM carries the patient's name, dates and numbers, as it must.")
        ui.dicomNote.visible = nodes is not None
        ui.dicomNote.text = breakable(note)
        isTold = problem is None or isChosen
        gray = f"color: {grayOf(ui.exportCollapsibleButton)};"
        ui.dicomNote.styleSheet = self._lookStyle() if isTold else gray
        folder = "" if nodes is None else dicomseries.typedFolder(nodes)
        asks = nodes is not None and dicomseries.isOfCt(nodes) and not (
            not folder and dicomseries.isInDatabase(nodes))
        ui.dicomFolderLabel.visible = ui.dicomFolderEdit.visible = asks
        if ui.dicomFolderEdit.currentPath != folder:
            self._showingFolder = True
            ui.dicomFolderEdit.currentPath = folder
            self._showingFolder = False

    def _showLabel(self, nodes: ResultNodes | None, chosen: list[str]) -> None:
        ui, label = self.ui, "" if nodes is None else casename.typedLabel(nodes)
        ui.engraveEdit.enabled = nodes is not None
        if ui.engraveEdit.text != label:
            ui.engraveEdit.text = label
        ui.engraveNote.visible = bool(label)
        if not label:
            return
        problem = labelProblem(chosenFormats(",".join(chosen)), label)
        note = problem or _("⚠ It is cut into the inner side of the implants in STL, 3MF, mold and DICOM, and can "
                            "tell who the patient is.")
        ui.engraveNote.text = breakable(note)
        ui.engraveNote.styleSheet = self._lookStyle()

    def _lookStyle(self) -> str:
        return lookStyle(self.ui.exportCollapsibleButton)

    def _showSizes(self, text: str) -> None:
        self.ui.printSizeLabel.text = text
        self.ui.printSizeLabel.visible = bool(text)

    def forgetRun(self) -> None:
        """The scene is closed, and with it ends what is being made of it."""
        self._reporting = self._cancelling = False
        self._tell("")
        self._sizes.follow(None)

    def close(self) -> None:
        """The panel is destroyed."""
        self._report.close()

    def onFormats(self) -> None:
        """A format was chosen, or is no longer."""
        if self.parameters is not None:
            chosen = [name for name, box in self.boxes.items() if box.checked]
            self.parameters.exportFormats = ",".join(chosen)

    def onNameTyped(self, text: str) -> None:
        """Keep the name with the input; at once, as a click on Export does not end the editing everywhere."""
        nodes = self._nodes()
        if nodes is not None:
            casename.setTypedName(nodes, text)
            self._updateAgain()

    def onLabelTyped(self, text: str) -> None:
        """Keep the label with the input, at once."""
        nodes = self._nodes()
        if nodes is not None:
            casename.setTypedLabel(nodes, text)
            self._updateAgain()

    def onDicomFolder(self, path: str) -> None:
        """Keep the folder of the DICOM series with the input."""
        nodes = self._nodes()
        if nodes is not None and not self._showingFolder:
            dicomseries.setTypedFolder(nodes, path)
            self._updateAgain()

    def onFolderName(self) -> None:
        """Call the files as the folder is called that the input came from."""
        nodes = self._nodes()
        if nodes is not None:
            casename.setTypedName(nodes, casename.folderName(nodes))
            self._updateAgain()

    def _nodes(self) -> ResultNodes | None:
        return None if self.parameters is None else self.logic.resultNodes(self.parameters)

    def onExport(self) -> None:
        """Write the files, or cancel what is made for them; asks before any is replaced."""
        parameters = self.parameters
        if self._reporting and self.control.running:
            self.control.cancel()
            return
        if self.logic.exporting.running:
            if self.logic.exporting.seconds >= DOUBLE_CLICK_S:
                self._cancelling = True
                self.logic.exporting.cancel()
                self._updateAgain()
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
        self._makeReport(export.nodes, partial(self._onReport, export))

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

    def _makeReport(self, nodes: ResultNodes, then: "partial[str]") -> None:
        self._reporting = True
        self.control.begin(
            _("Making the report"), partial(self.logic.startReport, nodes), then,
            lambda step: self._onProgress(_("Making the report"), step))

    def _onProgress(self, what: str, step: Step) -> None:
        if not (self.control.cancelling or self._cancelling):
            self.ui.exportLabel.text = _("{what}… {percent:.0f} %").format(what=what, percent=100 * step.overall)

    def _onReport(self, export: Export, outcome: Outcome) -> str:
        self._reporting = False
        if outcome.state == "done":
            self._write(export.withReport(outcome.value))
        else:
            self._tell(_("No file was written. {reason}").format(reason=outcome.message))
        return _("The report is made.")

    def _write(self, export: Export) -> None:
        self._cancelling = False
        self._tell(_("Writing…"))
        try:
            self.logic.startExport(export, self._onExported, lambda step: self._onProgress(_("Writing"), step))
        except (SkullImplantError, ValueError) as error:
            self._onFailed(error)
            return
        self._updateAgain()

    def _onExported(self, outcome: Outcome) -> None:
        self._cancelling = False
        if outcome.state == "done":
            self._onWritten(outcome.value)
        elif outcome.state == "cancelled":
            self._tell(_("No file was written. {reason}").format(reason=outcome.message))
            self._updateAgain()
        else:
            self._onFailed(SkullImplantError(outcome.message))

    def _onWritten(self, files: list[Path]) -> None:
        self._tell(_("Written to {folder}: {files}").format(
            folder=files[0].parent, files=", ".join(file.name for file in files)))
        self._updateAgain()

    def _onFailed(self, error: Exception) -> None:
        self._tell(_("No file was written. {reason}").format(reason=error))
        self._updateAgain()
        with slicer.util.tryWithErrorDisplay(_("The implant could not be exported.")):
            raise error

    def _tell(self, text: str) -> None:
        self.ui.exportLabel.text = breakable(text)

    def _updateAgain(self) -> None:
        if self.parameters is not None:
            self.update(self.parameters)

    def onOpenReport(self) -> None:
        """Show the report in the browser; make it first, where it is not there yet."""
        nodes = self._nodes()
        if nodes is None:
            return
        case = casename.caseName(nodes, designOf(nodes))
        if nodes.report is not None:
            self._report.open(nodes.report.GetText(), case)
        elif not self.control.running:
            self._makeReport(nodes, partial(self._onReportToOpen, case))

    def _onReportToOpen(self, case: str, outcome: Outcome) -> str:
        self._reporting = False
        self._tell("" if outcome.state == "done" else outcome.message)
        if outcome.state == "done":
            self._report.open(outcome.value, case)
        return _("The report is made.")

    def onOpenFolder(self) -> None:
        """Show the folder in the system's file manager."""
        if self.parameters is None:
            return
        folder = self.parameters.exportFolder
        if not folder.is_dir():
            self._tell(_("The folder is not there yet; Export makes it."))
            return
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))
