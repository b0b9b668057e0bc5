"""Organs of the chest are looked for: what is asked, what stands in the way, a real run."""

from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from organs_panel import (
    asked_labels,
    labels_node,
    organs_of,
    plain,
    rows,
    truth,
    voxels,
)
from test_runs import CANCEL_S

from module_fixtures import PATIENCE_S, node_ids, own_seconds
from SkullImplantLib.core.resources import RESOURCES
from SkullImplantLib.models import ORGANS_COARSE, ORGANS_FINE
from SkullImplantLib.organs.known_organs import KNOWN_ORGANS

needs_weights = pytest.mark.skipif(
    not all((RESOURCES / f"{name}.npz").is_file() for name in (ORGANS_COARSE, ORGANS_FINE)),
    reason="the weights of the organs' networks are not among the resources",
)
# Two runs of the networks on a busy machine.
RUN_S = 4 * PATIENCE_S


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
