"""The development host's views show the scene: real pixels, in the right places, real events."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from PySide6 import QtCore, QtGui

import slicer_host
from phantom_views import (
    BALL_RADIUS_MM,
    BALL_RAS,
    BOX_RAS,
    BRIGHT,
    MODEL_RAS,
    ORIGIN_RAS,
    SHAPE_KJI,
    SPACING_MM,
    WINDOW_SIZE,
    Phantom,
    bright,
    drag,
    green,
    jump,
    magenta,
    middle,
    pixels,
    ras_of_pixel,
    rgb_of,
    slice_view,
    three_d_view,
    wheel,
)

VIEW_API_FILE = Path(slicer_host.__file__).parent / "view_api.json"
HERE = Path(__file__).parent
TEMPLATE_MODULE = HERE / "fixtures" / "TemplateModule" / "TemplateModule.py"
NAMES_OF_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
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


# --- the layout -----------------------------------------------------------------------------------


def test_four_up_has_the_views_of_slicer(window, phantom):
    manager = slicer.app.layoutManager()
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert set(manager.sliceViewNames()) == {"Red", "Yellow", "Green"}
    assert manager.threeDViewCount == 1
    assert (manager.tableViewCount, manager.plotViewCount) == (0, 0)
    orientations = {
        name: manager.sliceWidget(name).mrmlSliceNode().GetOrientation()
        for name in manager.sliceViewNames()
    }
    assert orientations == {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
    red = manager.sliceWidget("Red")
    assert red.sliceLogic().GetSliceNode() is red.mrmlSliceNode()
    assert red.sliceController().mrmlSliceNode() is red.mrmlSliceNode()
    assert manager.mrmlSliceLogics().GetNumberOfItems() == 3
    assert slicer.app.applicationLogic().GetSliceLogic(red.mrmlSliceNode()) is red.sliceLogic()
    assert manager.sliceWidget("Blue") is None
    assert manager.threeDWidget(1) is None


def test_other_layouts_show_their_views(window, phantom):
    manager = slicer.app.layoutManager()
    nodes = slicer.vtkMRMLLayoutNode
    manager.setLayout(nodes.SlicerLayoutOneUp3DView)
    slicer.app.processEvents()
    assert three_d_view(window).isVisible()
    assert not slice_view(window, "Red").isVisible()
    manager.setLayout(nodes.SlicerLayoutTwoOverTwoView)
    slicer.app.processEvents()
    assert len(manager.sliceViewNames()) == 4
    manager.layout = nodes.SlicerLayoutFourUpView
    slicer.app.processEvents()
    assert slice_view(window, "Red").isVisible()
    assert manager.threeDWidget(0).isVisible()


def test_views_survive_closing_the_scene(window, phantom):
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert not bright(pixels(slice_view(window, "Red"))).any()
    again = Phantom()
    slicer.util.setSliceViewerLayers(background=again.volume, fit=True)
    jump(BOX_RAS)
    assert bright(pixels(slice_view(window, "Red"))).any()
    slicer.util.resetThreeDViews()
    assert green(pixels(three_d_view(window))).any()


def test_views_show_a_saved_scene_as_it_was(window, phantom, tmp_path):
    jump(BALL_RAS)
    three_d_view(window).rotateToViewAxis("P")
    names = window.layout_manager.sliceViewNames()
    before = {name: pixels(slice_view(window, name)) for name in names}
    before_in_3d = pixels(three_d_view(window))
    bundle = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(bundle))
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    slicer.util.loadScene(str(bundle))
    slicer.app.processEvents()
    for name in names:
        assert (np.abs(pixels(slice_view(window, name)) - before[name]) > 20).mean() < 0.01
    assert (np.abs(pixels(three_d_view(window)) - before_in_3d) > 20).mean() < 0.01


# --- the window -----------------------------------------------------------------------------------


def test_window_is_slicers_main_window_and_says_what_it_is(window):
    from slicer_host.window import DISCLOSURE

    assert slicer.util.mainWindow() is window
    assert window.disclosure.text == DISCLOSURE
    assert window.disclosure.isVisible()


PANEL_SOURCE = """
from slicer.ScriptedLoadableModule import *
class {name}(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title, parent.hidden = "Panel {name}", "{name}" == "Hidden"
class {name}Widget(ScriptedLoadableModuleWidget):
    log = []
    def enter(self): self.log.append("enter")
    def exit(self): self.log.append("exit")
"""


def test_user_and_code_switch_modules_by_the_selector(host, window, tmp_path):
    selector = window.moduleSelector()
    assert slicer.util.moduleSelector() is selector
    box = selector.findChild("QComboBox")
    widgets = {}
    for name in ("Second", "First", "Hidden"):
        (tmp_path / f"{name}.py").write_text(PANEL_SOURCE.format(name=name))
        widgets[name] = host.make_widget(host.load_module(tmp_path / f"{name}.py"))
    titles = [box.itemText(index) for index in range(box.count)]
    assert titles == sorted(titles)
    assert {"Panel First", "Panel Second", "Segment Editor"} <= set(titles)
    # Hidden, without a panel, without a panel here.
    assert not {"Panel Hidden", "PyTorch Util", "Volumes"} & set(titles)

    slicer.util.selectModule("First")
    assert slicer.util.selectedModule() == "First" and box.currentText == "Panel First"
    assert widgets["First"].parent.isVisible()
    box.currentIndex = box.findText("Panel Second")
    box.activated.emit(box.currentIndex)  # as a click does
    assert slicer.util.selectedModule() == "Second"
    assert widgets["First"].log == ["enter", "exit"] and widgets["Second"].log == ["enter"]
    assert not widgets["First"].parent.isVisible() and widgets["Second"].parent.isVisible()
    slicer.util.selectModule(slicer.modules.second)
    assert widgets["Second"].log == ["enter"]
    with pytest.raises(ValueError, match="Hidden"):
        slicer.util.selectModule("Hidden")

    for name in widgets:
        host.unload(name)
    assert widgets["Second"].log == ["enter", "exit"]
    assert slicer.util.selectedModule() == "" and box.findText("Panel Second") < 0


def test_closed_window_gives_its_panel_back(host, window):
    from slicer_host.window import HostWindow

    other = HostWindow(host)
    panel = host.make_widget("SegmentEditor").parent
    other.moduleSelector().selectModule("SegmentEditor")
    assert panel.isEntered
    other.close()
    assert not panel.isEntered and panel.parent() is None
    assert slicer.util.mainWindow() is window
    slicer.app.setLayoutManager(window.layout_manager)


def test_screenshot_shows_panel_and_views(window, phantom, tmp_path):
    jump(BALL_RAS)
    path = tmp_path / "Ansicht für den Chirurgen.png"
    window.screenshot(path, (1000, 700))
    image = QtGui.QImage(str(path))
    assert (image.width(), image.height()) == (1000, 700)
    rgb = rgb_of(image)
    for manager_widget in window.layout_manager.viewWidgets():
        view = manager_widget.viewWidget()
        corner = view.mapTo(window, QtCore.QPoint(0, 0))
        part = rgb[corner.y() : corner.y() + view.height, corner.x() : corner.x() + view.width]
        assert green(part).sum() > 50
    window.resize(*WINDOW_SIZE)


# --- the command line -----------------------------------------------------------------------------


def run_slicer_host(*arguments, **environment):
    """Run `python -m slicer_host` on the template module as a user without a display does."""
    kept = {k: v for k, v in os.environ.items() if k not in NAMES_OF_DISPLAYS}
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "slicer_host", str(TEMPLATE_MODULE), *map(str, arguments)],
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_a_display_it_says_what_to_do():
    run = run_slicer_host()
    assert run.returncode == 2
    assert "xvfb-run make panel" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_a_missing_file_is_named():
    run = run_slicer_host("--open", "nowhere.nrrd", "--screenshot", "unused.png")
    assert run.returncode == 2
    assert "nowhere.nrrd does not exist" in run.stderr


@pytest.mark.slow
def test_command_opens_module_and_file_and_makes_a_picture(phantom, tmp_path):
    volume_file, picture = tmp_path / "phantom.nrrd", tmp_path / "window.png"
    assert slicer.util.saveNode(phantom.volume, str(volume_file))
    run = run_slicer_host("--open", volume_file, "--screenshot", picture, "--size", "1000x700")
    assert run.returncode == 0, run.stderr
    image = QtGui.QImage(str(picture))
    assert (image.width(), image.height()) == (1000, 700)
    rgb = rgb_of(image)
    panel, slices = rgb[100:, :400], rgb[100:, 450:]
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 50  # text and widgets
    assert (np.ptp(slices, axis=-1) == 0).mean() > 0.3  # grey volume on black
    assert len(np.unique(slices.reshape(-1, 3), axis=0)) > 50


# --- honesty --------------------------------------------------------------------------------------


def real_names(class_name):
    """What the real class offers to Python, with its bases up to Qt's."""
    entry = json.loads(VIEW_API_FILE.read_text(encoding="utf-8"))["classes"].get(class_name)
    if entry is None:
        return set()
    kinds = ("properties", "signals", "slots", "invokables")
    own = {name.split("(")[0] for kind in kinds for name in entry[kind]}
    return own.union(*map(real_names, entry["bases"]))


@pytest.mark.parametrize(
    "class_name",
    [
        *("qMRMLSliceView", "qMRMLSliceWidget", "qMRMLSliceControllerWidget"),
        *("qMRMLThreeDView", "qMRMLThreeDWidget", "qMRMLThreeDViewControllerWidget"),
        "qSlicerLayoutManager",
    ],
)
def test_views_have_no_name_that_the_real_ones_lack(host, class_name):
    import qt

    from slicer_host import layout, view_bars, views

    (cls,) = {getattr(m, class_name) for m in (layout, view_bars, views) if hasattr(m, class_name)}
    of_qt = dir(qt.QMainWindow)
    names = {name for name in dir(cls) if not name.startswith("_")}.difference(of_qt)
    assert names <= real_names(class_name), sorted(names - real_names(class_name))
