"""The points by which the user chooses the holes that get an implant."""

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from .inputs import definedPoints
from .parameters import SkullImplantParameterNode
from .widgets import Widgets

# What changes how many points there are.
EVENTS = ("PointPositionDefinedEvent", "PointPositionUndefinedEvent", "PointRemovedEvent")


class HolePoints:
    """Lets the user click into holes, and shows how many were chosen.

    :param update: called when the panel is to be brought in line with a point that came or went.
    """

    def __init__(self, ui: Widgets, update: Callable[[], None]) -> None:
        self.ui = ui
        self._update = update
        self._parameters: SkullImplantParameterNode | None = None
        self._points: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self._tags: list[int] = []
        self._interaction: slicer.vtkMRMLInteractionNode | None = None
        self._interactionTag = 0
        ui.placeHoleButton.connect("clicked(bool)", self.onPlace)

    def show(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        self._parameters = parameters
        points = parameters.holePoints
        self._follow(points)
        count = 0 if points is None or parameters.allHoles else len(definedPoints(points))
        text = _("Click into a hole")
        self.ui.placeHoleButton.text = _("{text} ({count} chosen)").format(text=text, count=count) if count else text
        self.ui.placeHoleButton.checked = self._placing()
        if points is not None and points.GetDisplayNode() is not None:
            points.GetDisplayNode().SetVisibility(not parameters.allHoles)

    def forget(self) -> None:
        """Follow no points, as after the scene was closed; they stay where they are."""
        self._follow(None)
        if self._interaction is not None:
            self._interaction.RemoveObserver(self._interactionTag)
            self._interaction = None

    def onPlace(self, on: bool) -> None:
        """Let the next click into a view be a point in a hole, or not."""
        parameters, interaction = self._parameters, interactionNode()
        if parameters is None:
            return
        if self._interaction is None:
            self._interaction = interaction
            event = slicer.vtkMRMLInteractionNode.InteractionModeChangedEvent
            self._interactionTag = interaction.AddObserver(event, lambda caller, event: self._update())
        if not on:
            interaction.SwitchToViewTransformMode()
            return
        parameters.allHoles = False
        if parameters.holePoints is None:
            parameters.holePoints = makePoints()
        logic = slicer.modules.markups.logic()
        logic.SetActiveList(parameters.holePoints)
        logic.StartPlaceMode(False)
        self._update()

    def _placing(self) -> bool:
        interaction = interactionNode()
        placing = interaction.GetCurrentInteractionMode() == interaction.Place
        isOurs = self._points is not None and slicer.modules.markups.logic().GetActiveListID() == self._points.GetID()
        return bool(placing and isOurs)

    def _follow(self, points: slicer.vtkMRMLMarkupsFiducialNode | None) -> None:
        if points is self._points:
            return
        if self._points is not None:
            for tag in self._tags:
                self._points.RemoveObserver(tag)
        self._points, self._tags = points, []
        if points is not None:
            events = (getattr(slicer.vtkMRMLMarkupsNode, name) for name in EVENTS)
            self._tags = [points.AddObserver(event, lambda caller, event: self._update()) for event in events]


def interactionNode() -> "slicer.vtkMRMLInteractionNode":
    """Return the node that says what a click into a view does."""
    return slicer.app.applicationLogic().GetInteractionNode()


def makePoints() -> slicer.vtkMRMLMarkupsFiducialNode:
    """Return a new node for points in holes."""
    scene = slicer.mrmlScene
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", scene.GenerateUniqueName(_("Hole")))
    points.CreateDefaultDisplayNodes()
    points.GetDisplayNode().SetOccludedVisibility(True)
    return points
