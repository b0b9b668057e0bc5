"""What goes out is listed before it goes out; DICOM and labels in the section Export."""

import json
from pathlib import Path

import pytest
import SimpleITK as sitk
import slicer

from dicom_scene import dicom_database, load_series, write_ct
from SkullImplantLib.export.stl import read_stl
from SkullImplantLib.implant.meshes import mesh_health

WHOLE_PATH = "/data/studies/ct"


def rows_of(ui) -> list[tuple[str, str, str]]:
    table = ui.outgoingTable
    return [
        tuple(table.item(row, column).text().replace("\u200b", "") for column in range(3))
        for row in range(table.rowCount)
    ]


def type_into(edit, text: str) -> None:
    edit.text = text
    edit.textEdited.emit(text)


def plain(text: str) -> str:
    return text.replace("\u200b", "")


def test_the_list_follows_the_boxes_and_is_what_is_written(reviewed, tmp_path, wait_until):
    ui = reviewed.ui
    boxes = reviewed.panel.export.boxes
    for name in ("report", "json"):
        boxes[name].click()
    assert [row[1:] for row in rows_of(ui)] == [("Implant STL", "none")]
    boxes["masks"].click()
    listed = rows_of(ui)
    assert [row[1] for row in listed] == ["Implant STL", "Masks", "Masks", "Masks"]
    assert not (tmp_path / "export").exists(), "it is listed before it is written"
    ui.exportButton.click()
    wait_until(lambda: "Written" in ui.exportLabel.text)
    names = sorted(path.name for path in (tmp_path / "export").iterdir())
    assert names == sorted(row[0] for row in listed)
    for name in ("stl", "masks"):
        boxes[name].click()
    assert ui.outgoingTable.isHidden() and ui.outgoingLabel.isHidden()


def test_the_list_says_what_tells_the_patient(reviewed):
    ui = reviewed.ui
    reviewed._parameterNode.exportFormats = "stl,ply"
    type_into(ui.exportNameEdit, "left")
    name = [(row[0], row[2]) for row in rows_of(ui)]
    assert name == [("left-implant.stl", "⚠ your name"), ("left-implant.ply", "⚠ your name")]
    type_into(ui.engraveEdit, "L 7")
    assert [row[2] for row in rows_of(ui)] == ["⚠ your label", "⚠ your name"]
    assert "can tell who the patient is" in plain(ui.engraveNote.text)
    assert "label" in ui.outgoingTable.item(0, 2).toolTip()


def test_a_label_has_the_librarys_limits(reviewed):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    parameters.exportFormats = "stl"
    assert ui.exportButton.enabled and ui.engraveNote.isHidden()
    for label in ("Müller", 25 * "x", "  "):
        type_into(ui.engraveEdit, label)
        assert "Only up to 24 letters" in plain(ui.engraveNote.text), label
        assert not ui.exportButton.enabled
        assert "Only up to 24 letters" in ui.exportButton.toolTip
    type_into(ui.engraveEdit, "CASE 12")
    assert ui.exportButton.enabled
    parameters.exportFormats = "ply,json"
    assert "would have the label" in plain(ui.engraveNote.text) and not ui.exportButton.enabled
    type_into(ui.engraveEdit, "")
    assert ui.exportButton.enabled and ui.engraveNote.isHidden()


def test_a_label_is_cut_into_the_implant(reviewed, small_result, tmp_path, wait_until):
    pytest.importorskip("manifold3d")
    reviewed._parameterNode.exportFormats = "stl"
    type_into(reviewed.ui.engraveEdit, "-A 7")  # no option of the command
    reviewed.ui.exportButton.click()
    wait_until(lambda: "Written" in reviewed.ui.exportLabel.text)
    (made,) = (tmp_path / "export").iterdir()
    before = mesh_health(read_stl(small_result / "implant.stl"))
    after = mesh_health(read_stl(made))
    assert after.watertight and 0.001 < before.volume_cm3 - after.volume_cm3 < 0.05


def test_a_label_goes_to_no_other_patient_and_is_saved(
    reviewed, scene, small_ct_file, small_result, tmp_path
):
    from SkullImplantPanel import casename, dicomseries, results

    ui, parameters = reviewed.ui, reviewed._parameterNode
    type_into(ui.engraveEdit, "CASE 12")
    ui.dicomFolderEdit.currentPath = WHOLE_PATH
    mine = parameters.resultSegmentation
    other = slicer.util.loadVolume(str(small_ct_file), {"name": "Other"})
    nodes = results.addResults(results.readResults(small_result), other)
    parameters.inputVolume, parameters.resultSegmentation = other, nodes.segmentation
    assert ui.engraveEdit.text == "" and ui.dicomFolderEdit.currentPath == ""
    assert reviewed.logic.exportOf(parameters).label == ""
    assert casename.typedLabel(nodes) == dicomseries.typedFolder(nodes) == ""
    parameters.resultSegmentation = mine
    assert ui.engraveEdit.text == "CASE 12" and ui.dicomFolderEdit.currentPath == WHOLE_PATH
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert ui.engraveEdit.text == "" and ui.dicomFolderEdit.currentPath == ""
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    assert ui.engraveEdit.text == "CASE 12" and ui.dicomFolderEdit.currentPath == WHOLE_PATH


def test_dicom_needs_a_series_and_says_so(reviewed):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    box = reviewed.panel.export.boxes["dicom"]
    assert not box.enabled and not ui.dicomFolderEdit.isHidden()
    sentence = "needs the DICOM series that the design came from"
    assert sentence in plain(ui.dicomNote.text) and sentence in box.toolTip
    parameters.exportFormats = "stl,dicom"  # as a scene that was loaded may ask
    assert box.checked and box.enabled, "it can be unticked"
    assert not ui.exportButton.enabled and sentence in ui.exportButton.toolTip
    ui.dicomFolderEdit.currentPath = WHOLE_PATH
    assert box.enabled and ui.exportButton.enabled
    assert "carries the patient's name" in plain(ui.dicomNote.text)
    assert [row[2] for row in rows_of(ui)] == ["none", "⚠ patient's", "⚠ patient's"]
    ui.dicomFolderEdit.currentPath = "studies"
    assert not ui.exportButton.enabled and "whole path" in plain(ui.dicomNote.text)


def test_dicom_of_a_ct_out_of_slicers_database(
    panel, scene, small_ct_file, small_result, tmp_path, wait_until
):
    pytest.importorskip("highdicom")
    from SkullImplantPanel import results

    ui, parameters = panel.ui, panel._parameterNode
    series = write_ct(tmp_path / "series", sitk.ReadImage(str(small_ct_file)))
    volume = load_series(series)
    with dicom_database(tmp_path, series):
        nodes = results.addResults(results.readResults(small_result), volume)
        parameters.inputVolume, parameters.resultSegmentation = volume, nodes.segmentation
        parameters.exportFormats = "stl"
        box = panel.panel.export.boxes["dicom"]
        assert box.enabled and ui.dicomFolderEdit.isHidden()
        box.click()
        listed = rows_of(ui)
        assert len(listed) == 3
        ui.exportButton.click()
        wait_until(lambda: not panel.logic.exporting.running)
    assert "Written" in ui.exportLabel.text, panel.ui.exportLabel.text
    assert sorted(row[0] for row in listed) == sorted(
        path.name for path in (tmp_path / "export").iterdir()
    )
    assert list(Path(slicer.app.temporaryPath).rglob("00000.dcm")) == [], "copies are removed"
    assert json.loads(nodes.design.GetText())["input"]["kind"] == "ct"
