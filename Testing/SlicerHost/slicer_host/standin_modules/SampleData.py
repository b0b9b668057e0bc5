"""Stand-in for Slicer's SampleData module: registered data sets, without a network.

Sources can be registered as in the application. Only `file:` addresses are fetched. As there,
a source's `customDownloader` belongs to its button in the panel: `download*` do not call it.
"""

from __future__ import annotations

import logging
import os
import shutil
import urllib.parse
import urllib.request
from pathlib import Path

import qt
import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget

SCENE_EXTENSIONS = (".mrml", ".mrb")


def downloadFromURL(
    uris=None,
    fileNames=None,
    nodeNames=None,
    checksums=None,
    loadFiles=None,
    customDownloader=None,
    loadFileTypes=None,
    loadFileProperties=None,
):
    """Fetch and load files that are not registered; returns the nodes."""
    return SampleDataLogic().downloadFromURL(
        uris,
        fileNames,
        nodeNames,
        checksums,
        loadFiles,
        customDownloader,
        loadFileTypes,
        loadFileProperties,
    )


def downloadSample(sampleName):
    """Load the registered sample; returns its first node."""
    return SampleDataLogic().downloadSample(sampleName)


def downloadSamples(sampleName):
    """Load the registered sample; returns its nodes."""
    return SampleDataLogic().downloadSamples(sampleName)


class SampleData(ScriptedLoadableModule):
    """The module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Sample Data"
        parent.categories = ["Informatics"]


class SampleDataSource:
    """One data set: where its files are, how they are loaded. Its fields are lists, one a file."""

    def __init__(
        self,
        sampleName=None,
        sampleDescription=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        checksums=None,
        loadFiles=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFileProperties=None,
        loadFileType=None,
    ):
        if loadFileType is not None and loadFileTypes is not None:
            raise ValueError("Give loadFileTypes or loadFileType, not both")
        if uris is None or fileNames is None:
            raise TypeError("uris and fileNames have to be given, also with a customDownloader")
        load_types = loadFileTypes if loadFileTypes is not None else loadFileType
        self.sampleName = sampleName
        self.sampleDescription = sampleDescription if sampleDescription is not None else sampleName
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        fields = {
            "uris": uris,
            "fileNames": fileNames,
            "nodeNames": nodeNames,
            "checksums": checksums,
            "loadFiles": loadFiles,
            "loadFileTypes": load_types,
        }
        for name, value in fields.items():
            setattr(self, name, self._as_list(name, value, uris))
        if len({len(getattr(self, name)) for name in fields}) != 1:
            raise ValueError("All fields of a sample data source must have the same length")

    @staticmethod
    def _as_list(name, value, uris):
        if isinstance(uris, str):
            return [value]
        if value is None:
            return [None] * len(uris)
        if name == "loadFileTypes" and isinstance(value, str):
            return [value] * len(uris)
        return list(value)

    def __eq__(self, other):
        return isinstance(other, SampleDataSource) and vars(self) == vars(other)

    __hash__ = None


class SampleDataWidget(ScriptedLoadableModuleWidget):
    """A button for each registered sample, named "<sampleName>PushButton"."""

    def setup(self):
        """Build the buttons for the samples known by now."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = SampleDataLogic()
        for category, sources in SampleDataLogic.sampleDataSourcesByCategory().items():
            self.layout.addWidget(qt.QLabel(SampleDataLogic.categoryTitle(category)))
            for source in sources:
                button = qt.QPushButton(source.sampleDescription)
                button.name = f"{source.sampleName}PushButton"
                load = source.customDownloader or self.logic.downloadFromSource
                button.connect("clicked()", lambda source=source, load=load: load(source))
                self.layout.addWidget(button)


class SampleDataLogic:
    """Registers and loads data sets."""

    def __init__(self, logMessage=None):
        if logMessage:
            self.logMessage = logMessage

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        """Name the category as the panel shows it."""
        categories = _registry("sampleDataSourceCategories")
        categories.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
        loadFileType=None,
    ):
        """Add a data set to the category, once."""
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            checksums=checksums,
            loadFiles=loadFiles,
            customDownloader=customDownloader,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes,
            loadFileProperties=loadFileProperties,
            loadFileType=loadFileType,
        )
        sources = _registry("sampleDataSources").setdefault(category, [])
        if source not in sources:
            sources.append(source)

    @staticmethod
    def categoryTitle(category):
        """The category's name as the panel shows it."""
        return _registry("sampleDataSourceCategories").get(category, {}).get("title", category)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        """The registered sources of the category, or all of them by category."""
        sources = _registry("sampleDataSources")
        return sources if category is None else sources.get(category, [])

    @staticmethod
    def isSampleDataSourceRegistered(category, sampleDataSource):
        """Whether the category has this source."""
        if not isinstance(sampleDataSource, SampleDataSource):
            raise TypeError(f"{sampleDataSource!r} is not a SampleDataSource")
        return sampleDataSource in SampleDataLogic.sampleDataSourcesByCategory(category)

    def sourceForSampleName(self, sampleName):
        """The registered source of that name, or None."""
        for sources in _registry("sampleDataSources").values():
            for source in sources:
                if source.sampleName == sampleName:
                    return source
        return None

    def categoryForSource(self, a_source):
        """The category the source is registered in, or None."""
        for category, sources in _registry("sampleDataSources").items():
            if a_source in sources:
                return category
        return None

    def downloadSample(self, sampleName):
        """Load the registered sample; returns its first node."""
        return self.downloadSamples(sampleName)[0]

    def downloadSamples(self, sampleName):
        """Load the registered sample; returns its nodes."""
        source = self.sourceForSampleName(sampleName)
        return self.downloadFromSource(source) if source else []

    def downloadFromURL(
        self,
        uris=None,
        fileNames=None,
        nodeNames=None,
        checksums=None,
        loadFiles=None,
        customDownloader=None,
        loadFileTypes=None,
        loadFileProperties=None,
        forceDownload=False,
    ):
        """Fetch and load files that are not registered; returns the nodes."""
        source = SampleDataSource(
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            checksums=checksums,
            loadFiles=loadFiles,
            customDownloader=customDownloader,
            loadFileTypes=loadFileTypes,
            loadFileProperties=loadFileProperties,
        )
        return self.downloadFromSource(source, forceDownload=forceDownload)

    def downloadFromSource(self, source, maximumAttemptsCount=3, forceDownload=False):
        """Fetch the source's files and load those that have a node name; returns nodes (or paths).

        Unlike in the application, a failed download is an error at once.
        """
        nodes, paths = [], []
        names_are_given = any(name is not None for name in source.nodeNames)
        for uri, file_name, node_name, checksum, load, file_type in zip(
            source.uris,
            source.fileNames,
            source.nodeNames,
            source.checksums,
            source.loadFiles,
            source.loadFileTypes,
        ):
            name = file_name or os.path.basename(urllib.parse.urlparse(uri).path)
            path = self.downloadFileIntoCache(uri, name, checksum, forceDownload)
            is_scene = file_type == "SceneFile" or name.lower().endswith(SCENE_EXTENSIONS)
            wanted = node_name or (None if names_are_given or load is False else Path(name).stem)
            if is_scene:
                if load:
                    self.loadScene(path, dict(source.loadFileProperties))
                nodes.append(path)
            elif load is False or wanted is None:
                paths.append(path)
            else:
                properties = dict(source.loadFileProperties)
                nodes.append(self.loadNode(path, wanted, file_type, properties))
        return nodes or paths

    def downloadFileIntoCache(self, uri, name, checksum=None, forceDownload=False):
        """Fetch the file into the scene's cache folder; returns its path."""
        folder = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
        return self.downloadFile(uri, folder, name, checksum, forceDownload)

    def downloadFile(self, uri, destFolderPath, name, checksum=None, forceDownload=False):
        """Copy the file of a `file:` address into the folder; other addresses are refused."""
        address = urllib.parse.urlparse(uri)
        if address.scheme != "file":
            raise ValueError(f"{uri} is not fetched: the development host has no network")
        path = os.path.join(destFolderPath, name)
        if forceDownload or not os.path.exists(path):
            shutil.copyfile(urllib.request.url2pathname(address.path), path)
        algorithm, digest = slicer.util.extractAlgoAndDigest(checksum)
        if algorithm is not None and slicer.util.computeChecksum(algorithm, path) != digest:
            os.remove(path)
            raise ValueError(f"The checksum of {uri} is not {checksum}")
        return path

    def loadScene(self, uri, fileProperties=None):
        """Load a scene file; returns whether that worked."""
        return self.loadNode(uri, None, "SceneFile", fileProperties) is not None

    def loadNode(self, uri, name, fileType=None, fileProperties=None):
        """Load a file; returns its first node, or the scene if the reader names none, or None."""
        properties = {**(fileProperties or {}), "fileName": uri}
        if name:
            properties["name"] = name
        manager = slicer.app.coreIOManager()
        nodes = vtk.vtkCollection()
        if not manager.loadNodes(fileType or manager.fileType(uri), properties, nodes):
            self.logMessage(f"Load failed: {uri}", logging.ERROR)
            return None
        for node in nodes:
            if node.IsA("vtkMRMLStorableNode") and node.GetStorageNode() is not None:
                # The file is a temporary one: the node is to be saved somewhere else.
                slicer.mrmlScene.RemoveNode(node.GetStorageNode())
                node.SetAndObserveStorageNodeID(None)
        return nodes.GetItemAsObject(0) or slicer.mrmlScene

    def logMessage(self, message, logLevel=logging.DEBUG):
        """Log what happens."""
        logging.log(logLevel, message)


def _registry(name):
    """The dictionary that the application keeps under that name in `slicer.modules`."""
    if not hasattr(slicer.modules, name):
        setattr(slicer.modules, name, {})
    return getattr(slicer.modules, name)
