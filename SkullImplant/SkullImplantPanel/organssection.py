"""The section Organs of the chest: a CT in which organs are looked for, and what was found."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.job.protocol import Step

from . import pytorch
from .colors import lookStyle
from .organsnodes import OrgansNodes, dataOf, isEdited, organsOf
from .organsrun import organsProblem, startOrgans
from .organstable import OrgansTable
from .parameters import SkullImplantParameterNode
from .placemarker import goTo
from .run import Outcome
from .runcontrol import RunControl
from .rundisplay import PROGRESS_STEPS
from .section import Section
from .translation import translated
from .widgets import Widgets
from .wrapping import breakable

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

# From there an organ is seen with those around it.
CAMERA_MM = 650.0


class OrgansSection(Section):
    """What the section shows and does, see ``Section``."""

    def __init__(
        self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl, update: Callable[[], None]
    ) -> None:
        super().__init__(ui, logic, control, update)
        self._finding = False
        self._text = ""
        self._torchProblem: str | None = None  # looked for when the section is opened
        self._table = OrgansTable(ui, self.onRow)
        ui.organsProgressBar.setRange(0, PROGRESS_STEPS)
        ui.findOrgansButton.connect("clicked()", self.onFind)
        ui.organsCollapsibleButton.connect("contentsCollapsed(bool)", self._onCollapsed)

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui, running = self.ui, self.control.running
        self._finding = self._finding and running
        problem, button = organsProblem(parameters), ui.findOrgansButton
        if self._finding:
            self._showCancel(button)
        else:
            tip = _("Find the organs, or refine the labels that are chosen.")
            self._showBegin(button, _("Find organs"), tip, problem, not running and not self._installing)
        self._showProblem(problem if parameters.organsVolume is not None else None)
        ui.organsProgressBar.visible = self._finding
        ui.organsTextLabel.visible = bool(self._text)
        ui.organsTextLabel.text = breakable(self._text)
        nodes = organsOf(parameters.organsVolume)
        ui.organsTable.visible = nodes is not None and bool(dataOf(nodes)["organs"])
        ui.organsNotesLabel.visible = nodes is not None
        if nodes is not None:
            self._showFound(parameters, nodes)

    def forget(self) -> None:
        """The scene is closed."""
        self._finding, self._text = False, ""

    def onFind(self) -> None:
        """Find the organs, or cancel that; asks before organs that were edited are replaced."""
        parameters = self.parameters
        if self._finding:
            self.control.cancel()
            return
        if parameters is None or self.control.running or not self._haveTorch() or not self._mayReplace():
            return
        if self.ui.organsDeviceComboBox.currentData != parameters.device:
            parameters.device = self.ui.organsDeviceComboBox.currentData
        self._finding, self._text = True, ""
        self.control.begin(
            _("Looking for the organs"),
            lambda onFinished, onProgress: startOrgans(self.logic, parameters, onFinished, onProgress),
            self._onFound, self._onProgress)

    def onRow(self, organ: dict[str, Any]) -> None:
        """Put all views on an organ."""
        nodes = None if self.parameters is None else organsOf(self.parameters.organsVolume)
        if nodes is not None:
            with slicer.util.tryWithErrorDisplay(_("The place could not be shown.")):
                self._lookAt(nodes, organ)

    def _showProblem(self, problem: str | None) -> None:
        ui, texts = self.ui, [problem] if problem else []
        if self._torchProblem is not None:
            texts.append(_("{problem} Finding organs needs it; 'Find organs' tells what to do, asking first.").format(
                problem=self._torchProblem))
        ui.organsProblemLabel.visible = bool(texts) and not self._finding
        ui.organsProblemLabel.styleSheet = lookStyle(ui.organsCollapsibleButton)
        ui.organsProblemLabel.text = breakable("\n".join(texts))

    def _showFound(self, parameters: SkullImplantParameterNode, nodes: OrgansNodes) -> None:
        ui, warnings = self.ui, []
        if self.logic.inputStates.hasChanged(nodes, parameters.organsVolume):
            warnings.append(_("The CT was changed since: click 'Find organs' again."))
        # Looking takes a moment, which nobody shall wait for who does not look here.
        if not ui.organsCollapsibleButton.collapsed and isEdited(nodes):
            warnings.append(_("The segments were edited since: the table tells of them as they were found."))
        self._table.show(nodes, isStale=bool(warnings))
        warnings += [translated(note) for note in dataOf(nodes)["notes"]]
        ui.organsNotesLabel.visible = bool(warnings)
        ui.organsNotesLabel.styleSheet = lookStyle(ui.organsCollapsibleButton)
        ui.organsNotesLabel.text = "\n".join(f"⚠ {breakable(warning)}" for warning in warnings)

    def _onProgress(self, step: Step) -> None:
        if self.control.cancelling:
            return
        self.ui.organsProgressBar.value = round(PROGRESS_STEPS * step.overall)
        self._text = _("{what}… {percent:.0f} %").format(what=translated(step.title), percent=100 * step.overall)
        self.ui.organsTextLabel.text = breakable(self._text)
        self.ui.organsTextLabel.visible = True

    def _onFound(self, outcome: Outcome) -> str:
        self._finding, self._text = False, outcome.message
        self.ui.organsProgressBar.value = 0
        if outcome.state != "done":
            return ""
        nodes = outcome.value
        organs, seconds = dataOf(nodes)["organs"], self.control.seconds
        told = _("{count} organs were found in {seconds:.0f} s.").format(count=len(organs), seconds=seconds)
        if len(organs) == 1:
            told = _("One organ was found in {seconds:.0f} s.").format(seconds=seconds)
        self._text = " ".join([told, *outcome.notes])
        volume = None if self.parameters is None else self.parameters.organsVolume
        # Whoever works in another module keeps the views.
        if organs and organsOf(volume) == nodes and self.ui.findOrgansButton.visible:
            slicer.util.setSliceViewerLayers(background=volume, fit=True)
            self._lookAt(nodes, max(organs, key=lambda organ: organ["volume_cm3"]))
        return told

    def _lookAt(self, nodes: OrgansNodes, organ: dict[str, Any]) -> None:
        segmentation = nodes.segmentation
        if segmentation.GetSegmentation().GetSegment(organ["segmentId"]) is not None:
            centre = segmentation.GetSegmentCenterRAS(organ["segmentId"])
            if centre is not None:
                goTo(np.array(centre[:3]), segmentation, CAMERA_MM)

    def _haveTorch(self) -> bool:
        """Install PyTorch if need be and wanted; say whether the search can begin."""
        problem = self._installTorch(pytorch.ORGANS)
        self._torchProblem = pytorch.torchProblem()
        self._text = problem or ""
        if self.parameters is not None:  # the scene was not closed
            self._update()
        return problem is None and self.parameters is not None and not self.control.running

    def _mayReplace(self) -> bool:
        """Ask before organs that were edited by hand are replaced; say whether the search can begin."""
        nodes = None if self.parameters is None else organsOf(self.parameters.organsVolume)
        if nodes is None or not isEdited(nodes):
            return True
        return bool(slicer.util.confirmOkCancelDisplay(
            _("The segments of {name} were edited by hand. What is found now replaces them. Replace them?").format(
                name=nodes.segmentation.GetName()), _("Replace the edited organs?")))

    def _onCollapsed(self, collapsed: bool) -> None:
        if not collapsed:
            self._torchProblem = pytorch.torchProblem()
            qt.QTimer.singleShot(0, self._update)
