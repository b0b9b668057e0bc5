"""The panel: its sections, from the patient down to the export, brought in line with the scene.

Widgets that hold a plain parameter are bound to the parameter node by their ``SlicerParameterName``;
the sections do the rest.
"""

from typing import TYPE_CHECKING

from .designsection import DesignSection
from .exportsection import ExportSection
from .parameters import SkullImplantParameterNode
from .patientsection import PatientSection
from .resultchoice import ResultChoice
from .reviewsection import ReviewSection
from .runcontrol import RunControl
from .rundisplay import RunDisplay
from .skullsection import SkullSection
from .widgets import Widgets

if TYPE_CHECKING:
    from .logic import SkullImplantLogic


class Panel:
    """The panel's behavior.

    :param ui: the widgets of ``SkullImplant.ui`` as attributes.
    """

    def __init__(self, ui: Widgets, logic: "SkullImplantLogic") -> None:
        self.ui = ui
        self.logic = logic
        self.parameters: SkullImplantParameterNode | None = None
        self._updating = False
        self._isEntered = self._hasNewResult = False
        self._results = ResultChoice()
        self.display = RunDisplay(ui)
        control = RunControl(logic, self.display, self.update)
        self.patient = PatientSection(ui, logic, control)
        self.skull = SkullSection(ui, self.update)
        self.design = DesignSection(ui, logic, control, self.display, self.update, self._showResult)
        self.review = ReviewSection(ui, logic, control, self.skull.automaticHu)
        self.export = ExportSection(ui, logic, control)
        self._sections = (self.patient, self.skull, self.design, self.review, self.export)

    def setParameterNode(self, parameters: SkullImplantParameterNode | None) -> None:
        """Follow other parameters; None while there are none."""
        self.parameters = parameters
        for section in self._sections:
            section.parameters = parameters
        self.update()

    def enter(self) -> None:
        """The user opened the module."""
        self._isEntered = True
        self.review.enter()
        self.update()
        if self._hasNewResult:
            self._showResult()

    def exit(self) -> None:
        """The user went to another module; a run goes on, the preview does not."""
        self._isEntered = False
        self.ui.previewButton.checked = False
        self.skull.forget()
        self.review.exit()

    def close(self) -> None:
        """The panel is destroyed."""
        self.display.forget()
        self.skull.forget()
        self.review.forget()
        self.design.forget()
        self.export.close()
        self.logic.close()

    def update(self) -> None:
        """Bring the panel in line with the parameters and the scene."""
        if self._updating:
            return
        self._updating = True
        try:
            if self.parameters is None:
                self.skull.forget()
                self._results.forget()
            else:
                self._results.follow(self.parameters)
                for section in self._sections:
                    section.update(self.parameters)
        finally:
            self._updating = False

    def onNodesChanged(self) -> None:
        """Nodes came or went: choose the CT that was loaded, where none is chosen."""
        if self.parameters is not None:
            self.patient.chooseFirst()
            self.update()

    def forgetRun(self) -> None:
        """The scene is closed, and with it ends what is shown of a run."""
        self._hasNewResult = False
        self.display.forget()
        self.export.forgetRun()
        self.design.forget()
        self.review.forget()

    def _showResult(self) -> None:
        """Open what follows a design, with all views on the implant; when the user is here."""
        self._hasNewResult = not self._isEntered
        if self._hasNewResult:
            return  # whoever works in another module keeps the views
        self.ui.reviewCollapsibleButton.collapsed = False
        self.ui.exportCollapsibleButton.collapsed = False
        self.review.onCenter()
