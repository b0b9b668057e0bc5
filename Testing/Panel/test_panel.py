"""The panel as its user works with it: what is shown, what can be clicked, what a click does."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer

from module_fixtures import MODULE_FILE, SMALL_SPACING_MM, node_ids

BREAK = "\u200b"
NOISY_SPACING_MM, NOISE_HU = 0.8, 120.0


def test_every_widget_of_the_panel_explains_itself(panel):
    form = ET.parse(MODULE_FILE.parent / "Resources" / "UI" / "SkullImplant.ui")
    names = {widget.get("name") for widget in form.iter("widget")} - {"SkullImplant"}
    assert [name for name in names if not getattr(panel.ui, name).toolTip] == []


def test_the_list_of_widgets_for_the_type_checker_is_that_of_the_form(panel):
    from SkullImplantPanel.widgets import Widgets

    form = ET.parse(MODULE_FILE.parent / "Resources" / "UI" / "SkullImplant.ui")
    classes = {widget.get("name"): widget.get("class") for widget in form.iter("widget")}
    del classes["SkullImplant"]
    assert list(Widgets.__annotations__) == list(classes)
    for name, kind in Widgets.__annotations__.items():
        assert isinstance(getattr(panel.ui, name), kind), name


def test_empty_scene_offers_the_sample_patient(panel):
    ui = panel.ui
    assert not ui.generateButton.enabled
    assert "Choose the head CT" in ui.generateButton.toolTip
    assert not ui.sampleButton.isHidden() and not ui.sampleHintLabel.isHidden()
    assert not ui.exportButton.enabled and not ui.updateButton.enabled
    assert ui.checksTable.isHidden() and ui.errorFrame.isHidden() and ui.progressBar.isHidden()


def test_loaded_ct_is_chosen_when_the_module_is_entered(host, panel, small_ct_file):
    host.exit(panel)
    volume = slicer.util.loadVolume(str(small_ct_file))
    host.enter(panel)
    assert panel._parameterNode.inputVolume.GetID() == volume.GetID()
    assert panel.ui.inputSelector.currentNode() is volume
    assert panel.ui.sampleButton.isHidden()
    size = " × ".join(map(str, volume.GetImageData().GetDimensions()))
    spacing = " × ".join(f"{spacing:.2f}" for spacing in SMALL_SPACING_MM)
    assert panel.ui.volumeInfoLabel.text == f"{size} voxels of {spacing} mm"
    assert panel.ui.generateButton.enabled


def test_panel_and_parameters_follow_one_another(ready):
    ui, parameters = ready.ui, ready._parameterNode
    ui.clearanceSpinBox.value = 0.8
    assert parameters.clearanceMm == 0.8
    parameters.leastWallMm = 1.5
    assert ui.leastWallSpinBox.value == 1.5
    assert ui.thicknessSpinBox.text == "as the bone"
    ui.thicknessSpinBox.value = 4.0
    assert parameters.thicknessMm == 4.0
    assert ui.refineSpinBox.text == "as it came" and parameters.refineMm == 0.0
    ui.refineSpinBox.value = 0.5
    assert parameters.refineMm == 0.5
    parameters.refineMm = 1.0
    assert ui.refineSpinBox.value == 1.0
    box = ui.smootherComboBox
    box.currentIndex = box.findData("rearrangement")
    box.activated.emit(box.currentIndex)
    assert parameters.smoother == "rearrangement"
    ui.keepResultsCheckBox.checked = True
    assert parameters.keepResults
    ui.skullIsSegmentationCheckBox.checked = True
    assert parameters.skullIsSegmentation
    assert ui.skullSegmentationSelector.enabled and not ui.automaticThresholdCheckBox.enabled
    assert not ui.generateButton.enabled
    assert "segmentation" in ui.generateButton.toolTip


def test_the_fit_is_asked_for_as_the_panel_says(ready):
    from SkullImplantPanel import requests

    ui, parameters = ready.ui, ready._parameterNode
    plain = requests.designRequest(parameters).arguments
    assert "--thickness-mm" not in plain and "--refine-mm" not in plain
    assert plain[plain.index("--least-wall-mm") + 1] == "2"
    assert plain[plain.index("--smoother") + 1] == "field"
    ui.thicknessSpinBox.value, ui.leastWallSpinBox.value = 4.5, 2.5
    asked = requests.designRequest(parameters).arguments
    assert asked[asked.index("--thickness-mm") + 1] == "4.5"
    assert asked[asked.index("--least-wall-mm") + 1] == "2.5"
    ui.refineSpinBox.value, parameters.model = 0.5, "prior"
    asked = requests.designRequest(parameters)
    assert asked.arguments[asked.arguments.index("--refine-mm") + 1] == "0.5"
    assert asked.mayUseGpu, "the prior runs no network, but refining does"
    # What no implant can be made of is told before a run.
    ui.thicknessSpinBox.value = 2.0
    assert not ui.generateButton.enabled
    assert "under the least wall" in ui.problemLabel.text
    ui.thicknessSpinBox.value, ui.refineSpinBox.value = 4.5, 0.05
    assert "refined voxel of 0.05 mm" in ui.problemLabel.text


def test_automatic_threshold_is_the_one_of_the_design(ready, wait_until, small_result):
    ui = ready.ui
    wait_until(lambda: "HU" in ui.automaticThresholdCheckBox.text, 20)
    used = json.loads((small_result / "design.json").read_text())["parameters"]["bone_threshold_hu"]
    assert ui.boneThresholdSlider.value == pytest.approx(used, abs=0.5)
    assert not ui.boneThresholdSlider.enabled
    ui.automaticThresholdCheckBox.checked = False
    assert ui.boneThresholdSlider.enabled
    ui.boneThresholdSlider.value = 420
    assert ready._parameterNode.boneThresholdHu == 420
    ui.automaticThresholdCheckBox.checked = True
    assert ui.boneThresholdSlider.value == pytest.approx(used, abs=0.5)


@pytest.mark.slow
def test_automatic_threshold_of_a_noisy_ct_is_the_one_of_the_design(
    panel, scene, wait_until, small_ct_file
):
    """A noisy CT is smoothed by millimetres, so that its spacing counts."""
    from SkullImplantLib.skull.automatic_threshold import automatic_threshold_hu
    from SkullImplantLib.skull.segmentation import segment_skull

    coarse = sitk.ReadImage(str(small_ct_file))
    extent_mm = np.multiply(coarse.GetSize(), coarse.GetSpacing())
    grid = sitk.Image(np.round(extent_mm / NOISY_SPACING_MM).astype(int).tolist(), sitk.sitkInt16)
    grid.SetSpacing([NOISY_SPACING_MM] * 3)
    grid.SetOrigin(coarse.GetOrigin())
    noisy = sitk.AdditiveGaussianNoise(sitk.Resample(coarse, grid), NOISE_HU, 0.0, 5)
    used = segment_skull(noisy).bone_threshold_hu
    without_spacing = automatic_threshold_hu(sitk.GetImageFromArray(sitk.GetArrayFromImage(noisy)))
    assert abs(used - without_spacing) > 10.0, "this CT tells the two apart"
    matrix = np.diag([-NOISY_SPACING_MM, -NOISY_SPACING_MM, NOISY_SPACING_MM, 1.0])
    volume = slicer.util.addVolumeFromArray(sitk.GetArrayFromImage(noisy), ijkToRAS=matrix)
    panel._parameterNode.inputVolume = volume
    wait_until(lambda: "HU" in panel.ui.automaticThresholdCheckBox.text)
    assert panel.ui.boneThresholdSlider.value == pytest.approx(used, abs=0.5)


def test_preview_shows_what_the_threshold_selects_and_leaves_no_trace(
    ready, scene, wait_until, small_ct
):
    ui = ready.ui
    ui.automaticThresholdCheckBox.checked = False
    before = node_ids(scene)
    ui.previewButton.checked = True
    for threshold in (250, 700):
        ui.boneThresholdSlider.value = threshold
        wait_until(lambda hu=threshold: previewed(scene) == count_above(small_ct, hu), 5)
    ui.previewButton.checked = False
    assert node_ids(scene) == before


def previewed(scene) -> int:
    """How many voxels the preview shows."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
        if "preview" in node.GetName() and node.GetSegmentation().GetNumberOfSegments():
            labelmap = slicer.vtkOrientedImageData()
            node.GetBinaryLabelmapRepresentation("Bone", labelmap)
            from vtk.util.numpy_support import vtk_to_numpy

            return int(np.count_nonzero(vtk_to_numpy(labelmap.GetPointData().GetScalars())))
    return -1


def count_above(volume, threshold: float) -> int:
    return int(np.count_nonzero(slicer.util.arrayFromVolume(volume) >= threshold))


@pytest.mark.slow
def test_found_devices_are_offered(panel, wait_until):
    ui = panel.ui
    ui.advancedCollapsibleButton.collapsed = False
    wait_until(lambda: "thread" in ui.deviceComboBox.itemText(1), 60)
    assert ui.deviceComboBox.itemText(0).startswith("Automatic: ")
    import torch

    assert ui.deviceComboBox.count == (3 if torch.cuda.is_available() else 2)
    ui.deviceComboBox.currentIndex = 1
    ui.deviceComboBox.activated.emit(1)
    assert panel._parameterNode.device == "cpu"


def test_weight_file_is_offered_beside_the_shipped_models(panel, tmp_path):
    box = panel.ui.modelComboBox
    names = [box.itemData(index) for index in range(box.count)]
    assert names[:3] == ["auto", "prior", "fine"]
    panel._parameterNode.model = str(tmp_path / "mine.npz")
    assert box.currentText == "mine.npz"
    panel._parameterNode.model = "prior"
    assert box.currentIndex == 1


# --- review ---------------------------------------------------------------------------------------


def test_review_shows_the_numbers_and_a_sign_for_each_check(reviewed, small_result):
    ui = reviewed.ui
    design = json.loads((small_result / "design.json").read_text())
    assert f"{design['implant']['volume_cm3']:.1f} cm³" in ui.implantLabel.text
    assert f"{design['implant']['thickness_mm']:.1f} mm thick" in ui.implantLabel.text
    table = ui.checksTable
    assert table.rowCount == len(design["checks"])
    for row, check in enumerate(sorted(design["checks"], key=lambda check: check["passed"])):
        assert table.item(row, 0).text() == ("✔" if check["passed"] else "⚠")
        assert table.item(row, 1).text().lower() == check["name"]
        assert check["sentence"] in table.item(row, 1).toolTip()
    for note in design["notes"]:
        assert note in ui.notesLabel.text or note.startswith("Look twice")


@pytest.mark.parametrize("state", ["expected", "flagged", "edited"])
def test_how_far_the_design_may_be_off_stands_first(reviewed, state):
    from SkullImplantPanel import results

    parameters, ui = reviewed._parameterNode, reviewed.ui
    nodes = results.nodesOfResult(parameters.resultSegmentation)
    design = results.designOf(nodes)
    confidence = {
        "expected_hd95_mm": 2.34,
        "flagged": state == "flagged",
        "source": "prior",
        "features": {},
        "reasons": ["The brow <is> unlike.", "The hole is large."] if state == "flagged" else [],
    }
    design["notes"] = ["Look twice, the error may be about 2 mm: the brow", "Another note."]
    design["confidence"] = confidence
    if state == "edited":
        del design["confidence"]
    nodes.design.SetText(json.dumps(design))
    parameters.skullOpacity = 0.5  # any change shows all anew
    text = ui.expectationLabel.text
    told = {
        "expected": "✔ The error is expected to be about 2.3 mm.",
        "edited": "how far it may be off is not known",
        "flagged": "⚠ Look twice: the error may be about 2.3 mm.",
    }
    assert told[state] in text and not ui.expectationLabel.isHidden()
    assert ("The brow &lt;is&gt; unlike.<br>The hole is large." in text) == (state == "flagged")
    assert ui.notesLabel.text == "Another note."
    layout = ui.reviewCollapsibleButton.layout()
    order = [
        layout.indexOf(widget) for widget in (ui.expectationLabel, ui.implantLabel, ui.checksTable)
    ]
    assert order == sorted(order) and order[0] >= 0


def test_skull_fades_with_the_slider(reviewed):
    display = reviewed._parameterNode.resultSegmentation.GetDisplayNode()
    for opacity in (0.0, 0.65, 1.0):
        reviewed.ui.skullOpacitySlider.value = opacity
        assert display.GetSegmentOpacity3D("Skull") == pytest.approx(opacity)
    assert display.GetSegmentOpacity3D("Implant") == 1.0


def test_export_writes_what_is_ticked(reviewed, tmp_path, wait_until):
    ui = reviewed.ui
    boxes = reviewed.panel.export.boxes
    assert [name for name, box in boxes.items() if box.checked] == ["stl", "report", "json"]
    for name in ("masks", "report", "json"):
        boxes[name].click()
    assert reviewed._parameterNode.exportFormats == "stl,masks"
    assert ui.exportButton.enabled
    ui.openFolderButton.click()
    assert "not there yet" in ui.exportLabel.text
    ui.exportButton.click()
    assert ui.exportButton.text == "Cancel"
    wait_until(lambda: "Written" in ui.exportLabel.text)
    assert ui.exportButton.text == "Export" and ui.exportButton.enabled
    case = ui.exportNameEdit.placeholderText
    written = sorted(path.name for path in (tmp_path / "export").iterdir())
    endings = ["completed.nrrd", "implant.nrrd", "implant.stl", "skull.nrrd"]
    assert written == [f"{case}-{ending}" for ending in endings]
    assert "implant.stl" in ui.exportLabel.text.replace(BREAK, "")
    boxes["stl"].click()
    boxes["masks"].click()
    assert not ui.exportButton.enabled
    assert "kind of file" in ui.exportButton.toolTip


def test_export_into_a_place_that_cannot_be_written_is_an_error_for_people(
    host, reviewed, tmp_path, wait_until
):
    (tmp_path / "file").write_text("in the way")
    reviewed._parameterNode.exportFolder = tmp_path / "file" / "folder"
    reviewed._parameterNode.exportFormats = "stl"
    reviewed.ui.exportButton.click()
    wait_until(lambda: not reviewed.logic.exporting.running)
    errors = (
        host.take_slot_errors()
    )  # in testing mode tryWithErrorDisplay raises what it would show
    assert len(errors) == 1
    assert "choose another place" in str(errors[0])
    # What was shown in a message stays to be read in the panel.
    told = reviewed.ui.exportLabel.text.replace("\u200b", "")
    assert told == f"No file was written. {errors[0]}"


def test_result_that_is_deleted_by_the_user_is_no_longer_offered(host, reviewed, scene):
    nodes = reviewed.logic.resultNodes(reviewed._parameterNode)
    scene.RemoveNode(nodes.model)
    host.process_events()
    assert not reviewed.ui.exportButton.enabled
    assert not reviewed.ui.centerButton.enabled
    assert "removed from the scene" in reviewed.ui.implantLabel.text
    scene.RemoveNode(nodes.segmentation)
    host.process_events()
    assert "No implant" in reviewed.ui.implantLabel.text


def test_edited_implant_is_not_exported_before_its_update(host, reviewed, small_ct, tmp_path):
    nodes = reviewed.logic.resultNodes(reviewed._parameterNode)
    implant = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", small_ct)
    layers = np.argwhere(implant.any(axis=(1, 2))).ravel()
    implant[layers[-2] :] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        implant, nodes.segmentation, "Implant", small_ct
    )
    reviewed.panel.update()
    assert "edited" in reviewed.ui.implantLabel.text
    reviewed.ui.exportButton.click()
    assert "Update from edit" in str(host.take_slot_errors()[0])
    assert not (tmp_path / "export").exists()


def test_update_without_an_edit_says_so(reviewed):
    reviewed.ui.updateButton.click()
    assert reviewed.logic.run is None
    assert "not edited" in reviewed.ui.progressLabel.text
    assert not reviewed.ui.progressLabel.isHidden()


def test_results_are_chosen_from_and_shown_one_at_a_time(reviewed, small_ct, small_result):
    from SkullImplantPanel import results

    ui, parameters = reviewed.ui, reviewed._parameterNode
    first = reviewed.logic.resultNodes(parameters)
    assert ui.resultSelector.isHidden()
    second = results.addResults(results.readResults(small_result), small_ct)
    parameters.resultSegmentation = second.segmentation
    assert not ui.resultSelector.isHidden()
    shown = [node.model.GetDisplayNode().GetVisibility() for node in (first, second)]
    assert shown == [0, 1]
    ui.resultSelector.setCurrentNode(first.segmentation)
    assert parameters.resultSegmentation is first.segmentation
    shown = [node.segmentation.GetDisplayNode().GetVisibility() for node in (first, second)]
    assert shown == [1, 0]


def test_nothing_is_replaced_without_a_question(host, reviewed, tmp_path, wait_until):
    """In testing mode a question is answered with no."""
    (tmp_path / "export").mkdir()
    name = reviewed.ui.exportNameEdit.placeholderText + "-design.json"
    (tmp_path / "export" / name).write_text("mine")
    reviewed.ui.exportButton.click()
    assert reviewed.logic.run is None and not reviewed.logic.exporting.running
    assert (tmp_path / "export" / name).read_text() == "mine"
    assert [path.name for path in (tmp_path / "export").iterdir()] == [name]


def test_ct_loaded_while_the_panel_is_open_is_chosen(host, panel, small_ct_file, wait_until):
    volume = slicer.util.loadVolume(str(small_ct_file))
    wait_until(lambda: panel.ui.generateButton.enabled, 5)
    assert panel._parameterNode.inputVolume is volume
    wait_until(lambda: "HU" in panel.ui.automaticThresholdCheckBox.text, 20)


# --- the life of the panel ------------------------------------------------------------------------


@pytest.mark.slow
def test_scene_that_is_closed_and_loaded_brings_the_panel_back(
    host, reviewed, scene, tmp_path, wait_until
):
    ui = reviewed.ui
    ui.clearanceSpinBox.value = 1.2
    rows, text = ui.checksTable.rowCount, ui.implantLabel.text
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert ui.clearanceSpinBox.value == 0.5
    assert "No implant" in ui.implantLabel.text
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    assert ui.clearanceSpinBox.value == 1.2
    assert ui.checksTable.rowCount == rows
    assert ui.implantLabel.text == text
    assert ui.exportButton.enabled
    ui.exportButton.click()
    wait_until(lambda: "Written" in ui.exportLabel.text)
    case = ui.exportNameEdit.placeholderText
    for name in ("implant.stl", "report.html"):
        assert (Path(reviewed._parameterNode.exportFolder) / f"{case}-{name}").exists()


def test_module_reloads_while_it_is_shown(host, ready, small_ct):
    ready.ui.clearanceSpinBox.value = 0.9
    observers = observer_count(slicer.mrmlScene)
    new = host.reload("SkullImplant")
    assert new is not ready
    assert new.ui.clearanceSpinBox.value == 0.9
    assert new._parameterNode.inputVolume is small_ct
    assert observer_count(slicer.mrmlScene) == observers, "the old panel still listens"
    host.reload("SkullImplant")


def observer_count(scene) -> int:
    count = 0
    for event in (scene.StartCloseEvent, scene.EndCloseEvent, scene.EndImportEvent):
        count += int(bool(scene.HasObserver(event)))
    return count


def test_panel_left_and_entered_again_keeps_following(host, ready):
    host.exit(ready)
    ready._parameterNode.clearanceMm = 2.0
    assert ready.ui.clearanceSpinBox.value != 2.0, "a hidden panel does not follow"
    host.enter(ready)
    assert ready.ui.clearanceSpinBox.value == 2.0
