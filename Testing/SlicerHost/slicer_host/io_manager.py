"""The core IO manager: `slicer.util.load*`, `save*` and `exportNode` on MRML's own storage nodes.

Names, file types and the choice of a reader follow qSlicerCoreIOManager; the readers are in
`io_readers`, writing is done by the storage nodes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from PySide6.QtCore import Signal

from slicer_host.io_readers import SCENE_FILE_TYPE, Reader, make_readers

NO_FILE_TYPE = "NoFile"

Properties = dict[str, Any]


class CoreIOManager(qt.QObject):
    """`slicer.app.coreIOManager()`."""

    _host_class = True
    _readers: tuple[Reader, ...]

    newFileLoaded = Signal("QVariantMap")
    fileSaved = Signal("QVariantMap")

    def __init__(self) -> None:
        super().__init__()
        self._readers = make_readers()

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
