"""The readers of the core IO manager, one a file type.

Which files a reader takes, how sure it is and what it makes of a file follow the readers of
Slicer's core modules; the reading itself is done by the modules' logics and storage nodes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
import vtk

# A reader's confidence: a match on the extension counts half, and a little more for each character
# of it, so that ".seg.nrrd" beats ".nrrd".
EXTENSION_MATCH_CONFIDENCE = 0.5
CONFIDENCE_PER_CHARACTER = 0.01
# A NRRD or VTK file whose header says what it is counts more (or less) than its extension alone.
CONTENT_MATCH_CONFIDENCE = 0.6
CONTENT_MISMATCH_CONFIDENCE = 0.4
NRRD_HEADER_BYTES = 800
VTK_HEADER_BYTES = 200

SCENE_FILE_TYPE = "SceneFile"

Properties = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """One file type: the extensions it takes and `load(properties, messages)` -> nodes or None."""

    file_type: str
    description: str
    extensions: tuple[str, ...]
    load: Callable[[Properties, Any], list[Any] | None]
    inspect: Callable[[str, float], float] = field(default=lambda _path, confidence: confidence)

    def confidence(self, path: str) -> float:
        """How likely this reader is the right one for the file, 0 (cannot read) to 1."""
        lower = path.lower()
        lengths = [len(e) for e in self.extensions if e == "*" or lower.endswith(e)]
        if not lengths:
            return 0.0
        confidence = EXTENSION_MATCH_CONFIDENCE + CONFIDENCE_PER_CHARACTER * max(lengths)
        return self.inspect(path, confidence)


def make_readers() -> tuple[Reader, ...]:
    """All readers."""
    # Of two readers that are equally sure the first wins.
    return (
        Reader(SCENE_FILE_TYPE, "MRML Scene", (".mrml", ".mrb"), _load_scene),
        Reader("SegmentationFile", "Segmentation", _SEGMENTATION, _load_segmentation, _rate_nrrd),
        Reader("VolumeFile", "Volume", _VOLUME, _load_volume),
        Reader("ModelFile", "Model", _MODEL, _load_model, _rate_vtk),
        Reader("MarkupsFile", "Markups", (".mrk.json", ".json", ".fcsv"), _load_markups),
        Reader("TextFile", "Text", (".txt", ".xml", ".json"), _load_text),
        Reader("TransformFile", "Transform", _TRANSFORM, _load_transform),
        Reader("TableFile", "Table", (".tsv", ".csv", ".txt"), _load_table, _rate_table),
    )


_SEGMENTATION = (".seg.nrrd", ".seg.nhdr", ".nrrd", ".nhdr", ".nii.gz", ".nii", ".stl", ".obj")
_VOLUME = (
    *(".hdr", ".nhdr", ".nrrd", ".mhd", ".mha", ".mnc", ".nii", ".nii.gz", ".mgh", ".mgz", ".img"),
    *(".img.gz", ".pic", ".dcm", ".ima", ".png", ".tif", ".tiff", ".jpg", ".jpeg", "*"),
)
_MODEL = (".vtk", ".vtp", ".vtu", ".g", ".byu", ".stl", ".ply", ".obj", ".ucd")
_TRANSFORM = (".h5", ".tfm", ".mat", ".nrrd", ".mha", ".nii", ".nii.gz", ".txt", ".hdf5", ".he5")

# Loading options of vtkSlicerVolumesLogic, by the names of the reader's properties.
_VOLUME_OPTIONS = {
    "labelmap": 1,
    "center": 2,
    "singleFile": 4,
    "autoWindowLevel": 8,
    "discardOrientation": 16,
}


def _rate_nrrd(path: str, confidence: float) -> float:
    """A plain NRRD is a segmentation only if its header says so; meshes and NIfTI come last."""
    lower = path.lower()
    if ".seg." in lower:
        return confidence
    if not lower.endswith((".nrrd", ".nhdr")):
        return CONTENT_MISMATCH_CONFIDENCE
    header = _head(path, NRRD_HEADER_BYTES)
    is_segmentation = "Segment0_ID:=" in header or "Segmentation_" in header
    return CONTENT_MATCH_CONFIDENCE if is_segmentation else CONTENT_MISMATCH_CONFIDENCE


def _rate_vtk(path: str, confidence: float) -> float:
    if not path.lower().endswith(".vtk"):
        return confidence
    is_image = "STRUCTURED_POINTS" in _head(path, VTK_HEADER_BYTES)
    return 0.0 if is_image else CONTENT_MATCH_CONFIDENCE


def _rate_table(path: str, confidence: float) -> float:
    """A .txt file is more likely a text than a table."""
    return CONTENT_MISMATCH_CONFIDENCE if path.lower().endswith(".txt") else confidence


def _head(path: str, size: int) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(size).decode("latin-1")
    except OSError:
        return ""


def _base_name(path: str) -> str:
    """The file's name up to its first dot."""
    return os.path.basename(path).split(".")[0]


def _loaded(node: Any) -> list[Any] | None:
    return None if node is None else [node]


def _load_volume(properties: Properties, messages: Any) -> list[Any] | None:
    path = str(properties["fileName"])
    options = sum(bit for name, bit in _VOLUME_OPTIONS.items() if properties.get(name))
    files = None
    if "fileNames" in properties:
        files = vtk.vtkStringArray()
        for name in properties["fileNames"]:
            files.InsertNextValue(str(name))
    logic = slicer.modules.volumes.logic()
    name = properties.get("name", _base_name(path))
    node = logic.AddArchetypeVolume(path, name, options, files)
    if node is None:
        return None
    if properties.get("colorNodeID") and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(properties["colorNodeID"])
    if properties.get("show", True):
        application_logic = slicer.app.applicationLogic()
        selection = application_logic.GetSelectionNode()
        if node.IsA("vtkMRMLLabelMapVolumeNode"):
            selection.SetActiveLabelVolumeID(node.GetID())
        else:
            selection.SetActiveVolumeID(node.GetID())
        application_logic.PropagateVolumeSelection()
    return [node]


def _load_segmentation(properties: Properties, messages: Any) -> list[Any] | None:
    path = str(properties["fileName"])
    if path.lower().endswith((".stl", ".obj")):
        return _load_surface_as_segmentation(path, properties.get("name") or Path(path).stem)
    colors = None
    if properties.get("colorNodeID"):
        colors = slicer.mrmlScene.GetNodeByID(properties["colorNodeID"])
    auto_opacities = bool(properties.get("autoOpacities", True))
    name = properties.get("name", "")
    logic = slicer.modules.segmentations.logic()
    return _loaded(logic.LoadSegmentationFromFile(path, auto_opacities, name, colors, messages))


def _load_surface_as_segmentation(path: str, name: str) -> list[Any] | None:
    storage = slicer.vtkMRMLModelStorageNode()
    storage.SetFileName(path)
    model = slicer.vtkMRMLModelNode()
    if not storage.ReadData(model) or model.GetPolyData() is None:
        return None
    surface = model.GetPolyData()
    while surface.GetPointData().GetNumberOfArrays() > 0:
        surface.GetPointData().RemoveArray(0)
    closed_surface = (
        slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    )
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.AddRepresentation(closed_surface, surface)
    scene = slicer.mrmlScene
    unique_name = scene.GetUniqueNameByString(name)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique_name)
    node.SetSourceRepresentationToClosedSurface()
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetPreferredDisplayRepresentationName2D(closed_surface)
    node.GetSegmentation().AddSegment(segment)
    return [node]


def _load_model(properties: Properties, messages: Any) -> list[Any] | None:
    lps = slicer.vtkMRMLStorageNode.CoordinateSystemLPS
    coordinate_system = int(properties.get("coordinateSystem", lps))
    logic = slicer.modules.models.logic()
    node = logic.AddModel(str(properties["fileName"]), coordinate_system, messages)
    if node is not None and properties.get("name"):
        node.SetName(slicer.mrmlScene.GetUniqueNameByString(properties["name"]))
    return _loaded(node)


def _load_markups(properties: Properties, messages: Any) -> list[Any] | None:
    path, name = str(properties["fileName"]), properties.get("name", "")
    ids = slicer.modules.markups.logic().LoadMarkups(path, name, messages)
    if not ids:
        return None
    return [slicer.mrmlScene.GetNodeByID(node_id) for node_id in ids.split(",")]


def _load_transform(properties: Properties, messages: Any) -> list[Any] | None:
    logic = slicer.modules.transforms.logic()
    return _loaded(logic.AddTransform(str(properties["fileName"]), slicer.mrmlScene, messages))


def _load_text(properties: Properties, messages: Any) -> list[Any] | None:
    scene, path = slicer.mrmlScene, str(properties["fileName"])
    storage = scene.AddNewNodeByClass("vtkMRMLTextStorageNode")
    name = scene.GetUniqueNameByString(storage.GetFileNameWithoutExtension(path))
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", name)
    node.SetAndObserveStorageNodeID(storage.GetID())
    storage.SetFileName(path)
    read = storage.ReadData(node)
    messages.AddMessages(storage.GetUserMessages())
    if not read:
        scene.RemoveNode(node)
        scene.RemoveNode(storage)
        return None
    return [node]


def _load_table(properties: Properties, messages: Any) -> list[Any] | None:
    path = str(properties["fileName"])
    name = slicer.mrmlScene.GetUniqueNameByString(properties.get("name", _base_name(path)))
    node = slicer.modules.tables.logic().AddTable(path, name, True, "", messages)
    if node is None:
        messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"Failed to read table from '{path}'")
        return None
    application_logic = slicer.app.applicationLogic()
    application_logic.GetSelectionNode().SetActiveTableID(node.GetID())
    application_logic.PropagateTableSelection()
    return [node]


def _load_scene(properties: Properties, messages: Any) -> list[Any] | None:
    scene = slicer.mrmlScene
    path = os.path.abspath(str(properties["fileName"]))
    clear = bool(properties.get("clear", False))
    present = set(_node_ids(scene))
    if path.lower().endswith(".mrb"):
        read = scene.ReadFromMRB(path, clear, messages)
    else:
        scene.SetURL(path)
        read = scene.Connect(messages) if clear else scene.Import(messages)
    if not read:
        return None
    return [scene.GetNodeByID(node_id) for node_id in _node_ids(scene) if node_id not in present]


def _node_ids(scene: Any) -> Iterator[str]:
    for index in range(scene.GetNumberOfNodes()):
        yield scene.GetNthNode(index).GetID()
