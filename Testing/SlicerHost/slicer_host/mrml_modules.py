"""The MRML side of the application: scene, application logic and `slicer.modules.<name>.logic()`.

Everything here is Slicer's own C++ from the slicer-core wheel, connected as the application does.
One thing the application does in code that is tied to Qt: it fills the subject hierarchy. Here
`SubjectHierarchyPlugins` does so for the node types of the core modules.
"""

from __future__ import annotations

import colorsys
import sys
import types
from pathlib import Path
from typing import Any

import slicer
import vtk

# (name of the module, class of its logic in the wheel; the classes' names are irregular). The order
# counts: a logic may ask for those before it.
_CORE_MODULES = (
    ("Colors", "vtkSlicerColorLogic"),
    ("Terminologies", "vtkSlicerTerminologiesModuleLogic"),
    ("Units", "vtkSlicerUnitsLogic"),
    ("SubjectHierarchy", "vtkSlicerSubjectHierarchyModuleLogic"),
    ("Cameras", "vtkSlicerCamerasModuleLogic"),
    ("Volumes", "vtkSlicerVolumesLogic"),
    ("Models", "vtkSlicerModelsLogic"),
    ("Segmentations", "vtkSlicerSegmentationsModuleLogic"),
    ("Markups", "vtkSlicerMarkupsLogic"),
    ("Transforms", "vtkSlicerTransformLogic"),
    ("Tables", "vtkSlicerTablesLogic"),
    ("Texts", "vtkSlicerTextsLogic"),
    ("Plots", "vtkSlicerPlotsLogic"),
    ("Sequences", "vtkSlicerSequencesLogic"),
    ("VolumeRendering", "vtkSlicerVolumeRenderingLogic"),
    ("CropVolume", "vtkSlicerCropVolumeLogic"),
    ("ViewControllers", "vtkSlicerViewControllersLogic"),
    ("Data", "vtkSlicerDataModuleLogic"),
)

# Which subject hierarchy plugin takes a node, the special before the general.
_OWNER_PLUGINS = (
    ("vtkMRMLSegmentationNode", "Segmentations"),
    ("vtkMRMLLabelMapVolumeNode", "LabelMaps"),
    ("vtkMRMLScalarVolumeNode", "Volumes"),
    ("vtkMRMLModelNode", "Models"),
    ("vtkMRMLMarkupsNode", "Markups"),
    ("vtkMRMLTransformNode", "Transforms"),
    ("vtkMRMLTableNode", "Tables"),
    ("vtkMRMLTextNode", "Texts"),
    ("vtkMRMLPlotChartNode", "Plots"),
    ("vtkMRMLPlotSeriesNode", "Plots"),
)


# The color table that label maps are shown with. The application ships it as a file of this name.
COLOR_FOLDER = Path("share") / "Slicer"
LABEL_COLORS_FILE = "GenericColors.txt"
LABEL_COLOR_COUNT = 64
# Steps of the golden ratio around the color wheel keep neighbouring labels apart.
HUE_STEP = 0.618034
LABEL_SATURATION, LABEL_BRIGHTNESS = 0.55, 230


class CoreModule:
    """What `slicer.modules.<name>` has of a core module here: its name and its logic, no panel."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self.title = name
        self._logic = logic

    def logic(self) -> Any:
        """The module's logic, the real one."""
        return self._logic


class SubjectHierarchyPlugins:
    """Puts data nodes into the subject hierarchy when they enter the scene, and takes them out."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        scene.AddObserver(scene.NodeAddedEvent, self._on_node_added)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._on_node_about_to_be_removed)
        for event in (scene.EndImportEvent, scene.EndRestoreEvent, scene.EndBatchProcessEvent):
            scene.AddObserver(event, self._on_nodes_imported)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, _scene: Any, _event: str, node: Any) -> None:
        if node.IsA("vtkMRMLSubjectHierarchyNode"):
            slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self._scene)
        elif not self._scene.IsImporting():
            # While importing, the hierarchy that the file holds comes first.
            self._add(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_about_to_be_removed(self, _scene: Any, _event: str, node: Any) -> None:
        if self._scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
            return
        hierarchy = self._hierarchy()
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _on_nodes_imported(self, _scene: Any, _event: str) -> None:
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self._scene)
        for index in range(self._scene.GetNumberOfNodes()):
            self._add(self._scene.GetNthNode(index))

    def _add(self, node: Any) -> None:
        owner = next((plugin for name, plugin in _OWNER_PLUGINS if node.IsA(name)), None)
        if owner is None or node.GetHideFromEditors():
            return
        hierarchy = self._hierarchy()
        if not hierarchy.GetItemByDataNode(node):
            item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
            hierarchy.SetItemOwnerPluginName(item, owner)

    def _hierarchy(self) -> Any:
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)


def create_scene(folder: Path) -> tuple[Any, Any]:
    """The application's (scene, application logic), with the nodes every Slicer scene has.

    `folder` takes the application's temporary and cached files.
    """
    cache = folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetTemporaryPath(str(folder))
    logic.SetHomeDirectory(str(folder))
    logic.SetShareDirectory(str(COLOR_FOLDER))
    _write_label_colors(folder / COLOR_FOLDER / "ColorFiles" / LABEL_COLORS_FILE)
    scene = slicer.vtkMRMLScene()

    # Bundles (.mrb) are read through the cache.
    cache_manager = slicer.vtkCacheManager()
    cache_manager.SetRemoteCacheDirectory(str(cache))
    io_manager = slicer.vtkDataIOManager()
    io_manager.SetCacheManager(cache_manager)
    scene.SetCacheManager(cache_manager)
    scene.SetDataIOManager(io_manager)

    logic.SetMRMLScene(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    return scene, logic


def _write_label_colors(path: Path) -> None:
    lines = ["0 background 0 0 0 0"]
    for label in range(1, LABEL_COLOR_COUNT):
        hue = label * HUE_STEP % 1.0
        color = colorsys.hsv_to_rgb(hue, LABEL_SATURATION, LABEL_BRIGHTNESS)
        lines.append(f"{label} label_{label} {' '.join(str(round(c)) for c in color)} 255")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def install_core_modules(scene: Any, application_logic: Any) -> dict[str, CoreModule]:
    """Register `slicer.modules` with the core modules and their logics; returns them by name."""
    namespace = types.ModuleType("slicer.modules")
    sys.modules["slicer.modules"] = namespace
    slicer.modules = namespace
    modules = {}
    # The wheel has no terminology files: their absence is no error here.
    warnings_shown = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.GlobalWarningDisplayOff()
    for name, class_name in _CORE_MODULES:
        logic = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(application_logic)
        application_logic.SetModuleLogic(name, logic)
        logic.SetMRMLScene(scene)
        modules[name] = CoreModule(name, logic)
        setattr(namespace, name.lower(), modules[name])
    vtk.vtkObject.SetGlobalWarningDisplay(warnings_shown)
    return modules
