"""Nothing of another patient, nothing stale of the input, and no input that is none."""

from functools import partial

import numpy as np
import pytest
import slicer


@pytest.fixture
def other_ct(reviewed, small_ct_file):
    """Another patient's CT, not chosen."""
    return slicer.util.loadVolume(str(small_ct_file), {"name": "Another patient"})


def shown(nodes) -> tuple[bool, bool]:
    """Whether a result is shown: its segments, and its surface."""
    pair = (nodes.segmentation, nodes.model)
    return tuple(bool(node.GetDisplayNode().GetVisibility()) for node in pair)


def test_results_of_another_ct_are_hidden_and_come_back(reviewed, other_ct):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    first, nodes = parameters.inputVolume, reviewed.logic.resultNodes(parameters)
    text = ui.implantLabel.text
    assert shown(nodes) == (True, True)
    parameters.inputVolume = other_ct
    assert shown(nodes) == (False, False)
    assert parameters.resultSegmentation is None
    assert "hidden" in ui.implantLabel.text and ui.checksTable.isHidden()
    assert ui.expectationLabel.isHidden() and ui.notesLabel.isHidden()
    assert not ui.exportButton.enabled
    parameters.inputVolume = first
    assert parameters.resultSegmentation is nodes.segmentation
    assert shown(nodes) == (True, True) and ui.implantLabel.text == text


def test_the_result_that_was_looked_at_comes_back(reviewed, other_ct, small_result):
    from SkullImplantPanel import results

    parameters = reviewed._parameterNode
    first, ct = parameters.resultSegmentation, parameters.inputVolume
    results.addResults(results.readResults(small_result), ct)
    parameters.inputVolume = other_ct
    parameters.inputVolume = ct
    assert parameters.resultSegmentation is first


def test_design_that_ends_after_another_ct_was_chosen_stays_hidden(
    reviewed, other_ct, small_result
):
    """What is read at the end of the run goes into the scene as the run's own end has it."""
    from SkullImplantPanel import requests, results
    from SkullImplantPanel.replacing import replaceByDesign
    from SkullImplantPanel.run import Outcome

    logic, parameters = reviewed.logic, reviewed._parameterNode
    before, first = logic.resultNodes(parameters), parameters.inputVolume
    request = requests.designRequest(parameters)
    parameters.inputVolume = other_ct
    read = results.readResults(small_result)
    outcome = logic._takeIn(
        Outcome("done", value=read), request, parameters, partial(replaceByDesign, before)
    )
    assert parameters.resultSegmentation is None
    assert shown(outcome.value) == (False, False)
    assert "small-ct" in outcome.notes[0]
    assert results.allResults() == [outcome.value.segmentation], "it took the old one's place"
    parameters.inputVolume = first
    assert parameters.resultSegmentation is outcome.value.segmentation
    assert shown(outcome.value) == (True, True)


def test_threshold_follows_voxels_that_are_changed_in_place(ready, small_ct, wait_until):
    ui = ready.ui
    wait_until(lambda: "HU" in ui.automaticThresholdCheckBox.text, 20)
    before = ui.boneThresholdSlider.value
    voxels = slicer.util.arrayFromVolume(small_ct)
    voxels[voxels > 300] += 900
    slicer.util.arrayFromVolumeModified(small_ct)
    wait_until(lambda: ui.boneThresholdSlider.value > before, 20)


def test_mr_has_no_automatic_threshold(panel, wait_until):
    rng = np.random.default_rng(0)
    mr = rng.integers(0, 900, (60, 60, 60)).astype(np.int16)
    panel._parameterNode.inputVolume = slicer.util.addVolumeFromArray(mr, name="T1")
    box = panel.ui.automaticThresholdCheckBox
    wait_until(lambda: box.text != "Automatic", 20)
    assert box.text == "Automatic: not in HU"
    assert panel._parameterNode.boneThresholdHu == 300


def test_labelmap_of_a_skull_has_no_threshold(panel, small_result, wait_until):
    skull = slicer.util.loadVolume(str(small_result / "skull.nrrd"), {"labelmap": True})
    wait_until(lambda: panel._parameterNode.inputVolume is skull, 5)
    assert panel.ui.generateButton.enabled
    assert not panel.ui.previewButton.enabled and not panel.ui.automaticThresholdCheckBox.enabled
    assert panel.ui.automaticThresholdCheckBox.text == "Automatic"


def test_review_says_whose_result_it_is_when_that_of_another_ct_is_chosen(reviewed, small_ct_file):
    parameters = reviewed._parameterNode
    own, result = reviewed.ui.implantLabel.text, parameters.resultSegmentation
    chosen = parameters.inputVolume
    parameters.inputVolume = slicer.util.loadVolume(str(small_ct_file), {"name": "Another"})
    reviewed.ui.resultSelector.setCurrentNode(result)
    assert "the implant of small-ct, not of the chosen" in reviewed.ui.implantLabel.text
    parameters.inputVolume = chosen
    assert reviewed.ui.implantLabel.text == own


# --- a segmentation as the skull ------------------------------------------------------------------


@pytest.fixture
def result_as_skull(reviewed):
    """The module's own result, chosen as the skull segmentation."""
    parameters = reviewed._parameterNode
    segmentation = parameters.resultSegmentation
    parameters.skullSegmentation = segmentation
    parameters.skullIsSegmentation = True
    return segmentation


def test_own_implant_is_not_taken_for_skull(reviewed, result_as_skull):
    from SkullImplantPanel import inputs, requests

    result_as_skull.GetDisplayNode().SetSegmentVisibility("CompletedSkull", True)
    request = requests.designRequest(reviewed._parameterNode)
    skull = inputs.snapshotOfSegments(result_as_skull, ["Skull"]).image().voxels
    assert np.array_equal(request.images["input.nrrd"].image().voxels, skull)


def test_implant_alone_is_no_skull_also_as_a_copy(reviewed, scene, result_as_skull):
    copy = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Copy")
    copy.CreateDefaultDisplayNodes()
    segment = slicer.vtkSegment()
    segment.DeepCopy(result_as_skull.GetSegmentation().GetSegment("Implant"))
    copy.GetSegmentation().AddSegment(segment, "Mine")
    reviewed._parameterNode.skullSegmentation = copy
    assert not reviewed.ui.generateButton.enabled
    assert "only implants" in reviewed.ui.problemLabel.text


def test_result_that_is_the_input_is_not_replaced_by_its_design(
    reviewed, result_as_skull, small_result
):
    from SkullImplantPanel import requests, results
    from SkullImplantPanel.replacing import replaceByDesign
    from SkullImplantPanel.run import Outcome

    logic, parameters = reviewed.logic, reviewed._parameterNode
    parameters.resultSegmentation = result_as_skull
    request, earlier = requests.designRequest(parameters), logic.resultNodes(parameters)
    read = results.readResults(small_result)
    outcome = logic._takeIn(
        Outcome("done", value=read), request, parameters, partial(replaceByDesign, earlier)
    )
    assert slicer.mrmlScene.IsNodePresent(result_as_skull)
    assert results.inputOfResult(outcome.value.segmentation) is result_as_skull
    assert parameters.resultSegmentation is outcome.value.segmentation
