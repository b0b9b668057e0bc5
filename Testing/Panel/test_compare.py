"""The section Compare: the other side as a ghost, two results side by side, other proposals."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from test_runs import CANCEL_S, EventLoopWatch, assert_it_never_blocks
from vtk.util.numpy_support import vtk_to_numpy

from module_fixtures import PATIENCE_S, node_ids

MIRROR_GREEN, OTHER_BLUE, ORANGE = (0.0, 0.62, 0.45), (0.0, 0.45, 0.70), (0.90, 0.40, 0.10)
FACTS = {
    "triangles": 0,
    "shown_share": 0.0,
    "mean_mm": None,
    "most95_mm": None,
    "most_mm": None,
    "mean_out_mm": None,
    "off_bone_mm": None,
    "implants": [],
    "sentence": "There is no other side to compare with: the hole lies across the midline.",
}


@pytest.fixture
def compared(reviewed):
    """The panel with a result under review and the section open."""
    reviewed.ui.compareCollapsibleButton.collapsed = False
    yield reviewed
    reviewed.ui.compareCollapsibleButton.collapsed = True


@pytest.fixture
def other(small_ct, small_result):
    """A second result of the same CT, a millimetre farther out, with another clearance."""
    return add_other(small_ct, small_result)


def add_other(small_ct, small_result, shift_mm=1.0):
    from SkullImplantPanel import results

    read = results.readResults(small_result)
    read.design["parameters"]["clearance_mm"] = 0.8
    next(check for check in read.design["checks"] if check["passed"])["passed"] = False
    way = read.design["implants"][0]["insertion_direction_lps"]
    points = vtk_to_numpy(read.surfaces["Implant"].GetPoints().GetData())
    points += (shift_mm * np.array(way) * [-1, -1, 1]).astype(points.dtype)
    read.surfaces["Implant"].GetPoints().Modified()
    other = results.addResults(read, small_ct)
    for node in (other.segmentation, *other.models):
        node.GetDisplayNode().SetVisibility(False)
    return other


def nodes_of(segmentation):
    from SkullImplantPanel import results

    return results.nodesOfResult(segmentation)


def show_mirror(panel, wait_until):
    panel.ui.mirrorCheckBox.click()
    wait_until(lambda: panel.logic.run is not None, 10)
    wait_until(lambda: panel.logic.run is None)
    assert panel.ui.errorFrame.isHidden(), panel.ui.errorLabel.text


def choose(panel, other, wait_until=None):
    panel.panel.onNodesChanged()  # as when the event loop comes round
    box = panel.ui.comparedComboBox
    index = box.findData(other.segmentation.GetID())
    assert index > 0
    box.setCurrentIndex(index)
    box.activated.emit(index)
    if wait_until is not None:
        wait_until(lambda: "Measuring" not in panel.ui.comparedTextLabel.text)


def table_of(table) -> list[list[str]]:
    rows, columns = range(table.rowCount), range(table.columnCount)
    return [
        [table.item(row, column).text().replace("\u200b", "") for column in columns] for row in rows
    ]


# The other side


def test_other_side_is_shown_beside_the_implant(compared, scene, wait_until, tmp_path):
    """Around the hole, translucent, an outline in slices; so in a scene that is loaded again."""
    show_mirror(compared, wait_until)
    nodes = nodes_of(compared._parameterNode.resultSegmentation)
    implant, mirror = np.zeros(6), np.zeros(6)
    nodes.model.GetRASBounds(implant)
    nodes.mirror.GetRASBounds(mirror)
    beyond = np.array([-1, 1] * 3) * (mirror - implant)
    assert (beyond > -2.0).all() and (beyond < 30.0).all()

    def assert_shown(panel):
        display = nodes_of(panel._parameterNode.resultSegmentation).mirror.GetDisplayNode()
        assert display.GetVisibility() and display.GetVisibility2D()
        assert display.GetColor() == pytest.approx(MIRROR_GREEN)
        assert display.GetOpacity() == pytest.approx(0.4)
        text = panel.ui.mirrorLabel.text
        assert "Green: the other side" in text and "mm from it on average" in text
        assert not panel.ui.mirrorLabel.isHidden()

    assert_shown(compared)
    compared.ui.mirrorOpacitySlider.value = 0.7
    assert nodes.mirror.GetDisplayNode().GetOpacity() == pytest.approx(0.7)
    compared.ui.mirrorCheckBox.click()
    assert not nodes.mirror.GetDisplayNode().GetVisibility()
    assert compared.ui.mirrorLabel.isHidden()
    compared.ui.mirrorCheckBox.click()
    compared._parameterNode.mirrorOpacity = 0.4
    assert compared.logic.run is None, "it is asked for once"
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    compared.panel.update()
    assert_shown(compared)
    assert compared.logic.run is None


def test_where_there_is_no_other_side_it_says_so(compared):
    from SkullImplantPanel import mirroredside

    nodes = nodes_of(compared._parameterNode.resultSegmentation)
    mirroredside.addMirror(nodes, None, FACTS)
    compared.ui.mirrorCheckBox.click()
    assert FACTS["sentence"] in compared.ui.mirrorLabel.text.replace("\u200b", "")
    assert compared.ui.mirrorOpacitySlider.isHidden()
    assert compared.logic.run is None and nodes_of(nodes.segmentation).mirror is None


def test_cancelled_look_at_the_other_side_leaves_nothing(compared, scene, wait_until):
    before = node_ids(scene)
    compared.ui.mirrorCheckBox.click()
    wait_until(lambda: compared.logic.run is not None, 10)
    compared.logic.cancel()
    wait_until(lambda: compared.logic.run is None, CANCEL_S)
    assert node_ids(scene) == before
    assert not compared._parameterNode.showMirror and not compared.ui.mirrorCheckBox.checked


def test_other_side_and_other_result_of_another_patient_are_not_shown(
    compared, scene, small_ct, other
):
    from SkullImplantPanel import mirroredside, results

    nodes = nodes_of(compared._parameterNode.resultSegmentation)
    surface = vtk.vtkPolyData()
    surface.DeepCopy(nodes.model.GetPolyData())
    mirroredside.addMirror(nodes, surface, FACTS | {"triangles": 9})
    compared._parameterNode.showMirror = True
    compared.panel.update()
    choose(compared, other)
    mirror = nodes_of(nodes.segmentation).mirror.GetDisplayNode()
    assert mirror.GetVisibility() and other.model.GetDisplayNode().GetVisibility()
    logic = slicer.modules.volumes.logic()
    compared._parameterNode.inputVolume = logic.CloneVolume(scene, small_ct, "Another")
    assert not mirror.GetVisibility() and not other.model.GetDisplayNode().GetVisibility()
    assert compared._parameterNode.comparedSegmentation is None
    for widget in ("mirrorLabel", "comparedTable", "comparedComboBox", "proposalsTable"):
        assert getattr(compared.ui, widget).isHidden(), widget
    results.removeResults(nodes_of(nodes.segmentation))
    assert not slicer.util.getNodes("Other side of*"), "it goes with its result"


# Two results


def test_two_results_side_by_side(compared, other, wait_until, scene, tmp_path):
    choose(compared, other, wait_until)
    rows = table_of(compared.ui.comparedTable)
    told = {name: (sign, *values) for sign, name, *values in rows[1:]}
    assert told["Clearance"] == ("≠", "0.5 mm", "0.8 mm")
    assert told["Expected error"][0] == ""
    assert told["Checks passed"][0] == "≠"
    assert "least wall 2 mm" in compared.ui.alikeLabel.text.replace("\u200b", "")
    display = other.model.GetDisplayNode()
    assert display.GetVisibility() and display.GetVisibility2D()
    assert display.GetColor() == pytest.approx(OTHER_BLUE)
    text = compared.ui.comparedTextLabel.text
    assert "Blue: Implant design_1" in text and "Dice 0." in text
    assert 0.3 < float(text.split("lie ")[1].split(" mm")[0]) <= 1.0
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    compared.panel.update()
    loaded = nodes_of(compared._parameterNode.comparedSegmentation)
    assert loaded.model.GetDisplayNode().GetColor() == pytest.approx(OTHER_BLUE)
    assert loaded.model.GetDisplayNode().GetVisibility()
    assert table_of(compared.ui.comparedTable) == rows
    box = compared.ui.comparedComboBox
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert not loaded.model.GetDisplayNode().GetVisibility()
    assert loaded.model.GetDisplayNode().GetColor() == pytest.approx(ORANGE)
    assert not loaded.model.GetDisplayNode().GetVisibility2D()
    assert compared.ui.comparedTable.isHidden() and compared.ui.alikeLabel.isHidden()


def test_use_this_one_puts_the_other_under_review(compared, other):
    before = nodes_of(compared._parameterNode.resultSegmentation)
    choose(compared, other)
    compared.ui.useOtherButton.click()
    assert compared._parameterNode.resultSegmentation is other.segmentation
    assert compared._parameterNode.comparedSegmentation is before.segmentation
    own, beside = other.model.GetDisplayNode(), before.model.GetDisplayNode()
    assert own.GetVisibility() and own.GetColor() == pytest.approx(ORANGE)
    assert own.GetOpacity() == 1.0 and not own.GetVisibility2D()
    assert beside.GetVisibility() and beside.GetColor() == pytest.approx(OTHER_BLUE)
    assert other.segmentation.GetDisplayNode().GetVisibility()
    assert not before.segmentation.GetDisplayNode().GetVisibility()


def test_removed_result_is_compared_no_more(compared, other):
    from SkullImplantPanel import results

    choose(compared, other)
    results.removeResults(other)
    compared.panel.update()
    assert compared._parameterNode.comparedSegmentation is None
    assert compared.ui.comparedTable.isHidden()


# Proposals


def test_proposals_are_made_and_a_failed_one_says_why(compared, scene, wait_until):
    from SkullImplantPanel.proposals import Proposal

    ui, parameters = compared.ui, compared._parameterNode
    runs = compared.panel.compare._runs
    reviewed = parameters.resultSegmentation
    offered = compared.panel.compare._chosen(parameters)
    assert [proposal.kind for proposal in offered] == ["mirror", "even"]
    bad = Proposal("bad", "Bad design of {name}", {"model": "/nowhere/weights.npz"})
    runs.start(parameters, [bad, offered[0]], [])
    compared.panel.update()
    assert ui.proposalsButton.text == "Cancel"
    wait_until(lambda: not runs.running, 2 * PATIENCE_S)
    assert parameters.resultSegmentation is reviewed, "what is under review stays"
    text = ui.proposalsTextLabel.text.replace("\u200b", "")
    assert text.startswith("1 proposal was made. Bad design of small-ct: ")
    assert "weights.npz" in text
    names = [row[0] for row in table_of(ui.proposalsTable)]
    assert names[1:] == ["Implant design (under review)", "Other side design"]
    made = nodes_of(parameters.comparedSegmentation)
    told = json.loads(made.design.GetText())
    assert told["model"]["source"] == "mirror" and told["parameters"]["model"] == "mirror"
    assert made.segmentation.GetName() == "Other side design of small-ct"
    follows = next(row for row in table_of(ui.comparedTable) if row[1] == "Follows")
    assert follows[0] == "≠" and follows[3] == "the other side, turned over"


@pytest.fixture
def proposed(compared, other):
    """Two results that were made as proposals."""
    from SkullImplantPanel.proposals import PROPOSAL_ATTRIBUTE

    compared._parameterNode.resultSegmentation.SetAttribute(PROPOSAL_ATTRIBUTE, "asSet")
    design = json.loads(other.design.GetText())
    design["parameters"] |= {"thickness_mm": 5.0}
    other.design.SetText(json.dumps(design))
    other.segmentation.SetAttribute(PROPOSAL_ATTRIBUTE, "even")
    choose(compared, other)
    return compared


@pytest.mark.parametrize("answer", [True, False])
def test_the_others_go_only_if_the_user_says_so(proposed, other, monkeypatch, answer):
    asked = []
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda *texts: asked.append(texts) or answer
    )
    before = proposed._parameterNode.resultSegmentation
    proposed.ui.useOtherButton.click()
    assert len(asked) == 1 and "Remove the other 1 proposals?" in asked[0][0]
    assert slicer.mrmlScene.IsNodePresent(before) != answer
    assert proposed._parameterNode.thicknessMm == 5.0, "the next design is made alike"


def test_nothing_is_asked_where_results_are_kept_or_were_edited(proposed, other, monkeypatch):
    from SkullImplantPanel.proposals import removable

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *texts: pytest.fail("asked"))
    before = proposed._parameterNode.resultSegmentation
    proposed._parameterNode.keepResults = True
    proposed.ui.useOtherButton.click()
    assert slicer.mrmlScene.IsNodePresent(before)
    assert [nodes.segmentation for nodes in removable(other.segmentation)] == [before]
    labels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(before, "Implant")
    labels[: len(labels) // 2] = 0
    before.GetSegmentation().GetSegment("Implant").Modified()
    assert removable(other.segmentation) == []


@pytest.mark.slow
def test_proposals_that_are_cancelled_leave_those_made(compared, wait_until):
    runs = compared.panel.compare._runs
    compared.ui.proposalsButton.click()
    wait_until(lambda: len(runs.made) == 1 and compared.logic.run is not None, 2 * PATIENCE_S)
    compared.logic.cancel()
    wait_until(lambda: not runs.running, CANCEL_S + 1)
    assert "1 proposal was made. Cancelled; what was made stays." in (
        compared.ui.proposalsTextLabel.text.replace("\u200b", "")
    )


# The event loop, and what it looks like


@pytest.mark.slow
def test_window_stays_alive_while_results_are_compared(compared, host, other, wait_until):
    from SkullImplantPanel import mirroredside

    def watched() -> EventLoopWatch:
        compared.panel.compare._distance._known.clear()
        nodes = nodes_of(compared._parameterNode.resultSegmentation)
        if nodes.mirror is not None:
            slicer.mrmlScene.RemoveNode(nodes.mirror)
            nodes.segmentation.RemoveAttribute(mirroredside.MIRROR_ATTRIBUTE)
            compared._parameterNode.showMirror = False
        with EventLoopWatch(lambda: compared.ui.progressLabel.text) as watch:
            choose(compared, other, wait_until)
            show_mirror(compared, wait_until)
        compared.ui.comparedComboBox.activated.emit(0)
        return watch

    assert_it_never_blocks(watched)


@pytest.fixture
def window_to_compare(window, reviewed_in_window, small_ct, small_result):
    panel = reviewed_in_window
    panel.ui.compareCollapsibleButton.collapsed = False
    other = add_other(small_ct, small_result)
    yield window, panel, other
    panel.ui.compareCollapsibleButton.collapsed = True


def test_ghost_and_other_result_are_seen_in_every_view(window_to_compare, wait_until, tmp_path):
    from test_screenshots import quarters_of

    window, panel, other = window_to_compare
    folder = Path(os.environ.get("SKULL_IMPLANT_SCREENSHOTS", tmp_path))
    show_mirror(panel, wait_until)
    panel.ui.centerButton.click()
    path = folder / "panel-compare-mirror.png"
    window.screenshot(path)
    green = [
        ((part[..., 1] > 1.25 * part[..., 0]) & (part[..., 1] > 1.1 * part[..., 2])).sum()
        for part in quarters_of(path)
    ]
    assert min(green) > 150, green
    panel.ui.mirrorCheckBox.click()
    choose(panel, other, wait_until)
    path = folder / "panel-compare-other.png"
    window.screenshot(path)
    blue = [
        ((part[..., 2] > 1.25 * part[..., 1]) & (part[..., 2] > 2.0 * part[..., 0])).sum()
        for part in quarters_of(path)
    ]
    assert min(blue) > 100, blue
