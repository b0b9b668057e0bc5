"""Exported files: in the right place when they are loaded back, all of them or none."""

import html
import json

import numpy as np
import pytest
import SimpleITK as sitk
import slicer

from module_fixtures import ijk_to_ras, node_ids

EXACT_MM = 1e-3


@pytest.fixture
def nodes(module, small_ct, small_result):
    from SkullImplantPanel import results

    return results.addResults(results.readResults(small_result), small_ct)


@pytest.fixture
def written(module):
    """Writes formats of a result into a folder, as the panel does; returns the files."""
    from SkullImplantPanel import export

    logic = module.SkullImplantLogic()

    def write(nodes, folder, formats):
        outcomes = []
        asked = export.exportOf(nodes, folder, export.chosenFormats(formats))
        logic.startExport(asked, outcomes.append)
        logic.wait()
        if outcomes[0].state != "done":
            raise RuntimeError(outcomes[0].message)
        assert sorted(folder.iterdir()) == sorted(outcomes[0].value)
        return outcomes[0].value

    return write


def bounds_of(node) -> np.ndarray:
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    return bounds


@pytest.mark.parametrize("moved", [False, True])
def test_stl_is_in_its_place_when_loaded_back(scene, written, nodes, tmp_path, moved):
    if moved:
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = np.array([[0, 0, 1, 5.0], [1, 0, 0, -3.0], [0, 1, 0, 80.0], [0, 0, 0, 1.0]])
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        for node in (nodes.model, nodes.segmentation):
            node.SetAndObserveTransformNodeID(transform.GetID())
    files = written(nodes, tmp_path / "a folder, ünïcode", "stl")
    assert len(files) == 1 and files[0].name.endswith("-implant.stl")
    loaded = slicer.util.loadModel(str(files[0]))
    assert np.abs(bounds_of(loaded) - bounds_of(nodes.model)).max() < EXACT_MM
    assert b"SPACE=LPS" in files[0].read_bytes()[:80]


@pytest.mark.parametrize("moved", [False, True])
def test_masks_are_in_their_place_when_loaded_back(
    scene, written, nodes, tmp_path, small_ct, small_result, moved
):
    matrix = np.eye(4)
    if moved:
        matrix = np.array([[0, 0, 1, 5.0], [1, 0, 0, -3.0], [0, 1, 0, 80.0], [0, 0, 0, 1.0]])
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        nodes.segmentation.SetAndObserveTransformNodeID(transform.GetID())
    case = written(nodes, tmp_path, "masks,skull-stl")[0].name.rsplit("-", 1)[0]
    surface = slicer.util.loadModel(str(tmp_path / f"{case}-skull.stl"))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(small_result / "skull.nrrd")))
    used = np.argwhere(labels)[:, ::-1]
    place = matrix @ ijk_to_ras(small_ct)
    around = np.c_[np.vstack([used - 0.5, used + 0.5]), np.ones(2 * len(used))] @ place.T
    expected = np.stack([around.min(axis=0), around.max(axis=0)], axis=1)[:3].ravel()
    assert np.abs(bounds_of(surface) - expected).max() < max(small_ct.GetSpacing())
    for name in ("implant", "skull", "completed"):
        loaded = slicer.util.loadVolume(str(tmp_path / f"{case}-{name}.nrrd"), {"labelmap": True})
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(small_result / f"{name}.nrrd")))
        assert np.array_equal(slicer.util.arrayFromVolume(loaded), expected)
        assert np.abs(ijk_to_ras(loaded) - matrix @ ijk_to_ras(small_ct)).max() < EXACT_MM


@pytest.mark.slow
def test_report_is_made_when_it_is_exported_and_kept(
    module, scene, nodes, tmp_path, small_result, small_ct
):
    """From the nodes alone, as after a scene was loaded, and with the CT that is in it."""
    logic = module.SkullImplantLogic()
    parameters = logic.getParameterNode()
    parameters.resultSegmentation = nodes.segmentation
    parameters.exportFolder = tmp_path
    parameters.exportFormats = "report,json"
    before = node_ids(scene)
    assert nodes.report is None
    files = logic.exportResults(parameters)
    assert [file.name.rsplit("-", 1)[1] for file in files] == ["report.html", "design.json"]
    written = json.loads(files[1].read_text(encoding="utf-8"))
    expected = json.loads((small_result / "design.json").read_text(encoding="utf-8"))
    assert written["checks"] == expected["checks"] and written["input"] == expected["input"]
    report = files[0].read_text(encoding="utf-8")
    assert "data:image/png;base64," in report
    for check in written["checks"]:
        assert html.escape(check["sentence"]) in report
    kept = logic.resultNodes(parameters).report
    assert set(node_ids(scene)) - set(before) == {kept.GetID(), kept.GetStorageNode().GetID()}
    assert kept.GetText() == report
    export = logic.exportOf(parameters)
    assert not export.lacksReport and export.texts["report.html"] == report


@pytest.mark.slow
def test_report_shows_the_skull_where_its_ct_is_gone(module, scene, nodes, tmp_path, small_ct):
    scene.RemoveNode(small_ct)
    logic = module.SkullImplantLogic()
    outcomes = []
    logic.startReport(nodes, outcomes.append)
    logic.wait()
    assert outcomes[0].state == "done", outcomes[0].message
    assert "data:image/png;base64," in outcomes[0].value


@pytest.mark.slow
def test_report_of_a_result_that_is_removed_meanwhile_is_one_sentence(module, scene, nodes):
    logic = module.SkullImplantLogic()
    outcomes, steps = [], []
    logic.startReport(nodes, outcomes.append, steps.append)
    scene.RemoveNode(nodes.segmentation)
    logic.wait()
    assert outcomes[0].state == "failed" and "removed from the scene" in outcomes[0].message
    assert steps[-1].overall == pytest.approx(1.0), "the bar knows the stages of a report"
    assert slicer.mrmlScene.GetFirstNodeByName("Design report") is None


def test_export_that_lacks_its_report_is_not_written(module, nodes, tmp_path):
    from SkullImplantPanel import export

    logic = module.SkullImplantLogic()
    lacking = export.exportOf(nodes, tmp_path / "export", export.chosenFormats("report"))
    assert lacking.lacksReport
    with pytest.raises(ValueError, match="report"):
        logic.startExport(lacking, lambda outcome: None)
    assert not logic.exporting.running
    assert not (tmp_path / "export").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence_and_leaves_nothing(written, nodes, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RuntimeError, match="choose another place"):
        written(nodes, tmp_path / "file" / "folder", "stl,masks")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_logic_says_what_is_missing(module, scene, nodes, tmp_path):
    logic = module.SkullImplantLogic()
    parameters = logic.getParameterNode()
    assert "generate an implant" in logic.exportProblem(parameters)
    parameters.resultSegmentation = nodes.segmentation
    assert "folder" in logic.exportProblem(parameters)
    parameters.exportFolder = tmp_path
    assert logic.exportProblem(parameters) is None
    parameters.exportFormats = "no-format-of-this-version"
    assert "kind of file" in logic.exportProblem(parameters)
    with pytest.raises(ValueError, match="kind of file"):
        logic.exportResults(parameters)


def test_a_folder_that_the_input_came_from_names_the_files_only_when_asked(
    module, scene, small_ct_file, small_result, tmp_path
):
    import shutil

    from SkullImplantPanel import casename, results

    folder = tmp_path / "DOE^JANE 1970"
    folder.mkdir()
    shutil.copy(small_ct_file, folder / "ct.nrrd")
    volume = slicer.util.loadVolume(str(folder / "ct.nrrd"))
    nodes = results.addResults(results.readResults(small_result), volume)
    design = results.designOf(nodes)
    assert casename.caseName(nodes, design).startswith("case-")
    assert casename.folderName(nodes) == "DOE^JANE 1970"
    casename.setTypedName(nodes, "left: one")
    assert casename.caseName(nodes, design) == "left- one"
    other = slicer.util.loadVolume(str(small_ct_file))
    elsewhere = results.addResults(results.readResults(small_result), other)
    assert casename.typedName(elsewhere) == "", "a name stays with its patient"
    casename.setTypedName(nodes, "")
    assert casename.caseName(nodes, design).startswith("case-")


def test_a_typed_name_survives_a_saved_scene(module, scene, nodes, tmp_path):
    from SkullImplantPanel import casename

    logic = module.SkullImplantLogic()
    logic.getParameterNode().resultSegmentation = nodes.segmentation
    logic.getParameterNode().exportFormats = "masks,skull-stl"
    casename.setTypedName(nodes, "right parietal")
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    logic = module.SkullImplantLogic()
    assert casename.typedName(logic.resultNodes(logic.getParameterNode())) == "right parietal"
    assert logic.getParameterNode().exportFormats == "masks,skull-stl"


def test_every_format_has_the_panels_words(module):
    from SkullImplantPanel.formatwords import wordsOfFormats

    from SkullImplantLib.export.formats import FORMATS

    assert list(wordsOfFormats()) == [format.name for format in FORMATS]
