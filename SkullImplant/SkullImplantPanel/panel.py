"""The panel: its sections, from the patient down to the export, brought in line with the scene.

Widgets that hold a plain parameter are bound to the parameter node by their ``SlicerParameterName``;
the sections do the rest.
"""

from typing import TYPE_CHECKING

import qt

from .comparesection import CompareSection
from .designsection import DesignSection
from .exportsection import ExportSection
from .helpsection import HelpSection
from .holessection import HolesSection
from .organssection import OrgansSection
from .parameters import SkullImplantParameterNode
from .patientsection import PatientSection
from .resultchoice import ResultChoice
from .reviewsection import ReviewSection
from .runcontrol import RunControl
from .rundisplay import RunDisplay
from .scrolling import scrollTo
from .skullsection import SkullSection
from .theme import ThemeWatch
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
        self.patient = PatientSection(ui, logic, control, self.update)
        self.skull = SkullSection(ui, logic, control, self.update)
        self.holes = HolesSection(ui, logic, control, self.update)
        self.design = DesignSection(ui, logic, control, self.display, self.update, self._showResult)
        self.review = ReviewSection(ui, logic, control, self.update, self.skull.automaticHu)
        self.compare = CompareSection(ui, logic, control, self.update)
        self.export = ExportSection(ui, logic, control, self.update)
        self.organs = OrgansSection(ui, logic, control, self.update)
        self.help = HelpSection(ui, lambda: self.display.lastOutcome, lambda: self.design.choices.devices)
        self._theme = ThemeWatch(ui.patientCollapsibleButton.parentWidget(), self.onThemeChanged)
        self._sections = (
            self.patient, self.skull, self.holes, self.design, self.review, self.compare, self.export, self.organs)

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
        self._theme.forget()
        self.help.close()
        self.display.forget()
        self.skull.forget()
        self.review.forget()
        self.compare.forget()
        self.design.forget()
        self.export.close()
        self.organs.forget()
        self.holes.forget()
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

    def onThemeChanged(self) -> None:
        """The window has become dark or light."""
        self.display.recolor()
        self.review.recolor()
        self.update()

    def forgetRun(self) -> None:
        """The scene is closed, and with it ends what is shown of a run."""
        self._hasNewResult = False
        self.display.forget()
        self.export.forgetRun()
        self.organs.forget()
        self.design.forget()
        self.holes.forget()
        self.review.forget()
        self.compare.forget()

    def _showResult(self) -> None:
        """Open what follows a design, with all views on the implant; when the user is here."""
        self._hasNewResult = not self._isEntered
        if self._hasNewResult:
            return  # whoever works in another module keeps the views
        self.ui.reviewCollapsibleButton.collapsed = False
        self.ui.exportCollapsibleButton.collapsed = False
        self.review.onCenter()
        # Once what was opened has its place.
        qt.QTimer.singleShot(0, lambda: qt.QTimer.singleShot(0, self._scrollToReview))

    def _scrollToReview(self) -> None:
        if self._isEntered:
            scrollTo(self.ui.reviewCollapsibleButton)
