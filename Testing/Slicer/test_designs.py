"""Designs from the scene into the scene, and every way in which they can fail."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from scipy import ndimage

from module_fixtures import SMALL_SPACING_MM, ijk_to_ras, node_ids, turned
from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.core.images import write_image

EXACT_MM = 1e-3


@pytest.fixture
def logic(module, scene):
    """The logic, set to the model that is the fastest."""
    logic = module.SkullImplantLogic()
    logic.getParameterNode().model = "prior"
    yield logic
    logic.abandon()


@pytest.fixture(scope="session")
def small_patient():
    return make_sample_patient(0, SampleOptions(spacing_mm=SMALL_SPACING_MM))


def designed(logic, **parameters):
    """Run a design to its end; return the parameters and the outcome."""
    node = logic.getParameterNode()
    for name, value in parameters.items():
        setattr(node, name, value)
    outcomes = []
    logic.startDesign(node, outcomes.append)
    logic.wait()
    assert len(outcomes) == 1
    return node, outcomes[0]


def load(image: sitk.Image, path: Path, **properties):
    write_image(image, path)
    return slicer.util.loadVolume(str(path), properties)


def temporary_files() -> list[str]:
    return sorted(p.name for p in Path(slicer.app.temporaryPath).glob("si*"))


@pytest.mark.slow
def test_oblique_and_transformed_ct_gives_the_result_of_the_plain_one(
    logic, scene, small_patient, tmp_path, small_result
):
    """The CT lies oblique in its file, and a transform turns it further; voxels stay the same."""
    oblique = turned(small_patient.ct, (6.0, -4.0, 9.0))
    volume = load(oblique, tmp_path / "obl ique – Ü.nrrd")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[0, -1, 0, 12.0], [1, 0, 0, -40.0], [0, 0, 1, 7.0], [0, 0, 0, 1.0]])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    parameters, outcome = designed(logic, inputVolume=volume)
    assert outcome.state == "done", outcome.message
    nodes = logic.resultNodes(parameters)
    for name in ("Skull", "CompletedSkull", "Implant"):
        labelmap = slicer.vtkOrientedImageData()
        nodes.segmentation.GetBinaryLabelmapRepresentation(name, labelmap)
        matrix_of_mask = vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(matrix_of_mask)
        found = slicer.util.arrayFromVTKMatrix(matrix_of_mask)
        assert np.abs(found - ijk_to_ras(volume)).max() < EXACT_MM
    implant = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", volume)
    plain = sitk.GetArrayFromImage(sitk.ReadImage(str(small_result / "implant.nrrd")))
    dice = (
        2
        * np.count_nonzero(implant & plain)
        / (np.count_nonzero(implant) + np.count_nonzero(plain))
    )
    assert dice > 0.9, "the head lies otherwise, the hole is the same"
    # The surface is around the mask, as both are seen.
    found, expected = np.zeros(6), np.zeros(6)
    nodes.model.GetRASBounds(found)
    index = np.argwhere(implant > 0)[:, ::-1]
    places = (matrix @ ijk_to_ras(volume) @ np.column_stack([index, np.ones(len(index))]).T)[:3]
    expected[::2], expected[1::2] = places.min(axis=1), places.max(axis=1)
    assert np.abs(found - expected).max() < 1.5 * max(SMALL_SPACING_MM)
    assert temporary_files() == []


@pytest.mark.slow
def test_second_design_replaces_the_first_or_is_added(logic, scene, small_ct):
    parameters, outcome = designed(logic, inputVolume=small_ct)
    first = outcome.value
    after_first = kinds(scene)
    parameters, outcome = designed(logic, clearanceMm=1.5)
    assert not scene.IsNodePresent(first.model) and not scene.IsNodePresent(first.segmentation)
    assert kinds(scene) == after_first
    second = outcome.value
    parameters, outcome = designed(logic, keepResults=True, clearanceMm=0.0)
    assert scene.IsNodePresent(second.model) and scene.IsNodePresent(second.segmentation)
    current = logic.resultNodes(parameters)
    assert current.model.GetID() == outcome.value.model.GetID() != second.model.GetID()

    assert _volume_cm3(second.model) < _volume_cm3(outcome.value.model), "less gap, more implant"


def kinds(scene) -> list[str]:
    """The nodes of a scene without the numbers that make their names unique."""
    return sorted(re.sub(r"_\d+$", "", text) for text in node_ids(scene).values())


def _volume_cm3(model) -> float:
    mass = vtk.vtkMassProperties()
    mass.SetInputData(model.GetPolyData())
    return mass.GetVolume() / 1000.0


@pytest.mark.slow
def test_skull_segmentation_and_left_out_bone(logic, scene, small_patient, tmp_path, small_ct):
    """The input is a segmentation; bone beside its hole is left out and covered too."""
    mask = sitk.GetArrayFromImage(small_patient.defective)
    hole = sitk.GetArrayFromImage(small_patient.implant)
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Skull by hand")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(small_ct)
    segment = segmentation.GetSegmentation().AddEmptySegment("Bone", "Bone")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, small_ct)
    _, outcome = designed(logic, skullIsSegmentation=True, skullSegmentation=segmentation)
    assert outcome.state == "done", outcome.message
    before = slicer.util.arrayFromSegmentBinaryLabelmap(
        outcome.value.segmentation, "Implant", small_ct
    ).copy()
    # A crescent of bone along the front half of the hole.
    near = ndimage.distance_transform_edt(hole == 0, SMALL_SPACING_MM) < 10.0
    middle = int(np.median(np.argwhere(hole > 0)[:, 1]))
    crescent = (mask & near).astype(np.uint8)
    crescent[:, middle:] = 0
    out = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Left out")
    out.CreateDefaultDisplayNodes()
    out.SetReferenceImageGeometryParameterFromVolumeNode(small_ct)
    segment = out.GetSegmentation().AddEmptySegment("Fragment", "Fragment")
    slicer.util.updateSegmentBinaryLabelmapFromArray(crescent, out, segment, small_ct)
    _, outcome = designed(logic, leaveOut=out)
    assert outcome.state == "done", outcome.message
    skull = slicer.util.arrayFromSegmentBinaryLabelmap(
        outcome.value.segmentation, "Skull", small_ct
    )
    assert not np.any(skull & crescent)
    after = slicer.util.arrayFromSegmentBinaryLabelmap(
        outcome.value.segmentation, "Implant", small_ct
    )
    assert np.count_nonzero(after & crescent) > 0.3 * np.count_nonzero(crescent)
    # A voxel at a corner of the mask may lie outside of its smooth surface.
    assert np.count_nonzero(before & crescent) < 0.05 * np.count_nonzero(crescent)


@pytest.mark.slow
def test_update_meshes_and_checks_the_edited_segment(logic, scene, small_ct):
    parameters, outcome = designed(logic, inputVolume=small_ct)
    nodes = outcome.value
    design_before = nodes.design.GetText()
    implant = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", small_ct)
    edited = implant.copy()
    z = np.argwhere(edited.any(axis=(1, 2))).ravel()
    edited[z[len(z) // 2] :] = 0  # the upper half is cut away
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        edited, nodes.segmentation, "Implant", small_ct
    )
    outcomes = []
    logic.startUpdate(parameters, outcomes.append)
    logic.wait()
    assert outcomes[0].state == "done", outcomes[0].message
    new = logic.resultNodes(parameters)
    # The automatic design stays, hidden, with the voxels that it had.
    kept = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", small_ct)
    assert np.array_equal(kept, implant)
    assert not nodes.model.GetDisplayNode().GetVisibility()
    assert new.model.GetDisplayNode().GetVisibility()
    found = slicer.util.arrayFromSegmentBinaryLabelmap(new.segmentation, "Implant", small_ct)
    # It is made smooth and fitted again, so that voxels at its edge may change.
    both, all_of_them = np.count_nonzero(found & edited), np.count_nonzero(found | edited)
    assert both > 0.85 * all_of_them
    voxels_cm3 = np.count_nonzero(edited) * np.prod(small_ct.GetSpacing()) / 1000.0
    assert _volume_cm3(new.model) == pytest.approx(voxels_cm3, rel=0.1)
    assert new.design.GetText() != design_before
    assert '"edited": true' in new.design.GetText()
    closed = [
        new.table.GetTable().GetValueByName(row, "Verdict").ToString()
        for row in range(new.table.GetNumberOfRows())
        if new.table.GetTable().GetValueByName(row, "Check").ToString() == "defect closed"
    ]
    assert closed == ["look at it"], "half of the hole is open now"


# --- what can go wrong: one sentence, and the scene as it was -----------------------------------


def failed(logic, scene, **parameters) -> str:
    """Run a design that fails; check that nothing changed; return the sentence."""
    node = logic.getParameterNode()
    for name, value in parameters.items():
        setattr(node, name, value)
    before = node_ids(scene)
    _, outcome = designed(logic)
    assert outcome.state == "failed"
    assert node_ids(scene) == before
    assert logic.resultNodes(node) is None
    assert temporary_files() == []
    assert outcome.message.endswith((".", ")")) and "\n" not in outcome.message
    return outcome.message


def test_left_out_segmentation_under_a_bending_transform(logic, scene, small_ct):
    bent = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    bent.SetAndObserveTransformFromParent(slicer.vtkOrientedBSplineTransform())
    out = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Left out")
    out.CreateDefaultDisplayNodes()
    out.GetSegmentation().AddEmptySegment("Fragment", "Fragment")
    parameters = logic.getParameterNode()
    parameters.inputVolume, parameters.leaveOut = small_ct, out
    assert logic.designProblem(parameters) is None
    out.SetAndObserveTransformNodeID(bent.GetID())
    assert "harden" in logic.designProblem(parameters)


def test_earlier_ct_that_cannot_be_one(logic, scene, small_ct):
    from SkullImplantPanel.requests import designRequest

    parameters = logic.getParameterNode()
    parameters.inputVolume = parameters.reference = small_ct
    assert "choose another" in logic.designProblem(parameters)
    other = slicer.util.addVolumeFromArray(np.zeros((30, 30, 30), np.int16))
    parameters.reference = other
    assert logic.designProblem(parameters) is None
    request = designRequest(parameters)
    at = request.arguments.index("--reference")
    assert request.arguments[at + 1] == "{folder}/reference.nrrd"
    assert {"input.nrrd", "reference.nrrd"} == set(request.images)
    bent = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    bent.SetAndObserveTransformFromParent(slicer.vtkOrientedBSplineTransform())
    other.SetAndObserveTransformNodeID(bent.GetID())
    assert logic.designProblem(parameters)


@pytest.mark.slow
def test_earlier_skull_completes(logic, scene, small_patient, small_ct):
    """A volume of the skull before the operation, moved elsewhere, fills the hole."""
    earlier = slicer.util.addVolumeFromArray(
        sitk.GetArrayFromImage(small_patient.complete), nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    matrix = vtk.vtkMatrix4x4()
    small_ct.GetIJKToRASMatrix(matrix)
    earlier.SetIJKToRASMatrix(matrix)
    x, y, z = earlier.GetOrigin()
    earlier.SetOrigin(x + 25.0, y - 10.0, z + 40.0)
    _, outcome = designed(logic, inputVolume=small_ct, reference=earlier)
    assert outcome.state == "done", outcome.message
    made = slicer.util.arrayFromSegmentBinaryLabelmap(
        outcome.value.segmentation, "Implant", small_ct
    )
    true = sitk.GetArrayFromImage(small_patient.implant) > 0
    both = np.count_nonzero((made > 0) & true)
    assert 2.0 * both / (np.count_nonzero(made) + np.count_nonzero(true)) > 0.85


@pytest.mark.slow
def test_volume_of_one_value(logic, scene):
    volume = slicer.util.addVolumeFromArray(
        np.zeros((80, 80, 80), np.int16), ijkToRAS=np.diag([-2.5, -2.5, 2.5, 1.0])
    )
    assert "every voxel is 0" in failed(logic, scene, inputVolume=volume)


@pytest.mark.slow
def test_mr_volume(logic, scene, small_patient, tmp_path):
    """As in MRI: bone and air are dark, fat is bright."""
    hu = sitk.GetArrayFromImage(small_patient.ct).astype(float)
    signal_of = np.interp(hu, [-1000, -500, -90, 0, 60, 300, 1500], [0, 5, 900, 200, 450, 60, 20])
    image = sitk.GetImageFromArray(signal_of.astype(np.int16))
    image.CopyInformation(small_patient.ct)
    message = failed(logic, scene, inputVolume=load(image, tmp_path / "mr.nrrd"))
    assert "CT" in message


@pytest.mark.slow
def test_skull_without_a_defect(logic, scene, small_patient, tmp_path):
    volume = load(small_patient.complete, tmp_path / "whole.nrrd", labelmap=True)
    assert "No defect" in failed(logic, scene, inputVolume=volume)


def test_network_without_torch(logic, scene, small_ct, monkeypatch, tmp_path):
    """The other process finds no torch, as in a Slicer without the PyTorch extension."""
    blocked = tmp_path / "torch"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ImportError('No module named torch', name='torch')")
    from SkullImplantLib.job import protocol as job

    environment = {**job.environment(), "PYTHONPATH": str(tmp_path)}
    monkeypatch.setattr(job, "environment", lambda: environment)
    message = failed(logic, scene, inputVolume=small_ct, model="fine")
    assert "PyTorch" in message and "prior" in message


@pytest.mark.slow
def test_process_killed_from_outside(logic, scene, small_ct, wait_until):
    parameters = logic.getParameterNode()
    parameters.inputVolume = small_ct
    before = node_ids(scene)
    outcomes, steps = [], []
    logic.startDesign(parameters, outcomes.append, steps.append)
    wait_until(lambda: any(step.stage == "skull" for step in steps))
    os.kill(logic.run._progress.pid, signal.SIGKILL)
    wait_until(lambda: outcomes, 10)
    assert outcomes[0].state == "failed"
    assert "memory" in outcomes[0].message
    assert node_ids(scene) == before
    assert temporary_files() == []


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 1 MiB as Slicer's temporary folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount the small disk that this test fills")
    before, slicer.app.temporaryPath = slicer.app.temporaryPath, str(folder)
    yield folder
    slicer.app.temporaryPath = before
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_when_the_input_is_written(logic, scene, small_ct, tiny_disk):
    message = failed(logic, scene, inputVolume=small_ct)
    assert "free some disk space" in message


@pytest.mark.slow
def test_crash_on_the_gpu_is_made_good_on_the_cpu(logic, scene, small_ct, wait_until):
    """There is no GPU here: the run is told that it uses one, and then killed."""
    parameters = logic.getParameterNode()
    parameters.inputVolume, parameters.model = small_ct, "fine"
    outcomes, steps = [], []
    logic.startDesign(parameters, outcomes.append, steps.append)
    wait_until(lambda: steps)
    first = logic.run._progress.pid
    logic.run._onLine(json.dumps({"stage": "completion", "fraction": 0.0, "device": "cuda"}))
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: outcomes)
    assert outcomes[0].state == "done", outcomes[0].message
    assert "again on the CPU" in outcomes[0].notes[0]
    design = json.loads(outcomes[0].value.design.GetText())
    assert design["parameters"]["device"] == "cpu"
    assert design["model"]["name"] == "fine"


@pytest.mark.slow
def test_input_removed_during_the_run(logic, scene, small_ct, wait_until):
    parameters = logic.getParameterNode()
    parameters.inputVolume = small_ct
    outcomes, steps = [], []
    logic.startDesign(parameters, outcomes.append, steps.append)
    wait_until(lambda: steps)
    scene.RemoveNode(small_ct)
    wait_until(lambda: outcomes)
    assert outcomes[0].state == "failed"
    assert "removed" in outcomes[0].message
    assert scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_cancel_ends_all_processes_and_leaves_nothing(logic, scene, small_ct, wait_until):
    parameters = logic.getParameterNode()
    parameters.inputVolume = small_ct
    before = node_ids(scene)
    outcomes, steps = [], []
    logic.startDesign(parameters, outcomes.append, steps.append)
    wait_until(lambda: any(step.stage in ("pose", "prior") for step in steps))
    launcher, worker = logic.run.pid, logic.run._progress.pid
    logic.cancel()
    wait_until(lambda: outcomes, 1.0)
    assert outcomes[0].state == "cancelled"
    for pid in {launcher, worker}:
        wait_until(lambda pid=pid: not running(pid), 1.0)
    assert node_ids(scene) == before
    assert temporary_files() == []


def running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_design_refuses_what_cannot_be_designed(logic, scene, small_ct):
    parameters = logic.getParameterNode()
    assert "Choose the head CT" in logic.designProblem(parameters)
    parameters.skullIsSegmentation = True
    assert "Choose the segmentation" in logic.designProblem(parameters)
    parameters.skullIsSegmentation = False
    parameters.inputVolume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert "empty" in logic.designProblem(parameters)
    with pytest.raises(ValueError, match="empty"):
        logic.startDesign(parameters, lambda outcome: None)
    parameters.inputVolume = small_ct
    assert logic.designProblem(parameters) is None
    logic.startDesign(parameters, lambda outcome: None)
    with pytest.raises(ValueError, match="in progress"):
        logic.startDesign(parameters, lambda outcome: None)


@pytest.mark.slow
def test_self_test_passes_on_the_patient_of_the_sample_data_module(
    host, module, scene, monkeypatch
):
    """What a user runs in Slicer: the sample patient from nothing to the STL.

    It is registered when the application is up, and made here, without a network.
    """
    from SkullImplantPanel import selftest

    module.registerSampleData()
    sources = slicer.modules.sampleDataSources["SkullImplant"]
    assert [source.sampleName for source in sources] == [
        "Head CT with a craniectomy",
        "Head CT of a volunteer",
    ]
    assert Path(sources[0].thumbnailFileName).exists()

    def sample():
        sources[0].customDownloader(sources[0])
        volume = scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        assert volume.GetImageData().GetScalarRange()[1] > 1000
        return volume

    # Made once, as it takes long; both make it by the same function.
    monkeypatch.setattr(selftest, "makeSample", sample)
    module.SkullImplantTest().runTest()
