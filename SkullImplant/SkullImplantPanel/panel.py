"""The panel: what its widgets show and what a click does, from the patient down to the export.

Widgets that hold a plain parameter are bound to the parameter node by their ``SlicerParameterName``;
here is the rest. ``update`` brings everything in line with the parameters and the scene.
"""

import json
import logging
import traceback
from pathlib import Path

import qt

import slicer
from slicer.i18n import tr as _

from . import inputs, pytorch, review
from .background import inBackground
from .choices import Choices
from .preview import BonePreview, findThreshold
from .requests import inputNode
from .results import RESULT_ATTRIBUTE, allResults, checkRow, inputNameOfResult, inputOfResult, nodesOfResult
from .run import Outcome
from .rundisplay import RunDisplay
from .wording import inPanelWords

# On a light window and on a dark one, each with a contrast of at least 4.5 (WCAG 2.1, 1.4.3).
GOOD_COLORS, LOOK_COLORS, BAD_COLORS = ("#1f7a33", "#69db7c"), ("#a34f00", "#ffa94d"), ("#b3202c", "#ff8787")
HALF = 128
# A second click within this time after the first is a double click, and does not mean to cancel.
DOUBLE_CLICK_S = 0.5


class Panel:
    """The panel's behaviour.

    :param ui: the widgets of ``SkullImplant.ui`` as attributes.
    :param logic: a ``SkullImplantLogic``.
    """

    def __init__(self, ui, logic) -> None:
        self.ui = ui
        self.logic = logic
        self.parameters = None
        self._preview = BonePreview()
        self._thresholdOf = None  # the volume whose automatic threshold is shown or being found
        self._automaticHu = None
        self._installing = False
        self._shownSegmentation = None
        self._shownDesign = None
        self._summary = ""
        self._shownOpacity = None
        self._updating = False
        self.display = RunDisplay(ui)
        self.choices = Choices(ui, logic, self.update, self.display.showError)
        ui.resultSelector.addAttribute("vtkMRMLSegmentationNode", RESULT_ATTRIBUTE)
        ui.errorLabel.styleSheet = f"color: {self._color(*BAD_COLORS)};"
        ui.problemLabel.styleSheet = f"color: {self._color(*LOOK_COLORS)};"
        ui.checksTable.setColumnCount(3)
        ui.checksTable.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.Stretch)
        self._connect()

    def _connect(self) -> None:
        ui = self.ui
        ui.sampleButton.connect("clicked()", self.onSample)
        ui.previewButton.connect("toggled(bool)", lambda on: self._updatePreview())
        ui.generateButton.connect("clicked()", self.onGenerate)
        ui.centreButton.connect("clicked()", self.onCentre)
        ui.editButton.connect("clicked()", self.onEdit)
        ui.updateButton.connect("clicked()", self.onUpdateFromEdit)
        ui.exportButton.connect("clicked()", self.onExport)
        ui.openFolderButton.connect("clicked()", self.onOpenFolder)

    def setParameterNode(self, parameters) -> None:
        """Follow other parameters; None while there are none."""
        self.parameters = parameters
        self.update()

    def enter(self) -> None:
        """The user opened the module."""
        self.update()

    def exit(self) -> None:
        """The user went to another module; a run goes on, the preview does not."""
        self.ui.previewButton.checked = False

    def close(self) -> None:
        """The panel is destroyed."""
        self.display.forget()
        self._preview.hide()
        self.logic.close()

    def update(self) -> None:
        """Bring the panel in line with the parameters and the scene."""
        if self._updating:
            return
        self._updating = True
        try:
            if self.parameters is None:
                self._preview.hide()
            else:
                self._updatePatient()
                self._updateSkull()
                self._updateDesign()
                self._updateReview()
                self._updateExport()
        finally:
            self._updating = False

    # Patient

    def _updatePatient(self) -> None:
        ui, node = self.ui, self.parameters.inputVolume
        empty = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is None
        ui.sampleHintLabel.visible = ui.sampleButton.visible = empty
        ui.sampleButton.enabled = self.logic.run is None
        ui.volumeInfoLabel.visible = node is not None
        if node is not None and node.GetImageData() is not None:
            size = " × ".join(str(n) for n in node.GetImageData().GetDimensions())
            spacing = " × ".join(f"{s:.2f}" for s in node.GetSpacing())
            ui.volumeInfoLabel.text = _("{size} voxels of {spacing} mm").format(size=size, spacing=spacing)
        else:
            ui.volumeInfoLabel.text = _("This volume holds no image.")

    def onSample(self) -> None:
        """Make the sample patient, and choose it."""
        self.display.begin(_("Making the sample patient"))
        self._tried(lambda: self.logic.startSample(self._onSampleMade, self.display.onProgress))

    def _onSampleMade(self, outcome: Outcome) -> None:
        if outcome.state == "done" and self.parameters is not None:
            self.parameters.inputVolume = outcome.value
        self._end(outcome, _("The sample patient is loaded."))

    # Skull

    def _updateSkull(self) -> None:
        ui, parameters = self.ui, self.parameters
        volume = parameters.inputVolume
        isMask = volume is not None and volume.IsA("vtkMRMLLabelMapVolumeNode")
        fromCt = not parameters.skullIsSegmentation and not isMask
        ui.skullSegmentationSelector.enabled = ui.skullSegmentationLabel.enabled = parameters.skullIsSegmentation
        ui.automaticThresholdCheckBox.enabled = fromCt
        ui.thresholdLabel.enabled = fromCt
        ui.boneThresholdSlider.enabled = fromCt and not parameters.automaticThreshold
        ui.previewButton.enabled = fromCt and parameters.inputVolume is not None
        if not ui.previewButton.enabled:
            ui.previewButton.checked = False
        self._updateAutomaticThreshold()
        self._updatePreview()

    def _updateAutomaticThreshold(self) -> None:
        """Find the automatic threshold of a volume once, and let the slider show it."""
        node = self.parameters.inputVolume
        if node is not self._thresholdOf:
            self._thresholdOf = self._automaticHu = None
            isCt = node is not None and not node.IsA("vtkMRMLLabelMapVolumeNode")
            if isCt and inputs.nodeProblem(node) is None:
                self._thresholdOf = node
                findThreshold(node, lambda hu: self._onThreshold(node, hu))
        text = _("Automatic")
        if self._automaticHu is not None:
            text = _("Automatic ({hu:.0f} HU)").format(hu=self._automaticHu)
            if self.parameters.automaticThreshold and self.parameters.boneThresholdHu != self._automaticHu:
                self.parameters.boneThresholdHu = self._automaticHu
        self.ui.automaticThresholdCheckBox.text = text

    def _onThreshold(self, node, thresholdHu: float | None) -> None:
        if node is self._thresholdOf and self.parameters is not None:
            self._automaticHu = None if thresholdHu is None else float(round(min(max(thresholdHu, 0), 2000)))
            self.update()

    def _updatePreview(self) -> None:
        if self.parameters is not None and self.ui.previewButton.checked and self.parameters.inputVolume:
            self._preview.show(self.parameters.inputVolume, self.parameters.boneThresholdHu)
        else:
            self._preview.hide()

    # Design

    def _updateDesign(self) -> None:
        ui, parameters = self.ui, self.parameters
        self.choices.show(parameters)
        running, problem = self.logic.run is not None, self.logic.designProblem(parameters)
        button = ui.generateButton
        if running:
            button.text, button.enabled = _("Cancel"), not self.display.cancelling
            button.toolTip = _("Stop; the scene stays as it is.")
        else:
            button.text, button.enabled = _("Generate implant"), problem is None and not self._installing
            button.toolTip = problem or _("Find the skull, complete it, and fit an implant into its hole.")
        ui.problemLabel.visible = not running and problem is not None and inputNode(parameters) is not None
        ui.problemLabel.text = problem or ""

    def onGenerate(self) -> None:
        """Start a design, or cancel the run in progress."""
        if self.logic.run is not None:
            if self.display.seconds < DOUBLE_CLICK_S:
                return
            self.display.cancel()
            self.ui.generateButton.enabled = False
            self.logic.cancel()
            return
        from SkullImplantLib.models import model_needs_torch

        if model_needs_torch(self.parameters.model) and not self._haveTorch():
            return
        if not self._mayReplace():
            return
        self.ui.previewButton.checked = False
        if self.ui.deviceComboBox.currentData != self.parameters.device:
            self.parameters.device = self.ui.deviceComboBox.currentData
        self.display.begin(_("Starting"))
        self._tried(lambda: self.logic.startDesign(self.parameters, self._onDesigned, self.display.onProgress))

    def _mayReplace(self) -> bool:
        """Ask before a result that was edited by hand is replaced; say whether the design can begin."""
        nodes = nodesOfResult(self.parameters.resultSegmentation)
        if self.parameters.keepResults or nodes is None or self._isOfAnother():
            return True
        if not (review.isEdited(nodes) or json.loads(nodes.design.GetText()).get("edited")):
            return True
        return slicer.util.confirmOkCancelDisplay(
            _("The implant under review was edited by hand. The new design replaces it, unless you tick 'Keep earlier "
              "results'. Replace it?"), _("Replace the edited implant?"))

    def _haveTorch(self) -> bool:
        """Install PyTorch if need be and wanted; say whether the design can begin."""
        self._installing = True  # meanwhile events are handled, and there may be a second click
        self.update()
        try:
            problem = pytorch.ensureTorch()
        finally:
            self._installing = False
        if self.parameters is None:  # the scene was closed
            return False
        self.update()
        if problem:
            self.display.showError(Outcome("failed", problem))
        return problem is None

    def _onDesigned(self, outcome: Outcome) -> None:
        success = ""
        if outcome.state == "done":
            checks = json.loads(outcome.value.design.GetText())["checks"]
            success = _("Implant designed in {seconds:.0f} s; {passed} of {count} checks passed.").format(
                seconds=self.display.seconds, passed=sum(check["passed"] for check in checks), count=len(checks))
        self._end(outcome, success)
        if outcome.state == "done":
            self.ui.reviewCollapsibleButton.collapsed = False
            self.ui.exportCollapsibleButton.collapsed = False
            self.onCentre()

    # A run: its beginning and end

    def _tried(self, start) -> None:
        """Start a run; what fails before it has begun is shown like a failed run."""
        from SkullImplantLib.errors import SkullImplantError

        try:
            start()
        except (SkullImplantError, ValueError) as error:
            self._end(Outcome("failed", str(error)), "")
        except Exception as error:
            logging.exception("SkullImplant: a run could not be started")
            log = traceback.format_exception(error)
            self._end(Outcome("failed", _("The run could not be started because of an error in the program; please "
                                          "copy the log and report it."), log), "")
        self.update()

    def onNodesChanged(self) -> None:
        """Nodes came or went: choose the CT that was loaded, where none is chosen."""
        if self.parameters is None:
            return
        if not self.parameters.inputVolume:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first is not None:
                self.parameters.inputVolume = first
        self.update()

    def _end(self, outcome: Outcome, success: str) -> None:
        self.display.end(outcome, success)
        self.update()

    def forgetRun(self) -> None:
        """The scene is closed, and with it ends what is shown of a run."""
        self.display.forget()

    # Review

    def _updateReview(self) -> None:
        ui = self.ui
        segmentation = self.parameters.resultSegmentation
        nodes = nodesOfResult(segmentation)
        idle = self.logic.run is None
        for widget in (ui.centreButton, ui.editButton, ui.skullOpacitySlider):
            widget.enabled = nodes is not None
        ui.updateButton.enabled = nodes is not None and idle
        ui.resultLabel.visible = ui.resultSelector.visible = len(allResults()) > 1
        ui.checksTable.visible = nodes is not None
        if segmentation is not self._shownSegmentation:
            self._shownSegmentation, self._shownOpacity = segmentation, None
            ui.exportLabel.text = ""
            if nodes is not None:
                review.showOnly(nodes)
        if nodes is None:
            ui.implantLabel.text = _("No implant has been designed yet.") if segmentation is None else _(
                "A part of this result was removed from the scene; generate the implant again.")
            ui.notesLabel.text, ui.notesLabel.visible = "", False
            self._shownDesign = None
            return
        # Only when it has changed: the opacity may be set elsewhere, too.
        if self.parameters.skullOpacity != self._shownOpacity:
            self._shownOpacity = self.parameters.skullOpacity
            review.fadeSkull(nodes.segmentation, self._shownOpacity)
        if nodes.design.GetText() != self._shownDesign:
            self._shownDesign = nodes.design.GetText()
            self._showDesign(json.loads(self._shownDesign))
        warnings = []
        if self._isOfAnother():
            warnings.append(_("This is the implant of {name}, not of the chosen input.").format(
                name=inputNameOfResult(segmentation)))
        if review.isEdited(nodes):
            warnings.append(_("The implant was edited: click 'Update from edit'."))
        color = self._color(*LOOK_COLORS)
        ui.implantLabel.text = "<br>".join(
            [self._summary, *(f'<font color="{color}">{warning}</font>' for warning in warnings)])

    def _isOfAnother(self) -> bool:
        """Whether the result under review was made from another input than the chosen one."""
        source, chosen = inputOfResult(self.parameters.resultSegmentation), inputNode(self.parameters)
        return chosen is not None and source is not chosen

    def _color(self, onLight: str, onDark: str) -> str:
        """Return the colour that is readable on the panel as it is."""
        return onDark if self.ui.implantLabel.palette.color(qt.QPalette.Window).lightness() < HALF else onLight

    def _showDesign(self, design: dict) -> None:
        implant, checks = design["implant"], design["checks"]
        passed = sum(check["passed"] for check in checks)
        self._summary = _(
            "<b>{volume:.1f} cm³</b>, {area:.0f} cm², {thickness:.1f} mm thick; {passed} of {count} checks passed"
        ).format(volume=implant["volume_cm3"], area=implant["area_cm2"], thickness=implant["thickness_mm"],
                 passed=passed, count=len(checks))
        self.ui.notesLabel.text = "\n".join(inPanelWords(note) for note in design["notes"])
        self.ui.notesLabel.visible = bool(design["notes"])
        table = self.ui.checksTable
        table.setRowCount(len(checks))
        for row, check in enumerate(checks):
            name, verdict, value, limit, unit, sentence = checkRow(check)
            sign, colors = ("✔", GOOD_COLORS) if check["passed"] else ("⚠", LOOK_COLORS)
            texts = (sign, name.capitalize(), f"{value} {unit}".strip())
            tip = _("{sentence} Limit: {limit}; {verdict}.").format(
                sentence=sentence, limit=f"{limit} {unit}".strip(), verdict=verdict)
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(tip)
                item.setFlags(qt.Qt.ItemIsEnabled)
                if column == 0:
                    item.setForeground(qt.QBrush(qt.QColor(self._color(*colors))))
                table.setItem(row, column, item)
        table.resizeColumnToContents(0)
        table.resizeColumnToContents(2)
        table.resizeRowsToContents()
        rows = sum(table.rowHeight(row) for row in range(len(checks)))
        table.setFixedHeight(rows + 2 * table.frameWidth)
        # A section with wrapped texts does not always notice that it has become higher.
        self.ui.reviewCollapsibleButton.updateGeometry()

    def onCentre(self) -> None:
        """Centre all views on the implant."""
        nodes = self.logic.resultNodes(self.parameters)
        with slicer.util.tryWithErrorDisplay(_("The views could not be centred.")):
            review.centreViews(nodes)

    def onEdit(self) -> None:
        """Open the implant in the Segment Editor."""
        nodes = self.logic.resultNodes(self.parameters)
        source = inputOfResult(nodes.segmentation)
        volumeNode = source if source is not None and source.IsA("vtkMRMLScalarVolumeNode") else None
        with slicer.util.tryWithErrorDisplay(_("The implant could not be opened for editing.")):
            review.editInSegmentEditor(nodes.segmentation, nodes.model, volumeNode)

    def onUpdateFromEdit(self) -> None:
        """Mesh and check the edited implant."""
        if not review.isEdited(nodesOfResult(self.parameters.resultSegmentation)):
            self.ui.progressLabel.text = _("The implant was not edited; surface and checks are up to date.")
            self.ui.progressLabel.visible = True
            return
        self.display.begin(_("Updating from the edited segment"))
        self._tried(lambda: self.logic.startUpdate(self.parameters, self._onUpdated, self.display.onProgress))

    def _onUpdated(self, outcome: Outcome) -> None:
        self._end(outcome, _("Surface and checks follow the edited implant."))

    # Export

    def _updateExport(self) -> None:
        ui, problem = self.ui, self.logic.exportProblem(self.parameters)
        ui.exportButton.enabled = problem is None
        ui.exportButton.toolTip = problem or _("Write the chosen files into the folder.")
        # Whether the folder is there is not asked here: on a network that can take long.
        ui.openFolderButton.enabled = self.parameters.exportFolder.is_absolute()

    def onExport(self) -> None:
        """Write the files; asks before any is replaced."""
        from SkullImplantLib.errors import SkullImplantError

        try:
            job = self.logic.exportOf(self.parameters)
        except (SkullImplantError, ValueError) as error:
            self._onExportFailed(error)
            return
        if not self._mayExport(job):
            return
        self.ui.exportLabel.text = _("Writing…")
        self.ui.exportButton.enabled = False
        inBackground(job.write, self._onExported, self._onExportFailed)

    def _mayExport(self, job) -> bool:
        """Ask where the export may not be what is meant."""
        if self._isOfAnother():
            question = _("This is the implant of {name}, not of the chosen input. Export it?").format(
                name=inputNameOfResult(self.parameters.resultSegmentation))
            if not slicer.util.confirmOkCancelDisplay(question, _("Export this implant?")):
                return False
        there = [path.name for path in job.files if path.exists()]
        question = _("{folder} already holds {files}. Replace them?").format(folder=job.folder, files=", ".join(there))
        return not there or slicer.util.confirmOkCancelDisplay(question, _("Replace files?"))

    def _onExported(self, files: list[Path]) -> None:
        self.ui.exportLabel.text = _("Written to {folder}: {files}").format(
            folder=files[0].parent, files=", ".join(file.name for file in files))
        self.update()

    def _onExportFailed(self, error: Exception) -> None:
        self.ui.exportLabel.text = ""
        self.update()
        with slicer.util.tryWithErrorDisplay(_("The implant could not be exported.")):
            raise error

    def onOpenFolder(self) -> None:
        """Show the folder in the system's file manager."""
        if not self.parameters.exportFolder.is_dir():
            self.ui.exportLabel.text = _("The folder is not there yet; Export makes it.")
            return
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.parameters.exportFolder)))
