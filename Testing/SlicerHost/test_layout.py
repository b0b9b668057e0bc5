"""The layouts show the views that Slicer's have, and no names that Slicer's lack."""

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util

import slicer_host
from phantom_views import (
    BALL_RAS,
    BOX_RAS,
    Phantom,
    bright,
    green,
    jump,
    pixels,
    slice_view,
    three_d_view,
)

VIEW_API_FILE = Path(slicer_host.__file__).parent / "view_api.json"


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
