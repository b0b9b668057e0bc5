"""*Color by*: the maps on the implant, their legend, and what is under the mouse."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from module_panel_of import scroll_area
from PIL import Image

PANEL_PIXELS = 430
NAMES = ("gap", "step", "thickness", "uncertainty")


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = Path(os.environ.get("SKULL_IMPLANT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose(panel, name: str) -> None:
    """As a user does in the box."""
    box = panel.ui.colorByComboBox
    box.setCurrentIndex(box.findData(name))
    box.activated(box.currentIndex)


def nodes_of(panel):
    return panel.logic.resultNodes(panel._parameterNode)


def display_of(panel):
    return nodes_of(panel).model.GetDisplayNode()


def legends() -> list:
    return slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")


def values_of(panel, array: str) -> np.ndarray:
    return slicer.util.arrayFromModelPointData(nodes_of(panel).model, array)


@pytest.mark.parametrize("name", NAMES)
def test_the_box_colors_the_implant_with_a_legend_and_takes_the_colors_back(reviewed, name):
    display = display_of(reviewed)
    own = display.GetColor()
    assert not display.GetScalarVisibility() and not legends()
    choose(reviewed, name)
    assert reviewed._parameterNode.colorBy == name
    assert display.GetScalarVisibility() and display.GetActiveScalarName() == f"{name}_mm"
    assert display.GetVisibility2D()
    (legend,) = legends()
    assert legend.GetTitleText().lower().startswith(name) and "mm" in legend.GetTitleText()
    assert legend.GetPrimaryDisplayNode() is display and legend.GetVisibility3D()
    low, high = display.GetScalarRange()
    assert low < high and reviewed.ui.colorNoteLabel.text
    choose(reviewed, "none")
    assert not display.GetScalarVisibility() and not display.GetVisibility2D()
    assert not legends() and display.GetColor() == own and not reviewed.ui.colorNoteLabel.visible


def test_labels_of_the_legend_meet_the_limits_of_the_checks(reviewed):
    design = json.loads(nodes_of(reviewed).design.GetText())
    checks = {check["name"]: check for check in design["checks"]}
    met = {"gap": checks["rim gap"]["limit"], "thickness": design["parameters"]["least_wall_mm"]}
    met |= {"step": 0.8, "uncertainty": 1.0}
    for name, limit in met.items():
        choose(reviewed, name)
        labels = np.linspace(
            *display_of(reviewed).GetScalarRange(), legends()[0].GetNumberOfLabels()
        )
        assert np.abs(labels - limit).min() < 1e-6, name
    choose(reviewed, "step")
    assert sum(display_of(reviewed).GetScalarRange()) == 0.0


@pytest.mark.parametrize("name", ["gap", "step"])
def test_colors_run_evenly_and_where_a_map_does_not_apply_is_gray(reviewed, name):
    choose(reviewed, name)
    table = display_of(reviewed).GetColorNode().GetLookupTable()
    red, green, blue, _alpha = table.GetNanColor()
    assert red == green == blue
    colors = np.array([table.GetTableValue(k)[:3] for k in range(table.GetNumberOfTableValues())])
    linear = np.where(colors > 0.04045, ((colors + 0.055) / 1.055) ** 2.4, colors / 12.92)  # sRGB
    luma = np.cbrt(linear @ [0.2126, 0.7152, 0.0722])  # as CIE's lightness goes
    if name == "gap":  # brightness alone tells the order, to whomever
        steps = np.diff(luma[::16])  # the table has 8 bits
        assert (steps > 0.0).all() and steps.max() < 3.0 * np.median(steps)
    else:  # both ends are darker than the middle, one blue, one red
        middle = int(np.argmax(luma))
        assert abs(middle - 128) < 8 and colors[0, 2] > 0.7 and colors[-1, 0] > 0.6


def test_the_surface_is_that_of_the_stl_with_values_at_its_points(reviewed, small_result):
    from SkullImplantPanel.resultfiles import readStl

    surface, stl = nodes_of(reviewed).model.GetPolyData(), readStl(small_result / "implant.stl")
    assert surface.GetNumberOfPolys() == stl.GetNumberOfPolys()
    assert np.allclose(surface.GetBounds(), stl.GetBounds(), atol=1e-5)
    assert surface.GetPointData().GetNormals() is not None
    assert np.isfinite(values_of(reviewed, "thickness_mm")).all()
    gap = values_of(reviewed, "gap_mm")
    assert 0.05 < np.isfinite(gap).mean() < 0.7


def test_a_result_of_an_earlier_version_says_why_there_are_no_colors(
    panel, small_ct, small_result, tmp_path
):
    import shutil

    from SkullImplantPanel import results

    old = tmp_path / "old"
    shutil.copytree(small_result, old)
    (old / "implant-maps.vtp").unlink()
    design = json.loads((old / "design.json").read_text())
    del design["implants"][0]["maps"]
    (old / "design.json").write_text(json.dumps(design))
    nodes = results.addResults(results.readResults(old), small_ct)
    parameters = panel._parameterNode
    parameters.inputVolume, parameters.colorBy = small_ct, "gap"
    parameters.resultSegmentation = nodes.segmentation
    ui = panel.ui
    assert not ui.colorByComboBox.enabled and "earlier version" in ui.colorNoteLabel.text
    assert not display_of(panel).GetScalarVisibility() and not legends()
    assert not ui.underMouseLabel.visible


def test_of_an_edited_implant_the_uncertainty_is_not_known_and_that_is_said(
    panel, small_ct, small_result
):
    from SkullImplantPanel import results

    read = results.readResults(small_result)
    read.design["edited"] = True
    read.surfaces["Implant"].GetPointData().RemoveArray("uncertainty_mm")
    nodes = results.addResults(read, small_ct)
    parameters = panel._parameterNode
    parameters.inputVolume, parameters.resultSegmentation = small_ct, nodes.segmentation
    choose(panel, "uncertainty")
    assert "edited" in panel.ui.colorNoteLabel.text and not legends()
    choose(panel, "gap")
    assert legends()


def test_another_ct_takes_colors_and_legend_away_and_its_return_brings_them_back(
    reviewed, small_ct, scene
):
    choose(reviewed, "gap")
    display = display_of(reviewed)
    other = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, small_ct, "Another")
    reviewed._parameterNode.inputVolume = other
    assert not display.GetVisibility() and not legends() and not display.GetScalarVisibility()
    reviewed._parameterNode.inputVolume = small_ct
    assert display.GetVisibility() and display.GetScalarVisibility() and len(legends()) == 1


def test_scene_that_is_saved_and_loaded_keeps_values_choice_and_colors(
    host, reviewed, scene, tmp_path
):
    choose(reviewed, "thickness")
    before = values_of(reviewed, "gap_mm").copy()
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    host.process_events()
    assert reviewed._parameterNode.colorBy == "thickness"
    assert np.array_equal(values_of(reviewed, "gap_mm"), before, equal_nan=True)
    display = display_of(reviewed)
    assert display.GetScalarVisibility() and display.GetActiveScalarName() == "thickness_mm"
    assert display.GetColorNode().GetLookupTable().GetNanColor()[0] == pytest.approx(0.62)
    assert len(legends()) == 1 and legends()[0].GetPrimaryDisplayNode() is display
    assert reviewed.ui.colorByComboBox.currentText == "Thickness"
    choose(reviewed, "none")
    assert not legends()


def crosshair():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")


def point_at(place) -> None:
    """As a view does when the mouse is over a place (RAS)."""
    crosshair().SetCursorPositionRAS([float(along) for along in place])


def point_and_outward(panel, index: int) -> tuple[np.ndarray, np.ndarray]:
    surface = nodes_of(panel).model.GetPolyData()
    normal = surface.GetPointData().GetNormals().GetTuple3(index)
    return np.array(surface.GetPoint(index)), np.array(normal)


@pytest.mark.parametrize("moved", [False, True])
def test_under_the_mouse_the_values_are_told(reviewed, scene, moved):
    nodes, matrix = nodes_of(reviewed), np.eye(4)
    if moved:
        matrix = np.array([[0, -1, 0, 12.0], [1, 0, 0, -40.0], [0, 0, 1, 7.0], [0, 0, 0, 1.0]])
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        for node in (nodes.segmentation, *nodes.models):
            node.SetAndObserveTransformNodeID(transform.GetID())
    label = reviewed.ui.underMouseLabel
    gap, thickness = values_of(reviewed, "gap_mm"), values_of(reviewed, "thickness_mm")
    on_rim = int(np.flatnonzero(np.isfinite(gap))[5])
    in_middle = int(np.flatnonzero(np.isnan(gap))[-1])
    for index, words in (
        (on_rim, f"Thickness {thickness[on_rim]:.1f} mm, gap {gap[on_rim]:.1f} mm"),
        (in_middle, f"Thickness {thickness[in_middle]:.1f} mm"),
    ):
        place, outward = point_and_outward(reviewed, index)
        point_at(matrix[:3, :3] @ (place + 0.01 * outward) + matrix[:3, 3])
        assert label.text.startswith(words) and "uncertainty" in label.text
    assert "gap" not in label.text
    # In a slice the mouse may be within the implant; beside it nothing is told.
    point_at(matrix[:3, :3] @ (place - 1.8 * outward) + matrix[:3, 3])
    assert label.text.startswith("Thickness")
    point_at(matrix[:3, :3] @ (place + 4.0 * outward) + matrix[:3, 3])
    assert label.text == ""
    point_at(matrix[:3, :3] @ place + matrix[:3, 3])
    assert label.text
    crosshair().SetCursorPositionInvalid()
    assert label.text == ""


def test_looking_up_what_is_under_the_mouse_is_fast(reviewed):
    import time

    places = [point_and_outward(reviewed, index)[0] for index in range(0, 2000, 20)]
    slowest = 0.0
    for place in places:
        begin = time.perf_counter()
        point_at(place)
        slowest = max(slowest, time.perf_counter() - begin)
    assert slowest < 0.1


def test_what_is_under_the_mouse_is_gray_where_the_result_is_stale(reviewed):
    place, _ = point_and_outward(reviewed, 10)
    reviewed._parameterNode.clearanceMm = 1.2
    point_at(place)
    assert reviewed.ui.underMouseLabel.text.startswith("<font color")
    reviewed._parameterNode.clearanceMm = 0.5
    point_at((0.0, 0.0, 900.0))
    point_at(place)
    assert reviewed.ui.underMouseLabel.text.startswith("Thickness")


def test_a_panel_that_is_left_follows_the_mouse_no_more_and_the_colors_stay(host, reviewed):
    choose(reviewed, "gap")
    place, _ = point_and_outward(reviewed, 10)
    host.exit(reviewed)
    point_at(place)
    assert reviewed.ui.underMouseLabel.text == "" and display_of(reviewed).GetScalarVisibility()
    host.enter(reviewed)
    point_at((0.0, 0.0, 900.0))
    point_at(place)
    assert reviewed.ui.underMouseLabel.text


def test_two_implants_have_one_legend_and_the_number_is_told(
    panel, scene, two_holes_ct_file, two_holes_result
):
    from SkullImplantPanel import results

    volume = slicer.util.loadVolume(str(two_holes_ct_file))
    nodes = results.addResults(results.readResults(two_holes_result), volume)
    panel._parameterNode.inputVolume = volume
    panel._parameterNode.resultSegmentation = nodes.segmentation
    choose(panel, "thickness")
    assert all(model.GetDisplayNode().GetScalarVisibility() for model in nodes.models)
    assert len(legends()) == 1
    point_at(nodes.models[1].GetPolyData().GetPoint(3))
    assert panel.ui.underMouseLabel.text.startswith("Implant 2: thickness")


def test_the_mouse_over_a_view_reads_the_implant(reviewed_in_window, window, host):
    """A real mouse over a real 3D view, whose picker finds the surface."""
    from SkullImplantPanel import review

    panel = reviewed_in_window
    review.centerViews(nodes_of(panel))
    host.process_events()
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    interactor = view.interactor()
    view.renderWindow().Render()
    width, height = view.renderWindow().GetSize()
    interactor.SetEventInformation(width // 2, height // 2)
    interactor.InvokeEvent(vtk.vtkCommand.EnterEvent)
    interactor.InvokeEvent(vtk.vtkCommand.MouseMoveEvent)
    assert panel.ui.underMouseLabel.text.startswith("Thickness")
    interactor.SetEventInformation(3, 3)
    interactor.InvokeEvent(vtk.vtkCommand.MouseMoveEvent)
    assert panel.ui.underMouseLabel.text == ""


def test_texts_of_the_legend_are_read_on_a_dark_view_too(
    reviewed_in_window, window, host, tmp_path
):
    import qt
    from SkullImplantPanel import review
    from test_width import DARK

    panel = reviewed_in_window
    choose(panel, "gap")
    assert legends()[0].GetLabelTextProperty().GetColor() == (0.0, 0.0, 0.0)
    choose(panel, "none")
    palette = qt.QPalette()
    for role, color in DARK.items():
        palette.setColor(getattr(qt.QPalette, role), qt.QColor(color))
    panel.parent.setPalette(palette)
    for view in slicer.util.getNodesByClass("vtkMRMLViewNode"):
        view.SetBackgroundColor(0.0, 0.0, 0.0)
        view.SetBackgroundColor2(0.0, 0.0, 0.0)
    try:
        review.centerViews(nodes_of(panel))
        choose(panel, "step")
        assert legends()[0].GetLabelTextProperty().GetColor() == (1.0, 1.0, 1.0)
        place, _ = point_and_outward(panel, 10)
        point_at(place)
        host.process_events()
        bar = scroll_area(window).verticalScrollBar()
        bar.setValue(bar.maximum)
        window.screenshot(tmp_path / "dark.png")
        picture = three_d_of(tmp_path / "dark.png")
        height, width = picture.shape[:2]
        assert (picture[height // 2 :, : width // 6].min(axis=2) > 200).sum() > 50, "white texts"
    finally:
        panel.parent.setPalette(qt.QPalette())


def test_pictures_of_the_maps(reviewed_in_window, window, pictures, tmp_path):
    from SkullImplantPanel import review

    panel = reviewed_in_window
    review.centerViews(nodes_of(panel))
    window.screenshot(tmp_path / "none.png")
    plain = three_d_of(tmp_path / "none.png")
    for name in NAMES:
        choose(panel, name)
        path = (pictures if name == "thickness" else tmp_path) / f"panel-{name}.png"
        window.screenshot(path)
        changed = np.abs(three_d_of(path) - plain).max(axis=2) > 30
        assert changed.mean() > 0.03, "the implant has other colors"
        # The legend lies in the lower left corner, and the implant in the middle is free of it.
        height, width = changed.shape
        assert changed[height // 2 :, : width // 6].mean() > 0.03
    choose(panel, "none")
    window.screenshot(tmp_path / "again.png")
    again = three_d_of(tmp_path / "again.png")
    assert (np.abs(again - plain).max(axis=2) > 30).mean() < 0.002


def three_d_of(path: Path) -> np.ndarray:
    """The 3D view, the upper right quarter of what is beside the panel."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)[:, PANEL_PIXELS:]
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return picture[40:height, width:]
