"""Modules made from Slicer's scripted-module template run unchanged in the host.

`fixtures/TemplateModule` is one. Slicer's own template itself is run when SLICER_SOURCE names a
Slicer source tree.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import slicer

TEMPLATE_MODULE = Path(__file__).parent / "fixtures" / "TemplateModule" / "TemplateModule.py"
SLICER_TEMPLATE = Path("Utilities/Templates/Modules/Scripted")


@pytest.fixture
def template(host):
    """The Python module, loaded for this test."""
    yield host.load_module(TEMPLATE_MODULE)
    if slicer.app.moduleManager().module("TemplateModule") is not None:
        host.unload("TemplateModule")


@pytest.fixture
def widget(host, template):
    return host.make_widget(template)


def _add_volume(name, values=(0, 10, 20, 30)):
    voxels = np.array(values, np.int16).reshape(1, 1, -1)
    return slicer.util.addVolumeFromArray(voxels, name=name)


def test_module_is_what_slicer_says_it_is(template):
    module = slicer.modules.templatemodule
    assert (module.name, module.title) == ("TemplateModule", "Template Module")
    assert module.path == str(TEMPLATE_MODULE)
    assert module.categories == ["Examples"]
    assert module.logic().IsA("vtkSlicerScriptedLoadableModuleLogic")
    assert isinstance(slicer.modules.TemplateModuleInstance, template.TemplateModule)
    assert slicer.util.getModule("TemplateModule") is module
    assert "user_guide/modules/templatemodule.html" in module.helpText
    assert "TemplateModule" in slicer.util.moduleNames()


def test_panel_is_made_once_and_known(host, template, widget):
    assert isinstance(widget, template.TemplateModuleWidget)
    assert host.make_widget(template) is widget
    assert slicer.modules.TemplateModuleWidget is widget
    assert slicer.util.getModuleWidget("TemplateModule") is widget
    assert slicer.util.getModuleLogic("TemplateModule") is widget.logic
    assert widget.parent.inherits("qMRMLWidget")
    assert widget.parent.mrmlScene() is slicer.mrmlScene
    assert widget.parent.windowTitle == "Template Module"


def test_apply_is_enabled_exactly_when_it_can_work(host, widget):
    host.enter(widget)
    ui = widget.ui
    assert not ui.applyButton.enabled
    ct, result = _add_volume("ct"), _add_volume("result")
    ui.inputSelector.setCurrentNode(ct)
    ui.outputSelector.setCurrentNode(result)
    assert ui.applyButton.enabled
    assert ui.applyButton.toolTip == "Compute output volume"
    ui.outputSelector.setCurrentNode(None)
    assert not ui.applyButton.enabled
    host.exit(widget)


def test_apply_computes(host, widget):
    ct, result = _add_volume("ct"), _add_volume("result", (0, 0, 0, 0))
    host.enter(widget)
    widget.ui.inputSelector.setCurrentNode(ct)
    widget.ui.outputSelector.setCurrentNode(result)
    widget.ui.thresholdSliderWidget.value = 15
    widget.ui.applyButton.click()
    assert slicer.util.arrayFromVolume(result).ravel().tolist() == [0, 0, 20, 30]
    widget.ui.invertCheckBox.click()
    widget.ui.applyButton.click()
    assert slicer.util.arrayFromVolume(result).ravel().tolist() == [0, 10, 0, 0]
    host.exit(widget)


def test_error_in_apply_is_a_slot_error(host, widget):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    host.enter(widget)
    widget.ui.inputSelector.setCurrentNode(empty)
    widget.ui.outputSelector.setCurrentNode(_add_volume("result"))
    widget.ui.applyButton.click()
    errors = host.take_slot_errors()
    assert len(errors) == 1
    assert not slicer.app.overrideCursor()
    host.exit(widget)


def test_first_volume_is_chosen_on_entering(host, widget):
    ct = _add_volume("ct")
    host.enter(widget)
    assert widget.ui.inputSelector.currentNode() is ct
    assert widget._parameterNode.inputVolume is ct
    host.exit(widget)


def test_panel_and_parameter_node_follow_each_other(host, widget):
    host.enter(widget)
    parameters = widget._parameterNode
    assert widget.ui.thresholdSliderWidget.value == 20
    parameters.threshold = 111.5
    assert widget.ui.thresholdSliderWidget.value == 111.5
    widget.ui.thresholdSliderWidget.value = -3
    assert parameters.threshold == -3
    widget.ui.unitsComboBox.currentIndex = 1
    assert parameters.units == "percent"
    host.exit(widget)
    parameters.threshold = 7
    assert widget.ui.thresholdSliderWidget.value == -3
    host.enter(widget)
    assert widget.ui.thresholdSliderWidget.value == 7
    host.exit(widget)


def test_closing_the_scene_starts_afresh(host, widget):
    _add_volume("ct")
    host.enter(widget)
    widget._parameterNode.threshold = 99
    slicer.mrmlScene.Clear(False)
    assert widget._parameterNode.inputVolume is None
    assert widget._parameterNode.threshold == 20
    assert widget.ui.thresholdSliderWidget.value == 20
    assert widget.ui.inputSelector.currentNode() is None
    host.exit(widget)
    slicer.mrmlScene.Clear(False)
    assert widget._parameterNode is None


def test_panel_survives_a_bundle(host, widget, tmp_path):
    _add_volume("ct")
    host.enter(widget)
    widget.ui.thresholdSliderWidget.value = 42
    slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(False)
    assert widget.ui.thresholdSliderWidget.value == 20
    slicer.util.loadScene(str(tmp_path / "scene.mrb"), {"clear": True})
    assert widget.ui.thresholdSliderWidget.value == 42
    assert widget.ui.inputSelector.currentNode().GetName() == "ct"
    host.exit(widget)


def test_reload_replaces_code_and_panel(host, tmp_path):
    folder = tmp_path / "module"
    shutil.copytree(TEMPLATE_MODULE.parent, folder)
    file = folder / "TemplateModule.py"
    widget = host.make_widget(host.load_module(file))
    host.enter(widget)
    ct = _add_volume("ct")
    widget.ui.inputSelector.setCurrentNode(ct)
    file.write_text(file.read_text().replace("Compute output volume", "Compute it again"))
    reloaded = host.reload("TemplateModule")
    assert reloaded is not widget
    assert slicer.modules.TemplateModuleWidget is reloaded
    assert reloaded.parent is widget.parent
    reloaded.ui.outputSelector.setCurrentNode(_add_volume("result"))
    assert reloaded.ui.applyButton.toolTip == "Compute it again"
    assert reloaded.ui.inputSelector.currentNode() is ct
    host.exit(reloaded)
    host.unload("TemplateModule")


def test_unloading_cleans_up(host, template, widget):
    host.enter(widget)
    parameters = widget._parameterNode.parameterNode
    host.unload("TemplateModule")
    assert not hasattr(slicer.modules, "templatemodule")
    assert not hasattr(slicer.modules, "TemplateModuleWidget")
    scene = slicer.mrmlScene
    assert not widget.hasObserver(scene, scene.StartCloseEvent, widget.onSceneStartClose)
    scene.Clear(False)
    parameters.Modified()


def test_modules_own_self_test_passes(host, template):
    slicer.selfTests["TemplateModule"](msec=10)
    assert ("TemplateModule" in slicer.selfTests) and host.messages[-1].text == "Test passed"


def test_sample_data_is_registered_at_startup(host, template):
    import SampleData

    host.emit_startup_completed()
    sources = SampleData.SampleDataLogic.sampleDataSourcesByCategory("TemplateModule")
    assert {source.sampleName for source in sources} == {"TemplateRamp"}
    assert SampleData.SampleDataLogic.categoryTitle("TemplateModule") == "Template"
    node = SampleData.downloadSample("TemplateRamp")
    assert node.GetName() == "TemplateRamp"
    assert slicer.util.arrayFromVolume(node)[3, 3, 3] == 63


# Slicer's own template


@pytest.fixture
def slicer_template(host):
    source = os.environ.get("SLICER_SOURCE")
    if not source:
        pytest.skip("SLICER_SOURCE does not name a Slicer source tree")
    yield host.make_widget(host.load_module(Path(source) / SLICER_TEMPLATE / "TemplateKey.py"))
    host.unload("TemplateKey")


def test_slicers_own_template_runs_unchanged(host, slicer_template):
    ui = slicer_template.ui
    host.enter(slicer_template)
    assert not ui.applyButton.enabled
    ct = _add_volume("ct")
    ui.inputSelector.setCurrentNode(ct)
    ui.outputSelector.setCurrentNode(_add_volume("result"))
    assert ui.applyButton.enabled
    parameters = slicer_template._parameterNode
    assert parameters.inputVolume is ct
    ui.imageThresholdSliderWidget.value = 250
    assert parameters.imageThreshold == 250
    parameters.imageThreshold = -20
    assert ui.imageThresholdSliderWidget.value == -20
    slicer.mrmlScene.Clear(False)
    assert not ui.applyButton.enabled
    assert ui.imageThresholdSliderWidget.value == 100
    # Apply itself runs a command line module, which only the application has.
    host.exit(slicer_template)
