"""What the library is asked for: the parameters and nodes of the scene as files and arguments."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import vtk

import slicer
from slicer.i18n import tr as _

from SkullImplantLib import models
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.options import DesignOptions, check_options

from . import inputs
from .curves import curveProblem, curveText
from .parameters import SkullImplantParameterNode
from .resultfiles import COMPLETED, IMPLANT, SKULL, implantFiles
from .results import ResultNodes, designOf, implantIdsOf, inputNameOfResult, inputOfResult
from .slicerversion import versionProblem

# The files of a run, within its work folder.
INPUT, LEFT_OUT, REFERENCE = "input.nrrd", "leave-out.nrrd", "reference.nrrd"
CUT_OUT, LIMIT = "cut-out.mrk.json", "limit-to.mrk.json"
BEFORE, RESULT = "before", "result"

Images = dict[str, inputs.SceneImage | inputs.SegmentsSnapshot]


@dataclass(frozen=True)
class Request:
    """A run of ``skull-implant VERB ARGUMENTS -o FOLDER/result``, or into a folder ``output`` of the user's.

    ``{folder}`` in an argument stands for the run's work folder, in which ``images``, ``surfaces`` and
    ``texts`` are written under their names; so are ``copies``, of files of the user's. The result belongs to ``node``,
    where there is one, and lies on its grid, or on that which its skull was refined to; ``inputName`` is what the node
    was called, where it is not there any more.
    """

    verb: str
    node: slicer.vtkMRMLTransformableNode | None
    arguments: list[str]
    images: Images
    texts: dict[str, str] = field(default_factory=dict)
    surfaces: dict[str, vtk.vtkPolyData] = field(default_factory=dict)
    copies: dict[str, Path] = field(default_factory=dict)
    mayUseGpu: bool = False
    inputName: str | None = None
    output: Path | None = None

    def argumentsIn(self, folder: Path) -> list[str]:
        """Return the arguments for a work folder."""
        place = str(folder / RESULT if self.output is None else self.output)
        given = [str(Path(a.replace("{folder}", str(folder)))) if "{folder}" in a else a for a in self.arguments]
        return [*given, "--verbose", "-o", place]

    def writeInto(self, folder: Path) -> None:
        """Write the files; may be done in any thread."""
        for name in (*self.images, *self.surfaces, *self.texts, *self.copies):
            (folder / name).parent.mkdir(exist_ok=True)
        for name, text in self.texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        for name, surface in self.surfaces.items():
            inputs.writeSurface(surface, folder / name)
        inputs.writeImages(self.images, folder)
        for name, source in self.copies.items():
            if not source.is_file():
                raise SkullImplantError(_("A file of the CT's DICOM series is not there any more; choose the folder "
                                          "of the series, or import it into Slicer's DICOM database again."))
            shutil.copyfile(source, folder / name)


def inputNode(parameters: SkullImplantParameterNode) -> slicer.vtkMRMLTransformableNode | None:
    """Return the node that a design is made from, or None."""
    return parameters.skullSegmentation if parameters.skullIsSegmentation else parameters.inputVolume


def skullProblem(parameters: SkullImplantParameterNode) -> str | None:
    """Return what keeps the skull and its holes from being found, in one sentence, or None."""
    node, tooOld = inputNode(parameters), versionProblem()
    if tooOld:
        return tooOld
    if node is None:
        if parameters.skullIsSegmentation:
            return _("Choose the segmentation of the skull.")
        return _("Choose the head CT; load it first (Add data), or make the sample patient.")
    problem = inputs.nodeProblem(node)
    if problem is None and parameters.leaveOut and not inputs.visibleSegmentIds(parameters.leaveOut):
        return _("The segmentation to leave out has no visible segment; show one, or choose none.")
    if problem is None and parameters.leaveOut and inputs.matrixToWorld(parameters.leaveOut) is None:
        return _("The segmentation to leave out is under a transform that bends it; harden that transform first.")
    if problem is None and parameters.reference:
        if parameters.reference == node:
            return _("The earlier CT is the CT to design for; choose another one, or none.")
        problem = inputs.nodeProblem(parameters.reference)
    return problem or curveProblem(parameters)


def designProblem(parameters: SkullImplantParameterNode) -> str | None:
    """Return what keeps a design from being made, in one sentence, or None."""
    return skullProblem(parameters) or _fitProblem(parameters)


def _fitProblem(parameters: SkullImplantParameterNode) -> str | None:
    """Return why no implant can be fitted as the parameters say, in one sentence, or None."""
    points = parameters.holePoints
    if not parameters.allHoles and not (points and inputs.definedPoints(points)):
        return _("Click into each hole that shall get an implant, or tick 'All'.")
    thicknessMm = parameters.thicknessMm or None
    try:
        check_options(DesignOptions(thickness_mm=thicknessMm, least_wall_mm=parameters.leastWallMm,
                                    refine_mm=parameters.refineMm or None))
    except SkullImplantError as error:
        return str(error)
    return None


def designRequest(parameters: SkullImplantParameterNode) -> Request:
    """Return the request for a design.

    :raises ValueError: there is a ``designProblem``.
    """
    problem = designProblem(parameters)
    if problem:
        raise ValueError(problem)
    node = inputNode(parameters)
    request = _skullRequest("design", parameters)
    arguments = request.arguments
    arguments += ["--no-report", "--least-wall-mm", f"{parameters.leastWallMm:g}"]
    if parameters.thicknessMm:
        arguments += ["--thickness-mm", f"{parameters.thicknessMm:g}"]
    if not parameters.automaticDirection and parameters.directionArrow:
        direction = inputs.directionOf(parameters.directionArrow, node)
        if direction is not None:
            arguments.append("--insertion-direction=" + _numbers(direction))
    if not parameters.allHoles and parameters.holePoints:
        arguments += ["--hole=" + _numbers(point) for point in inputs.pointsOf(parameters.holePoints, node)]
    return request


def holesRequest(parameters: SkullImplantParameterNode) -> Request:
    """Return the request to find the skull and its holes.

    :raises ValueError: there is a ``skullProblem``.
    """
    problem = skullProblem(parameters)
    if problem:
        raise ValueError(problem)
    return _skullRequest("holes", parameters)


def _skullRequest(verb: str, parameters: SkullImplantParameterNode) -> Request:
    """Return the request with all that decides on the skull and its holes."""
    node = inputNode(parameters)
    images: Images
    arguments = [f"{{folder}}/{INPUT}", "--device", parameters.device, "--model", parameters.model,
                 "--clearance-mm", f"{parameters.clearanceMm:g}", "--smoother", parameters.smoother]
    if parameters.refineMm:
        arguments += ["--refine-mm", f"{parameters.refineMm:g}"]
    if parameters.skullIsSegmentation:
        images = {INPUT: inputs.snapshotOfSegments(node, inputs.skullSegmentIds(node))}
        arguments += ["--input", "skull"]
    else:
        images = {INPUT: inputs.imageOfVolume(node)}
        if not parameters.automaticThreshold:
            arguments += ["--bone-threshold", f"{parameters.boneThresholdHu:g}"]
    if parameters.leaveOut:
        segmentIds = inputs.visibleSegmentIds(parameters.leaveOut)
        images[LEFT_OUT] = inputs.snapshotOfSegments(parameters.leaveOut, segmentIds, within=node)
        arguments += ["--leave-out", f"{{folder}}/{LEFT_OUT}"]
    if parameters.reference:
        images[REFERENCE] = inputs.imageOfVolume(parameters.reference)
        arguments += ["--reference", f"{{folder}}/{REFERENCE}"]
    curves = ((CUT_OUT, "--cut-out", parameters.cutOutCurve), (LIMIT, "--limit-to", parameters.limitCurve))
    texts = {name: curveText(curve, node) for name, _option, curve in curves if curve}
    for name, option, curve in curves:
        if curve:
            arguments += [option, f"{{folder}}/{name}"]
    runsNetwork = models.model_needs_torch(parameters.model) or parameters.refineMm > 0
    mayUseGpu = runsNetwork and parameters.device != "cpu"
    return Request(verb, node, arguments, images, texts, mayUseGpu=mayUseGpu)


def updateRequest(nodes: ResultNodes) -> Request:
    """Return the request to mesh and check the implant of a result again, as its segment is now."""
    arguments, images, texts = _resultAsBefore(nodes)
    # Without its input the new result takes the place of the old one.
    node = inputOfResult(nodes.segmentation) or nodes.segmentation
    return Request("update", node, [*arguments, "--no-report"], images, texts,
                   inputName=inputNameOfResult(nodes.segmentation))


def refitRequest(
    nodes: ResultNodes, arrow: slicer.vtkMRMLMarkupsLineNode, before: inputs.SegmentsSnapshot | None = None
) -> Request:
    """Return the request to fit a result again so that the implant at the arrow's foot comes out along it.

    :param before: what to fit, instead of the result's own segments, which an earlier way in has cut.
    :raises ValueError: the arrow points nowhere.
    """
    request = updateRequest(nodes)
    direction = inputs.directionOf(arrow, nodes.segmentation)
    if direction is None:
        raise ValueError(_("The arrow points nowhere; drag its ends apart."))
    design = designOf(nodes)
    implants = design.get("implants", [])
    if len(implants) < 2:
        request.arguments.append("--insertion-direction=" + _numbers(direction))
    else:
        foot = inputs.pointsOf(arrow, nodes.segmentation)[0]
        apart = [np.linalg.norm(foot - told["centre_mm_xyz"]) for told in implants]
        implants[int(np.argmin(apart))]["insertion_direction_lps"] = direction.tolist()
        design["parameters"]["insertion_direction"] = None
        request.texts[f"{BEFORE}/design.json"] = json.dumps(design)
    if before is not None:
        request.images[f"{BEFORE}/{IMPLANT.fileName}"] = before
    return request


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:.6g}" for value in values)


def reportRequest(nodes: ResultNodes) -> Request:
    """Return the request to draw the pictures and the report of a result, as it was made."""
    arguments, images, texts = _resultAsBefore(nodes)
    surfaces = {}
    for name, modelNode in zip(implantFiles(designOf(nodes)), nodes.models):
        surface = surfaces[f"{BEFORE}/{name}"] = vtk.vtkPolyData()
        surface.ShallowCopy(modelNode.GetPolyData())
    return Request("report", None, arguments, images, texts, surfaces)


def sampleRequest() -> Request:
    """Return the request for the sample patient."""
    return Request("sample", None, [], {})


def implantsAsTheyAre(nodes: ResultNodes) -> inputs.SegmentsSnapshot:
    """Return the implants of a result, with labels 1 to N, as their segments are now."""
    ids = implantIdsOf(nodes)
    return inputs.snapshotOfSegments(nodes.segmentation, ids, labels=range(1, len(ids) + 1))


def _resultAsBefore(nodes: ResultNodes) -> tuple[list[str], Images, dict[str, str]]:
    """Return a result's masks and data as the folder that they came from, with the CT where it is there."""
    images: Images = {f"{BEFORE}/{piece.fileName}": inputs.snapshotOfSegments(nodes.segmentation, [piece.segmentId])
                      for piece in (SKULL, COMPLETED)}
    images[f"{BEFORE}/{IMPLANT.fileName}"] = implantsAsTheyAre(nodes)
    arguments = [f"{{folder}}/{BEFORE}"]
    node = inputOfResult(nodes.segmentation)
    # A volume may also have been taken as a mask.
    isCt = designOf(nodes).get("input", {}).get("kind") == "ct"
    if isCt and node is not None and node.IsA("vtkMRMLScalarVolumeNode"):
        images[INPUT] = inputs.imageOfVolume(node)
        arguments += ["--input", f"{{folder}}/{INPUT}"]
    return arguments, images, {f"{BEFORE}/design.json": nodes.design.GetText()}
