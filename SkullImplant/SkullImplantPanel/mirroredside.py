"""The mirrored other side of a result: asked of the library, kept in the scene, told in words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtk

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.job.protocol import Step

from . import inputs
from .overlay import MIRROR_COLOR, outlined
from .requests import BEFORE, Request
from .resultfiles import SKULL, implantFiles, readStl
from .results import ROLE, ResultNodes, designOf, inputNameOfResult
from .run import Outcome

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

MIRROR_ROLE = ROLE.format(name="mirror")
# On a result's segmentation: what the library told of the other side, as JSON.
MIRROR_ATTRIBUTE = "SkullImplant.Mirror"
STL, FACTS = "mirror.stl", "mirror.json"


def factsOfMirror(nodes: ResultNodes) -> dict[str, Any] | None:
    """Return what is known of the other side of a result; None where nobody has asked yet."""
    text = nodes.segmentation.GetAttribute(MIRROR_ATTRIBUTE)
    facts = dict(json.loads(text)) if text else None
    # A surface that somebody removed is made again.
    return None if facts and facts["triangles"] and nodes.mirror is None else facts


def startMirror(
    logic: "SkullImplantLogic",
    nodes: ResultNodes,
    onFinished: Callable[[Outcome], None],
    onProgress: Callable[[Step], None],
) -> None:
    """Ask the library for the other side of a result; surface and facts come into the scene.

    :raises ValueError: a run is in progress.
    """

    def takeIn(outcome: Outcome) -> Outcome:
        if not slicer.mrmlScene.IsNodePresent(nodes.segmentation):
            return Outcome("failed", _("The result was removed from the scene while its other side was looked at."))
        addMirror(nodes, *outcome.value)
        return outcome

    logic.startRun(mirrorRequest(nodes), readMirror, takeIn, onFinished, onProgress)


def mirrorRequest(nodes: ResultNodes) -> Request:
    """Return the request for the other side of a result."""
    images: dict[str, Any] = {
        f"{BEFORE}/{SKULL.fileName}": inputs.snapshotOfSegments(nodes.segmentation, [SKULL.segmentId])}
    return Request("mirror", None, [f"{{folder}}/{BEFORE}"], images,
                   {f"{BEFORE}/design.json": nodes.design.GetText()}, surfacesOf(nodes, BEFORE))


def surfacesOf(nodes: ResultNodes, folder: str) -> dict[str, vtk.vtkPolyData]:
    """Return the implants' surfaces by the files that a result folder has them in."""
    surfaces = {}
    for name, modelNode in zip(implantFiles(designOf(nodes)), nodes.models):
        surface = surfaces[f"{folder}/{name}"] = vtk.vtkPolyData()
        surface.ShallowCopy(modelNode.GetPolyData())
    return surfaces


def readMirror(folder: Path) -> tuple[vtk.vtkPolyData | None, dict[str, Any]]:
    """Read what ``skull-implant mirror`` wrote: the surface in RAS, where there is one, and the facts."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return (readStl(folder / STL) if facts["triangles"] else None), facts


def addMirror(nodes: ResultNodes, surface: vtk.vtkPolyData | None, facts: dict[str, Any]) -> None:
    """Put the other side into the scene, beside the other nodes of its result."""
    segmentation, scene = nodes.segmentation, slicer.mrmlScene
    if nodes.mirror is not None:
        scene.RemoveNode(nodes.mirror)
    if surface is not None:
        name = _("Other side of {name}").format(name=inputNameOfResult(segmentation))
        model = scene.AddNewNodeByClass("vtkMRMLModelNode", scene.GenerateUniqueName(name))
        model.SetAndObserveTransformNodeID(segmentation.GetTransformNodeID())
        model.SetAndObservePolyData(surface)
        model.CreateDefaultDisplayNodes()
        outlined(model, MIRROR_COLOR)
        model.GetDisplayNode().SetVisibility(False)  # until it is asked for
        segmentation.SetNodeReferenceID(MIRROR_ROLE, model.GetID())
        hierarchy = scene.GetSubjectHierarchyNode()
        folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(nodes.design))
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(model), folder)
    segmentation.SetAttribute(MIRROR_ATTRIBUTE, json.dumps(facts))


def mirrorInWords(facts: dict[str, Any]) -> list[str]:
    """Return what the other side tells of the implant, a sentence each."""
    sentences = []
    if facts["mean_mm"] is not None:
        out = facts["mean_out_mm"]
        way = _("outward") if out > 0 else _("inward")
        sentences.append(_(
            "The implant's outer face is {mean:.1f} mm from it on average ({out:.1f} mm {way}), 95 % of it under "
            "{most95:.1f} mm, at most {most:.1f} mm.").format(
                mean=facts["mean_mm"], out=abs(out), way=way, most95=facts["most95_mm"], most=facts["most_mm"]))
        if facts["off_bone_mm"] is not None:
            sentences.append(_(
                "Beside the hole it lies on the bone to {off:.1f} mm (95 %). No head is symmetric: this is not the "
                "error.").format(off=facts["off_bone_mm"]))
    if facts["sentence"]:
        sentences.append(str(facts["sentence"]))
    return sentences
