"""What ``skull-implant holes`` wrote, as VTK objects in RAS: the skull, each hole, and what is told of them.

``readFound`` may run in any thread; nothing here touches the scene.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import vtk

import slicer

from .resultfiles import SKULL, displaySurface, labelmapOf, usedPart


@dataclass(frozen=True)
class Found:
    """The skull and its holes, not in any scene yet: labelmaps and surfaces by segment id, and ``holes.json``."""

    labelmaps: dict[str, slicer.vtkOrientedImageData]
    surfaces: dict[str, vtk.vtkPolyData]
    data: dict[str, Any]


def holeId(number: int) -> str:
    """Return the segment id of a hole."""
    return f"Hole-{number}"


def readFound(folder: Path) -> Found:
    """Read what ``skull-implant holes`` wrote into a folder."""
    data = json.loads((folder / "holes.json").read_text(encoding="utf-8"))
    labelmaps, surfaces = {}, {}
    labels = [(SKULL.segmentId, "skull.nrrd", 1)]
    labels += [(holeId(hole["number"]), "holes.nrrd", hole["number"]) for hole in data["holes"] if hole["fillable"]]
    images = {name: sitk.ReadImage(str(folder / name)) for name in {name for _id, name, _label in labels}}
    for segmentId, name, label in labels:
        start, used = usedPart(images[name], label)
        labelmaps[segmentId] = labelmapOf(used, start, images[name])
        surfaces[segmentId] = displaySurface(used)
    return Found(labelmaps, surfaces, data)
