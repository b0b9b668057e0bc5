"""Organs of the chest that were found: in the scene and in the table, edited, replaced, saved."""

import json

import numpy as np
import pytest
import slicer
from organs_panel import (
    add,
    organs_of,
    plain,
    rows,
    terminology,
    truth,
    voxels,
)

from module_fixtures import ijk_to_ras
from SkullImplantLib.organs.known_organs import KNOWN_ORGANS


@pytest.fixture
def found(chest, organs_result):
    """The panel with the organs that were found."""
    add(chest, organs_result)
    return chest


def test_organs_lie_over_their_ct_with_names_colors_and_codes(found, chest_folder):
    node, volume = organs_of(found), found._parameterNode.organsVolume
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 4
    surface = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    for organ in KNOWN_ORGANS:
        segment = segmentation.GetSegment(organ.meaning)
        assert segment.GetName() == organ.name
        assert segment.GetColor() == pytest.approx(organ.rgb, abs=1e-3)
        assert f"~SCT^{organ.code}^{organ.meaning}~" in terminology(segment)
        assert np.array_equal(voxels(node, organ.meaning, volume), truth(chest_folder, organ.label))
        assert segment.GetRepresentation(surface).GetNumberOfCells() > 50
    display = node.GetDisplayNode()
    assert display.GetVisibility() and display.GetVisibility3D()
    assert display.GetDisplayRepresentationName3D() == surface
    reference = slicer.vtkOrientedImageData()
    geometry = segmentation.GetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    )
    slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, reference, False)
    assert reference.GetDimensions() == volume.GetImageData().GetDimensions()


def test_surfaces_lie_on_their_voxels_under_the_cts_transform(found, organs_result, chest_folder):
    node, volume = organs_of(found), found._parameterNode.organsVolume
    move = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "move")
    matrix = np.eye(4)
    matrix[:3, 3] = [30.0, -20.0, 10.0]
    move.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    volume.SetAndObserveTransformNodeID(move.GetID())
    again = add(found, organs_result)
    assert again.GetParentTransformNode() is move and not slicer.mrmlScene.IsNodePresent(node)
    to_ras = ijk_to_ras(volume)
    for organ in KNOWN_ORGANS:
        surface = again.GetClosedSurfaceInternalRepresentation(organ.meaning)
        shown = np.reshape(surface.GetBounds(), (3, 2)).T
        index = np.argwhere(truth(chest_folder, organ.label))[:, ::-1]
        places = index @ to_ras[:3, :3].T + to_ras[:3, 3]
        # Up to a voxel, half of which lies around its middle.
        assert np.abs(shown - [places.min(axis=0), places.max(axis=0)]).max() < 7.0


def test_table_and_warnings_tell_of_each_organ(found, organs_result):
    told = json.loads((organs_result / "organs.json").read_text())["organs"]
    shown = rows(found.ui.organsTable)
    assert [row[1] for row in shown] == ["⚠ Oesophagus", "Heart", "Trachea", "Aorta"]
    for row, organ in zip(shown, told):
        assert row[2] == f"{organ['volume_cm3']:.1f} cm³"
        assert row[3] == f"{organ['occupancy_percent']:.2f} %"
        assert row[4] == f"{100 * organ['sure']:.0f} %"
    notes = plain(found.ui.organsNotesLabel)
    assert notes.count("⚠") == 2 and "unsure of the oesophagus (71 %)" in notes
    assert not found.ui.organsNotesLabel.isHidden()


def test_warnings_come_in_the_users_language(found, monkeypatch):
    from SkullImplantPanel import translation

    monkeypatch.setattr(translation, "inUsersLanguage", lambda template: f"[{template}]")
    found.panel.update()
    notes = plain(found.ui.organsNotesLabel).split("\n")
    assert all(note.startswith("⚠ [") and note.endswith("]") for note in notes)


def test_second_search_replaces_the_first_of_its_ct_alone(found, organs_result, scene):
    first, volume = organs_of(found), found._parameterNode.organsVolume
    name = first.GetName()
    other = slicer.modules.volumes.logic().CloneVolume(scene, volume, "Other chest")
    of_other = add(found, organs_result, other)
    second = add(found, organs_result)
    assert not scene.IsNodePresent(first) and scene.IsNodePresent(of_other)
    assert second.GetName() == name and organs_of(found) is second
    found._parameterNode.organsVolume = other
    assert organs_of(found) is of_other
    found._parameterNode.organsVolume = None
    assert found.ui.organsTable.isHidden() and found.ui.organsNotesLabel.isHidden()


def test_all_of_it_survives_a_saved_scene(found, scene, chest_folder, tmp_path):
    before, notes = rows(found.ui.organsTable), plain(found.ui.organsNotesLabel)
    found._parameterNode.organsCoarse = organs_of(found)
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert found.ui.organsTable.isHidden()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    found.initializeParameterNode()
    slicer.app.processEvents()
    node, volume = organs_of(found), found._parameterNode.organsVolume
    assert found._parameterNode.organsCoarse is node
    assert rows(found.ui.organsTable) == before and plain(found.ui.organsNotesLabel) == notes
    for organ in KNOWN_ORGANS:
        assert np.array_equal(voxels(node, organ.meaning, volume), truth(chest_folder, organ.label))
        assert f"SCT^{organ.code}^" in terminology(node.GetSegmentation().GetSegment(organ.meaning))


def test_row_takes_the_views_to_its_organ(window, found):
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    for organ in ("Heart", "Trachea"):
        row = [line[1] for line in rows(found.ui.organsTable)].index(organ)
        found.ui.organsTable.cellClicked.emit(row, 1)
        slice_to_ras = slicer.util.arrayFromVTKMatrix(red.GetSliceToRAS())
        away = organs_of(found).GetSegmentCenterRAS(organ)[:3] - slice_to_ras[:3, 3]
        assert abs(away @ slice_to_ras[:3, 2]) < 0.5


def test_edited_segments_are_told_and_asked_for(found, monkeypatch):
    node, volume = organs_of(found), found._parameterNode.organsVolume
    assert "edited" not in plain(found.ui.organsNotesLabel)
    mask = voxels(node, "Heart", volume).astype(np.uint8)
    mask[: len(mask) // 2] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, "Heart", volume)
    found.panel.update()
    assert "were edited since" in plain(found.ui.organsNotesLabel)
    questions = []
    refuse = lambda text, title: questions.append(text) or False  # noqa: E731
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", refuse)
    found.ui.findOrgansButton.click()
    assert len(questions) == 1 and found.logic.run is None


def test_changed_ct_is_told(found):
    from SkullImplantPanel.organsnodes import organsOf

    volume, states = found._parameterNode.organsVolume, found.logic.inputStates
    states.keep(organsOf(volume), states.of(volume))
    slicer.util.arrayFromVolume(volume)[:2] += 1
    slicer.util.arrayFromVolumeModified(volume)
    found.panel.update()
    assert "The CT was changed since" in plain(found.ui.organsNotesLabel)
