"""The core IO manager: `slicer.util.load*`, `save*` and `exportNode` on MRML's own storage nodes.

Names, file types and the choice of a reader follow qSlicerCoreIOManager and the readers of Slicer's
core modules; reading and writing themselves are done by the modules' logics and storage nodes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from PySide6.QtCore import Signal

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
NO_FILE_TYPE = "NoFile"

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


class CoreIOManager(qt.QObject):
    """`slicer.app.coreIOManager()`."""

    _host_class = True
    _readers: tuple[Reader, ...]

    newFileLoaded = Signal("QVariantMap")
    fileSaved = Signal("QVariantMap")

    def __init__(self) -> None:
        super().__init__()
        self._readers = _readers()

    # What can read or write a file

    def fileType(self, file: str) -> str:
        """The most likely file type for reading the file, `NoFile` when no reader takes it."""
        types = self.fileTypes(file)
        return types[0] if types else NO_FILE_TYPE

    def fileTypes(self, file: str) -> list[str]:
        """All file types that can read the file, the most likely first."""
        rated = [(reader.confidence(str(file)), reader.file_type) for reader in self._readers]
        matching = [entry for entry in rated if entry[0] > 0]
        return [name for _, name in sorted(matching, key=lambda entry: -entry[0])]

    def fileDescriptions(self, file: str) -> list[str]:
        """The readers' descriptions for the file, the most likely first."""
        by_type = {reader.file_type: reader.description for reader in self._readers}
        return [by_type[name] for name in self.fileTypes(file)]

    def registeredFileReaderCount(self, fileType: str) -> int:
        """How many readers there are for the file type."""
        return sum(reader.file_type == fileType for reader in self._readers)

    def fileWriterExtensions(self, node: Any) -> list[str]:
        """The formats the node can be written in, such as "STL (.stl)"."""
        storage = self.createAndAddDefaultStorageNode(node)
        if storage is None:
            return []
        formats = storage.GetSupportedWriteFileTypes()
        return [formats.GetValue(index) for index in range(formats.GetNumberOfValues())]

    def fileWriterFileType(self, node: Any, extension: str = "") -> str:
        """The file type that writes the node."""
        for class_name, file_type in _WRITER_FILE_TYPES:
            if node.IsA(class_name):
                return file_type
        return NO_FILE_TYPE

    def extractKnownExtension(self, fileName: str, node: Any) -> str:
        """The longest extension of the file's name that the node can be written with, or ""."""
        helper = slicer.vtkDataFileFormatHelper
        known = (
            helper.GetFileExtensionFromFormatString(f) for f in self.fileWriterExtensions(node)
        )
        return max((e for e in known if e and str(fileName).endswith(e)), key=len, default="")

    def stripKnownExtension(self, fileName: str, node: Any) -> str:
        """The file's name without the extension that belongs to the node."""
        extension = self.extractKnownExtension(fileName, node)
        while extension and fileName.endswith(extension):
            fileName = fileName[: -len(extension)]
        return fileName

    @staticmethod
    def createAndAddDefaultStorageNode(node: Any) -> Any:
        """The node's storage node, made if it has none."""
        if node is None or not node.IsA("vtkMRMLStorableNode"):
            return None
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        return node.GetStorageNode()

    def addDefaultStorageNodes(self) -> None:
        """Give a storage node to every node that is saved with the scene and has none."""
        scene = slicer.mrmlScene
        for node in [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]:
            if node.IsA("vtkMRMLStorableNode") and node.GetSaveWithScene():
                self.createAndAddDefaultStorageNode(node)

    # Reading

    def loadNodes(
        self,
        fileType: str,
        parameters: Properties,
        loadedNodes: Any = None,
        userMessages: Any = None,
    ) -> bool:
        """Read the file `parameters["fileName"]`; the nodes go to the collection `loadedNodes`."""
        messages = userMessages if userMessages is not None else slicer.vtkMRMLMessageCollection()
        reader = next((r for r in self._readers if r.file_type == fileType), None)
        if reader is None:
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"No reader for file type {fileType}.")
            return False
        nodes = reader.load(dict(parameters), messages)
        if nodes is None:
            return False
        if loadedNodes is not None:
            for node in nodes:
                loadedNodes.AddItem(node)
        ids = [node.GetID() for node in nodes]
        self.newFileLoaded.emit({**parameters, "fileType": fileType, "nodeIDs": ids})
        return True

    def loadScene(self, fileName: str, clear: bool = True, userMessages: Any = None) -> bool:
        """Read a scene, in place of the present one unless `clear` is False."""
        parameters = {"fileName": fileName, "clear": clear}
        return self.loadNodes(SCENE_FILE_TYPE, parameters, None, userMessages)

    # Writing

    def saveNodes(
        self, fileType: str, parameters: Properties, userMessages: Any = None, scene: Any = None
    ) -> bool:
        """Write the node `parameters["nodeID"]`, or the scene, to `parameters["fileName"]`."""
        messages = userMessages if userMessages is not None else slicer.vtkMRMLMessageCollection()
        target = scene if scene is not None else slicer.mrmlScene
        if fileType == SCENE_FILE_TYPE:
            saved = _write_scene(target, str(parameters["fileName"]), messages)
        else:
            saved = self._write_node(target, parameters, messages)
        if saved:
            self.fileSaved.emit({**parameters, "fileType": fileType})
        return saved

    def _write_node(self, scene: Any, parameters: Properties, messages: Any) -> bool:
        node = scene.GetNodeByID(parameters["nodeID"])
        storage = self.createAndAddDefaultStorageNode(node)
        if storage is None:
            return False
        if storage.IsA("vtkMRMLSegmentationStorageNode"):
            storage.SetCropToMinimumExtent(bool(parameters.get("cropToMinimumExtent", False)))
        storage.SetFileName(str(parameters["fileName"]))
        if parameters.get("fileFormat"):
            storage.SetWriteFileFormat(parameters["fileFormat"])
        storage.SetURI(None)
        if "useCompression" in parameters:
            storage.SetUseCompression(int(parameters["useCompression"]))
            if "compressionParameter" in parameters:
                storage.SetCompressionParameter(parameters["compressionParameter"])
        written = bool(storage.WriteData(node))
        messages.AddMessages(storage.GetUserMessages())
        return written

    def exportNodes(
        self,
        nodeIDs: list[str],
        fileNames: list[str],
        commonParameterMap: Properties,
        hardenTransforms: bool,
        userMessages: Any = None,
    ) -> bool:
        """Write copies of the nodes, so that their own storage nodes stay as they are."""
        if len(nodeIDs) != len(fileNames) or "fileFormat" not in commonParameterMap:
            return False
        messages = userMessages if userMessages is not None else slicer.vtkMRMLMessageCollection()
        export_scene = slicer.vtkMRMLScene()
        slicer.mrmlScene.CopyDefaultNodesToScene(export_scene)
        slicer.mrmlScene.CopyRegisteredNodesToScene(export_scene)
        slicer.mrmlScene.CopySingletonNodesToScene(export_scene)
        export_scene.SetDataIOManager(slicer.mrmlScene.GetDataIOManager())

        exported = True
        for node_id, file_name in zip(nodeIDs, fileNames):
            node = slicer.mrmlScene.GetNodeByID(node_id)
            if node is None or not node.IsA("vtkMRMLStorableNode"):
                text = f"Unable to find a storable node with ID {node_id}"
                messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
                exported = False
                continue
            copy = _copy_for_export(node, export_scene, hardenTransforms)
            parameters = {**commonParameterMap, "nodeID": copy.GetID(), "fileName": str(file_name)}
            file_type = self.fileWriterFileType(node, commonParameterMap["fileFormat"])
            if not self.saveNodes(file_type, parameters, messages, export_scene):
                text = f"Error encountered while exporting {node.GetName()}."
                messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
                exported = False
        return exported


_WRITER_FILE_TYPES = (
    ("vtkMRMLSegmentationNode", "SegmentationFile"),
    ("vtkMRMLVolumeNode", "VolumeFile"),
    ("vtkMRMLModelNode", "ModelFile"),
    ("vtkMRMLTransformNode", "TransformFile"),
    ("vtkMRMLMarkupsNode", "MarkupsFile"),
    ("vtkMRMLTableNode", "TableFile"),
    ("vtkMRMLTextNode", "TextFile"),
    ("vtkMRMLColorNode", "ColorTableFile"),
    ("vtkMRMLSequenceNode", "SequenceFile"),
)


def _copy_for_export(node: Any, scene: Any, harden_transforms: bool) -> Any:
    """A copy of the node in the export scene, moved to world coordinates if that is wished."""
    copy = scene.AddNewNodeByClass(node.GetClassName())
    copy.CopyContent(node, harden_transforms)
    transform = node.GetParentTransformNode() if node.IsA("vtkMRMLTransformableNode") else None
    if harden_transforms and transform is not None:
        from_world = vtk.vtkGeneralTransform()
        transform.GetTransformFromWorld(from_world)
        composite = scene.AddNewNodeByClass("vtkMRMLTransformNode")
        composite.SetAndObserveTransformFromParent(from_world)
        copy.SetAndObserveTransformNodeID(composite.GetID())
        copy.HardenTransform()
    copy.AddDefaultStorageNode()
    if node.IsA("vtkMRMLDisplayableNode") and node.GetDisplayNode() is not None:
        # Some files, such as markups, hold display properties too.
        display = scene.AddNewNodeByClass(node.GetDisplayNode().GetClassName())
        display.CopyContent(node.GetDisplayNode(), False)
        copy.SetAndObserveDisplayNodeID(display.GetID())
    return copy


def _write_scene(scene: Any, file_name: str, messages: Any) -> bool:
    path = Path(os.path.abspath(file_name))
    if not os.access(path.parent, os.W_OK):
        text = f"Failed to save scene as {path} (path {path.parent} is not writeable)"
        messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
        return False
    if path.suffix not in (".mrml", ".mrb"):
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            text = f"Failed to save scene as {path}: choose an empty directory."
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
            return False
        logic = slicer.app.applicationLogic()
        return bool(logic.SaveSceneToSlicerDataBundleDirectory(str(path), None))
    scene.SetURL(str(path))
    scene.SetRootDirectory(str(path.parent))
    if path.suffix == ".mrml":
        saved = bool(scene.Commit())
    else:
        saved = bool(scene.WriteToMRB(str(path), None, messages))
    if not saved:
        messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"Failed to save scene as {path}")
    elif path.suffix == ".mrb":
        # The data went into the bundle only: it is still unsaved as far as files go.
        scene.SetStorableNodesModifiedSinceRead()
    return saved


# Readers, one a file type


def _readers() -> tuple[Reader, ...]:
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
