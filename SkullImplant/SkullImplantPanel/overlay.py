"""What is laid over the result under review: the mirrored other side, and another result.

The result itself keeps its color. Each of the others has one of its own, which color-blind people tell
from it and from one another (Okabe and Ito, Color Universal Design, 2008), is an
outline in the slices; in 3D the other side is seen through, and of two implants the one that stands out is seen.
"""

import slicer

from .resultfiles import IMPLANT
from .results import ResultNodes, allResults, nodesOfResult

MIRROR_COLOR, OTHER_COLOR = (0.0, 0.62, 0.45), (0.0, 0.45, 0.70)
# Pixels; a line of one is lost beside the segments' own outlines.
OUTLINE_PIXELS = 3


class Overlay:
    """Shows and hides the two; the views are touched only where what is to be shown has changed."""

    def __init__(self) -> None:
        self._shown: object = None

    def show(self, reviewed: ResultNodes | None, other: ResultNodes | None, mirrorOpacity: float | None) -> None:
        """Lay over the result under review what is held against it.

        :param mirrorOpacity: of the other side; None hides it.
        """
        ids = [None if nodes is None else nodes.segmentation.GetID() for nodes in (reviewed, other)]
        mirror = None if reviewed is None or reviewed.mirror is None else reviewed.mirror.GetID()
        wanted = (*ids, mirror, mirrorOpacity, len(allResults()))
        if wanted == self._shown:
            return
        self._shown = wanted
        for segmentationNode in allResults():
            nodes = nodesOfResult(segmentationNode)
            if nodes is None:
                continue
            isReviewed = reviewed is not None and segmentationNode is reviewed.segmentation
            isOther = other is not None and segmentationNode is other.segmentation
            if nodes.mirror is not None:
                _show(nodes.mirror, mirrorOpacity if isReviewed else None)
            for modelNode in nodes.models:
                _showImplant(modelNode, isReviewed, isOther)

    def forget(self) -> None:
        """Look anew the next time."""
        self._shown = None


def outlined(modelNode: slicer.vtkMRMLModelNode, color: tuple[float, float, float]) -> None:
    """Give a surface its color, and an outline in the slices."""
    display = modelNode.GetDisplayNode()
    display.SetColor(color)
    display.SetVisibility2D(True)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
    display.SetBackfaceCulling(False)


def _show(mirrorNode: slicer.vtkMRMLModelNode, opacity: float | None) -> None:
    display = mirrorNode.GetDisplayNode()
    if display is None:
        return
    display.SetVisibility(opacity is not None)
    if opacity is not None:
        display.SetOpacity(opacity)


def _showImplant(modelNode: slicer.vtkMRMLModelNode, isReviewed: bool, isOther: bool) -> None:
    """Show a surface of an implant as that of the other result; or let it be as results are."""
    display = modelNode.GetDisplayNode()
    if display is None:
        return
    if isOther:
        outlined(modelNode, OTHER_COLOR)
        display.SetVisibility(True)
    elif tuple(display.GetColor()) == OTHER_COLOR:  # it was
        display.SetColor(IMPLANT.color)
        display.SetVisibility2D(False)
        display.SetVisibility(isReviewed)
