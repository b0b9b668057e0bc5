"""The part of the section Skull that finds the holes before a design, and lets the user choose, limit and add."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import slicer
from slicer.i18n import tr as _

from . import found
from .colors import lookStyle
from .curves import DrawnCurve
from .finding import isStale, startFinding
from .holes import makePoints
from .holestable import HolesTable
from .inputs import definedPoints, inWorld, pointsOf
from .parameters import SkullImplantParameterNode
from .placemarker import goTo
from .requests import inputNode, skullProblem
from .results import nodesOfResult
from .run import Outcome
from .runcontrol import RunControl
from .section import Section
from .widgets import Widgets
from .wrapping import breakable

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

# The library takes a point for a hole's that lies no farther from it (`implant/openings.py`).
FARTHEST_MM = 25.0
# From there a hole is seen with the head around it.
CAMERA_MM = 320.0
LIMIT_COLOR, CUT_COLOR = (0.0, 0.45, 0.7), (0.84, 0.37, 0.0)


class HolesSection(Section):
    """What is shown and done, see ``Section``.

    Which holes get an implant is told by ``allHoles`` and ``holePoints`` alone: a check box of the table shows what
    these say, and sets them.
    """

    def __init__(
        self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl, update: Callable[[], None]
    ) -> None:
        super().__init__(ui, logic, control, update)
        self._finding = False
        self._places: tuple[str, dict[int, np.ndarray]] | None = None  # of the holes, by what was found
        self._shown: tuple[Any, ...] | None = None
        self._table = HolesTable(ui, self.onChecked, self.onRow)
        self._limit = DrawnCurve(
            ui.limitButton, "limitCurve",
            (_("Draw a limit"), _("End drawing"), _("Remove the limit"), _("Limit of the design")), LIMIT_COLOR,
            update)
        self._cutOut = DrawnCurve(
            ui.addHoleButton, "cutOutCurve",
            (_("Add a hole"), _("End drawing"), _("Remove added hole"), _("Hole to add")), CUT_COLOR, update)
        ui.findSkullButton.connect("clicked()", self.onFind)

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui, running = self.ui, self.control.running
        self._finding = self._finding and running
        problem = skullProblem(parameters)
        self._limit.show(parameters)
        self._cutOut.show(parameters)
        hasInput = inputNode(parameters) is not None
        for button in (ui.limitButton, ui.addHoleButton):
            button.enabled = hasInput
        if self._finding:
            self._showCancel(ui.findSkullButton)
        else:
            tip = _("Find the skull and every hole in it, before anything is designed.")
            self._showBegin(ui.findSkullButton, _("Find the skull"), tip, problem, not running)
        nodes = found.foundOf(inputNode(parameters))
        result = nodesOfResult(parameters.resultSegmentation)
        for widget in (ui.holesTable, ui.showHolesCheckBox, ui.foundLabel):
            widget.visible = nodes is not None
        self._show(parameters, nodes, result is not None)
        if nodes is None:
            self._places = None
            return
        stale = isStale(self.logic, parameters, nodes)
        holes = found.dataOf(nodes)["holes"]
        self._table.show(holes, self._chosen(parameters, nodes), stale, not running)
        ui.holesTable.visible = bool(holes)
        text = _("Click a row to go to the hole; tick what gets an implant.") if holes else _(
            "No hole was found. Is it there? Draw around it with 'Add a hole'.")
        if stale:
            text = _("What was found is out of date: the CT, the threshold, a curve or another setting was changed. "
                     "Click 'Find the skull' again.")
        ui.foundLabel.styleSheet = lookStyle(ui.skullCollapsibleButton) if stale else ""
        ui.foundLabel.text = breakable(text)

    def forget(self) -> None:
        """The scene is closed."""
        self._finding, self._places, self._shown = False, None, None
        self._limit.forget()
        self._cutOut.forget()

    def onFind(self) -> None:
        """Find the skull, or cancel that."""
        parameters = self.parameters
        if self._finding:
            self.control.cancel()
            return
        if parameters is None:
            return
        self.ui.previewButton.checked = False
        self._finding = True
        self.control.begin(
            _("Finding the skull"),
            lambda onFinished, onProgress: startFinding(self.logic, parameters, onFinished, onProgress),
            self._onFound)

    def _onFound(self, outcome: Outcome) -> str:
        self._finding = False
        if outcome.state != "done":
            return ""
        nodes = outcome.value
        holes = found.dataOf(nodes)["holes"]
        if self.parameters is not None and found.foundOf(inputNode(self.parameters)) == nodes:
            self.parameters.showHoles = True
            if holes:
                self._lookAt(nodes, holes[0])
        fillable = sum(hole["fillable"] for hole in holes)
        return _("The skull was found in {seconds:.0f} s, with {count} holes that can be filled.").format(
            seconds=self.control.seconds, count=fillable) if fillable != 1 else _(
            "The skull was found in {seconds:.0f} s, with one hole that can be filled.").format(
            seconds=self.control.seconds)

    def _show(self, parameters: SkullImplantParameterNode, nodes: found.FoundNodes | None, hasResult: bool) -> None:
        """Bring the views in line, only when something has changed: what is shown may be set elsewhere, too."""
        shown = nodes if nodes is not None and parameters.showHoles else None
        state = (shown and shown.segmentation.GetID(), hasResult, len(found.allFound()))
        if state != self._shown:
            self._shown = state
            found.show(shown, withSkull=not hasResult)

    def _chosen(self, parameters: SkullImplantParameterNode, nodes: found.FoundNodes) -> set[int]:
        """Return the numbers of the holes that a design would fill."""
        holes = found.dataOf(nodes)["holes"]
        if parameters.allHoles:
            return {hole["number"] for hole in holes if hole["by_default"]}
        return {number for number in self._numbersOfPoints(parameters, nodes) if number}

    def _numbersOfPoints(self, parameters: SkullImplantParameterNode, nodes: found.FoundNodes) -> list[int]:
        """Return in which hole each of the placed points lies, as the library takes it; 0 for none."""
        node, points = inputNode(parameters), parameters.holePoints
        if node is None or points is None:
            return []
        if self._places is None or self._places[0] != nodes.segmentation.GetID():
            self._places = (nodes.segmentation.GetID(), found.placesOf(nodes))
        numbers = []
        try:
            placed = pointsOf(points, node)
        except ValueError:  # a transform bends the input, which is told elsewhere
            return []
        for point in placed:
            apart = {number: float(np.linalg.norm(places - point, axis=1).min())
                     for number, places in self._places[1].items() if len(places)}
            nearest = min(apart, key=lambda number: apart[number], default=0)
            numbers.append(nearest if nearest and apart[nearest] <= FARTHEST_MM else 0)
        return numbers

    def onChecked(self, number: int, on: bool) -> None:
        """Choose a hole, or not: by points in the holes, or all of them where that is what is chosen."""
        parameters = self.parameters
        nodes = None if parameters is None else found.foundOf(inputNode(parameters))
        if parameters is None or nodes is None:
            return
        holes = found.dataOf(nodes)["holes"]
        chosen = self._chosen(parameters, nodes)
        chosen = chosen | {number} if on else chosen - {number}
        if chosen == {hole["number"] for hole in holes if hole["by_default"]}:
            parameters.allHoles = True
        else:
            self._putPoints(parameters, nodes, {hole["number"]: hole for hole in holes}, chosen)
        self._update()

    def _putPoints(
        self,
        parameters: SkullImplantParameterNode,
        nodes: found.FoundNodes,
        holes: dict[int, dict[str, Any]],
        chosen: set[int],
    ) -> None:
        """Let points say that these holes are chosen; the user's own points in them stay."""
        points = parameters.holePoints
        if points is None:
            points = parameters.holePoints = makePoints()
        numbers = self._numbersOfPoints(parameters, nodes)
        # Points of an earlier choice that 'All' has overruled do not come back.
        stay = set() if parameters.allHoles else chosen | {0}
        with slicer.util.NodeModify(points):
            for index, number in reversed(list(zip(definedPoints(points), numbers))):
                if number not in stay:
                    points.RemoveNthControlPoint(index)
            there = set() if parameters.allHoles else set(numbers)
            for number in sorted(chosen - there):
                index = points.AddControlPointWorld(self._middle(nodes, holes[number]))
                points.SetNthControlPointLabel(index, "")  # the number is there already
        parameters.allHoles = False

    def _middle(self, nodes: found.FoundNodes, hole: dict[str, Any]) -> np.ndarray:
        """Return a place within a hole, near its middle, RAS mm in the world."""
        assert self._places is not None
        places = self._places[1].get(hole["number"])
        if places is None or not len(places):
            return found.placeInWorld(nodes, hole)
        nearest = places[np.linalg.norm(places - hole["centre_mm_xyz"], axis=1).argmin()]
        return inWorld(nearest, nodes.segmentation)

    def onRow(self, hole: dict[str, Any]) -> None:
        """Put all views on a hole."""
        nodes = None if self.parameters is None else found.foundOf(inputNode(self.parameters))
        if nodes is not None:
            with slicer.util.tryWithErrorDisplay(_("The place could not be shown.")):
                self._lookAt(nodes, hole)

    @staticmethod
    def _lookAt(nodes: found.FoundNodes, hole: dict[str, Any]) -> None:
        goTo(found.placeInWorld(nodes, hole), nodes.segmentation, CAMERA_MM)
