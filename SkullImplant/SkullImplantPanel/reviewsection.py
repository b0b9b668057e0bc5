"""The section Review: the numbers, checks and notes of a result, and what can be done with it."""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from . import review
from .checkstable import ChecksTable
from .colorby import ColorBy
from .colors import BAD_COLORS, GOOD_COLORS, LOOK_COLORS, grayOf, readableColor
from .editing import EditVisit, restoreImplants, undoTarget
from .madewith import differences
from .parameters import SkullImplantParameterNode
from .placemarker import PlaceMarker
from .results import (
    RESULT_ATTRIBUTE,
    ResultNodes,
    allResults,
    designOf,
    inputNameOfResult,
    inputOfResult,
    nodesOfResult,
    originOf,
)
from .run import Outcome
from .runcontrol import RunControl
from .section import Section
from .translation import translated
from .widgets import Widgets
from .wrapping import breakable

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

# A flagged design's first note begins so, as the command line and the report have it.
FLAG_WORDS = "Look twice"


class ReviewSection(Section):
    """What the section shows and does, see ``Section``.

    :param automaticHu: returns the automatic threshold of the chosen CT, None where there is none.
    """

    def __init__(
        self,
        ui: Widgets,
        logic: "SkullImplantLogic",
        control: RunControl,
        update: Callable[[], None],
        automaticHu: Callable[[], float | None],
    ) -> None:
        super().__init__(ui, logic, control, update)
        self._shownSegmentation: slicer.vtkMRMLSegmentationNode | None = None
        self._automaticHu = automaticHu
        self._shownDesign: tuple[str, bool] | None = None  # and whether it is stale
        self._shownOpacity: float | None = None
        self._summary = ""
        self._marker = PlaceMarker()
        self._visit = EditVisit()
        self._colorBy = ColorBy(ui)
        self._checks = ChecksTable(ui, self.onShow)
        ui.resultSelector.addAttribute("vtkMRMLSegmentationNode", RESULT_ATTRIBUTE)
        ui.centerButton.connect("clicked()", self.onCenter)
        ui.editButton.connect("clicked()", self.onEdit)
        ui.updateButton.connect("clicked()", self.onUpdateFromEdit)
        ui.undoButton.connect("clicked()", self.onUndo)

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui = self.ui
        segmentation = parameters.resultSegmentation
        nodes = nodesOfResult(segmentation)
        for widget in (ui.centerButton, ui.editButton, ui.skullOpacitySlider):
            widget.enabled = nodes is not None
        ui.updateButton.enabled = nodes is not None and not self.control.running
        ui.undoButton.enabled = (
            nodes is not None and not self.control.running and undoTarget(nodes) is not None)
        ui.resultLabel.visible = ui.resultSelector.visible = len(allResults()) > int(segmentation is not None)
        ui.checksTable.visible = nodes is not None
        if segmentation is not self._shownSegmentation:
            self._shownSegmentation, self._shownOpacity = segmentation, None
            ui.exportLabel.text = ""
            self.hidePlace()
            review.showOnly(nodes)
        if nodes is None:
            self._colorBy.update(parameters, None, isStale=False)
            ui.implantLabel.text = self._whyNone(segmentation)
            ui.notesLabel.text, ui.notesLabel.visible = "", False
            ui.expectationLabel.visible = False
            self._shownDesign = None
            return
        # Only when it has changed: the opacity may be set elsewhere, too.
        if parameters.skullOpacity != self._shownOpacity:
            self._shownOpacity = parameters.skullOpacity
            review.fadeSkull(nodes.segmentation, self._shownOpacity)
        warnings = self._warnings(parameters, nodes)
        self._colorBy.update(parameters, nodes, isStale=bool(warnings))
        state = (nodes.design.GetText(), bool(warnings))
        if state != self._shownDesign:
            self._shownDesign = state
            self._showDesign(designOf(nodes), isStale=bool(warnings))
        color = readableColor(ui.implantLabel, LOOK_COLORS)
        texts = (f'<font color="{color}">{escape(breakable(warning))}</font>' for warning in warnings)
        ui.implantLabel.text = "<br>".join([self._summary, *texts])

    @staticmethod
    def _whyNone(segmentation: slicer.vtkMRMLSegmentationNode | None) -> str:
        if segmentation is not None:
            return _("A part of this result was removed from the scene; generate the implant again.")
        if allResults():
            return _("No implant of the chosen input is shown; those of others are hidden.")
        return _("No implant has been designed yet.")

    def _warnings(self, parameters: SkullImplantParameterNode, nodes: ResultNodes) -> list[str]:
        """Return why the checks do not tell of what is chosen, set or edited now."""
        warnings = []
        if review.isOfAnother(parameters):
            warnings.append(_("This is the implant of {name}, not of the chosen input.").format(
                name=inputNameOfResult(nodes.segmentation)))
        else:
            made = differences(parameters, nodes, self._automaticHu(), self.logic.inputStates.hasChanged)
            if made:
                warnings.append(_("Made with {what}; click 'Generate implant' for what is set now.").format(
                    what=", ".join(made)))
        if review.isEdited(nodes):
            warnings.append(_("The implant was edited: click 'Update from edit'."))
        return warnings

    def _showDesign(self, design: dict[str, Any], isStale: bool = False) -> None:
        implant, implants, checks = design["implant"], design.get("implants", []), design["checks"]
        passed = sum(check["passed"] for check in checks)
        count = _("{passed} of {count} checks passed").format(passed=passed, count=len(checks))
        if isStale:
            count = f'<font color="{grayOf(self.ui.implantLabel)}">{count}</font>'
        self._summary = _("<b>{volume:.1f} cm³</b>, {area:.0f} cm², {thickness:.1f} mm thick; {checks}").format(
            volume=implant["volume_cm3"], area=implant["area_cm2"], thickness=implant["thickness_mm"], checks=count)
        if len(implants) > 1:
            self._summary = _("{count} implants: {summary}").format(count=len(implants), summary=self._summary)
        for told in implants:
            way = _("Implant {number} comes out {angle:.0f}° off its normal; the way in costs {lost:.1f} %")
            if len(implants) == 1:
                way = _("It comes out {angle:.0f}° off its normal; the way in costs {lost:.1f} %")
            self._summary += "<br>" + way.format(
                number=told["label"], angle=told["insertion_off_normal_deg"], lost=told["insertion_lost_percent"])
        self._showExpectation(design.get("confidence"), isStale)
        # What the flag says stands above, with all its reasons.
        notes = [translated(note) for note in design["notes"] if not note.startswith(FLAG_WORDS)]
        self.ui.notesLabel.text = breakable("\n".join(notes))
        self.ui.notesLabel.visible = bool(notes)
        self._checks.show(checks, isStale)

    def _showExpectation(self, confidence: dict[str, Any] | None, isStale: bool) -> None:
        """Show how far the design may be off, as ``design.json`` has it; an edited implant's is not known."""
        label = self.ui.expectationLabel
        if confidence is None:
            colors = LOOK_COLORS
            text = _("⚠ The implant was edited or fitted again: how far it may be off is not known.")
        elif confidence["flagged"]:
            head = _("⚠ {words}: the error may be about {error:.1f} mm.").format(
                words=FLAG_WORDS, error=confidence["expected_hd95_mm"])
            reasons = "".join(f"<br>{escape(breakable(translated(reason)))}" for reason in confidence["reasons"])
            colors, text = BAD_COLORS, f"<b>{escape(head)}</b>{reasons}"
        else:
            colors, text = GOOD_COLORS, _("✔ The error is expected to be about {error:.1f} mm.").format(
                error=confidence["expected_hd95_mm"])
        # A flag stays in force, whatever was changed since.
        color = grayOf(label) if isStale and colors is not BAD_COLORS else readableColor(label, colors)
        label.text = f'<font color="{color}">{text}</font>'
        label.visible = True

    def onShow(self, check: dict[str, Any]) -> None:
        """Put all views on the place of a check."""
        nodes = self._nodes()
        if nodes is not None:
            with slicer.util.tryWithErrorDisplay(_("The place could not be shown.")):
                self._marker.show(nodes, check)

    def onUndo(self) -> None:
        """Go back to the implant as it was made; where it was updated since the edit, to the automatic design."""
        parameters, nodes = self.parameters, self._nodes()
        if parameters is None or nodes is None:
            return
        target = undoTarget(nodes)
        if target == "made":
            restoreImplants(nodes)
        elif target == "origin":
            parameters.resultSegmentation = originOf(nodes.segmentation)
        self.update(parameters)

    def enter(self) -> None:
        """The user opened the module, perhaps on the way back from the Segment Editor."""
        self._visit.end()

    def forget(self) -> None:
        """The scene is closed."""
        self._visit.forget()
        self._colorBy.forget()
        self.hidePlace()

    def exit(self) -> None:
        """The user went to another module; the colors stay."""
        self._colorBy.forget()
        self.hidePlace()

    def recolor(self) -> None:
        """The window has become dark or light: show all anew at the next update."""
        self._shownDesign = None

    def hidePlace(self) -> None:
        """Take the mark of a place out of the views."""
        self._marker.hide()

    def _nodes(self) -> ResultNodes | None:
        return None if self.parameters is None else nodesOfResult(self.parameters.resultSegmentation)

    def onCenter(self) -> None:
        """Center all views on the implant."""
        nodes = self._nodes()
        if nodes is not None:
            with slicer.util.tryWithErrorDisplay(_("The views could not be centered.")):
                review.centerViews(nodes)

    def onEdit(self) -> None:
        """Open the implant in the Segment Editor."""
        nodes = self._nodes()
        if nodes is None:
            return
        source = inputOfResult(nodes.segmentation)
        volumeNode = source if source is not None and source.IsA("vtkMRMLScalarVolumeNode") else None
        with slicer.util.tryWithErrorDisplay(_("The implant could not be opened for editing.")):
            self._visit.begin(nodes, volumeNode)

    def onUpdateFromEdit(self) -> None:
        """Mesh and check the edited implant."""
        parameters, nodes = self.parameters, self._nodes()
        if parameters is None or nodes is None:
            return
        if not review.isEdited(nodes, lookAgain=True):
            text = _("The implant was not edited; surface and checks are up to date.")
            if designOf(nodes).get("edited"):
                text = _("The implant was not edited since the last update; surface and checks are up to date.")
            self.ui.progressLabel.text = text
            self.ui.progressLabel.visible = True
            return
        self.control.begin(
            _("Updating from the edited segment"),
            lambda onFinished, onProgress: self.logic.startUpdate(parameters, onFinished, onProgress),
            self._onUpdated)

    @staticmethod
    def _onUpdated(outcome: Outcome) -> str:
        return _("Surface and checks follow the edited implant.")
