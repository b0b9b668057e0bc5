"""`Show` beside a check: all views go to the place of its worst value, which is marked."""

import json

import numpy as np
import pytest
import slicer

from module_fixtures import node_ids

SHOW = 3
MARK = "SkullImplant place of a check"


def shown_checks(reviewed) -> list[tuple[int, dict]]:
    """The rows of the table with a button, and their checks."""
    nodes = reviewed.logic.resultNodes(reviewed._parameterNode)
    checks = sorted(json.loads(nodes.design.GetText())["checks"], key=lambda check: check["passed"])
    table = reviewed.ui.checksTable
    with_place = [(row, check) for row, check in enumerate(checks) if check["place_mm"]]
    buttons = [row for row in range(table.rowCount) if table.cellWidget(row, SHOW) is not None]
    assert buttons == [row for row, _ in with_place]
    return with_place


def click(reviewed, row: int) -> None:
    reviewed.ui.checksTable.cellWidget(row, SHOW).click()


def slice_distances(place: np.ndarray) -> list[float]:
    """How far a place (RAS) is off each slice."""
    apart = []
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        apart.append(abs(float(matrix[:3, 2] @ (place - matrix[:3, 3]))))
    return apart


@pytest.mark.parametrize("moved", [False, True])
def test_show_brings_slices_and_camera_to_the_place(reviewed_in_window, scene, moved):
    reviewed, matrix = reviewed_in_window, np.eye(4)
    if moved:
        matrix = np.array([[0, -1, 0, 12.0], [1, 0, 0, -40.0], [0, 0, 1, 7.0], [0, 0, 0, 1.0]])
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        nodes = reviewed.logic.resultNodes(reviewed._parameterNode)
        for node in (nodes.segmentation, *nodes.models):
            node.SetAndObserveTransformNodeID(transform.GetID())
    camera = scene.GetFirstNodeByClass("vtkMRMLCameraNode")
    rows = shown_checks(reviewed)
    assert len(rows) > 5
    for row, check in (rows[0], rows[-1]):
        click(reviewed, row)
        x, y, z = check["place_mm"]
        place = matrix[:3, :3] @ [-x, -y, z] + matrix[:3, 3]
        assert len(slice_distances(place)) == 3 and max(slice_distances(place)) < 1e-3
        assert np.allclose(camera.GetFocalPoint(), place, atol=1e-3)
        mark = slicer.util.getNode(MARK)
        assert np.allclose(slicer.util.arrayFromMarkupsControlPoints(mark), [place], atol=1e-3)
        assert mark.GetNthControlPointLabel(0).lower() == check["name"]


def test_a_slice_moves_aside_only_where_the_place_would_be_out_of_sight(reviewed_in_window):
    node = slicer.util.getNode("vtkMRMLSliceNodeRed")
    row, check = shown_checks(reviewed_in_window)[0]
    x, y, _ = check["place_mm"]
    middle = np.array(node.GetXYToRAS().MultiplyPoint((0, 0, 0, 1)))[:2]
    click(reviewed_in_window, row)
    assert np.allclose(node.GetXYToRAS().MultiplyPoint((0, 0, 0, 1))[:2], middle)
    node.SetFieldOfView(20.0, 20.0, 1.0)  # zoomed in on what lies elsewhere
    node.JumpSliceByCentering(80.0, 0.0, 0.0)
    click(reviewed_in_window, row)
    place = node.GetSliceToRAS().GetElement(0, 3), node.GetSliceToRAS().GetElement(1, 3)
    assert np.allclose(place, [-x, -y], atol=1e-3)


def test_the_mark_is_not_saved_and_goes_when_the_panel_is_left(host, reviewed, scene):
    before = node_ids(scene)
    row, _ = shown_checks(reviewed)[0]
    click(reviewed, row)
    mark = slicer.util.getNode(MARK)
    assert not mark.GetSaveWithScene() and mark.GetHideFromEditors() and mark.GetLocked()
    click(reviewed, row)
    assert len(slicer.util.getNodes(f"{MARK}*")) == 1
    host.exit(reviewed)
    left = {i: name for i, name in node_ids(scene).items() if "isplay" not in name}
    assert left == {i: name for i, name in before.items() if "isplay" not in name}
    host.enter(reviewed)


def test_the_mark_goes_with_its_result(reviewed, small_ct, small_result):
    from SkullImplantPanel import results

    click(reviewed, shown_checks(reviewed)[0][0])
    second = results.addResults(results.readResults(small_result), small_ct)
    reviewed._parameterNode.resultSegmentation = second.segmentation
    assert not slicer.util.getNodes(f"{MARK}*")


def test_limits_tell_their_source(reviewed):
    nodes = reviewed.logic.resultNodes(reviewed._parameterNode)
    checks = {check["name"]: check for check in json.loads(nodes.design.GetText())["checks"]}
    table = reviewed.ui.checksTable
    for row in range(table.rowCount):
        item = table.item(row, 1)
        assert checks[item.text().lower()]["source"] in item.toolTip()


def test_what_is_to_be_looked_at_comes_first(panel, small_ct, small_result):
    from SkullImplantPanel import results

    read = results.readResults(small_result)
    for number, check in enumerate(read.design["checks"]):
        check["passed"] = number not in (4, 7)
    nodes = results.addResults(read, small_ct)
    panel._parameterNode.inputVolume = small_ct
    panel._parameterNode.resultSegmentation = nodes.segmentation
    table = panel.ui.checksTable
    names = [check["name"] for check in read.design["checks"]]
    first = [table.item(row, 1).text().lower() for row in range(3)]
    assert first == [names[4], names[7], names[0]]
    assert [table.item(row, 0).text() for row in range(3)] == ["⚠", "⚠", "✔"]


def test_all_that_a_result_says_comes_in_the_users_language(
    reviewed, small_ct, two_holes_result, monkeypatch
):
    from SkullImplantPanel import results, translation

    monkeypatch.setattr(translation, "inUsersLanguage", "«{}»".format)
    nodes = results.addResults(results.readResults(two_holes_result), small_ct)
    design = json.loads(nodes.design.GetText())
    for check in design["checks"]:
        assert results.checkRow(check)[5].startswith("«"), check["sentence"]
    for text in (*design["notes"], *design["confidence"]["reasons"]):
        assert text.startswith("Look twice") or translation.translated(text).startswith("«"), text
    reviewed._parameterNode.resultSegmentation = nodes.segmentation
    assert reviewed.ui.notesLabel.text.startswith("«") == bool(reviewed.ui.notesLabel.text)
    assert "«" in reviewed.ui.checksTable.item(0, 0).toolTip()
