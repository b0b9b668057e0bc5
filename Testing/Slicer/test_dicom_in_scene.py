"""DICOM from the panel, out of the database or a folder; its Segmentation on top of the CT."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicer
import vtk

from dicom_files import small_head, write_series
from dicom_scene import MARKS, VOLUME, dicom_database, in_order, load_series, write_ct
from module_fixtures import turned
from SkullImplantLib.core.images import index_to_lps_mm, write_image
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.stl import read_stl, write_stl

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
GOOD_DICE, EXACT_MM = 0.99, 1e-3
# Voxels whose centres lie on the border between two others fall to either.
IN_A_VOXEL = 1e-4
OBLIQUE_DEG = (12.0, -20.0, 31.0)
MASKS = {"Skull": "skull", "Completed skull": "completed", "Implant": "implant"}
DCMQI = shutil.which(
    "segimage2itkimage", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
)


@pytest.fixture(params=["head first", "feet first", "oblique", "oblique, feet first"])
def patient(request, scene, small_ct_file, small_result, tmp_path):
    """A CT as slices in some position, its volume in the scene, and its design there: (series,
    nodes of the result, the folder of the design).
    """
    ct, folder = sitk.ReadImage(str(small_ct_file)), tmp_path / "design"
    shutil.copytree(small_result, folder)
    if "oblique" in request.param:
        # The maps would have to be turned with the implant, and no export here needs them.
        (folder / "implant-maps.vtp").unlink(missing_ok=True)
        straight, ct = ct, turned(ct, OBLIQUE_DEG)
        for name in MASKS.values():
            path = folder / f"{name}.nrrd"
            write_image(turned(sitk.ReadImage(str(path)), OBLIQUE_DEG), path)
        write_stl(moved(read_stl(folder / "implant.stl"), straight, ct), folder / "implant.stl")
    series = write_ct(tmp_path / "series", ct, feet_first="feet" in request.param)
    return series, design_in_scene(series, folder), folder


def moved(mesh, before: sitk.Image, after: sitk.Image):
    """A mesh (LPS mm) that is taken along from one place of an image to another."""
    matrix = index_to_lps_mm(after) @ np.linalg.inv(index_to_lps_mm(before))
    transform, taken = vtk.vtkTransform(), vtk.vtkTransformPolyDataFilter()
    transform.SetMatrix(matrix.ravel().tolist())
    taken.SetInputData(mesh)
    taken.SetTransform(transform)
    taken.Update()
    return taken.GetOutput()


def design_in_scene(series: Path, folder: Path):
    from SkullImplantPanel import results

    return results.addResults(results.readResults(folder), load_series(series))


def exported(module, nodes, folder, formats="dicom") -> dict[str, Path]:
    """Files that the panel writes, by their endings."""
    from SkullImplantPanel import export

    logic, outcomes = module.SkullImplantLogic(), []
    asked = export.exportOf(nodes, folder, export.chosenFormats(formats))
    logic.startExport(asked, outcomes.append)
    logic.wait()
    if outcomes[0].state != "done":
        raise RuntimeError(outcomes[0].message)
    return {path.name.split("-", 2)[2]: path for path in outcomes[0].value}


def opened_by_dcmqi(path: Path, folder: Path):
    """As Slicer's DICOM reader for segmentations does it: label maps and names by dcmqi, which are
    imported into a segmentation node.
    """
    folder.mkdir()
    command = [DCMQI, "--inputDICOM", str(path), "--outputDirectory", str(folder)]
    subprocess.run([*command, "--mergeSegments"], check=True, capture_output=True)
    told = json.loads((folder / "meta.json").read_text())["segmentAttributes"]
    return imported([folder / f"{number}.nrrd" for number in range(1, len(told) + 1)], told)


def opened_by_highdicom(path: Path, folder: Path):
    """The same by highdicom, which needs no program."""
    highdicom = pytest.importorskip("highdicom")
    folder.mkdir()
    found, files, told = highdicom.seg.segread(path), [], []
    for number in found.segment_numbers:
        volume = found.get_volume(segment_numbers=[number], combine_segments=True, relabel=True)
        image = sitk.GetImageFromArray(volume.array.astype(np.uint8))
        axes = volume.affine[:3, 2::-1]  # of z, y and x
        spacing = np.linalg.norm(axes, axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((axes / spacing).ravel().tolist())
        image.SetOrigin(volume.affine[:3, 3].tolist())
        files.append(folder / f"{number}.nrrd")
        sitk.WriteImage(image, str(files[-1]))
        label = found.get_segment_description(number).segment_label
        told.append([{"SegmentLabel": label}])
    return imported(files, told)


def imported(files, told):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "From DICOM")
    node.CreateDefaultDisplayNodes()
    segmentation = node.GetSegmentation()
    for path, attributes in zip(files, told):
        before = segmentation.GetNumberOfSegments()
        labels = slicer.util.loadLabelVolume(str(path), {"singleFile": True})
        logic = slicer.modules.segmentations.logic()
        assert logic.ImportLabelmapToSegmentationNode(labels, node)
        assert segmentation.GetNumberOfSegments() == before + len(attributes)
        for number, attribute in enumerate(attributes):
            segmentation.GetNthSegment(before + number).SetName(attribute["SegmentLabel"])
        slicer.mrmlScene.RemoveNode(labels)
    return node


def dice_at(node, name: str, mask: sitk.Image) -> float:
    """How much a segment and a mask of a file are the same, by places in the patient."""
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
    labelmap = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment_id, labelmap)
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    start = labelmap.GetExtent()[::2]
    values = vtk.util.numpy_support.vtk_to_numpy(labelmap.GetPointData().GetScalars())
    voxels = values.reshape(labelmap.GetDimensions()[::-1]) > 0
    places = np.argwhere(sitk.GetArrayFromImage(mask) > 0)[:, ::-1]
    ras = np.c_[places, np.ones(len(places))] @ (FLIP @ index_to_lps_mm(mask)).T
    at = ras @ np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix)).T
    index = np.floor(at[:, :3] + 0.5 + IN_A_VOXEL).astype(int) - start
    inside = ((index >= 0) & (index < voxels.shape[::-1])).all(axis=1)
    common = np.count_nonzero(voxels[tuple(index[inside].T[::-1])])
    return 2 * common / (np.count_nonzero(voxels) + len(places))


READERS = [
    pytest.param(opened_by_highdicom, id="highdicom"),
    pytest.param(
        opened_by_dcmqi,
        id="dcmqi",
        marks=pytest.mark.skipif(DCMQI is None, reason="not installed: dcmqi"),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("opened", READERS)
def test_what_is_exported_opens_on_top_of_the_ct(module, patient, tmp_path, opened):
    pytest.importorskip("highdicom")
    series, nodes, design = patient
    with dicom_database(tmp_path, series):
        files = exported(module, nodes, tmp_path / "out")
    node = opened(files["segmentation.dcm"], tmp_path / "opened")
    for name, file in MASKS.items():
        dice = dice_at(node, name, sitk.ReadImage(str(design / f"{file}.nrrd")))
        assert dice > GOOD_DICE, name
    assert dice_at(node, "Implant", sitk.ReadImage(str(design / "skull.nrrd"))) < 0.1
    # On the volume as Slicer has it: the skull is its bone, and the implant lies where none is.
    volume = slicer.util.getNode(VOLUME)
    threshold = json.loads((design / "design.json").read_text())["parameters"]["bone_threshold_hu"]
    hu = slicer.util.arrayFromVolume(volume)
    share = {}
    for name in ("Skull", "Implant"):
        segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        on_ct = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume) > 0
        share[name] = np.mean(hu[on_ct] >= threshold)
    assert share["Skull"] > 0.9 and share["Implant"] < 0.1
    assert_in_place(files["implant.dcm"], nodes.model, tmp_path)


def assert_in_place(path: Path, model, folder: Path) -> None:
    """The STL of a DICOM object lies where a model does, in the model's own frame."""
    found = pydicom.dcmread(path)
    assert found.PatientName == MARKS["PatientName"]
    (folder / "x.stl").write_bytes(found.EncapsulatedDocument[: found.EncapsulatedDocumentLength])
    given = np.array(read_stl(folder / "x.stl").GetBounds())
    bounds = np.array(model.GetPolyData().GetBounds())
    assert np.abs(given[[1, 0, 3, 2]] + bounds[:4]).max() < EXACT_MM
    assert np.abs(given[4:] - bounds[4:]).max() < EXACT_MM


@pytest.fixture
def series(small_ct_file, tmp_path) -> Path:
    return write_ct(tmp_path / "series", sitk.ReadImage(str(small_ct_file)))


@pytest.fixture
def nodes(scene, series, small_result):
    return design_in_scene(series, small_result)


def test_under_a_transform_dicom_lies_where_its_series_does(module, scene, series, nodes, tmp_path):
    """A folder that the user points at, with another patient's series beside it."""
    from SkullImplantPanel import dicomseries

    other = small_head((44, 52, 48))
    write_series(tmp_path / "other", other, series_uid="1.2.826.0.1.77")
    (series / "other").mkdir()
    for path in (tmp_path / "other").iterdir():
        path.rename(series / "other" / path.name)
    dicomseries.setTypedFolder(nodes, str(series))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[0, 0, 1, 5.0], [1, 0, 0, -3.0], [0, 1, 0, 80.0], [0, 0, 0, 1.0]])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    for node in (nodes.model, nodes.segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(SkullImplantError, match="export DICOM by itself"):
        exported(module, nodes, tmp_path / "out", "stl,dicom")
    assert_in_place(exported(module, nodes, tmp_path / "out")["implant.dcm"], nodes.model, tmp_path)


def test_another_patients_series_gets_nothing_of_it(module, nodes, tmp_path):
    """Whatever the volume or the user says: the bone is not there."""
    from SkullImplantPanel import dicomseries

    other = write_series(tmp_path / "other")
    dicomseries.setTypedFolder(nodes, str(other))
    with pytest.raises(RuntimeError, match="came from; the one that was given is another one"):
        exported(module, nodes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_series_that_is_gone_is_one_sentence(module, series, nodes, tmp_path):
    from SkullImplantPanel import dicomseries, export

    dicom = export.chosenFormats("dicom")
    assert "choose its folder" in dicomseries.seriesProblem(nodes), "there is no database"
    with dicom_database(tmp_path) as database:
        assert "choose its folder" in dicomseries.seriesProblem(nodes), "it does not know the CT"
        for path in in_order(series)[:-1]:
            database.insert(str(path), False)
        assert dicomseries.seriesProblem(nodes) is None
        with pytest.raises(SkullImplantError, match="does not hold all slices"):
            export.exportOf(nodes, tmp_path / "out", dicom)
        database.insert(str(in_order(series)[-1]), False)
        in_order(series)[0].unlink()
        with pytest.raises(RuntimeError, match="is not there any more"):
            exported(module, nodes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_design_of_a_mask_has_no_series(nodes):
    from SkullImplantPanel import dicomseries, results

    design = results.designOf(nodes)
    design["input"]["kind"] = "skull"
    nodes.design.SetText(json.dumps(design))
    dicomseries.setTypedFolder(nodes, "/somewhere")
    assert "this one came from a mask" in dicomseries.seriesProblem(nodes)


def test_only_dicom_tells_who_the_patient_is(module, series, nodes, tmp_path):
    """Also where the volume in the scene is called like the patient."""
    with dicom_database(tmp_path, series):
        files = exported(module, nodes, tmp_path / "out", "stl,skull-stl,masks,json,ply,3mf,dicom")
    assert len(files) == 10
    marks = [mark.encode() for mark in MARKS.values()]
    assert VOLUME.encode() not in marks
    for path in files.values():
        told = [mark for mark in [*marks, VOLUME.encode()] if mark in path.read_bytes()]
        assert told == (marks if path.suffix == ".dcm" else []), path.name
