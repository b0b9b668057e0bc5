"""Closed curves that the user draws on the skull: one that limits the design, one around a hole to be added."""

import json
from collections.abc import Callable

import numpy as np
import qt

import slicer
from slicer.i18n import tr as _

from .holes import interactionNode
from .inputs import FLIP_RAS_LPS, definedPoints, matrixToWorld
from .parameters import SkullImplantParameterNode

LEAST_POINTS = 3
DECIMALS = 2  # of a place in mm: what a saved scene keeps, and finer than a hand draws
# What changes a curve.
EVENTS = ("PointModifiedEvent", "PointPositionDefinedEvent", "PointPositionUndefinedEvent", "PointRemovedEvent")
SETTLE_MS = 100


class DrawnCurve:
    """A button that lets the user draw one closed curve, and take it away again.

    :param name: of the parameter that keeps the curve.
    :param texts: of the button: to draw, while drawing, to remove; and what the curve is called.
    :param update: called when the panel is to be brought in line with the curve.
    """

    def __init__(
        self,
        button: qt.QPushButton,
        name: str,
        texts: tuple[str, str, str, str],
        color: tuple[float, float, float],
        update: Callable[[], None],
    ) -> None:
        self._button, self._name, self._texts, self._color, self._update = button, name, texts, color, update
        self._parameters: SkullImplantParameterNode | None = None
        self._curve: slicer.vtkMRMLMarkupsClosedCurveNode | None = None
        self._tags: list[int] = []
        self._interaction: slicer.vtkMRMLInteractionNode | None = None
        self._interactionTag = 0
        self._timer = qt.QTimer()  # a point that is dragged changes many times
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.connect("timeout()", update)
        button.connect("clicked()", self.onClicked)

    def show(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        self._parameters = parameters
        curve = getattr(parameters, self._name)
        self._follow(curve)
        draw, drawing, remove, _called = self._texts
        placing = self.placing
        self._button.text = drawing if placing else draw if curve is None else remove
        self._button.checked = placing

    def forget(self) -> None:
        """Follow no curve, as after the scene was closed."""
        self._timer.stop()
        self._follow(None)
        if self._interaction is not None:
            self._interaction.RemoveObserver(self._interactionTag)
            self._interaction = None

    @property
    def placing(self) -> bool:
        """Whether the user is drawing this curve."""
        interaction = interactionNode()
        isPlacing = interaction.GetCurrentInteractionMode() == interaction.Place
        logic = slicer.modules.markups.logic()
        return bool(isPlacing and self._curve is not None and logic.GetActiveListID() == self._curve.GetID())

    def onClicked(self) -> None:
        """Begin to draw, end drawing, or remove the curve, whatever the button says."""
        parameters = self._parameters
        if parameters is None:
            return
        curve = getattr(parameters, self._name)
        if self.placing:
            interactionNode().SwitchToViewTransformMode()
            if curve is not None and not definedPoints(curve):
                self._remove(parameters, curve)
        elif curve is not None:
            self._remove(parameters, curve)
        else:
            self._begin(parameters)
        self._update()

    def _begin(self, parameters: SkullImplantParameterNode) -> None:
        interaction = interactionNode()
        if self._interaction is None:
            self._interaction = interaction
            event = slicer.vtkMRMLInteractionNode.InteractionModeChangedEvent
            self._interactionTag = interaction.AddObserver(event, lambda caller, event: self._timer.start())
        curve = _makeCurve(self._texts[3], self._color)
        setattr(parameters, self._name, curve)
        self._follow(curve)
        # StartPlaceMode would place points instead of the curve's.
        slicer.modules.markups.logic().SetActiveList(curve)
        interaction.SwitchToPersistentPlaceMode()  # click after click

    def _remove(
        self, parameters: SkullImplantParameterNode, curve: slicer.vtkMRMLMarkupsClosedCurveNode
    ) -> None:
        self._follow(None)
        setattr(parameters, self._name, None)
        slicer.mrmlScene.RemoveNode(curve)

    def _follow(self, curve: slicer.vtkMRMLMarkupsClosedCurveNode | None) -> None:
        if curve is self._curve:
            return
        if self._curve is not None:
            for tag in self._tags:
                self._curve.RemoveObserver(tag)
        self._curve, self._tags = curve, []
        if curve is not None:
            events = (getattr(slicer.vtkMRMLMarkupsNode, name) for name in EVENTS)
            self._tags = [curve.AddObserver(event, lambda caller, event: self._timer.start()) for event in events]


def _makeCurve(name: str, color: tuple[float, float, float]) -> slicer.vtkMRMLMarkupsClosedCurveNode:
    scene = slicer.mrmlScene
    curve = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", scene.GenerateUniqueName(name))
    curve.CreateDefaultDisplayNodes()
    display = curve.GetDisplayNode()
    display.SetSelectedColor(color)
    display.SetPropertiesLabelVisibility(False)
    display.SetOccludedVisibility(True)
    return curve


def curveProblem(parameters: SkullImplantParameterNode) -> str | None:
    """Return what is wrong with the curves that were drawn, in one sentence, or None."""
    for curve, problem in (
        (parameters.cutOutCurve, _("The curve around a hole to add has fewer than {count} points; go on drawing it, "
                                   "or remove it.")),
        (parameters.limitCurve, _("The curve that limits the design has fewer than {count} points; go on drawing it, "
                                  "or remove it.")),
    ):
        if curve and len(definedPoints(curve)) < LEAST_POINTS:
            return problem.format(count=LEAST_POINTS)
    return None


def curvePoints(
    curve: slicer.vtkMRMLMarkupsClosedCurveNode, node: slicer.vtkMRMLTransformableNode
) -> np.ndarray:
    """Return the points (n, 3) along a curve as it is drawn, LPS mm, in the frame of a node.

    :raises ValueError: a transform bends that frame.
    """
    toWorld = matrixToWorld(node)
    if toWorld is None:
        raise ValueError(_("The input is under a transform that bends it; harden that transform first."))
    points = curve.GetCurvePointsWorld()
    count = 0 if points is None else points.GetNumberOfPoints()  # before the first point there are none
    world = np.array([points.GetPoint(index) for index in range(count)]).reshape(-1, 3)
    # A closed curve ends where it begins.
    if len(world) > 1 and np.allclose(world[0], world[-1]):
        world = world[:-1]
    matrix = FLIP_RAS_LPS @ np.linalg.inv(toWorld)
    return world @ matrix[:3, :3].T + matrix[:3, 3]


def curveText(curve: slicer.vtkMRMLMarkupsClosedCurveNode, node: slicer.vtkMRMLTransformableNode) -> str:
    """Return a curve in the frame of a node as a markups file has it, with all points along it."""
    controlPoints = [{"position": [round(float(along), DECIMALS) for along in point], "positionStatus": "defined"}
                     for point in curvePoints(curve, node)]
    markup = {"type": "ClosedCurve", "coordinateSystem": "LPS", "coordinateUnits": "mm",
              "controlPoints": controlPoints}
    return json.dumps({"markups": [markup]})
