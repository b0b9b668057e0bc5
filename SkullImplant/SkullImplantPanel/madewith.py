"""What a result was made with where that is not what the panel says now: its checks then tell of something else."""

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import slicer
from slicer.i18n import tr as _

from SkullImplantLib import models

from . import inputs
from .curves import curveText
from .parameters import SkullImplantParameterNode
from .requests import inputNode
from .results import ResultNodes, designOf

if TYPE_CHECKING:
    from .found import FoundNodes
    from .organsnodes import OrgansNodes

# Numbers of the panel have fewer decimals than that.
SAME = 1e-6
# The automatic threshold is shown in whole HU.
SAME_HU = 1.0
SAME_POINT_MM, SAME_DIRECTION_DEG = 0.1, 1.0


class InputStates:
    """Which voxels of their input the results of this session were made of, by the ids of their segmentations."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[object, ...]] = {}

    @staticmethod
    def of(node: slicer.vtkMRMLTransformableNode | None) -> tuple[object, ...]:
        """Return the state of an input now: the node, its image, and when that was changed."""
        image = node.GetImageData() if node is not None and node.IsA("vtkMRMLVolumeNode") else None
        return (node, image, 0 if image is None else image.GetMTime())

    def keep(self, nodes: "ResultNodes | FoundNodes | OrgansNodes", state: tuple[object, ...]) -> None:
        """Keep of which state of its input a result was made."""
        self._states[nodes.segmentation.GetID()] = state

    def hasChanged(
        self, nodes: "ResultNodes | FoundNodes | OrgansNodes", node: slicer.vtkMRMLTransformableNode | None
    ) -> bool:
        """Say whether the input's voxels were changed since; False where that is not known."""
        state = self._states.get(nodes.segmentation.GetID())
        return state is not None and state[0] is node and state != self.of(node)

    def passOn(self, before: ResultNodes, after: ResultNodes) -> None:
        """An edited or refitted result was made of what the one before was made of."""
        state = self._states.get(before.segmentation.GetID())
        if state is not None:
            self._states[after.segmentation.GetID()] = state


def differences(
    parameters: SkullImplantParameterNode,
    nodes: ResultNodes,
    automaticHu: float | None,
    hasChanged: Callable[[ResultNodes, slicer.vtkMRMLTransformableNode | None], bool],
) -> list[str]:
    """Return what the result was made with, in words, wherever the parameters now say something else.

    :param automaticHu: the input's automatic threshold, None where it is not known.
    """
    design = designOf(nodes)
    made = {"clearance_mm": parameters.clearanceMm, "least_wall_mm": parameters.leastWallMm,
            "smoother": parameters.smoother, **design.get("parameters", {})}
    found = [*_ofSizes(parameters, made), *_ofSkull(parameters, design, made, automaticHu),
             *_ofCurves(parameters, made),
             *_ofHoles(parameters, made), *_ofDirection(parameters, design, made)]
    if hasChanged(nodes, inputNode(parameters)):
        found.append(_("other voxels of the input"))
    return found


def _ofSizes(parameters: SkullImplantParameterNode, made: dict[str, Any]) -> Iterator[str]:
    if abs(made["clearance_mm"] - parameters.clearanceMm) > SAME:
        yield _("a clearance of {value:g} mm").format(value=made["clearance_mm"])
    thickness = made.get("thickness_mm") or 0.0
    if abs(thickness - parameters.thicknessMm) > SAME:
        yield _("a thickness of {value:g} mm").format(value=thickness) if thickness else _("the bone's thickness")
    if abs(made["least_wall_mm"] - parameters.leastWallMm) > SAME:
        yield _("a least wall of {value:g} mm").format(value=made["least_wall_mm"])
    refine = made.get("refine_mm") or 0.0
    if abs(refine - parameters.refineMm) > SAME:
        yield _("a skull refined to {value:g} mm").format(value=refine) if refine else _("the skull as it came")
    if made["smoother"] != parameters.smoother:
        yield _("another smoother")


def _ofSkull(
    parameters: SkullImplantParameterNode, design: dict[str, Any], made: dict[str, Any], automaticHu: float | None
) -> Iterator[str]:
    model = made.get("model")
    if model and parameters.model != models.AUTO and model not in (models.AUTO, parameters.model):
        yield _("the model {name}").format(name=model)
    threshold: Any = made.get("bone_threshold_hu")
    setHu = automaticHu if parameters.automaticThreshold else parameters.boneThresholdHu
    isTold = not parameters.skullIsSegmentation and threshold is not None
    if isTold and setHu is not None and abs(float(threshold) - setHu) > SAME_HU:
        yield _("a bone threshold of {value:.0f} HU").format(value=threshold)
    if (made.get("leave_out") is None) != (parameters.leaveOut is None):
        yield _("nothing left out") if made.get("leave_out") is None else _("bone left out")
    if ("reference" in design) != (parameters.reference is not None):
        yield _("an earlier CT or flap") if "reference" in design else _("no earlier CT or flap")


def _ofCurves(parameters: SkullImplantParameterNode, made: dict[str, Any]) -> Iterator[str]:
    """Curves are told apart by the checksums of the files that they were handed over in."""
    node = inputNode(parameters)
    for told, curve, words in (
        (made.get("limit_to"), parameters.limitCurve, (_("another limit"), _("no limit"))),
        (made.get("cut_out"), parameters.cutOutCurve, (_("another added hole"), _("no added hole"))),
    ):
        sums = told["sha256"] if told else []
        now = []
        if curve and node is not None:
            try:
                now = [hashlib.sha256(curveText(curve, node).encode("utf-8")).hexdigest()]
            except ValueError:  # a transform bends the input, which is told elsewhere
                continue
        if now != sums:
            yield words[0] if sums else words[1]


def _ofHoles(parameters: SkullImplantParameterNode, made: dict[str, Any]) -> Iterator[str]:
    told, node = np.reshape(made.get("holes") or [], (-1, 3)), inputNode(parameters)
    points = np.zeros((0, 3))
    if not parameters.allHoles and parameters.holePoints and node is not None:
        try:
            points = inputs.pointsOf(parameters.holePoints, node)
        except ValueError:  # a transform bends the input, which is told elsewhere
            return
    if points.shape != told.shape or (points.size and np.abs(points - told).max() > SAME_POINT_MM):
        yield _("other holes") if told.size else _("all holes")


def _ofDirection(parameters: SkullImplantParameterNode, design: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    told, node, asked = made.get("insertion_direction"), inputNode(parameters), None
    if not parameters.automaticDirection and parameters.directionArrow and node is not None:
        try:
            asked = inputs.directionOf(parameters.directionArrow, node)
        except ValueError:
            return
    if asked is None:
        if told is not None:
            yield _("a direction that was set")
        return
    # Where there are several implants, one of them was fitted along the arrow.
    ways = [told] if told is not None else [way["insertion_direction_lps"] for way in design.get("implants", [])]
    cosines = [float(np.dot(way, asked) / np.linalg.norm(way)) for way in ways]
    if not cosines or np.degrees(np.arccos(min(max(cosines), 1.0))) > SAME_DIRECTION_DEG:
        yield _("another direction")
