"""The section Export: names that tell no patient, print sizes, the report in a browser, cancel."""

import json
from pathlib import Path

import pytest
import slicer

from module_fixtures import own_seconds

PATIENCE_S, CANCEL_S = 30.0, 1.0


@pytest.fixture
def opened(host, monkeypatch):
    """What was handed to the system to be opened, instead of opening it."""
    import qt

    addresses = []
    monkeypatch.setattr(
        qt.QDesktopServices, "openUrl", lambda url: addresses.append(url.toLocalFile()) or True
    )
    return addresses


def test_default_name_is_no_patients_and_each_ct_has_its_own(reviewed, small_ct, small_result):
    from SkullImplantPanel import results

    ui, parameters = reviewed.ui, reviewed._parameterNode
    small_ct.SetName("DOE^JANE")
    reviewed.panel.update()
    first = ui.exportNameEdit.placeholderText
    assert first.startswith("case-") and ui.exportNameEdit.text == ""
    assert ui.exportNameNote.isHidden()
    other = results.readResults(small_result)
    other.design["input"]["sha256"] = "0" * 64
    parameters.resultSegmentation = results.addResults(other, small_ct).segmentation
    assert ui.exportNameEdit.placeholderText not in ("", first)


def test_typed_name_warns_and_is_kept_with_its_input(reviewed, scene, small_ct, small_result):
    from SkullImplantPanel import results

    ui, parameters = reviewed.ui, reviewed._parameterNode
    ui.exportNameEdit.text = "con"
    ui.exportNameEdit.textEdited.emit("con")
    assert not ui.exportNameNote.isHidden()
    assert "who the patient is" in ui.exportNameNote.text
    assert "case-con-" in ui.exportNameNote.text.replace("\u200b", "")
    names = {path.name for path in reviewed.logic.exportOf(parameters).files}
    assert "case-con-implant.stl" in names
    # Another patient's implant gets nothing of it.
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Other")
    other.SetAndObserveImageData(small_ct.GetImageData())
    nodes = results.addResults(results.readResults(small_result), other)
    parameters.inputVolume = other
    parameters.resultSegmentation = nodes.segmentation
    assert ui.exportNameEdit.text == "" and ui.exportNameNote.isHidden()
    ui.exportNameButton.click()
    assert ui.exportNameEdit.text == "Other", "it was loaded from no folder"
    assert not ui.exportNameNote.isHidden()


def test_print_size_is_told(reviewed, small_result, wait_until):
    ui = reviewed.ui
    wait_until(lambda: not ui.printSizeLabel.isHidden(), PATIENCE_S)
    told = json.loads((small_result / "design.json").read_text())["implants"][0]
    box = " × ".join(f"{side:.0f}" for side in told["size_mm_xyz"])
    assert f"{box} mm as it lies in the file" in ui.printSizeLabel.text
    assert f"{told['volume_cm3']:.1f} cm³" in ui.printSizeLabel.text
    assert "as it can lie on the plate" in ui.printSizeLabel.text
    reviewed._parameterNode.resultSegmentation = None
    assert ui.printSizeLabel.isHidden()


@pytest.mark.slow
def test_report_is_made_once_and_opened_in_the_browser(reviewed, opened, wait_until):
    ui = reviewed.ui
    assert ui.openReportButton.enabled and ui.reviewReportButton.enabled
    ui.reviewReportButton.click()
    assert not ui.openReportButton.enabled, "one run at a time"
    wait_until(lambda: opened)
    page = Path(opened[0]).read_text(encoding="utf-8")
    assert page == reviewed.logic.resultNodes(reviewed._parameterNode).report.GetText()
    assert opened[0].endswith("-report.html")
    ui.openReportButton.click()
    assert reviewed.logic.run is None, "it is there already"
    wait_until(lambda: len(opened) == 2)
    reviewed.panel.export.close()
    assert not Path(opened[1]).exists()


def test_export_is_cancelled_at_once_and_writes_nothing(reviewed, tmp_path, wait_until):
    ui, exporting = reviewed.ui, reviewed.logic.exporting
    reviewed._parameterNode.exportFormats = "stl,skull-stl,completed-stl"
    for ready_to_cancel in (
        lambda: True,  # the input is being written
        lambda: exporting._run.pid,  # Python starts
    ):
        ui.exportButton.click()
        assert ui.exportButton.text == "Cancel"
        wait_until(ready_to_cancel)
        folder = exporting._run._workFolder
        ui.exportButton.click()
        assert ui.exportButton.enabled, "the second click of a double click"
        exporting._begun -= 1.0  # and this is a later one
        start = own_seconds()
        ui.exportButton.click()
        assert not ui.exportButton.enabled
        wait_until(lambda: not exporting.running, CANCEL_S)
        assert own_seconds() - start <= CANCEL_S
        assert ui.exportLabel.text == "No file was written. Cancelled."
        assert not (tmp_path / "export").exists()
        assert ui.exportButton.text == "Export" and ui.exportButton.enabled
        wait_until(lambda: not folder.exists())  # noqa: B023


def test_export_goes_on_beside_a_design(reviewed, wait_until):
    ui = reviewed.ui
    reviewed._parameterNode.exportFormats = "stl"
    ui.generateButton.click()
    ui.exportButton.click()
    assert reviewed.logic.run is not None and reviewed.logic.exporting.running
    wait_until(lambda: "Written" in ui.exportLabel.text)


def test_closed_scene_ends_an_export(reviewed, scene, tmp_path):
    reviewed._parameterNode.exportFormats = "masks"
    reviewed.ui.exportButton.click()
    scene.Clear()
    assert not reviewed.logic.exporting.running
    assert reviewed.ui.exportLabel.text == ""
    assert not (tmp_path / "export").exists()
