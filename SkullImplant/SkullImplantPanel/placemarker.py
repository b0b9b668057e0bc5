"""The place of a check's worst value: a point in all views, which go to it."""

from typing import Any

import numpy as np

import slicer

from .hiddennode import HiddenNode
from .inputs import inWorld
from .results import ResultNodes, checkName
from .review import lookFrom

# From where the camera looks at a place: a piece of rim as long as a finger fills the view.
DISTANCE_MM = 150.0
COLOR = (0.8, 0.0, 0.5)  # told apart from implant, skull and arrow


class PlaceMarker:
    """A point in the scene while a place is shown: not saved, in no selector, not to be dragged."""

    def __init__(self) -> None:
        self._node = HiddenNode("vtkMRMLMarkupsFiducialNode", "SkullImplant place of a check", _setUp)

    def show(self, nodes: ResultNodes, check: dict[str, Any]) -> None:
        """Put all views on the place of a check of a result."""
        world = placeInWorld(nodes, check)
        node = self._node.get()
        with slicer.util.NodeModify(node):
            node.RemoveAllControlPoints()
            node.AddControlPoint(world, checkName(check).capitalize())
            node.SetLocked(True)
        goTo(world, nodes.segmentation, DISTANCE_MM)

    def hide(self) -> None:
        """Take the point out of the scene."""
        self._node.remove()


def goTo(world: np.ndarray, head: slicer.vtkMRMLTransformableNode, distanceMm: float) -> None:
    """Put all views on a place (RAS mm) of a head, the camera outside of it in that distance."""
    for sliceNode in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        sliceNode.JumpSliceByOffsetting(*world)
        # A slice moves aside only where the place would be out of sight.
        if not _isSeen(sliceNode, world):
            sliceNode.JumpSliceByCentering(*world)
    bounds = np.zeros(6)
    head.GetRASBounds(bounds)
    lookFrom(world, world - bounds.reshape(3, 2).mean(axis=1), distanceMm)


def _setUp(node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    node.GetDisplayNode().SetSelectedColor(COLOR)
    node.GetDisplayNode().SetOccludedVisibility(True)


def _isSeen(sliceNode: slicer.vtkMRMLSliceNode, world: np.ndarray) -> bool:
    """Say whether a point of the slice lies within its view."""
    xyToRas = slicer.util.arrayFromVTKMatrix(sliceNode.GetXYToRAS())
    across, up = (np.linalg.inv(xyToRas) @ [*world, 1.0])[:2]
    width, height = sliceNode.GetDimensions()[:2]
    return bool(0 <= across < width and 0 <= up < height)


def placeInWorld(nodes: ResultNodes, check: dict[str, Any]) -> np.ndarray:
    """Return where the worst value of a check is, RAS mm in the world, as its result lies there."""
    return inWorld(check["place_mm"], nodes.segmentation)
