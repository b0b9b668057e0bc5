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
    assert len(result_folders(scene)) == 2, "the automatic design stays"


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


# --- the automatic design stays, and what the way to the editor changed is put back ---------------


def overwrite_mode():
    """What the Segment Editor overwrites."""
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    return editor.mrmlSegmentEditorNode().GetOverwriteMode()


@pytest.fixture
def overwrites_all(reviewed):
    """The Segment Editor is set to overwrite all segments, as it is by default."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    mode = slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments
    editor.mrmlSegmentEditorNode().SetOverwriteMode(mode)
    slicer.util.selectModule("SkullImplant")
    return mode


def test_to_the_editor_and_back_leaves_everything_as_it_was(reviewed, overwrites_all):
    parameters = reviewed._parameterNode
    reviewed.ui.editButton.click()
    assert shown_in_3d(parameters) == (True, False)
    assert overwrite_mode() == slicer.vtkMRMLSegmentEditorNode.OverwriteNone
    slicer.util.selectModule("SkullImplant")
    assert shown_in_3d(parameters) == (False, True)
    assert overwrite_mode() == overwrites_all
    assert not reviewed.ui.undoButton.enabled


def test_editor_overwrites_as_before_when_it_goes_on_to_another_segmentation(
    reviewed, scene, overwrites_all
):
    reviewed.ui.editButton.click()
    other = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Something else")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(other)
    assert overwrite_mode() == overwrites_all


def test_mode_that_the_user_chose_stays(reviewed, overwrites_all):
    reviewed.ui.editButton.click()
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    mode = slicer.vtkMRMLSegmentEditorNode.OverwriteVisibleSegments
    editor.mrmlSegmentEditorNode().SetOverwriteMode(mode)
    slicer.util.selectModule("SkullImplant")
    assert overwrite_mode() == mode


def test_edit_without_a_main_window_leaves_the_view(host, reviewed):
    slicer.util.mainWindow().close()
    host.enter(reviewed)
    reviewed.ui.editButton.click()
    host.take_slot_errors()
    assert shown_in_3d(reviewed._parameterNode) == (False, True)
    host.exit(reviewed)


def test_edit_is_undone_voxel_for_voxel(reviewed):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    before = segment(parameters, "Implant")
    ui.editButton.click()
    shrink(slicer.modules.segmenteditor.widgetRepresentation().self().editor)
    slicer.util.selectModule("SkullImplant")
    assert "was edited" in ui.implantLabel.text and ui.undoButton.enabled
    assert shown_in_3d(parameters) == (True, False), "the edit is seen, not the surface before it"
    ui.undoButton.click()
    assert np.array_equal(segment(parameters, "Implant"), before)
    assert "was edited" not in ui.implantLabel.text and not ui.undoButton.enabled
    assert shown_in_3d(parameters) == (False, True)


@pytest.mark.parametrize("keep", [False, True])
def test_update_keeps_the_automatic_design(reviewed, small_result, keep):
    """Two edits, each taken in as the end of an update does it; then back."""
    from SkullImplantPanel import results
    from SkullImplantPanel.replacing import replaceByUpdate

    ui, parameters = reviewed.ui, reviewed._parameterNode
    automatic = result_of(parameters)
    before = segment(parameters, "Implant")
    for _edit in range(2):
        earlier = result_of(parameters)
        voxels = segment(parameters, "Implant").astype(np.uint8)
        voxels[: np.argwhere(voxels)[:, 0].min() + 2] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            voxels, parameters.resultSegmentation, "Implant", parameters.inputVolume
        )
        read = results.readResults(small_result)
        read.design["edited"] = True
        del read.design["confidence"]
        new = results.addResults(read, parameters.inputVolume)
        replaceByUpdate(earlier, new, keep)
        parameters.resultSegmentation = new.segmentation
        assert ui.undoButton.enabled
    assert len(results.allResults()) == (3 if keep else 2)
    for other in results.allResults():
        assert other.GetDisplayNode().GetVisibility() == (other is new.segmentation)
    assert "not known" in ui.expectationLabel.text
    ui.updateButton.click()
    assert "since the last update" in ui.progressLabel.text
    ui.undoButton.click()
    assert parameters.resultSegmentation is automatic.segmentation
    assert np.array_equal(segment(parameters, "Implant"), before)
    assert automatic.model.GetDisplayNode().GetVisibility()
    assert "error is expected" in ui.expectationLabel.text
    assert "edited" not in ui.implantLabel.text and not ui.undoButton.enabled


def test_automatic_design_goes_with_its_edited_one_when_a_new_design_replaces_it(
    reviewed, small_result
):
    from SkullImplantPanel import results
    from SkullImplantPanel.replacing import replaceByDesign, replaceByUpdate

    parameters = reviewed._parameterNode
    automatic, volume = result_of(parameters), parameters.inputVolume
    edited = results.addResults(results.readResults(small_result), volume)
    replaceByUpdate(automatic, edited, False)
    new = results.addResults(results.readResults(small_result), volume)
    replaceByDesign(edited, new)
    assert results.allResults() == [new.segmentation]
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert {node.GetID() for node in segmentations} == {new.segmentation.GetID(), new.made.GetID()}


def test_edit_can_be_undone_after_the_scene_was_saved_and_loaded(reviewed, scene, tmp_path):
    parameters = reviewed._parameterNode
    before = segment(parameters, "Implant")
    volume, empty = parameters.inputVolume, np.zeros(before.shape, np.uint8)
    empty[before.shape[0] // 2] = before[before.shape[0] // 2]
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        empty, parameters.resultSegmentation, "Implant", volume
    )
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    parameters = reviewed._parameterNode
    assert reviewed.ui.undoButton.enabled
    reviewed.ui.undoButton.click()
    assert np.array_equal(segment(parameters, "Implant"), before)


def test_voxels_changed_in_place_are_noticed(host, reviewed, tmp_path):
    """A script changes the implant's voxels and tells nobody."""
    parameters = reviewed._parameterNode
    reviewed.panel.update()  # it has looked
    segmentation = parameters.resultSegmentation
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, "Implant")[:5] = 0
    reviewed.ui.exportButton.click()
    assert "Update from edit" in str(host.take_slot_errors()[0])
    assert not (tmp_path / "export").exists()
    reviewed.panel.update()
    assert "was edited" in reviewed.ui.implantLabel.text
