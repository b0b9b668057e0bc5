"""Modules: their logics, loading, entering; and what every scene has."""

import numpy as np
import pytest
import slicer
import vtk


def test_logics_are_slicers_own(host):
    expected = {
        "volumes": "vtkSlicerVolumesLogic",
        "segmentations": "vtkSlicerSegmentationsModuleLogic",
        "models": "vtkSlicerModelsLogic",
        "terminologies": "vtkSlicerTerminologiesModuleLogic",
        "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
        "cropvolume": "vtkSlicerCropVolumeLogic",
    }
    for name, class_name in expected.items():
        logic = getattr(slicer.modules, name).logic()
        assert logic.GetClassName() == class_name
        assert logic.GetMRMLScene() is slicer.mrmlScene
    assert slicer.app.moduleLogic("Volumes") is slicer.modules.volumes.logic()
    assert slicer.util.getModuleLogic("Volumes") is slicer.modules.volumes.logic()
    with pytest.raises(RuntimeError, match="Could not find module"):
        slicer.util.getModule("Nonsense")
    assert not hasattr(slicer.modules, "dynamicmodeler")


def test_scene_has_what_every_slicer_scene_has(host):
    logic = slicer.app.applicationLogic()
    assert slicer.app.mrmlScene() is slicer.mrmlScene is logic.GetMRMLScene()
    assert logic.GetSelectionNode() is not None
    assert logic.GetInteractionNode() is not None
    scene = slicer.mrmlScene
    assert scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") is not None
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorNode") > 40
    assert slicer.util.getNode("GenericColors").GetNumberOfColors() == 64
    default_slice = scene.GetDefaultNodeByClass("vtkMRMLSliceNode")
    assert default_slice.GetSliceOrientationPreset("Axial") is not None
    scene.Clear(False)
    assert scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") is not None
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorNode") > 40


def test_data_nodes_are_in_the_subject_hierarchy(host):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    owners = {
        "vtkMRMLScalarVolumeNode": "Volumes",
        "vtkMRMLLabelMapVolumeNode": "LabelMaps",
        "vtkMRMLSegmentationNode": "Segmentations",
        "vtkMRMLModelNode": "Models",
        "vtkMRMLTableNode": "Tables",
        "vtkMRMLTextNode": "Texts",
        "vtkMRMLLinearTransformNode": "Transforms",
        "vtkMRMLMarkupsFiducialNode": "Markups",
    }
    for class_name, owner in owners.items():
        node = slicer.mrmlScene.AddNewNodeByClass(class_name)
        item = hierarchy.GetItemByDataNode(node)
        assert hierarchy.GetItemOwnerPluginName(item) == owner
        assert hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID()
    slicer.mrmlScene.RemoveNode(node)
    assert not hierarchy.GetItemByDataNode(node)
    hidden = slicer.mrmlScene.CreateNodeByClass("vtkMRMLModelNode")
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    slicer.mrmlScene.AddNode(hidden)
    assert not hierarchy.GetItemByDataNode(hidden)


def test_segmentation_round_trip_and_closed_surface(host):
    voxels = np.zeros((20, 20, 20), np.uint8)
    voxels[5:15, 5:15, 5:15] = 1
    volume = slicer.util.addVolumeFromArray(voxels)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = node.GetSegmentation().AddEmptySegment("", "cube")
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, segment, volume)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
    assert np.array_equal(array, voxels)
    assert node.CreateClosedSurfaceRepresentation()
    surface = vtk.vtkPolyData()
    assert node.GetClosedSurfaceRepresentation(segment, surface)
    assert surface.GetNumberOfPoints() > 100


def test_module_file_that_is_broken_is_an_error(host, tmp_path):
    broken = tmp_path / "Broken.py"
    broken.write_text("from slicer.ScriptedLoadableModule import *\nraise ImportError('no')\n")
    with pytest.raises(ImportError):
        host.load_module(broken)
    assert not hasattr(slicer.modules, "broken")
    nameless = tmp_path / "Nameless.py"
    nameless.write_text("class Other: pass\n")
    with pytest.raises(AttributeError, match="Nameless"):
        host.load_module(nameless)


def test_module_object_refuses_unknown_properties(host, tmp_path):
    file = tmp_path / "Odd.py"
    file.write_text(
        "from slicer.ScriptedLoadableModule import *\n"
        "class Odd(ScriptedLoadableModule):\n"
        "    def __init__(self, parent):\n"
        "        ScriptedLoadableModule.__init__(self, parent)\n"
        "        parent.titel = 'Odd'\n"
    )
    with pytest.raises(AttributeError, match="titel"):
        host.load_module(file)


def test_entering_a_panel_leaves_the_one_before(host, tmp_path):
    source = (
        "from slicer.ScriptedLoadableModule import *\n"
        "class {name}(ScriptedLoadableModule): pass\n"
        "class {name}Widget(ScriptedLoadableModuleWidget):\n"
        "    log = []\n"
        "    def enter(self): self.log.append(('enter', self.parent.isEntered))\n"
        "    def exit(self): self.log.append(('exit', self.parent.isEntered))\n"
        "    def cleanup(self): self.log.append('cleanup')\n"
    )
    widgets = []
    for name in ("First", "Second"):
        (tmp_path / f"{name}.py").write_text(source.format(name=name))
        widgets.append(host.make_widget(host.load_module(tmp_path / f"{name}.py")))
    first, second = widgets
    host.enter(first)
    host.enter(first)
    host.enter(second)
    assert first.log == [("enter", True), ("exit", False)]
    with pytest.raises(RuntimeError, match="not entered"):
        host.exit(first)
    host.unload("First")
    host.unload("Second")
    assert first.log[-1] == "cleanup"
    assert second.log == [("enter", True), ("exit", False), "cleanup"]
