"""The section Design: how the implant shall fit, and the button that generates it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt

import slicer
from slicer.i18n import tr as _

from . import pytorch, review
from .choices import Choices
from .colors import lookStyle
from .direction import DirectionArrow
from .holes import HolePoints
from .parameters import SkullImplantParameterNode
from .requests import inputNode
from .results import designOf, nodesOfResult
from .run import Outcome
from .runcontrol import RunControl
from .rundisplay import RunDisplay
from .section import Section
from .widgets import Widgets
from .wrapping import breakable

if TYPE_CHECKING:
    from .logic import SkullImplantLogic


class DesignSection(Section):
    """What the section shows and does, see ``Section``.

    :param showResult: called when a design has put its result into the scene.
    """

    def __init__(
        self,
        ui: Widgets,
        logic: "SkullImplantLogic",
        control: RunControl,
        display: RunDisplay,
        update: Callable[[], None],
        showResult: Callable[[], None],
    ) -> None:
        super().__init__(ui, logic, control, update)
        self.display = display
        self.choices = Choices(ui, logic, update, display.showError)
        self._showResult = showResult
        self._arrowMoved = False  # while a run was in progress
        self.arrow = DirectionArrow(self.onArrowLetGo)
        self.holes = HolePoints(ui, update)
        ui.generateButton.connect("clicked()", self.onGenerate)

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui = self.ui
        self.choices.show(parameters)
        self.arrow.show(parameters)
        self.holes.show(parameters)
        running, problem = self.control.running, self.logic.designProblem(parameters)
        button = ui.generateButton
        if running:
            self._showCancel(button)
        else:
            tip = _("Find the skull, complete it, and fit an implant into each hole.")
            self._showBegin(button, _("Generate implant"), tip, problem, not self._installing)
        ui.problemLabel.visible = not running and problem is not None and inputNode(parameters) is not None
        ui.problemLabel.styleSheet = lookStyle(ui.designCollapsibleButton)
        ui.problemLabel.text = breakable(problem or "")
        if self._arrowMoved and not running:
            qt.QTimer.singleShot(0, self._fitAfterRun)

    def forget(self) -> None:
        """The scene is closed, and with it go arrow and points."""
        self._arrowMoved = False
        self.arrow.forget()
        self.holes.forget()

    def onArrowLetGo(self) -> None:
        """Fit the implant under review again, along the arrow; after the run in progress, where there is one."""
        parameters = self.parameters
        if parameters is None or nodesOfResult(parameters.resultSegmentation) is None:
            return
        if review.isOfAnother(parameters):
            return
        self._arrowMoved = self.control.running
        if not self._arrowMoved:
            self.control.begin(
                _("Fitting along the arrow"),
                lambda onFinished, onProgress: self.logic.startRefit(parameters, onFinished, onProgress),
                lambda outcome: _("The implant was fitted again, along the arrow."))

    def _fitAfterRun(self) -> None:
        if self._arrowMoved and not self.control.running:
            self.onArrowLetGo()

    def onGenerate(self) -> None:
        """Start a design, or cancel the run in progress."""
        from SkullImplantLib.models import model_needs_torch

        parameters = self.parameters
        if self.control.running:
            self.control.cancel()
            return
        if parameters is None:
            return
        if model_needs_torch(parameters.model) and not self._haveTorch():
            return
        if parameters.refineMm > 0 and not self._haveTorch(pytorch.REFINE):
            return
        if not self._mayReplace(parameters):
            return
        self.ui.previewButton.checked = False
        if self.ui.deviceComboBox.currentData != parameters.device:
            parameters.device = self.ui.deviceComboBox.currentData
        self.control.begin(
            _("Starting"),
            lambda onFinished, onProgress: self.logic.startDesign(parameters, onFinished, onProgress),
            self._onDesigned)

    def _mayReplace(self, parameters: SkullImplantParameterNode) -> bool:
        """Ask before a result that was edited by hand is replaced; say whether the design can begin."""
        nodes = nodesOfResult(parameters.resultSegmentation)
        if parameters.keepResults or nodes is None or review.isOfAnother(parameters):
            return True
        if not (review.isEdited(nodes, lookAgain=True) or designOf(nodes).get("edited")):
            return True
        return bool(slicer.util.confirmOkCancelDisplay(
            _("The implant under review was edited by hand or fitted again. The new design replaces it, unless you "
              "tick 'Keep earlier results'. Replace it?"), _("Replace the edited implant?")))

    def _haveTorch(self, purpose: str = pytorch.MODEL) -> bool:
        """Install PyTorch if need be and wanted, for the model or to refine; say whether the design can begin."""
        problem = self._installTorch(purpose)
        if self.parameters is None:  # the scene was closed
            return False
        self._update()
        if problem:
            self.display.showError(Outcome("failed", problem))
        return problem is None

    def _onDesigned(self, outcome: Outcome) -> str:
        if outcome.state != "done":
            return ""
        checks = designOf(outcome.value)["checks"]
        seconds = self.control.seconds
        self._update()  # the new result alone is shown before the views are centered on it
        if self.parameters is not None and self.parameters.resultSegmentation is outcome.value.segmentation:
            self._showResult()
        return _("Implant designed in {seconds:.0f} s; {passed} of {count} checks passed.").format(
            seconds=seconds, passed=sum(check["passed"] for check in checks), count=len(checks))
