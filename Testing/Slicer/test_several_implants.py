"""A design with two implants in the scene: a surface, a segment, a file and a label for each."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk

from module_fixtures import ijk_to_ras

EXACT_MM = 1e-3
IDS, FILES = ("Implant-1", "Implant-2"), ("implant-1.stl", "implant-2.stl")


@pytest.fixture
def ct(scene, two_holes_ct_file):
    return slicer.util.loadVolume(str(two_holes_ct_file))


@pytest.fixture
def nodes(module, ct, two_holes_result):
    from SkullImplantPanel import results

    return results.addResults(results.readResults(two_holes_result), ct)


def bounds_of(node) -> np.ndarray:
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    return bounds


def labels_of(folder) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "implant.nrrd")))


def test_each_implant_has_its_surface_and_its_segment(nodes, ct, two_holes_result):
    assert [model.GetName() for model in nodes.models] == ["Implant 1", "Implant 2"]
    labels = labels_of(two_holes_result)
    assert labels.max() == 2
    segmentation = nodes.segmentation.GetSegmentation()
    for number, (segment_id, file) in enumerate(zip(IDS, FILES), 1):
        assert segmentation.GetSegment(segment_id).GetName() == f"Implant {number}"
        found = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, segment_id, ct)
        assert np.array_equal(found, labels == number)
        reader = vtk.vtkSTLReader()
        reader.SetFileName(str(two_holes_result / file))
        reader.Update()
        left, right, back, front, low, high = reader.GetOutput().GetBounds()
        expected = [-right, -left, -front, -back, low, high]
        assert np.abs(bounds_of(nodes.models[number - 1]) - expected).max() < EXACT_MM
    display = nodes.segmentation.GetDisplayNode()
    assert not any(display.GetSegmentVisibility3D(i) for i in IDS), "the models show them in 3D"
    assert all(display.GetSegmentVisibility(i) for i in IDS)


def test_checks_of_each_implant_are_told_apart(nodes, two_holes_result):
    checks = json.loads((two_holes_result / "design.json").read_text())["checks"]
    table = nodes.table.GetTable()
    names = [table.GetValueByName(row, "Check").ToString() for row in range(len(checks))]
    assert names == [f"{check['implant']}: {check['name']}" for check in checks]
    sources = [table.GetValueByName(row, "Source of the limit").ToString() for row in range(3)]
    assert sources == [check["source"] for check in checks[:3]]


def test_all_are_exported_and_lie_in_their_place(
    module, scene, nodes, ct, two_holes_result, tmp_path
):
    logic = module.SkullImplantLogic()
    parameters = logic.getParameterNode()
    parameters.resultSegmentation, parameters.exportFolder = nodes.segmentation, tmp_path / "export"
    parameters.exportFormats = "stl,masks"
    files = logic.exportResults(parameters)
    surfaces = [file for file in files if file.suffix == ".stl"]
    assert [file.name.split("-", 2)[2] for file in surfaces] == list(FILES)
    for file in files[len(surfaces) :]:
        shutil.copy(file, tmp_path / file.name.split("-", 2)[2])
    for file, model in zip(surfaces, nodes.models):
        loaded = slicer.util.loadModel(str(file))
        assert np.abs(bounds_of(loaded) - bounds_of(model)).max() < EXACT_MM
    assert np.array_equal(labels_of(tmp_path), labels_of(two_holes_result))


def test_update_and_report_are_asked_with_all_implants(nodes, ct, two_holes_result, tmp_path):
    from SkullImplantPanel import requests

    requests.updateRequest(nodes).writeInto(tmp_path)
    assert np.array_equal(labels_of(tmp_path / "before"), labels_of(two_holes_result))
    assert set(requests.reportRequest(nodes).surfaces) == {f"before/{file}" for file in FILES}


def test_an_edit_of_the_second_implant_is_noticed(nodes, ct):
    from SkullImplantPanel import review

    assert not review.isEdited(nodes)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, IDS[1], ct)
    voxels[np.argwhere(voxels.any(axis=(1, 2)))[-1]] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, nodes.segmentation, IDS[1], ct)
    assert review.isEdited(nodes)


def test_result_is_no_longer_whole_without_one_of_its_surfaces(scene, nodes):
    from SkullImplantPanel import results

    scene.RemoveNode(nodes.models[1])
    assert results.nodesOfResult(nodes.segmentation) is None


def test_they_survive_a_saved_scene_and_go_together(module, scene, nodes, tmp_path):
    from SkullImplantPanel import results

    module.SkullImplantLogic().getParameterNode().resultSegmentation = nodes.segmentation
    bounds = [bounds_of(model) for model in nodes.models]
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    logic = module.SkullImplantLogic()
    loaded = logic.resultNodes(logic.getParameterNode())
    assert np.abs(np.subtract([bounds_of(m) for m in loaded.models], bounds)).max() < EXACT_MM
    results.removeResults(loaded)
    assert scene.GetFirstNodeByClass("vtkMRMLModelNode") is None


def test_a_design_from_before_there_could_be_several_has_one(module, small_ct, small_result):
    from SkullImplantPanel import requests, results

    read = results.readResults(small_result)
    del read.design["implants"]
    for check in read.design["checks"]:
        for key in ("source", "place_mm", "kind"):
            check.pop(key, None)
    nodes = results.addResults(read, small_ct)
    assert results.implantIdsOf(nodes) == ["Implant"]
    assert set(requests.reportRequest(nodes).surfaces) == {"before/implant.stl"}


@pytest.mark.slow
def test_report_of_both_is_made(module, scene, nodes):
    outcomes = []
    logic = module.SkullImplantLogic()
    logic.startReport(nodes, outcomes.append)
    logic.wait()
    assert outcomes[0].state == "done", outcomes[0].message


def test_the_frames_of_ct_and_masks_are_one(nodes, ct):
    from SkullImplantPanel.inputs import snapshotOfSegments

    image = snapshotOfSegments(nodes.segmentation, list(IDS), labels=(1, 2)).image()
    assert np.abs(image.ijkToRas - ijk_to_ras(ct)).max() < EXACT_MM
    assert set(np.unique(image.voxels)) == {0, 1, 2}
