"""What ``skull-implant organs`` wrote, as VTK objects in RAS: each organ's voxels and surface, and what is told of it.

``readOrgans`` may run in any thread; nothing here touches the scene.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import vtk

import slicer

from SkullImplantLib.core.images import array_of

from .resultfiles import displaySurface, fingerprint, labelmapOf, together, usedPart

LABELS, TOLD = "organs.seg.nrrd", "organs.json"


@dataclass(frozen=True)
class OrganSegment:
    """An organ as the header of the segmentation has it, with its voxels and its surface."""

    segmentId: str
    name: str
    color: tuple[float, ...]
    tags: dict[str, str]
    labelmap: slicer.vtkOrientedImageData
    surface: vtk.vtkPolyData


@dataclass(frozen=True)
class FoundOrgans:
    """The organs, not in any scene yet; ``organs.json``, with the organs' segment ids; the voxels' fingerprint."""

    segments: list[OrganSegment]
    data: dict[str, Any]
    fingerprint: str


def readOrgans(folder: Path) -> FoundOrgans:
    """Read what ``skull-implant organs`` wrote into a folder."""
    data = json.loads((folder / TOLD).read_text(encoding="utf-8"))
    image = sitk.ReadImage(str(folder / LABELS))
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    segments: list[OrganSegment] = []
    prints, ids = [], {}
    while (prefix := f"Segment{len(segments)}_") + "ID" in fields:
        label, segmentId = int(fields[prefix + "LabelValue"]), fields[prefix + "ID"]
        start, used = usedPart(image, label)
        color = tuple(float(share) for share in fields[prefix + "Color"].split())
        segments.append(OrganSegment(
            segmentId, fields[prefix + "Name"], color, tagsIn(fields[prefix + "Tags"]),
            labelmapOf(used, start, image), displaySurface(used)))
        prints.append(fingerprint(array_of(used), start[::-1]))
        ids[label] = segmentId
    for organ in data["organs"]:
        organ["segmentId"] = ids[organ["label"]]
    return FoundOrgans(segments, data, together(prints))


def tagsIn(text: str) -> dict[str, str]:
    """Return a segment's tags, which Slicer writes as ``key:value`` with ``|`` between them."""
    pairs = (one.split(":", 1) for one in text.split("|") if ":" in one)
    return {key.strip(): value.strip() for key, value in pairs}
