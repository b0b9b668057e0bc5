"""The skull and its holes before a design: found, shown, chosen, limited, added, out of date."""

import json
import subprocess
import sys

import numpy as np
import pytest
import slicer
from PySide6 import QtCore

from kept_folders import made_once
from module_fixtures import PROJECT
from phantom_views import drag, slice_view


@pytest.fixture(scope="session")
def found_folder(two_holes_ct_file, tmp_path_factory):
    """What the library finds in the CT with two holes."""

    def make(folder) -> None:
        command = [sys.executable, "-m", "SkullImplantLib", "holes", str(two_holes_ct_file)]
        options = ["-o", str(folder), "--model", "prior"]
        subprocess.run([*command, *options], check=True, capture_output=True, cwd=PROJECT)

    return made_once(tmp_path_factory, "two-found", make)


@pytest.fixture
def two_holes_ct(scene, two_holes_ct_file):
    return slicer.util.loadVolume(str(two_holes_ct_file))


@pytest.fixture
def found(panel, two_holes_ct, found_folder):
    """The panel with what was found in the CT with two holes."""
    return panel_with_found(panel, two_holes_ct, found_folder)


def panel_with_found(panel, volume, folder):
    from SkullImplantPanel.finding import stateOf
    from SkullImplantPanel.found import addFound
    from SkullImplantPanel.foundfiles import readFound

    panel._parameterNode.inputVolume = volume
    panel._parameterNode.model = "prior"
    nodes = addFound(readFound(folder), volume, stateOf(panel._parameterNode))
    panel.logic.inputStates.keep(nodes, panel.logic.inputStates.of(volume))
    panel.panel.update()
    return panel


def found_nodes(panel):
    from SkullImplantPanel.found import foundOf

    return foundOf(panel._parameterNode.inputVolume)


def ticks(panel) -> list[bool]:
    import qt

    table = panel.ui.holesTable
    items = [table.item(row, 0) for row in range(table.rowCount)]
    return [
        item.checkState() == qt.Qt.Checked
        for item in items
        if item.flags() & qt.Qt.ItemIsUserCheckable
    ]


def tick(panel, row: int, on: bool) -> None:
    import qt

    panel.ui.holesTable.item(row, 0).setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)


def asked(panel) -> list[str]:
    from SkullImplantPanel import requests

    arguments = requests.designRequest(panel._parameterNode).arguments
    return [argument for argument in arguments if argument.startswith("--hole")]


def draw(panel, button, points) -> None:
    """Draw a curve as clicks do, where no view is there to be clicked into."""
    button.click()
    name = "limitCurve" if button is panel.ui.limitButton else "cutOutCurve"
    curve = getattr(panel._parameterNode, name)
    for point in points:
        curve.AddControlPoint(point)
    slicer.app.applicationLogic().GetInteractionNode().SwitchToViewTransformMode()
    panel.panel.update()


def around(panel, number: int, radius_mm: float) -> np.ndarray:
    """Points around the middle of a hole, RAS mm, on a plane across the way out of the head."""
    nodes = found_nodes(panel)
    bounds = np.zeros(6)
    nodes.segmentation.GetRASBounds(bounds)
    hole = json.loads(nodes.data.GetText())["holes"][number - 1]
    middle = np.array(hole["centre_mm_xyz"]) * [-1, -1, 1]
    out = middle - bounds.reshape(3, 2).mean(axis=1)
    out /= np.linalg.norm(out)
    aside = np.cross(out, [0.0, 0.0, 1.0])
    aside /= np.linalg.norm(aside)
    up = np.cross(aside, out)
    turns = np.linspace(0.0, 2 * np.pi, 8, endpoint=False)
    return middle + radius_mm * (np.outer(np.cos(turns), aside) + np.outer(np.sin(turns), up))


def test_what_is_found_in_a_segmentation_has_its_grid(panel, two_holes_ct, found_folder):
    from SkullImplantPanel.found import addFound
    from SkullImplantPanel.foundfiles import readFound

    skull = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    skull.SetReferenceImageGeometryParameterFromVolumeNode(two_holes_ct)
    nodes = addFound(readFound(found_folder), skull, "")
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    grids = [
        node.GetSegmentation().GetConversionParameter(name) for node in (skull, nodes.segmentation)
    ]
    assert grids[0] and grids[0] == grids[1]


def test_without_a_search_nothing_of_it_is_seen(ready):
    ui = ready.ui
    assert ui.findSkullButton.enabled and ui.generateButton.enabled
    assert ui.holesTable.isHidden() and ui.foundLabel.isHidden() and ui.showHolesCheckBox.isHidden()


@pytest.mark.slow
def test_button_finds_the_designed_holes(panel, two_holes_ct, two_holes_result, wait_until):
    panel._parameterNode.inputVolume = two_holes_ct
    panel._parameterNode.model = "prior"
    ui = panel.ui
    ui.findSkullButton.click()
    assert ui.findSkullButton.text == "Cancel" and ui.generateButton.text == "Cancel"
    wait_until(lambda: panel.logic.run is None)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    assert ui.findSkullButton.text == "Find the skull" and ui.holesTable.rowCount >= 2
    holes = json.loads(found_nodes(panel).data.GetText())["holes"]
    implants = json.loads((two_holes_result / "design.json").read_text())["implants"]
    filled = [hole for hole in holes if hole["by_default"]]
    assert len(filled) == len(implants) == 2
    for hole, implant in zip(filled, implants):
        apart = np.subtract(hole["centre_mm_xyz"], implant["centre_mm_xyz"])
        assert np.linalg.norm(apart) < 6.0
    assert ticks(panel) == [True, True] and asked(panel) == []


@pytest.mark.slow
def test_search_can_be_cancelled(ready, wait_until, monkeypatch):
    from SkullImplantPanel import runcontrol

    monkeypatch.setattr(runcontrol, "DOUBLE_CLICK_S", 0.0)
    ready.ui.findSkullButton.click()
    ready.ui.findSkullButton.click()
    wait_until(lambda: ready.logic.run is None, 5)
    assert found_nodes(ready) is None and ready.ui.findSkullButton.text == "Find the skull"
    assert ready.ui.progressLabel.text == "Cancelled."


def test_segments_and_numbers_lie_where_the_holes_are(found, found_folder, two_holes_ct):
    import SimpleITK as sitk

    nodes = found_nodes(found)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(found_folder / "holes.nrrd")))
    for number in (1, 2):
        segment = slicer.util.arrayFromSegmentBinaryLabelmap(
            nodes.segmentation, f"Hole-{number}", two_holes_ct
        )
        assert np.array_equal(segment > 0, labels == number)
        index = np.argwhere(segment)[:, ::-1].mean(axis=0)
        image = sitk.ReadImage(str(found_folder / "holes.nrrd"))
        middle = np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
        label = np.zeros(3)
        nodes.numbers.GetNthControlPointPositionWorld(number - 1, label)
        assert nodes.numbers.GetNthControlPointLabel(number - 1) == str(number)
        assert np.linalg.norm(middle * [-1, -1, 1] - label) < 10.0
    assert "cm²" in found.ui.holesTable.item(0, 1).text()


def test_check_boxes_all_and_points_are_one_truth(found):
    parameters, ui = found._parameterNode, found.ui
    assert ticks(found) == [True, True] and parameters.allHoles
    tick(found, 0, False)
    assert not parameters.allHoles and ticks(found) == [False, True]
    (hole,) = asked(found)
    told = json.loads(found_nodes(found).data.GetText())["holes"][1]["centre_mm_xyz"]
    given = [float(number) for number in hole.removeprefix("--hole=").split(",")]
    assert np.linalg.norm(np.subtract(given, told)) < 8.0
    assert ui.placeHoleButton.text == "Click into a hole (1 chosen)"
    # A point that is clicked into the other hole ticks its box ...
    first = json.loads(found_nodes(found).data.GetText())["holes"][0]["centre_mm_xyz"]
    parameters.holePoints.AddControlPoint(np.multiply(first, [-1, -1, 1]))
    found.panel.update()
    assert ticks(found) == [True, True] and len(asked(found)) == 2
    # ... and unticking it takes the point away.
    tick(found, 0, False)
    assert len(asked(found)) == 1 and ticks(found) == [False, True]
    tick(found, 1, False)
    assert not ui.generateButton.enabled and "Click into each hole" in ui.problemLabel.text
    tick(found, 0, True)
    tick(found, 1, True)
    assert parameters.allHoles and asked(found) == []
    ui.allHolesCheckBox.checked = False
    assert ticks(found) == [True, False], "the point that was put last is still there"


def test_row_takes_the_views_to_its_hole(window, found):
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    holes = json.loads(found_nodes(found).data.GetText())["holes"]
    for row in (1, 0):
        found.panel.holes._table._onCellClicked(row, 1)
        offset = red.GetSliceOffset()
        assert offset == pytest.approx(holes[row]["centre_mm_xyz"][2], abs=0.5)


@pytest.mark.parametrize(
    "change",
    [
        lambda panel: setattr(panel._parameterNode, "clearanceMm", 1.5),
        lambda panel: setattr(panel._parameterNode, "automaticThreshold", False),
        lambda panel: draw(panel, panel.ui.limitButton, around(panel, 1, 30.0)),
        lambda panel: draw(panel, panel.ui.addHoleButton, around(panel, 1, 30.0)),
        lambda panel: setattr(panel._parameterNode, "leaveOut", found_nodes(panel).segmentation),
    ],
)
def test_what_was_found_goes_out_of_date(found, change):
    from SkullImplantPanel.colors import grayOf

    table, gray = found.ui.holesTable, grayOf(found.ui.implantLabel)
    assert table.item(0, 1).foreground().color().name() != gray
    change(found)
    assert table.item(0, 1).foreground().color().name() == gray
    assert "out of date" in found.ui.foundLabel.text


def test_changed_voxels_put_it_out_of_date(found, two_holes_ct, wait_until):
    slicer.util.arrayFromVolume(two_holes_ct)[:5] += 1
    slicer.util.arrayFromVolumeModified(two_holes_ct)
    wait_until(lambda: "out of date" in found.ui.foundLabel.text, 5)


def test_another_ct_hides_it_and_the_same_shows_it_again(found, two_holes_ct, scene):
    nodes = found_nodes(found)
    other = slicer.modules.volumes.logic().CloneVolume(scene, two_holes_ct, "Other")
    assert nodes.segmentation.GetDisplayNode().GetVisibility()
    found._parameterNode.inputVolume = other
    assert found.ui.holesTable.isHidden()
    for node in (nodes.segmentation, nodes.numbers):
        assert not node.GetDisplayNode().GetVisibility()
    found._parameterNode.inputVolume = two_holes_ct
    assert not found.ui.holesTable.isHidden()
    assert nodes.numbers.GetDisplayNode().GetVisibility()
    found.ui.showHolesCheckBox.checked = False
    assert not nodes.numbers.GetDisplayNode().GetVisibility()


def test_holes_are_no_bone_where_the_segmentation_is_the_skull(found):
    from SkullImplantPanel.inputs import skullSegmentIds

    assert skullSegmentIds(found_nodes(found).segmentation) == ["Skull"]


def test_curves_go_along_with_the_design_and_can_be_removed(found, two_holes_ct):
    from SkullImplantPanel import requests

    from SkullImplantLib.reading.curve import read_curve

    ui = found.ui
    ring = around(found, 2, 20.0)
    draw(found, ui.limitButton, ring)
    assert ui.limitButton.text == "Remove the limit"
    request = requests.designRequest(found._parameterNode)
    assert "--limit-to" in request.arguments and "--cut-out" not in request.arguments
    folder = found._parameterNode.exportFolder
    folder.mkdir(parents=True)
    request.writeInto(folder)
    curve = read_curve(folder / "limit-to.mrk.json")
    # The points that were clicked lie on the curve that is handed over, in LPS.
    for point in ring * [-1, -1, 1]:
        assert np.linalg.norm(curve.points_mm - point, axis=1).min() < 0.01
    ui.limitButton.click()
    assert found._parameterNode.limitCurve is None and ui.limitButton.text == "Draw a limit"
    assert "--limit-to" not in requests.designRequest(found._parameterNode).arguments


def test_curve_of_two_points_is_told(found):
    draw(found, found.ui.addHoleButton, around(found, 1, 20.0)[:2])
    assert not found.ui.findSkullButton.enabled and not found.ui.generateButton.enabled
    assert "fewer than 3 points" in found.ui.problemLabel.text


def test_library_draws_the_curve_that_slicer_draws(found):
    from SkullImplantPanel.curves import curvePoints

    from SkullImplantLib.geometry.curve_region import drawn_curve

    ring = around(found, 1, 25.0)[[0, 1, 3, 4, 7]]
    draw(found, found.ui.limitButton, ring)
    slicers = curvePoints(found._parameterNode.limitCurve, found._parameterNode.inputVolume)
    own = drawn_curve(ring * [-1, -1, 1])
    for point in slicers:
        assert np.linalg.norm(own - point, axis=1).min() < 0.2


def test_all_of_it_survives_a_saved_scene(found, scene, tmp_path):
    tick(found, 0, False)
    draw(found, found.ui.limitButton, around(found, 2, 30.0))
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    found.initializeParameterNode()
    slicer.app.processEvents()
    assert found_nodes(found) is not None
    assert ticks(found) == [False, True]
    assert found.ui.limitButton.text == "Remove the limit"
    # It was found before the limit was drawn.
    assert "out of date" in found.ui.foundLabel.text
    found.ui.limitButton.click()
    assert "out of date" not in found.ui.foundLabel.text
    assert found_nodes(found).numbers.GetNthControlPointLabel(1) == "2"


def test_clicks_into_a_view_draw_the_curve_until_the_right_click(window, found):
    """In real views: all clicks belong to one curve, whose end lets the views be used again."""
    slicer.util.setSliceViewerLayers(background=found._parameterNode.inputVolume, fit=True)
    slicer.app.processEvents()
    view, button = slice_view(window, "Red"), found.ui.limitButton
    button.click()
    assert button.text == "End drawing"
    for place in ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)):
        drag(view, QtCore.Qt.MouseButton.LeftButton, place, place, steps=1)
    curve = found._parameterNode.limitCurve
    assert curve.GetNumberOfDefinedControlPoints() == 4
    count = len(slicer.util.getNodesByClass("vtkMRMLMarkupsClosedCurveNode"))
    button.click()
    assert button.text == "Remove the limit" and count == 1
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert curve.GetNumberOfControlPoints() == curve.GetNumberOfDefinedControlPoints() == 4


def test_remarks_on_holes_come_in_the_users_language(found, monkeypatch):
    from SkullImplantPanel import holestable, translation

    monkeypatch.setattr(translation, "inUsersLanguage", "«{}»".format)
    nodes = found_nodes(found)
    data = json.loads(nodes.data.GetText())
    data["holes"][0]["remarks"] = ["Metal lies at its rim, whose streaks may blur the bone."]
    nodes.data.SetText(json.dumps(data))
    found.panel.update()
    assert found.ui.holesTable.item(0, holestable.WHERE).toolTip().startswith("«Metal lies")
