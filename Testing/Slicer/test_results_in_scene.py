"""A result folder in the scene: in its place to 0.001 mm, named, kept, replaced."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk

from module_fixtures import ijk_to_ras, node_ids

EXACT_MM = 1e-3


@pytest.fixture
def results(module):
    from SkullImplantPanel import results

    return results


@pytest.fixture
def nodes(results, small_ct, small_result):
    return results.addResults(results.readResults(small_result), small_ct)


def world_points(model_node) -> np.ndarray:
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        model_node.GetParentTransformNode(), None, to_world
    )
    points = slicer.util.arrayFromModelPoints(model_node)
    return np.array([to_world.TransformPoint(point) for point in points[::50]])


def test_masks_are_the_files_voxel_for_voxel(results, nodes, small_ct, small_result):
    for piece in results.PIECES:
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(small_result / piece.fileName)))
        found = slicer.util.arrayFromSegmentBinaryLabelmap(
            nodes.segmentation, piece.segmentId, small_ct
        )
        assert np.array_equal(found, expected), piece.segmentId


def test_surface_lies_where_the_stl_says_and_around_the_mask(
    results, nodes, small_ct, small_result
):
    reader = vtk.vtkSTLReader()
    reader.SetFileName(str(small_result / "implant.stl"))
    reader.Update()
    lps = np.array(reader.GetOutput().GetBounds())
    found = np.zeros(6)
    nodes.model.GetRASBounds(found)
    assert np.allclose(found, [-lps[1], -lps[0], -lps[3], -lps[2], lps[4], lps[5]], atol=EXACT_MM)
    implant = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", small_ct)
    index = np.argwhere(implant > 0)[:, ::-1]
    places = (ijk_to_ras(small_ct) @ np.column_stack([index, np.ones(len(index))]).T)[:3]
    # A voxel is the implant's where its centre is: a rim reaches beyond the last centre.
    spacing = 1.5 * max(small_ct.GetSpacing())
    assert np.abs(places.min(axis=1) - found[::2]).max() < spacing
    assert np.abs(places.max(axis=1) - found[1::2]).max() < spacing


def test_surfaces_are_turned_outward(results, nodes):
    for piece in results.PIECES:
        surface = vtk.vtkPolyData()
        nodes.segmentation.GetClosedSurfaceRepresentation(piece.segmentId, surface)
        mass = vtk.vtkMassProperties()
        mass.SetInputData(surface)
        normals = surface.GetPointData().GetNormals()
        assert normals is not None
        # Gauss: the flux of the points through facets that look outward is three times the volume.
        points = vtk.util.numpy_support.vtk_to_numpy(surface.GetPoints().GetData()).astype(float)
        facets = vtk.util.numpy_support.vtk_to_numpy(surface.GetPolys().GetConnectivityArray())
        a, b, c = (points[facets.reshape(-1, 3)[:, k]] for k in range(3))
        assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0 > 0, piece.segmentId


def test_segments_have_names_colours_and_standard_codes(results, nodes):
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.modules.terminologies.logic()
    names = ("Skull", "Completed skull", "Implant")
    for piece, name, meaning in zip(results.PIECES, names, ("Skull", "Skull", "Implant")):
        segment = nodes.segmentation.GetSegmentation().GetSegment(piece.segmentId)
        assert segment.GetName() == name
        assert segment.GetColor() == pytest.approx(piece.color)
        tag = vtk.reference("")
        assert segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        assert logic.DeserializeTerminologyEntry(str(tag), entry)
        assert entry.GetTypeObject().GetCodeMeaning() == meaning
        assert entry.GetTypeObject().GetCodingSchemeDesignator() == "SCT"


def test_table_has_a_row_for_each_check(nodes, small_result):
    checks = json.loads((small_result / "design.json").read_text())["checks"]
    table = nodes.table.GetTable()
    assert table.GetNumberOfRows() == len(checks)
    for row, check in enumerate(checks):
        assert table.GetValueByName(row, "Check").ToString() == check["name"]
        assert float(table.GetValueByName(row, "Value").ToString()) == pytest.approx(
            check["value"], rel=5e-3
        )
        passed = table.GetValueByName(row, "Verdict").ToString() == "passed"
        assert passed == check["passed"]


def test_results_lie_in_a_folder_beside_the_ct(results, scene, small_ct, small_result):
    hierarchy = scene.GetSubjectHierarchyNode()
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(small_ct), study)
    nodes = results.addResults(results.readResults(small_result), small_ct)
    results.addReport(nodes, "<html/>")
    nodes = results.nodesOfResult(nodes.segmentation)
    parents = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(n)) for n in nodes.all}
    assert len(parents) == 1
    folder = parents.pop()
    assert hierarchy.GetItemParent(folder) == study
    assert "small-ct" in hierarchy.GetItemName(folder)
    other = scene.AddNewNodeByClass("vtkMRMLModelNode")
    results.removeResults(nodes)
    assert hierarchy.GetItemName(folder) == ""
    assert scene.IsNodePresent(other) and scene.IsNodePresent(small_ct)


def test_removing_results_keeps_a_folder_in_which_the_user_put_something(
    results, scene, nodes, small_ct
):
    hierarchy = scene.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(nodes.model))
    note = scene.AddNewNodeByClass("vtkMRMLTextNode", "My note")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(note), folder)
    results.removeResults(nodes)
    assert scene.IsNodePresent(note)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(note)) == folder


def test_results_follow_the_transform_of_the_input(results, scene, small_ct, small_result):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[0, -1, 0, 12.0], [1, 0, 0, -40.0], [0, 0, 1, 7.0], [0, 0, 0, 1.0]])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    plain = results.addResults(results.readResults(small_result), small_ct)
    before = world_points(plain.model)
    results.removeResults(plain)
    small_ct.SetAndObserveTransformNodeID(transform.GetID())
    moved = results.addResults(results.readResults(small_result), small_ct)
    expected = before @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(world_points(moved.model) - expected).max() < EXACT_MM
    assert moved.segmentation.GetTransformNodeID() == transform.GetID()
    from SkullImplantPanel.inputs import snapshotOfSegments

    image = snapshotOfSegments(moved.segmentation, ["Implant"]).image()
    assert np.abs(image.ijkToRas - ijk_to_ras(small_ct)).max() < EXACT_MM
    assert np.array_equal(
        image.voxels, sitk.GetArrayFromImage(sitk.ReadImage(str(small_result / "implant.nrrd")))
    )


def test_everything_survives_a_saved_scene(
    results, module, scene, nodes, tmp_path, small_ct, small_result
):
    logic = module.SkullImplantLogic()
    parameters = logic.getParameterNode()
    parameters.inputVolume = small_ct
    parameters.clearanceMm = 0.8
    parameters.resultSegmentation = nodes.segmentation
    masks = {
        piece.segmentId: slicer.util.arrayFromSegmentBinaryLabelmap(
            nodes.segmentation, piece.segmentId, small_ct
        )
        for piece in results.PIECES
    }
    points, checks = world_points(nodes.model), nodes.table.GetNumberOfRows()
    results.addReport(nodes, (small_result / "report.html").read_text(encoding="utf-8"))
    design, report = nodes.design.GetText(), logic.resultNodes(parameters).report.GetText()
    tag = vtk.reference("")
    nodes.segmentation.GetSegmentation().GetSegment("Implant").GetTag("TerminologyEntry", tag)
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    parameters = logic.getParameterNode()
    assert parameters.clearanceMm == 0.8
    loaded = logic.resultNodes(parameters)
    for segment_id, mask in masks.items():
        found = slicer.util.arrayFromSegmentBinaryLabelmap(
            loaded.segmentation, segment_id, parameters.inputVolume
        )
        assert np.array_equal(found, mask)
    assert np.abs(world_points(loaded.model) - points).max() < EXACT_MM
    assert loaded.table.GetNumberOfRows() == checks
    assert json.loads(loaded.design.GetText()) == json.loads(design)
    assert loaded.report.GetText() == report
    found = vtk.reference("")
    loaded.segmentation.GetSegmentation().GetSegment("Implant").GetTag("TerminologyEntry", found)
    assert str(found) == str(tag)
    hierarchy = scene.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(loaded.model))
    assert folder == hierarchy.GetItemParent(hierarchy.GetItemByDataNode(loaded.segmentation))
    assert folder != hierarchy.GetSceneItemID()


def test_adding_results_can_be_undone_and_redone(results, scene, small_ct, small_result):
    scene.SetUndoOn()
    scene.AddDefaultNode(undo_enabled("vtkMRMLModelNode"))
    try:
        before = node_ids(scene)
        nodes = results.addResults(results.readResults(small_result), small_ct)
        model_id = nodes.model.GetID()
        assert scene.GetNumberOfUndoLevels() == 1
        scene.Undo()
        assert model_id not in node_ids(scene)
        assert before.items() <= node_ids(scene).items()
        scene.Redo()
        assert model_id in node_ids(scene)
    finally:
        scene.SetUndoOff()
        scene.ClearUndoStack()
        scene.ClearRedoStack()


def undo_enabled(class_name: str):
    """A default node of a class, which makes the scene's later nodes of it undoable."""
    node = slicer.mrmlScene.CreateNodeByClass(class_name)
    node.UnRegister(None)
    node.UndoEnabledOn()
    return node


def test_result_that_does_not_fit_leaves_the_scene_as_it_was(
    results, scene, small_ct, small_result
):
    damaged = results.readResults(small_result)
    del damaged.design["checks"]
    before = node_ids(scene)
    with pytest.raises(KeyError):
        results.addResults(damaged, small_ct)
    assert node_ids(scene) == before


@pytest.mark.parametrize("labelmap", [True, False])
def test_result_of_a_mask_is_updated_and_reported_without_a_ct(
    results, scene, small_result, labelmap
):
    """A mask is no CT, whatever kind of volume it is: pictures then show the skull behind it."""
    from SkullImplantPanel import requests

    path = str(small_result / "skull.nrrd")
    skull = slicer.util.loadVolume(path, {"labelmap": labelmap})
    read = results.readResults(small_result)
    read.design["input"]["kind"] = "skull"
    nodes = results.addResults(read, skull)
    for request in (requests.updateRequest(nodes), requests.reportRequest(nodes)):
        assert "--input" not in request.arguments
        assert set(request.images) == {f"before/{piece.fileName}" for piece in results.PIECES}
    read.design["input"]["kind"] = "ct"
    of_ct = requests.reportRequest(results.addResults(read, skull))
    assert of_ct.arguments[-2:] == ["--input", "{folder}/input.nrrd"]
