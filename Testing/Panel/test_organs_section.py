"""The section Organs of the chest: asked, found, told, replaced, saved; what stands in the way."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from test_runs import CANCEL_S
from test_width import LONG_NAME, LONG_PATH, LONG_SENTENCE, column  # noqa: F401 - a fixture

from module_fixtures import PATIENCE_S, ijk_to_ras, node_ids, own_seconds
from SkullImplantLib.core.resources import RESOURCES
from SkullImplantLib.models import ORGANS_COARSE, ORGANS_FINE
from SkullImplantLib.organs.known_organs import KNOWN_ORGANS

needs_weights = pytest.mark.skipif(
    not all((RESOURCES / f"{name}.npz").is_file() for name in (ORGANS_COARSE, ORGANS_FINE)),
    reason="the weights of the organs' networks are not among the resources",
)
# Two runs of the networks on a busy machine.
RUN_S = 4 * PATIENCE_S


@pytest.fixture
def chest(panel, chest_folder):
    """The panel with a chest, which is chosen, and the section open."""
    choices = panel.panel.design.choices
    before, choices._lookedForDevices = choices._lookedForDevices, True
    panel.ui.organsCollapsibleButton.collapsed = False
    panel._parameterNode.organsVolume = slicer.util.loadVolume(str(chest_folder / "chest.nrrd"))
    yield panel
    panel.ui.organsCollapsibleButton.collapsed = True
    choices._lookedForDevices = before


@pytest.fixture
def found(chest, organs_result):
    """The panel with the organs that were found."""
    add(chest, organs_result)
    return chest


def add(panel, folder, volume=None):
    from SkullImplantPanel.organsfiles import readOrgans
    from SkullImplantPanel.organsnodes import addOrgans

    nodes = addOrgans(readOrgans(folder), volume or panel._parameterNode.organsVolume)
    panel.panel.update()
    return nodes.segmentation


def organs_of(panel):
    from SkullImplantPanel.organsnodes import organsOf

    nodes = organsOf(panel._parameterNode.organsVolume)
    return None if nodes is None else nodes.segmentation


def truth(chest_folder, label) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(chest_folder / "labels.nrrd"))) == label


def voxels(segmentation, segment_id, volume) -> np.ndarray:
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) > 0


def rows(table) -> list[list[str]]:
    columns = range(table.columnCount)
    return [[table.item(row, at).text() for at in columns] for row in range(table.rowCount)]


def plain(label) -> str:
    return label.text.replace("\u200b", "")


def terminology(segment) -> str:
    value = vtk.reference("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), value)
    return str(value)


def labels_node(chest_folder, names, codes=()):
    """A segmentation of the true organs under other names, and codes where there are any."""
    labels = slicer.util.loadLabelVolume(str(chest_folder / "labels.nrrd"))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Labels")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(labels)
    for label, name in names.items():
        mask = (slicer.util.arrayFromVolume(labels) == label).astype(np.uint8)
        segment_id = node.GetSegmentation().AddEmptySegment(f"S{label}", name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, labels)
        entry = "Segmentation category and type~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~~^^~^^"
        if label in dict(codes):
            entry = f"Any~SCT^123037004^Anatomical Structure~SCT^{dict(codes)[label]}^X~^^~~^^~^^"
        key = slicer.vtkSegment.GetTerminologyEntryTagName()
        node.GetSegmentation().GetSegment(segment_id).SetTag(key, entry)
    slicer.mrmlScene.RemoveNode(labels)
    return node


def asked_labels(panel, tmp_path) -> sitk.Image:
    from SkullImplantPanel.organsrun import organsRequest

    request = organsRequest(panel._parameterNode)
    assert "--coarse" in request.arguments and "--dense" not in request.arguments
    request.writeInto(tmp_path)
    return sitk.ReadImage(str(tmp_path / "coarse.nrrd"))


# What is asked


def test_the_panels_input_is_not_taken_for_a_chest(panel, chest_folder):
    ui, parameters = panel.ui, panel._parameterNode
    parameters.inputVolume = slicer.util.loadVolume(str(chest_folder / "chest.nrrd"))
    assert ui.organsCollapsibleButton.collapsed and parameters.organsVolume is None
    assert not ui.findOrgansButton.enabled and "CT of a chest" in ui.findOrgansButton.toolTip
    assert ui.organsTable.isHidden() and ui.organsNotesLabel.isHidden()


def test_ct_and_device_are_asked_of_the_library(chest):
    from SkullImplantPanel.organsrun import organsRequest

    ui = chest.ui
    ui.organsDeviceComboBox.currentIndex = 1
    ui.organsDeviceComboBox.activated.emit(1)
    assert chest._parameterNode.device == "cpu" == ui.deviceComboBox.currentData
    request = organsRequest(chest._parameterNode)
    arguments = " ".join(request.arguments)
    assert "--device cpu" in arguments and not request.mayUseGpu
    assert f"--dense {ORGANS_COARSE}" in arguments and f"--model {ORGANS_FINE}" in arguments


def test_segments_are_told_by_code_or_name_and_numbered(chest, chest_folder, tmp_path):
    from SkullImplantPanel.organsrun import leftOut

    names = {1: "Esophagus ", 2: "Something", 4: "Aorta", 3: "Lung"}
    coarse = labels_node(chest_folder, names, codes=[(2, "80891009")])
    chest._parameterNode.organsCoarse = coarse
    image = sitk.GetArrayFromImage(asked_labels(chest, tmp_path))
    for label in (1, 2, 4):
        assert np.array_equal(image == label, truth(chest_folder, label)), label
    assert set(np.unique(image)) == {0, 1, 2, 4} and leftOut(coarse) == ["Lung"]


@pytest.mark.parametrize("kind", ["segments", "labelmap"])
def test_labels_under_another_transform_lie_where_they_are_seen(
    chest, chest_folder, tmp_path, kind
):
    """The CT is moved; the labels are moved with it by another node, and found on the CT's grid."""
    parameters, moved = chest._parameterNode, np.eye(4)
    moved[:3, 3] = [30.0, -20.0, 10.0]
    for name in ("of the CT", "of the labels"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(moved))
    parameters.organsVolume.SetAndObserveTransformNodeID(slicer.util.getNode("of the CT").GetID())
    if kind == "segments":
        parameters.organsCoarse = labels_node(chest_folder, {2: "heart", 4: "aorta"})
    else:
        path = str(chest_folder / "labels.nrrd")
        parameters.organsCoarse = slicer.util.loadLabelVolume(path)
    parameters.organsCoarse.SetAndObserveTransformNodeID(node.GetID())
    given, ct = asked_labels(chest, tmp_path), sitk.ReadImage(str(tmp_path / "input.nrrd"))
    assert given.GetOrigin() == pytest.approx(ct.GetOrigin(), abs=1e-3)
    assert given.GetDirection() == pytest.approx(ct.GetDirection(), abs=1e-5)
    assert np.array_equal(sitk.GetArrayFromImage(given) == 2, truth(chest_folder, 2))


def test_what_is_no_organ_is_told_before_it_runs(chest, chest_folder):
    ui, parameters = chest.ui, chest._parameterNode
    parameters.organsCoarse = labels_node(chest_folder, {1: "Lung"})
    assert not ui.findOrgansButton.enabled
    assert "is an organ by its terminology or name" in plain(ui.organsProblemLabel)
    parameters.organsCoarse = labels_node(chest_folder, {1: "heart", 2: "Heart"})
    assert "Several visible segments" in plain(ui.organsProblemLabel)
    parameters.organsCoarse.GetDisplayNode().SetSegmentVisibility("S1", False)
    chest.panel.update()
    assert ui.findOrgansButton.enabled and ui.organsProblemLabel.isHidden()


# What is shown


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


# What stands in the way


def test_without_pytorch_the_section_says_so(chest, monkeypatch):
    from SkullImplantPanel import pytorch

    ui = chest.ui
    monkeypatch.setattr(pytorch, "torchVersion", lambda: None)
    ui.organsCollapsibleButton.collapsed = True
    ui.organsCollapsibleButton.collapsed = False
    chest.panel.update()
    assert "PyTorch is not installed" in plain(ui.organsProblemLabel)
    questions = []
    refuse = lambda text, title: questions.append(text) or False  # noqa: E731
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", refuse)
    ui.findOrgansButton.click()
    assert chest.logic.run is None
    assert questions[0].startswith("Finding organs needs PyTorch")
    assert "agree to installing it" in plain(ui.organsTextLabel)
    monkeypatch.undo()
    chest.panel.organs._onCollapsed(False)
    chest.panel.update()
    assert ui.organsProblemLabel.isHidden()


def test_cancel_returns_within_a_second_and_leaves_nothing(chest, scene, wait_until):
    ui, before = chest.ui, node_ids(scene)
    for ready_to_cancel in (lambda: True, lambda: chest.logic.run._progress.pid):
        ui.findOrgansButton.click()
        assert ui.findOrgansButton.text == "Cancel" and not ui.organsProgressBar.isHidden()
        wait_until(lambda: chest.panel.display.seconds > 0.5 and ready_to_cancel(), 90)  # noqa: B023
        start = own_seconds()
        ui.findOrgansButton.click()
        wait_until(lambda: chest.logic.run is None, CANCEL_S)
        assert own_seconds() - start <= CANCEL_S
        assert ui.findOrgansButton.text == "Find organs" and ui.findOrgansButton.enabled
        assert plain(ui.organsTextLabel) == "Cancelled." and ui.organsProgressBar.isHidden()
    assert node_ids(scene) == before and organs_of(chest) is None


def test_a_failure_says_what_to_do_here(chest, scene, wait_until, tmp_path):
    before = node_ids(scene)
    chest._parameterNode.organsModel = str(tmp_path / "none.npz")
    chest._parameterNode.organsCoarse = None
    chest._parameterNode.organsDense = str(tmp_path / "none.npz")
    chest.ui.findOrgansButton.click()
    wait_until(lambda: chest.logic.run is None)
    text = plain(chest.ui.organsTextLabel)
    assert text == "There is no weight file none.npz; install the extension again."
    assert not chest.ui.errorFrame.isHidden() and node_ids(scene) == before
    assert chest.ui.findOrgansButton.enabled


def test_ct_that_is_gone_when_the_organs_come(chest, organs_result, scene, monkeypatch):
    from SkullImplantPanel import organsrun
    from SkullImplantPanel.run import Outcome

    ends = []
    logic = SimpleNamespace(
        inputStates=chest.logic.inputStates, startRun=lambda *given: ends.append(given[2])
    )
    organsrun.startOrgans(logic, chest._parameterNode, lambda outcome: None)
    scene.RemoveNode(chest._parameterNode.organsVolume)
    outcome = ends[0](Outcome("done", value=organsrun.readOrgans(organs_result)))
    assert outcome.state == "failed" and "removed from the scene" in outcome.message
    assert not slicer.util.getNodes("Organs of*")


# In 350 pixels


def closed_by_pytorch(panel, folder):
    panel.panel.organs._torchProblem = "PyTorch 2.5 is too old; 2.6 or newer is needed."
    panel._parameterNode.organsVolume.SetName(LONG_NAME)


def with_a_problem(panel, folder):
    panel._parameterNode.organsCoarse = labels_node(folder, {1: LONG_NAME})
    panel._parameterNode.organsCoarse.SetName(LONG_NAME)


def running(panel, folder):
    from SkullImplantLib.job.protocol import Step

    section = panel.panel.organs
    section.control = SimpleNamespace(running=True, cancelling=False)
    section._finding = True
    section._onProgress(Step("organ refinement", 0.5, LONG_PATH, 0.5))


def failed(panel, folder):
    panel.panel.organs._text = LONG_SENTENCE


def with_organs(panel, folder, notes=()):
    segmentation = organs_of(panel)
    data = json.loads(segmentation.GetAttribute("SkullImplant.Organs"))
    data["notes"] += notes
    data["organs"][1]["volume_cm3"] = 12345.678
    data["organs"][1]["occupancy_percent"] = 12.34
    data["organs"][1]["sure"] = 1.0
    segmentation.SetAttribute("SkullImplant.Organs", json.dumps(data))
    panel.panel.organs._text = "4 organs were found in 100 s."


def with_long_notes(panel, folder):
    with_organs(panel, folder, [LONG_SENTENCE, "The trachea was not found."])


STATES = [closed_by_pytorch, with_a_problem, running, failed, with_organs, with_long_notes]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_of_the_section_is_cut_off(
    column,  # noqa: F811
    chest,
    chest_folder,
    organs_result,
    state,
    tmp_path,
):
    if "notes" in state.__name__ or "organs" in state.__name__:
        add(chest, organs_result)
    section = chest.panel.organs
    control = section.control
    state(chest, chest_folder)
    chest.panel.update()
    folder = Path(os.environ.get("SKULL_IMPLANT_SCREENSHOTS", tmp_path))
    column.picture(folder / f"narrow-organs-{state.__name__}-{column.theme}.png")
    found = column.cut_off()
    assert chest.ui.organsProgressBar.isHidden() == (state is not running)
    section.forget()
    section.control, section._torchProblem = control, None
    assert not found, "\n".join(found)


# Real runs


@needs_weights
@pytest.mark.slow
def test_button_finds_organs_and_then_refines_labels(chest, chest_folder, wait_until, scene):
    """Looked for, then refined from given labels; the second takes the first's place."""
    ui, parameters, titles = chest.ui, chest._parameterNode, set()

    def ended() -> bool:
        titles.add(plain(ui.organsTextLabel).split("…")[0])
        return chest.logic.run is None

    ui.findOrgansButton.click()
    assert ui.generateButton.text == "Cancel"
    wait_until(ended, RUN_S)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    assert "Looking for the organs" in titles and "Refining the organs" in titles
    first = organs_of(chest)
    assert (
        first is not None
        and ui.organsTable.rowCount == first.GetSegmentation().GetNumberOfSegments()
    )
    names = {organ.label: organ.name for organ in KNOWN_ORGANS} | {3: "Lung"}
    parameters.organsCoarse = labels_node(chest_folder, names)
    ui.findOrgansButton.click()
    wait_until(ended, RUN_S)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    second = organs_of(chest)
    assert second is not first and not scene.IsNodePresent(first)
    assert "left out: Lung." in plain(ui.organsTextLabel)
    heart, true = voxels(second, "Heart", parameters.organsVolume), truth(chest_folder, 2)
    assert 2 * (heart & true).sum() / (heart.sum() + true.sum()) > 0.8
    assert second.GetSegmentation().GetSegment("Trachea") is None
    assert "The trachea was not found." in plain(ui.organsNotesLabel)
    assert [row[4] for row in rows(ui.organsTable)] == ["–"] * ui.organsTable.rowCount
