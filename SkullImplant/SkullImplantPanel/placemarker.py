"""The place of a check's worst value: a point in all views, which go to it."""

from typing import Any

import numpy as np

import slicer

from .inputs import FLIP_RAS_LPS
from .results import ResultNodes, checkName
from .review import lookFrom

# From where the camera looks at a place: a piece of rim as long as a finger fills the view.
DISTANCE_MM = 150.0
COLOR = (0.8, 0.0, 0.5)  # told apart from implant, skull and arrow


class PlaceMarker:
    """A point in the scene while a place is shown: not saved, in no selector, not to be dragged."""

    def __init__(self) -> None:
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = None

    def show(self, nodes: ResultNodes, check: dict[str, Any]) -> None:
        """Put all views on the place of a check of a result."""
        world = placeInWorld(nodes, check)
        node = self._ownNode()
        with slicer.util.NodeModify(node):
            node.RemoveAllControlPoints()
            node.AddControlPoint(world, checkName(check).capitalize())
            node.SetLocked(True)
        for sliceNode in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            sliceNode.JumpSliceByOffsetting(*world)
            # A slice moves aside only where the place would be out of sight.
            if not _isSeen(sliceNode, world):
                sliceNode.JumpSliceByCentering(*world)
        bounds = np.zeros(6)
        nodes.segmentation.GetRASBounds(bounds)
        lookFrom(world, world - bounds.reshape(3, 2).mean(axis=1), DISTANCE_MM)

    def hide(self) -> None:
        """Take the point out of the scene."""
        if self._node is not None and slicer.mrmlScene.IsNodePresent(self._node):
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = None

    def _ownNode(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        if self._node is None or not slicer.mrmlScene.IsNodePresent(self._node):
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLMarkupsFiducialNode")
            node.UnRegister(None)  # Python's variable owns it
            node.SetName("SkullImplant place of a check")
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            slicer.mrmlScene.AddNode(node)
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetSaveWithScene(False)
            display.SetSelectedColor(COLOR)
            display.SetOccludedVisibility(True)
            self._node = node
        return self._node


def _isSeen(sliceNode: slicer.vtkMRMLSliceNode, world: np.ndarray) -> bool:
    """Say whether a point of the slice lies within its view."""
    xyToRas = slicer.util.arrayFromVTKMatrix(sliceNode.GetXYToRAS())
    across, up = (np.linalg.inv(xyToRas) @ [*world, 1.0])[:2]
    width, height = sliceNode.GetDimensions()[:2]
    return bool(0 <= across < width and 0 <= up < height)


def placeInWorld(nodes: ResultNodes, check: dict[str, Any]) -> np.ndarray:
    """Return where the worst value of a check is, RAS mm in the world, as its result lies there."""
    world = np.zeros(3)
    nodes.segmentation.TransformPointToWorld(FLIP_RAS_LPS[:3, :3] @ check["place_mm"], world)
    return world
