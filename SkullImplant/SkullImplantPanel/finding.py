"""The run that finds the skull and its holes, and whether what was found still holds."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.job.protocol import Step

from .curves import curvePoints
from .found import FoundNodes, addFound
from .foundfiles import readFound
from .inputs import FOUND_ATTRIBUTE
from .parameters import SkullImplantParameterNode
from .requests import holesRequest, inputNode
from .run import Outcome

if TYPE_CHECKING:
    from .logic import SkullImplantLogic


def startFinding(
    logic: "SkullImplantLogic",
    parameters: SkullImplantParameterNode,
    onFinished: Callable[[Outcome], None],
    onProgress: Callable[[Step], None] | None = None,
) -> None:
    """Find the skull and its holes; the outcome's value are their ``FoundNodes``.

    :raises ValueError: there is a ``skullProblem``, or a run in progress.
    """
    request = holesRequest(parameters)
    node, madeWith, voxels = request.node, stateOf(parameters), logic.inputStates.of(request.node)

    def takeIn(outcome: Outcome) -> Outcome:
        assert node is not None
        if not slicer.mrmlScene.IsNodePresent(node):
            return Outcome("failed", _("The input was removed from the scene while its skull was looked for; load it "
                                       "again."))
        outcome.value = addFound(outcome.value, node, madeWith)
        logic.inputStates.keep(outcome.value, voxels)
        return outcome

    logic.startRun(request, readFound, takeIn, onFinished, onProgress)


def stateOf(parameters: SkullImplantParameterNode) -> str:
    """Return as a text what decides on the skull and its holes; what was found with another one is out of date."""
    node = inputNode(parameters)
    fromCt = not parameters.skullIsSegmentation
    threshold: Any = None
    if fromCt and not parameters.automaticThreshold:
        threshold = round(parameters.boneThresholdHu)
    curves = []
    for curve in (parameters.cutOutCurve, parameters.limitCurve):
        points = None
        if curve and node is not None:
            try:
                points = np.round(curvePoints(curve, node), 1).tolist()
            except ValueError:  # a transform bends the input, which is told elsewhere
                points = []
        curves.append(points)
    names = [other.GetName() if other else None for other in (parameters.leaveOut, parameters.reference)]
    return json.dumps([parameters.skullIsSegmentation, threshold, curves, names, parameters.refineMm,
                       parameters.clearanceMm, parameters.smoother, parameters.model])


def isStale(logic: "SkullImplantLogic", parameters: SkullImplantParameterNode, nodes: FoundNodes) -> bool:
    """Say whether what was found is not what would be found now."""
    if nodes.segmentation.GetAttribute(FOUND_ATTRIBUTE) != stateOf(parameters):
        return True
    return logic.inputStates.hasChanged(nodes, inputNode(parameters))
