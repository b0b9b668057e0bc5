"""What becomes of the result before when a new one is there."""

import slicer

from .editing import canBeRestored, restoreImplants
from .results import ResultNodes, designOf, inputOfResult, nodesOfResult, originOf, removeResults, setOrigin
from .review import isEdited


def replaceByDesign(earlier: ResultNodes, new: ResultNodes) -> None:
    """Remove an earlier result, and the one that it was edited from; those of another input stay."""
    origin = nodesOfResult(originOf(earlier.segmentation))
    for result in (earlier, origin):
        if result is not None and _isOfSameInput(result, new):
            removeResults(result)


def replaceByUpdate(earlier: ResultNodes, new: ResultNodes, keep: bool) -> None:
    """Keep the automatic design that was edited, as it was made, and hidden; remove an earlier edited result.

    :param keep: an earlier edited result stays, too.
    """
    if not slicer.mrmlScene.IsNodePresent(earlier.segmentation):
        return
    restorable = canBeRestored(earlier)
    isAutomatic = not designOf(earlier).get("edited")
    stays = isAutomatic and restorable
    setOrigin(new.segmentation, earlier.segmentation if stays else originOf(earlier.segmentation))
    if not (stays or keep):
        removeResults(earlier)
    elif restorable and isEdited(earlier, lookAgain=True):
        restoreImplants(earlier)  # the edit is in the new one


def replaceByRefit(earlier: ResultNodes, new: ResultNodes) -> None:
    """Remove the result that was fitted again; what it goes back to stays."""
    if slicer.mrmlScene.IsNodePresent(earlier.segmentation):
        setOrigin(new.segmentation, originOf(earlier.segmentation))
        removeResults(earlier)


def _isOfSameInput(result: ResultNodes, new: ResultNodes) -> bool:
    segmentation, node = result.segmentation, inputOfResult(new.segmentation)
    if not slicer.mrmlScene.IsNodePresent(segmentation):
        return False
    return node is not segmentation and inputOfResult(segmentation) is node
