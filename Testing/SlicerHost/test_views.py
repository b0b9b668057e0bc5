"""The development host's views show the scene: real pixels, in the right places, real events."""

import numpy as np
import pytest
import slicer
import slicer.util
from PySide6 import QtCore

from phantom_views import (
    BALL_RADIUS_MM,
    BALL_RAS,
    BOX_RAS,
    BRIGHT,
    MODEL_RAS,
    ORIGIN_RAS,
    SHAPE_KJI,
    SPACING_MM,
    bright,
    drag,
    green,
    jump,
    magenta,
    middle,
    pixels,
    ras_of_pixel,
    slice_view,
    three_d_view,
    wheel,
)

# --- the slices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_a_slice_shows_the_volume_where_it_is(window, phantom, name):
    jump(BOX_RAS)
    view = slice_view(window, name)
    shown = ras_of_pixel(view, *middle(bright(pixels(view))))
    # The box spans whole voxels: its middle is exact to half a voxel, and to a pixel of the view.
    assert np.abs(shown - BOX_RAS).max() <= SPACING_MM


def test_slices_are_turned_as_radiologists_expect(window, phantom):
    jump(BOX_RAS, centered=False)  # the fitted slices stay centred on the volume, which is at 0
    for name, horizontal, vertical in (("Red", 0, 1), ("Green", 0, 2), ("Yellow", 1, 2)):
        view = slice_view(window, name)
        column, row = middle(bright(pixels(view)))
        # The patient's right, or front, is on the left of the picture; front, or head, is on top.
        assert (column < view.width / 2) == (BOX_RAS[horizontal] > 0)
        assert (row < view.height / 2) == (BOX_RAS[vertical] > 0)


def test_segment_and_model_are_cut_where_they_are(window, phantom):
    for centre, color in ((BALL_RAS, green), (MODEL_RAS, magenta)):
        jump(centre)
        for name in window.layout_manager.sliceViewNames():
            view = slice_view(window, name)
            shown = ras_of_pixel(view, *middle(color(pixels(view))))
            assert np.abs(shown - centre).max() <= SPACING_MM, (name, shown)


def test_a_slice_without_the_segment_does_not_show_it(window, phantom):
    jump((BALL_RAS[0], BALL_RAS[1], BALL_RAS[2] + BALL_RADIUS_MM + 3 * SPACING_MM))
    assert not green(pixels(slice_view(window, "Red"))).any()


def test_the_wheel_scrolls_slice_by_slice(window, phantom):
    jump((0.0, 0.0, 0.0))
    view = slice_view(window, "Red")
    logic = window.layout_manager.sliceWidget("Red").sliceLogic()
    before_mm, picture = logic.GetSliceOffset(), pixels(view)
    for _ in range(20):
        wheel(view, 1)
    assert abs(logic.GetSliceOffset() - before_mm) == pytest.approx(20 * SPACING_MM)
    assert (pixels(view) != picture).any()


def test_slider_and_number_follow_and_move_the_slice(window, phantom):
    bar = window.layout_manager.sliceWidget("Red").sliceController()
    logic = bar.sliceLogic()
    jump((0.0, 0.0, 30.0))
    assert bar._offset.value == pytest.approx(logic.GetSliceOffset(), abs=0.01)
    assert bar._offset.text.startswith("S: ")
    bar._slider.setValue(bar._slider.minimum + 10)
    assert logic.GetSliceOffset() == pytest.approx(ORIGIN_RAS[2] + 10 * SPACING_MM, abs=0.01)
    bar._offset.setValue(12.5)
    assert logic.GetSliceOffset() == pytest.approx(12.5)


def test_another_orientation_by_the_bar(window, phantom):
    bar = window.layout_manager.sliceWidget("Red").sliceController()
    assert bar._orientation.currentText == "Axial"
    bar.setSliceOrientation("Coronal")
    assert bar._orientation.currentText == "Coronal"
    assert bar._offset.text.startswith("A: ")
    bar.setSliceOrientation("Axial")


def test_foreground_is_blended_over_background(window, phantom):
    jump(BOX_RAS)
    view = slice_view(window, "Red")
    before = pixels(view)
    foreground = slicer.modules.volumes.logic().CloneVolume(phantom.volume, "foreground")
    slicer.util.updateVolumeFromArray(foreground, np.full(SHAPE_KJI, BRIGHT, np.int16))
    slicer.util.setSliceViewerLayers(foreground=foreground, foregroundOpacity=0.5)
    background = ~bright(before) & ~green(before) & ~magenta(before)
    brighter = pixels(view).sum(axis=-1) > before.sum(axis=-1) + 100
    assert brighter[background].mean() > 0.2


def test_dragging_in_a_slice_changes_window_and_level_only_where_the_mouse_mode_says_so(
    window, phantom
):
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    display = phantom.volume.GetDisplayNode()
    view = slice_view(window, "Red")
    left = QtCore.Qt.MouseButton.LeftButton
    before = display.GetWindow(), display.GetLevel()
    drag(view, left, (0.5, 0.5), (0.6, 0.4))
    assert (display.GetWindow(), display.GetLevel()) == before
    interaction.SetCurrentInteractionMode(interaction.AdjustWindowLevel)
    drag(view, left, (0.5, 0.5), (0.6, 0.4))
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    assert (display.GetWindow(), display.GetLevel()) != before


# --- 3D -------------------------------------------------------------------------------------------


def displayed(view, ras):
    """Where the camera shows the point: (column, row from the top)."""
    renderer = slicer.app.layoutManager().activeThreeDRenderer()
    renderer.SetWorldPoint(*ras, 1.0)
    renderer.WorldToDisplay()
    x, y, _ = renderer.GetDisplayPoint()
    return np.array([x, view.renderWindow().GetSize()[1] - 1 - y])


def test_3d_shows_segment_and_model_where_they_are(window, phantom):
    view = three_d_view(window)
    for centre, color in ((BALL_RAS, green), (MODEL_RAS, magenta)):
        shown = middle(color(pixels(view)) & ~box_lines(view))
        assert np.abs(shown - displayed(view, centre)).max() <= 3.0


def box_lines(view):
    """The pixels of the view's box, which is magenta like the model."""
    node = view.mrmlViewNode()
    with_box = pixels(view)
    node.SetBoxVisible(False)
    without_box = pixels(view)
    node.SetBoxVisible(True)
    return (with_box != without_box).any(axis=-1)


def test_3d_from_the_front_has_the_patients_right_on_the_left(window, phantom):
    view = three_d_view(window)
    phantom.model.GetDisplayNode().SetVisibility(False)
    columns, rows = {}, {}
    for letter, axis in (("A", 5), ("P", 6), ("S", 3), ("R", 1)):
        view.lookFromAxis(axis)
        columns[letter], rows[letter] = middle(green(pixels(view))) - displayed(view, (0, 0, 0))
    # The ball is left, behind and above the origin.
    assert columns["A"] > 0 > columns["P"]
    assert rows["A"] < 0 and rows["P"] < 0
    assert columns["S"] < 0 < rows["S"]
    assert columns["R"] < 0


def test_dragging_turns_the_camera_and_the_wheel_zooms(window, phantom):
    view = three_d_view(window)
    camera = view.cameraNode()
    position, picture = np.array(camera.GetPosition()), pixels(view)
    drag(view, QtCore.Qt.MouseButton.LeftButton, (0.4, 0.5), (0.6, 0.5))
    turned = np.array(camera.GetPosition())
    focus = np.array(camera.GetFocalPoint())
    assert np.linalg.norm(turned - position) > 10
    assert np.linalg.norm(turned - focus) == pytest.approx(np.linalg.norm(position - focus))
    assert (pixels(view) != picture).any()
    wheel(view, 1)
    assert np.linalg.norm(np.array(camera.GetPosition()) - focus) != pytest.approx(
        np.linalg.norm(turned - focus)
    )


def test_camera_node_moves_the_view(window, phantom):
    view = three_d_view(window)
    area = green(pixels(view)).sum()
    camera = view.cameraNode()
    focus, position = np.array(camera.GetFocalPoint()), np.array(camera.GetPosition())
    camera.SetPosition(*(focus + (position - focus) * 2))
    camera.GetCamera().SetClippingRange(1, 5000)
    slicer.app.processEvents()
    assert green(pixels(view)).sum() < area / 2
    slicer.util.resetThreeDViews()
    assert green(pixels(view)).sum() == pytest.approx(area, rel=0.05)


def test_segment_opacity_shows(window, phantom):
    view = three_d_view(window)
    display = phantom.segmentation.GetDisplayNode()
    opaque = pixels(view)
    area = green(opaque)
    display.SetSegmentOpacity3D(phantom.ball, 0.3)
    faded = pixels(view)
    colorfulness = [np.ptp(rgb[area], axis=-1).mean() for rgb in (opaque, faded)]
    assert colorfulness[1] < 0.7 * colorfulness[0]
    display.SetSegmentOpacity3D(phantom.ball, 0.0)
    assert not green(pixels(view)).any()


def test_rotate_to_view_axis_takes_number_and_label(window, phantom):
    view = three_d_view(window)
    view.rotateToViewAxis(5)
    above = np.array(view.cameraNode().GetPosition())
    view.rotateToViewAxis("R")
    view.rotateToViewAxis("S")
    assert np.allclose(above, view.cameraNode().GetPosition(), atol=1e-6)
    assert above[2] > 100


# --- rendering ------------------------------------------------------------------------------------


@pytest.fixture
def renders(window, phantom):
    """How often each view has rendered since the test began."""
    settle()
    count, observers = {}, []
    for widget in window.layout_manager.viewWidgets():
        count[widget] = 0

        def add(_caller, _event, widget=widget):
            count[widget] += 1

        render_window = widget.viewWidget().renderWindow()
        observers.append((render_window, render_window.AddObserver("StartEvent", add)))
    yield count
    for render_window, tag in observers:
        render_window.RemoveObserver(tag)


def settle(duration_ms=150):
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(duration_ms, loop.quit)
    loop.exec()


def test_many_changes_are_one_render(window, renders):
    red = window.layout_manager.sliceWidget("Red")
    for offset_mm in range(-20, 20):
        red.sliceLogic().SetSliceOffset(offset_mm)
    settle()
    assert renders[red] == 1


def test_nothing_renders_while_nothing_changes(window, renders):
    settle(300)
    assert set(renders.values()) == {0}


def test_a_pause_holds_rendering_back(window, renders):
    red = window.layout_manager.sliceWidget("Red")
    with slicer.util.RenderBlocker():
        red.sliceLogic().SetSliceOffset(10.0)
        settle()
        assert renders[red] == 0
    settle()
    assert renders[red] == 1
