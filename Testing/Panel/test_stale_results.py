"""A result whose parameters or input are not those set now says so, and its checks gray out."""

import json

import numpy as np
import pytest
import slicer


@pytest.fixture
def settled(reviewed, wait_until, small_result):
    """A result under review that was made with just what the panel says."""
    wait_until(lambda: "HU" in reviewed.ui.automaticThresholdCheckBox.text, 20)
    model = json.loads((small_result / "design.json").read_text())["parameters"]["model"]
    reviewed._parameterNode.model = model
    return reviewed


def is_gray(panel) -> bool:
    """Whether the checks and the expected error are grayed out, all or nothing."""
    from SkullImplantPanel.colors import grayOf

    gray, table = grayOf(panel.ui.implantLabel), panel.ui.checksTable
    found = {
        table.item(row, column).foreground().color().name() == gray
        for row in range(table.rowCount)
        for column in range(3)
    }
    found.add(gray in panel.ui.expectationLabel.text)
    if found == {True}:
        return True
    for row in range(table.rowCount):
        assert table.item(row, 0).foreground().color().name() != gray
    assert gray not in panel.ui.expectationLabel.text
    return False


def test_result_of_what_is_set_is_in_force(settled):
    assert not is_gray(settled)
    assert "Made with" not in settled.ui.implantLabel.text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("clearanceMm", 0.8, "a clearance of 0.5 mm"),
        ("thicknessMm", 5.0, "the bone's thickness"),
        ("leastWallMm", 3.0, "a least wall of 2 mm"),
        ("refineMm", 1.0, "the skull as it came"),
        ("smoother", "rearrangement", "another smoother"),
        ("model", "some.npz", "the model prior"),
    ],
)
def test_parameter_that_is_not_in_the_result_grays_its_checks(settled, name, value, told):
    parameters = settled._parameterNode
    before = getattr(parameters, name)
    setattr(parameters, name, value)
    assert f"Made with {told.replace(chr(39), '&#x27;')};" in settled.ui.implantLabel.text
    assert is_gray(settled)
    setattr(parameters, name, before)
    assert "Made with" not in settled.ui.implantLabel.text
    assert not is_gray(settled)


def test_other_threshold_and_other_skull_are_told(settled, scene, small_ct):
    parameters, label = settled._parameterNode, settled.ui.implantLabel
    parameters.automaticThreshold = False
    assert not is_gray(settled), "it is the same number"
    parameters.boneThresholdHu = 420
    assert "a bone threshold of 248 HU" in label.text and is_gray(settled)
    parameters.automaticThreshold = True
    assert not is_gray(settled)
    parameters.leaveOut = parameters.resultSegmentation
    assert "nothing left out" in label.text
    parameters.leaveOut = None
    parameters.reference = slicer.modules.volumes.logic().CloneVolume(scene, small_ct, "Earlier")
    assert "no earlier CT or flap" in label.text
    parameters.reference = None
    assert not is_gray(settled)


def test_holes_and_direction_are_told(settled, scene):
    parameters, label = settled._parameterNode, settled.ui.implantLabel
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    points.AddControlPoint([10.0, 0.0, 0.0])
    parameters.holePoints = points
    parameters.allHoles = False
    assert "all holes" in label.text and is_gray(settled)
    parameters.allHoles = True
    assert not is_gray(settled)
    # The arrow begins along the implant's own way; dragged elsewhere it is another.
    parameters.automaticDirection = False
    assert not is_gray(settled)
    arrow = parameters.directionArrow
    start = np.array(arrow.GetNthControlPointPosition(0))
    arrow.SetNthControlPointPosition(1, start + [0.0, 60.0, 0.0])
    settled.panel.update()
    assert "another direction" in label.text and is_gray(settled)
    parameters.automaticDirection = True
    assert not is_gray(settled)


def test_voxels_that_changed_after_the_design_are_told(settled, small_ct, wait_until):
    logic, parameters = settled.logic, settled._parameterNode
    nodes = logic.resultNodes(parameters)
    logic.inputStates.keep(nodes, logic.inputStates.of(small_ct))
    settled.panel.update()
    assert not is_gray(settled)
    slicer.util.arrayFromVolume(small_ct)[:5] += 1
    slicer.util.arrayFromVolumeModified(small_ct)
    wait_until(lambda: "other voxels of the input" in settled.ui.implantLabel.text, 5)
    assert is_gray(settled)


def test_flag_stays_in_its_color(settled):
    from SkullImplantPanel.colors import BAD_COLORS, readableColor

    nodes = settled.logic.resultNodes(settled._parameterNode)
    design = json.loads(nodes.design.GetText())
    design["confidence"] |= {"flagged": True, "reasons": ["The hole is large."]}
    nodes.design.SetText(json.dumps(design))
    settled._parameterNode.clearanceMm = 0.8
    label = settled.ui.expectationLabel
    assert "Made with" in settled.ui.implantLabel.text
    assert readableColor(label, BAD_COLORS) in label.text and "Look twice" in label.text


def test_edit_grays_the_checks(settled, small_ct):
    nodes = settled.logic.resultNodes(settled._parameterNode)
    implant = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", small_ct)
    implant[: np.argwhere(implant)[:, 0].min() + 2] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        implant, nodes.segmentation, "Implant", small_ct
    )
    settled.panel.update()
    assert is_gray(settled) and "was edited" in settled.ui.implantLabel.text
    settled.ui.undoButton.click()
    assert not is_gray(settled)
