"""The arrow along which an implant shall come out: a line in the views whose ends can be dragged."""

from collections.abc import Callable

import numpy as np

import slicer
from slicer.i18n import tr as _

from .inputs import FLIP_RAS_LPS, directionOf
from .parameters import SkullImplantParameterNode
from .requests import inputNode
from .results import ResultNodes, designOf, nodesOfResult

LENGTH_MM = 60.0
COLOR = (0.0, 0.45, 0.7)  # told apart from the implant's orange by color-blind people as well
UP_RAS = (0.0, 0.0, 1.0)


class DirectionArrow:
    """Shows an arrow while the direction is not automatic, and tells when one of its ends was let go.

    :param onLetGo: called when the user has let go of an end, and the arrow points another way than before.
    """

    def __init__(self, onLetGo: Callable[[], None]) -> None:
        self._onLetGo = onLetGo
        self._parameters: SkullImplantParameterNode | None = None
        self._arrow: slicer.vtkMRMLMarkupsLineNode | None = None
        self._tag = 0
        self._told: tuple[float, ...] | None = None  # the direction of which onLetGo was told, or the first

    def show(self, parameters: SkullImplantParameterNode) -> None:
        """Bring the arrow in line with the parameters: made, followed, or taken away."""
        self._parameters = parameters
        arrow = parameters.directionArrow
        if parameters.automaticDirection:
            self._follow(None)
            if arrow is not None:
                parameters.directionArrow = None
                slicer.mrmlScene.RemoveNode(arrow)
        elif arrow is None and self._arrow is not None:
            self._follow(None)
            parameters.automaticDirection = True  # the user has deleted it
        elif arrow is not None:
            self._follow(arrow)
        elif inputNode(parameters) is not None:
            nodes = nodesOfResult(parameters.resultSegmentation)
            parameters.directionArrow = makeArrow(inputNode(parameters), nodes)
            self._follow(parameters.directionArrow)

    def forget(self) -> None:
        """Follow no arrow, as after the scene was closed; it stays where it is."""
        self._follow(None)

    def _follow(self, arrow: slicer.vtkMRMLMarkupsLineNode | None) -> None:
        if arrow is self._arrow:
            return
        if self._arrow is not None:
            self._arrow.RemoveObserver(self._tag)
        self._arrow, self._told = arrow, None
        if arrow is not None:
            self._tag = arrow.AddObserver(slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent, self._onEndInteraction)
            self._told = self._direction()

    def _direction(self) -> tuple[float, ...] | None:
        node = None if self._parameters is None else inputNode(self._parameters)
        if node is None or self._arrow is None:
            return None
        direction = directionOf(self._arrow, node)
        return None if direction is None else tuple(np.round(direction, 3))

    def _onEndInteraction(self, caller: object, event: object) -> None:
        direction = self._direction()
        if direction is not None and direction != self._told:
            self._told = direction
            self._onLetGo()


def makeArrow(
    node: slicer.vtkMRMLTransformableNode, nodes: ResultNodes | None
) -> slicer.vtkMRMLMarkupsLineNode:
    """Return a new arrow: out of the first implant the way it was fitted, else out of the head's top.

    It lies in the frame of the input ``node``, under its transform.
    """
    bounds = np.zeros(6)
    (node if nodes is None else nodes.model).GetBounds(bounds)
    start, direction = bounds.reshape(3, 2).mean(axis=1), np.array(UP_RAS)
    told = {} if nodes is None else designOf(nodes).get("implants", [{}])[0]
    if told:
        flip = FLIP_RAS_LPS[:3, :3]
        start, direction = flip @ told["centre_mm_xyz"], flip @ told["insertion_direction_lps"]
    scene = slicer.mrmlScene
    arrow = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", scene.GenerateUniqueName(_("Direction of insertion")))
    arrow.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    arrow.AddControlPoint(start, _("In"))
    arrow.AddControlPoint(start + LENGTH_MM * direction, _("Out"))
    arrow.GetMeasurement("length").SetEnabled(False)
    arrow.CreateDefaultDisplayNodes()
    display = arrow.GetDisplayNode()
    display.SetLineDirectionVisibility(True)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(True)
    display.SetSelectedColor(COLOR)
    # An end that is dragged stays in its plane instead of jumping to the surface behind it.
    display.SetSnapMode(display.SnapModeUnconstrained)
    display.SetOccludedVisibility(True)
    return arrow
