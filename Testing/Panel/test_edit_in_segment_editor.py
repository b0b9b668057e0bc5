"""The way to the Segment Editor and back, in a window with its views."""

import json

import numpy as np
import pytest
import slicer


@pytest.fixture
def panel(host, scene, tmp_path):
    """The module's widget in a main window, with an export folder of its own."""
    from slicer_host.window import HostWindow

    window = HostWindow(host)
    widget = host.make_widget("SkullImplant")
    widget.panel._lookedForDevices = True
    window.show_module(widget)
    widget._parameterNode.exportFolder = tmp_path / "export"
    yield widget
    widget.logic.abandon()
    window.close()


def segment(parameters, segment_id):
    """Voxels of a segment of the result on the CT's grid."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(
        parameters.resultSegmentation, segment_id, parameters.inputVolume
    ).astype(bool)


def shown_in_3d(parameters):
    """Whether 3D shows the implant as (segment, model)."""
    display = parameters.resultSegmentation.GetDisplayNode()
    as_segment = display.GetSegmentVisibility3D("Implant")
    return bool(as_segment), bool(parameters.resultModel.GetDisplayNode().GetVisibility())


def test_implant_is_shrunk_in_the_segment_editor_and_updated(host, reviewed, scene, wait_until):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    before = segment(parameters, "Implant")
    design = json.loads(parameters.resultDesign.GetText())
    assert shown_in_3d(parameters) == (False, True)

    ui.editButton.click()
    assert slicer.util.selectedModule() == "SegmentEditor"
    assert not reviewed.parent.isEntered
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert editor.segmentationNode().GetID() == parameters.resultSegmentation.GetID()
    assert editor.sourceVolumeNode().GetID() == parameters.inputVolume.GetID()
    assert editor.currentSegmentID() == "Implant"
    assert shown_in_3d(parameters) == (True, False)

    others = {name: segment(parameters, name) for name in ("Skull", "CompletedSkull")}
    editor.findChild("QDoubleSpinBox").value = 1.0  # a voxel is more
    editor.findChild("QPushButton", "Shrink").click()
    edited = segment(parameters, "Implant")
    assert 0 < np.count_nonzero(edited) < np.count_nonzero(before)
    assert not (edited & ~before).any()
    for name, voxels in others.items():
        assert np.array_equal(segment(parameters, name), voxels), f"{name} lost voxels"

    slicer.util.selectModule("SkullImplant")
    assert reviewed.parent.isEntered
    ui.updateButton.click()
    wait_until(lambda: reviewed.logic.run is None)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    assert shown_in_3d(parameters) == (False, True)
    updated = json.loads(parameters.resultDesign.GetText())
    assert updated["implant"]["volume_cm3"] < design["implant"]["volume_cm3"]
    assert updated["checks"] != design["checks"]
    assert f"{updated['implant']['volume_cm3']:.1f} cm³" in ui.implantLabel.text
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    assert len(slicer.util.getNodesByClass("vtkMRMLModelNode")) == len(slice_models()) + 1


def slice_models():
    """The models that the views make for themselves."""
    models = slicer.util.getNodesByClass("vtkMRMLModelNode")
    return [model for model in models if model.GetHideFromEditors()]


def test_edit_without_a_main_window_is_an_error_for_people(host, reviewed):
    slicer.util.mainWindow().close()
    host.enter(reviewed)
    reviewed.ui.editButton.click()
    (error,) = host.take_slot_errors()
    assert "main window" in str(error)
    host.exit(reviewed)
