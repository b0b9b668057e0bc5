"""The way to the Segment Editor and back, in a window with its views."""

import json

import numpy as np
import pytest
import slicer
import vtk


@pytest.fixture
def panel(host, scene, tmp_path):
    """The module's widget in a main window, with an export folder of its own."""
    from slicer_host.window import HostWindow

    window = HostWindow(host)
    widget = host.make_widget("SkullImplant")
    window.show_module(widget)
    widget._parameterNode.exportFolder = tmp_path / "export"
    yield widget
    widget.logic.abandon()
    window.close()


def result_of(parameters):
    """The nodes of the result under review."""
    from SkullImplantPanel.results import nodesOfResult

    return nodesOfResult(parameters.resultSegmentation)


def segment(parameters, segment_id):
    """Voxels of a segment of the result on the CT's grid."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(
        parameters.resultSegmentation, segment_id, parameters.inputVolume
    ).astype(bool)


def shown_in_3d(parameters):
    """Whether 3D shows the implant as (segment, model)."""
    display = parameters.resultSegmentation.GetDisplayNode()
    as_segment = display.GetSegmentVisibility3D("Implant")
    return bool(as_segment), bool(result_of(parameters).model.GetDisplayNode().GetVisibility())


def shrink(editor):
    """Shrink the current segment by the least margin that changes it."""
    margin = editor.findChild("QDoubleSpinBox")
    margin.value = margin.minimum
    editor.findChild("QPushButton", "Shrink").click()


def result_folders(scene):
    """The folders of results in the subject hierarchy."""
    hierarchy = scene.GetSubjectHierarchyNode()
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    found = [items.GetId(index) for index in range(items.GetNumberOfIds())]
    return [item for item in found if hierarchy.GetItemAttribute(item, "SkullImplant.Result")]


def test_implant_is_shrunk_in_the_segment_editor_and_updated(host, reviewed, scene, wait_until):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    before = segment(parameters, "Implant")
    design = json.loads(result_of(parameters).design.GetText())
    assert shown_in_3d(parameters) == (False, True)

    ui.editButton.click()
    assert slicer.util.selectedModule() == "SegmentEditor"
    assert not reviewed.parent.isEntered
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert editor.segmentationNode().GetID() == parameters.resultSegmentation.GetID()
    assert editor.sourceVolumeNode().GetID() == parameters.inputVolume.GetID()
    assert editor.currentSegmentID() == "Implant"
    assert shown_in_3d(parameters) == (True, False)

    shrink(editor)
    edited = segment(parameters, "Implant")
    assert 0 < np.count_nonzero(edited) < np.count_nonzero(before)
    assert not (edited & ~before).any()

    slicer.util.selectModule("SkullImplant")
    assert reviewed.parent.isEntered
    ui.updateButton.click()
    wait_until(lambda: reviewed.logic.run is None)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    assert shown_in_3d(parameters) == (False, True)
    updated = json.loads(result_of(parameters).design.GetText())
    assert updated["implant"]["volume_cm3"] < design["implant"]["volume_cm3"]
    assert updated["checks"] != design["checks"]
    assert f"{updated['implant']['volume_cm3']:.1f} cm³" in ui.implantLabel.text
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    assert len(result_folders(scene)) == 1


def test_edit_of_the_implant_takes_nothing_from_the_skulls(reviewed):
    parameters = reviewed._parameterNode
    names = ("Skull", "CompletedSkull")
    before = [segment(parameters, name) for name in names]
    reviewed.ui.editButton.click()
    shrink(slicer.modules.segmenteditor.widgetRepresentation().self().editor)
    for name, voxels in zip(names, before):
        assert np.array_equal(segment(parameters, name), voxels), f"{name} lost voxels"


def test_edit_without_a_main_window_is_an_error_for_people(host, reviewed):
    slicer.util.mainWindow().close()
    host.enter(reviewed)
    reviewed.ui.editButton.click()
    (error,) = host.take_slot_errors()
    assert "main window" in str(error)
    host.exit(reviewed)
