"""Which result is under review: one of the chosen input, and none of another patient's."""

import slicer

from .parameters import SkullImplantParameterNode
from .requests import inputNode
from .results import allResults, inputOfResult


class ResultChoice:
    """Follows the chosen input: its own last result comes under review, or none.

    A result that the user chooses afterwards, also of another input, stays.
    """

    def __init__(self) -> None:
        self._input: slicer.vtkMRMLTransformableNode | None = None
        self._lastOf: dict[str, str] = {}  # ids: which result of an input was under review last

    def follow(self, parameters: SkullImplantParameterNode) -> None:
        """Put a result of the input under review, where another input was chosen."""
        chosen, before = inputNode(parameters), self._input
        if chosen is None:
            return
        self._input = chosen
        result = parameters.resultSegmentation
        isOwn = result is not None and inputOfResult(result) is chosen
        if before is not None and chosen is not before:
            parameters.resultSegmentation = self._resultOf(chosen)
        elif isOwn:
            self._lastOf[chosen.GetID()] = result.GetID()

    def forget(self) -> None:
        """The scene is closed, or other parameters are followed."""
        self._input, self._lastOf = None, {}

    def _resultOf(self, node: slicer.vtkMRMLTransformableNode) -> slicer.vtkMRMLSegmentationNode | None:
        results = [result for result in allResults() if inputOfResult(result) is node]
        last = [result for result in results if result.GetID() == self._lastOf.get(node.GetID())]
        found = last or results
        return found[-1] if found else None
