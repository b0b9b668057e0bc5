"""The run that finds the organs of a chest, or refines the labels of some."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import vtk

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.job.protocol import Step
from SkullImplantLib.organs.known_organs import KNOWN_ORGANS

from . import inputs
from .organsfiles import readOrgans
from .organsnodes import addOrgans
from .parameters import SkullImplantParameterNode
from .requests import INPUT, Images, Request
from .run import Outcome
from .slicerversion import versionProblem

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

COARSE = "coarse.nrrd"


def organsProblem(parameters: SkullImplantParameterNode) -> str | None:
    """Return what keeps organs from being found, in one sentence, or None."""
    node, coarse, tooOld = parameters.organsVolume, parameters.organsCoarse, versionProblem()
    if tooOld:
        return tooOld
    if node is None:
        return _("Choose the CT of a chest; load it first (Add data).")
    problem = inputs.nodeProblem(node)
    if problem or coarse is None:
        return problem
    if coarse.IsA("vtkMRMLSegmentationNode"):
        return _segmentsProblem(coarse)
    return inputs.nodeProblem(coarse)


def organSegments(segmentation: slicer.vtkMRMLSegmentationNode) -> dict[str, int]:
    """Return the labels of the visible segments that are organs, told by their code or their name, by segment id."""
    byCode = {f"SCT^{organ.code}": organ.label for organ in KNOWN_ORGANS}
    byName = {name.lower(): organ.label for organ in KNOWN_ORGANS for name in (organ.name, organ.meaning)}
    found = {}
    for segmentId in inputs.visibleSegmentIds(segmentation):
        segment, value = segmentation.GetSegmentation().GetSegment(segmentId), vtk.reference("")
        segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), value)
        # Context, category, type, and more; each code has its scheme, value and meaning.
        code = [*str(value).split("~"), "", "", ""][2].rpartition("^")[0]
        label = byCode.get(code) or byName.get(segment.GetName().strip().lower())
        if label is not None:
            found[segmentId] = label
    return found


def leftOut(segmentation: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """Return the names of the visible segments that are none of the organs."""
    organs = organSegments(segmentation)
    ids = [segmentId for segmentId in inputs.visibleSegmentIds(segmentation) if segmentId not in organs]
    return [segmentation.GetSegmentation().GetSegment(segmentId).GetName() for segmentId in ids]


def _segmentsProblem(segmentation: slicer.vtkMRMLSegmentationNode) -> str | None:
    if inputs.matrixToWorld(segmentation) is None:
        return _("The labels to refine are under a transform that bends them; harden that transform first.")
    labels = list(organSegments(segmentation).values())
    if not labels:
        return _("No visible segment of the labels to refine is an organ by its terminology or name: name them "
                 "esophagus, heart, trachea and aorta, or choose none.")
    for organ in KNOWN_ORGANS:
        if labels.count(organ.label) > 1:
            return _("Several visible segments of the labels to refine are the {organ}; hide all but one.").format(
                organ=organ.meaning.lower())
    return None


def organsRequest(parameters: SkullImplantParameterNode) -> Request:
    """Return the request to find organs.

    :raises ValueError: there is an ``organsProblem``.
    """
    problem = organsProblem(parameters)
    if problem:
        raise ValueError(problem)
    node, coarse = parameters.organsVolume, parameters.organsCoarse
    images: Images = {INPUT: inputs.imageOfVolume(node)}
    arguments = [f"{{folder}}/{INPUT}", "--device", parameters.device, "--model", parameters.organsModel]
    if coarse is None:
        arguments += ["--dense", parameters.organsDense]
    else:
        arguments += ["--coarse", f"{{folder}}/{COARSE}"]
        if coarse.IsA("vtkMRMLSegmentationNode"):
            labels = organSegments(coarse)
            images[COARSE] = inputs.snapshotOfSegments(
                coarse, list(labels), within=node, labels=list(labels.values()))
        else:
            images[COARSE] = inputs.imageOfVolume(coarse, within=node)
    return Request("organs", node, arguments, images, mayUseGpu=parameters.device != "cpu")


def startOrgans(
    logic: "SkullImplantLogic",
    parameters: SkullImplantParameterNode,
    onFinished: Callable[[Outcome], None],
    onProgress: Callable[[Step], None] | None = None,
) -> None:
    """Find organs; the outcome's value are their ``OrgansNodes``.

    :raises ValueError: there is an ``organsProblem``, or a run in progress.
    """
    request = organsRequest(parameters)
    node, voxels, coarse = request.node, logic.inputStates.of(request.node), parameters.organsCoarse
    others = leftOut(coarse) if coarse is not None and coarse.IsA("vtkMRMLSegmentationNode") else []

    def takeIn(outcome: Outcome) -> Outcome:
        assert node is not None
        if not slicer.mrmlScene.IsNodePresent(node):
            return Outcome("failed", _("The CT was removed from the scene while its organs were looked for; load it "
                                       "again."))
        outcome.value = addOrgans(outcome.value, node)
        logic.inputStates.keep(outcome.value, voxels)
        if others:
            outcome.notes.append(_("Segments that are none of the organs were left out: {names}.").format(
                names=", ".join(others)))
        return outcome

    logic.startRun(request, readOrgans, takeIn, onFinished, onProgress)
