"""Other proposals for the same hole: the alternatives that a design has, each made as a result of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SkullImplantLib import models
from SkullImplantLib.job.protocol import Step

from .parameters import SkullImplantParameterNode
from .requests import Request, designRequest
from .results import ResultNodes, addResults, allResults, designOf, inputOfResult, nodesOfResult, originOf
from .review import fadeSkull, isEdited
from .run import Outcome

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

# On the segmentation of a result that was made as one of several proposals: which.
PROPOSAL_ATTRIBUTE = "SkullImplant.Proposal"
AS_SET, MIRROR, EVEN, NETWORK = "asSet", "mirror", "even", "network"
# The thickness of custom-made implants where no result tells that of the bone, and the step of the box.
USUAL_MM, STEP_MM = 4.0, 0.5


@dataclass(frozen=True)
class Proposal:
    """An alternative to what is set: its kind, what its result is called, and the parameters that differ."""

    kind: str
    name: str
    changes: dict[str, Any]


class Varied:
    """The parameters of the scene, but for some of them."""

    def __init__(self, parameters: SkullImplantParameterNode, changes: dict[str, Any]) -> None:
        self._parameters, self._changes = parameters, changes

    def __getattr__(self, name: str) -> Any:
        if name in self._changes:
            return self._changes[name]
        return getattr(self._parameters, name)


def proposals(parameters: SkullImplantParameterNode) -> list[Proposal]:
    """Return the alternatives that there are to what is set."""
    # An earlier CT or flap would complete the skull instead.
    found = [Proposal(MIRROR, _("Other side design of {name}"), {"model": models.MIRROR, "reference": None})]
    if parameters.thicknessMm > 0:
        found.append(Proposal(EVEN, _("Bone-thick design of {name}"), {"thicknessMm": 0.0}))
    else:
        thicknessMm = evenThicknessMm(parameters)
        found.append(Proposal(EVEN, _("{mm:g} mm design of {name}"), {"thicknessMm": thicknessMm}))
    found.append(
        Proposal(NETWORK, _("Network design of {name}"), {"model": models.NETWORK, "reference": None}))
    # What is set already is no alternative.
    return [one for one in found
            if any(getattr(parameters, key) != value for key, value in one.changes.items())]


def evenThicknessMm(parameters: SkullImplantParameterNode) -> float:
    """Return the even thickness that is proposed: about that of the result under review."""
    nodes = nodesOfResult(parameters.resultSegmentation)
    meanMm = USUAL_MM if nodes is None else float(designOf(nodes)["implant"]["thickness_mm"])
    return max(round(meanMm / STEP_MM) * STEP_MM, parameters.leastWallMm)


class ProposalRuns:
    """Makes proposals one after the other; what failed is told, and the others stay.

    :param begin: starts a run as the panel does: title, start, what to do at its end.
    :param later: calls something when the event loop comes round again.
    :param onChange: called when a proposal has come, and at the end.
    """

    def __init__(
        self,
        logic: "SkullImplantLogic",
        begin: Callable[[str, Any, Callable[[Outcome], str]], None],
        later: Callable[[Callable[[], None]], None],
        onChange: Callable[[], None],
    ) -> None:
        self._logic, self._begin, self._later, self._onChange = logic, begin, later, onChange
        self._waiting: list[tuple[Proposal, Request, tuple[object, ...]]] = []
        self._parameters: SkullImplantParameterNode | None = None
        self._count = 0
        self.made: list[slicer.vtkMRMLSegmentationNode] = []
        self.failures: list[str] = []
        self.isCancelled = False

    @property
    def running(self) -> bool:
        """Whether a proposal is being made or waits."""
        return self._parameters is not None

    def start(
        self, parameters: SkullImplantParameterNode, chosen: list[Proposal], problems: list[str]
    ) -> None:
        """Make the chosen proposals of what is set now, whatever is chosen or set meanwhile.

        :param problems: why others are not made, a sentence each.
        :raises ValueError: there is a ``designProblem``.
        """
        self.made, self.failures, self.isCancelled = [], list(problems), False
        waiting = []
        for proposal in chosen:
            request = designRequest(Varied(parameters, proposal.changes))  # type: ignore[arg-type]
            waiting.append((proposal, request, self._logic.inputStates.of(request.node)))
        nodes = nodesOfResult(parameters.resultSegmentation)
        if nodes is not None and not nodes.segmentation.GetAttribute(PROPOSAL_ATTRIBUTE):
            nodes.segmentation.SetAttribute(PROPOSAL_ATTRIBUTE, AS_SET)
        self._waiting, self._count, self._parameters = waiting, len(waiting), parameters
        self._next()

    def forget(self) -> None:
        """The scene is closed: nothing waits any more."""
        self._waiting, self._parameters = [], None

    def _next(self) -> None:
        if self._parameters is None:
            return
        if not self._waiting:
            self._parameters = None
            self._onChange()
            return
        proposal, request, state = self._waiting.pop(0)
        title = _("Proposal {number} of {count}").format(number=self._count - len(self._waiting), count=self._count)

        def start(onFinished: Callable[[Outcome], None], onProgress: Callable[[Step], None]) -> None:
            self._logic.startRun(
                request, _read, lambda outcome: self._takeIn(outcome, proposal, request, state),
                onFinished, onProgress)

        def ended(outcome: Outcome) -> str:
            if outcome.state == "cancelled":
                self.isCancelled, self._waiting = True, []
            elif outcome.state == "failed":
                name = _nameOf(proposal, request)
                self.failures.append(_("{name}: {message}").format(name=name, message=outcome.message))
            self._later(self._next)
            return _("A proposal was made.")

        self._begin(title, start, ended)

    def _takeIn(
        self, outcome: Outcome, proposal: Proposal, request: Request, state: tuple[object, ...]
    ) -> Outcome:
        node, parameters = request.node, self._parameters
        if node is None or parameters is None or not slicer.mrmlScene.IsNodePresent(node):
            return Outcome("failed", _("The input was removed from the scene while the design ran; load it again."))
        new = addResults(outcome.value, node)
        segmentation = new.segmentation
        segmentation.SetName(slicer.mrmlScene.GenerateUniqueName(_nameOf(proposal, request)))
        segmentation.SetAttribute(PROPOSAL_ATTRIBUTE, proposal.kind)
        self._logic.inputStates.keep(new, state)
        fadeSkull(segmentation, parameters.skullOpacity)
        for shown in (segmentation, *new.models):
            shown.GetDisplayNode().SetVisibility(False)  # what is under review stays to be seen
        self.made.append(segmentation)
        outcome.value = new
        return outcome


def followProposal(parameters: SkullImplantParameterNode, nodes: ResultNodes) -> None:
    """Set what a proposal was made with, so that the next design is made alike."""
    if not nodes.segmentation.GetAttribute(PROPOSAL_ATTRIBUTE):
        return
    made = designOf(nodes).get("parameters", {})
    parameters.thicknessMm = made.get("thickness_mm") or 0.0
    alternatives = (models.MIRROR, models.NETWORK)
    if made.get("model") in alternatives:
        parameters.model = made["model"]
    elif parameters.model in alternatives:
        parameters.model = models.AUTO


def removable(kept: slicer.vtkMRMLSegmentationNode) -> list[ResultNodes]:
    """Return the other proposals of the input of one that is kept: none that was edited, or is gone back to."""
    origins = [originOf(result) for result in allResults()]
    source, found = inputOfResult(kept), []
    for result in allResults():
        nodes = nodesOfResult(result)
        if nodes is None or result is kept or result in origins or not result.GetAttribute(PROPOSAL_ATTRIBUTE):
            continue
        isOfInput = source is not None and inputOfResult(result) is source
        if isOfInput and not (designOf(nodes).get("edited") or isEdited(nodes, lookAgain=True)):
            found.append(nodes)
    return found


def _nameOf(proposal: Proposal, request: Request) -> str:
    name = request.node.GetName() if request.node is not None else ""
    return proposal.name.format(name=name, mm=proposal.changes.get("thicknessMm", 0.0))


def _read(folder: Path) -> Any:
    from .results import readResults

    return readResults(folder)
