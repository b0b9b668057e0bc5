"""The stand-in of the Segment Editor changes segments as the application does."""

import numpy as np
import pytest
import slicer

from phantom_views import (
    BALL_RADIUS_MM,
    BALL_RAS,
    SPACING_MM,
    green,
    jump,
    pixels,
    slice_view,
    three_d_view,
)

MARGIN_MM = 4.0


@pytest.fixture
def editor(window, phantom):
    """The editor, its panel shown, with the phantom's ball selected."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    # The editor takes up the first segmentation as soon as it is there, without its segments.
    editor.setSegmentationNode(None)
    editor.setSegmentationNode(phantom.segmentation)
    yield editor
    window.moduleSelector().selectModule("")


def click(editor, effect, margin_mm=MARGIN_MM):
    editor.findChild("QDoubleSpinBox").value = margin_mm
    editor.findChild("QPushButton", effect).click()


def voxels(phantom, segment_id):
    return slicer.util.arrayFromSegmentBinaryLabelmap(
        phantom.segmentation, segment_id, phantom.volume
    )


def ball_volume_mm3(radius_mm):
    return 4 / 3 * np.pi * radius_mm**3


def test_selections_are_those_of_the_node(editor, phantom):
    node = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.mrmlSegmentEditorNode() is node
    assert editor.segmentationNode() is phantom.segmentation is node.GetSegmentationNode()
    assert editor.segmentationNodeID() == phantom.segmentation.GetID()
    # The reference volume and the first segment come with the segmentation.
    assert editor.sourceVolumeNode() is phantom.volume
    assert editor.currentSegmentID() == "ball"
    segments = editor.findChild("QListWidget")
    phantom.segmentation.GetSegmentation().AddEmptySegment("other", "Another")
    assert [segments.item(row).text() for row in range(segments.count)] == ["ball", "Another"]
    editor.setCurrentSegmentID("other")
    assert segments.currentRow == 1 and node.GetSelectedSegmentID() == "other"
    segments.setCurrentRow(0)
    assert editor.currentSegmentID() == "ball"


def test_panel_says_what_it_is(editor):
    label = slicer.modules.segmenteditor.widgetRepresentation().findChild("QLabel")
    assert "stand-in" in label.text


@pytest.mark.parametrize("effect, sign", [("Grow", 1), ("Shrink", -1)])
def test_margin_changes_voxels_slices_and_surface(
    host,
    editor,
    window,
    phantom,
    effect,
    sign,
):
    jump(BALL_RAS)
    views = slice_view(window, "Red"), three_d_view(window)
    before = [np.count_nonzero(green(pixels(view))) for view in views]
    click(editor, effect)
    host.process_events()
    volume_mm3 = np.count_nonzero(voxels(phantom, "ball")) * SPACING_MM**3
    radius_mm = BALL_RADIUS_MM + sign * MARGIN_MM
    assert volume_mm3 == pytest.approx(ball_volume_mm3(radius_mm), rel=0.12)
    after = [np.count_nonzero(green(pixels(view))) for view in views]
    for count_before, count_after in zip(before, after):
        ratio = (radius_mm / BALL_RADIUS_MM) ** 2
        assert count_after / count_before == pytest.approx(ratio, rel=0.2)


def test_edited_segment_takes_from_others_as_the_node_says(editor, phantom):
    around = voxels(phantom, "ball") * 0 + 1
    phantom.segmentation.GetSegmentation().AddEmptySegment("around", "Around")

    def left_after_growing(mode):
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            around.astype(np.uint8), phantom.segmentation, "around", phantom.volume
        )
        editor.mrmlSegmentEditorNode().SetOverwriteMode(mode)
        click(editor, "Grow")
        return np.count_nonzero(voxels(phantom, "around"))

    node_class = slicer.vtkMRMLSegmentEditorNode
    assert left_after_growing(node_class.OverwriteNone) == around.size
    assert left_after_growing(node_class.OverwriteAllSegments) < around.size
    editor.mrmlSegmentEditorNode().SetOverwriteMode(node_class.OverwriteAllSegments)


def test_margin_of_less_than_a_voxel_cannot_be_asked_for(editor):
    box = editor.findChild("QDoubleSpinBox")
    box.value = SPACING_MM / 2
    assert box.value == SPACING_MM


def test_empty_segment_is_refused(host, editor, phantom):
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(phantom.volume)
    segmentation.GetSegmentation().AddEmptySegment("nothing")
    editor.setSegmentationNode(segmentation)
    assert editor.currentSegmentID() == "nothing"
    click(editor, "Grow")
    (error,) = host.take_slot_errors()
    assert "empty" in str(error)


def test_closed_scene_leaves_nothing_to_edit(host, editor):
    slicer.mrmlScene.Clear(False)
    assert editor.segmentationNode() is None and editor.currentSegmentID() == ""
    assert editor.findChild("QListWidget").count == 0
    assert not editor.findChild("QPushButton", "Grow").isEnabled()
    slicer.util.selectModule("SampleData")
    slicer.util.selectModule("SegmentEditor")
    # As in the application, entering brings an empty segmentation.
    assert editor.segmentationNode().GetSegmentation().GetNumberOfSegments() == 0
