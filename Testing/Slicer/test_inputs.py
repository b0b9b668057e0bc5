"""From the scene to files: values and places as MRML has them, for any format and orientation."""

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicer
import vtk

from module_fixtures import ijk_to_ras, turned

sys.path.append(str(Path(__file__).resolve().parents[1] / "Library"))
from dicom_files import AXIAL, SAGITTAL, write_series
from SkullImplantLib.reading.input import read_input

EXACT_MM = 1e-3


@pytest.fixture
def inputs(module):
    from SkullImplantPanel import inputs

    return inputs


def phantom(turn_deg=(0.0, 0.0, 0.0), mirrored=False) -> sitk.Image:
    """A small CT whose values tell every voxel, with unequal spacing."""
    values = np.arange(20 * 24 * 28, dtype=np.int16).reshape(20, 24, 28)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.9, 2.5))
    image.SetOrigin((-31.0, 12.5, 77.0))
    if mirrored:
        image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    return turned(image, turn_deg)


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("turn_deg", [(0, 0, 0), (12.0, -7.0, 31.0)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_volume_reaches_the_library_unmoved(scene, inputs, tmp_path, ending, turn_deg, mirrored):
    original = phantom(turn_deg, mirrored)
    sitk.WriteImage(original, str(tmp_path / f"ct{ending}"))
    node = slicer.util.loadVolume(str(tmp_path / f"ct{ending}"))
    inputs.writeImage(inputs.imageOfVolume(node), tmp_path / "input.nrrd")
    written = sitk.ReadImage(str(tmp_path / "input.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(written), slicer.util.arrayFromVolume(node))
    # Slicer may turn a left-handed grid round; every voxel's value is at its place all the same.
    for index in [(0, 0, 0), (27, 0, 3), (5, 23, 19), (27, 23, 19)]:
        place = original.TransformIndexToPhysicalPoint(index)
        found = written.TransformPhysicalPointToIndex(place)
        assert written[found] == original[index]
        moved = np.subtract(written.TransformIndexToPhysicalPoint(found), place)
        assert np.abs(moved).max() < EXACT_MM


def load_series(folder: Path):
    """Load a series as Slicer's DICOM module does: the files in the order of their positions."""
    slices = [(pydicom.dcmread(path, stop_before_pixels=True), path) for path in folder.iterdir()]
    normal = np.cross(*np.reshape(slices[0][0].ImageOrientationPatient, (2, 3)))
    slices.sort(key=lambda pair: float(np.dot(pair[0].ImagePositionPatient, normal)))
    files = vtk.vtkStringArray()
    for _, path in slices:
        files.InsertNextValue(str(path))
    return slicer.modules.volumes.logic().AddArchetypeVolume(files.GetValue(0), "ct", 0, files)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL])
def test_dicom_series_in_the_scene_is_what_the_library_reads_itself(
    scene, inputs, tmp_path, orientation
):
    folder = write_series(tmp_path / "dicom", orientation=orientation)
    node = load_series(folder)
    inputs.writeImage(inputs.imageOfVolume(node), tmp_path / "input.nrrd")
    from_scene = sitk.ReadImage(str(tmp_path / "input.nrrd"))
    from_files = read_input(folder).image
    landmark = np.argwhere(sitk.GetArrayFromImage(from_files) == 2500)[0][::-1].tolist()
    for index in [landmark, [0, 0, 0], [20, 24, 20]]:
        place = from_files.TransformIndexToPhysicalPoint(index)
        found = from_scene.TransformPhysicalPointToIndex(place)
        assert from_scene[found] == from_files[index]
        assert np.allclose(from_scene.TransformIndexToPhysicalPoint(found), place, atol=EXACT_MM)


def test_segments_that_share_a_labelmap_come_apart_and_together(scene, inputs):
    values = np.zeros((10, 12, 14), np.uint8)
    volume = slicer.util.addVolumeFromArray(values, ijkToRAS=np.diag([-0.5, -0.5, 1.5, 1.0]))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    masks = {}
    for name, part in {"a": np.s_[2:5, 3:9, 1:4], "b": np.s_[5:9, 3:9, 1:4]}.items():
        masks[name] = values.copy()
        masks[name][part] = 1
        segment = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(masks[name], node, segment, volume)
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    for ids in (["a"], ["b"], ["a", "b"]):
        image = inputs.snapshotOfSegments(node, ids).image()
        assert np.array_equal(image.voxels, np.maximum.reduce([masks[i] for i in ids]))
        assert np.abs(image.ijkToRas - ijk_to_ras(volume)).max() < 1e-9
    node.GetDisplayNode().SetSegmentVisibility("b", False)
    assert inputs.visibleSegmentIds(node) == ["a"]


def test_segments_under_another_transform_lie_in_the_frame_of_the_input(scene, inputs):
    volume = slicer.util.addVolumeFromArray(np.zeros((8, 8, 8), np.int16))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.3, -0.2, 0.9)
    matrices = []
    for node_moved, shift in ((volume, [5.0, 0.0, 1.0]), (None, [-3.0, 2.0, 8.0])):
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(turn.GetMatrix(), (3, 3))
        matrix[:3, 3] = shift
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        matrices.append(matrix)
        if node_moved:
            node_moved.SetAndObserveTransformNodeID(transform.GetID())
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.GetSegmentation().AddEmptySegment("a", "a")
    segmentation.SetAndObserveTransformNodeID(transform.GetID())
    image = inputs.snapshotOfSegments(segmentation, ["a"], within=volume).image()
    # MRML takes the grid to where the volume is seen; the segmentation's transform moves it on.
    world_of_corner = matrices[1] @ matrices[0] @ np.array([3.0, 4.0, 5.0, 1.0])
    assert np.allclose(matrices[0] @ image.ijkToRas @ [3, 4, 5, 1], world_of_corner, atol=EXACT_MM)


def test_problems_are_said_in_one_sentence(scene, inputs):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert "empty" in inputs.nodeProblem(empty)
    volume = slicer.util.addVolumeFromArray(np.zeros((8, 8, 8), np.int16))
    assert inputs.nodeProblem(volume) is None
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    assert inputs.nodeProblem(volume) is None
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([1.1, 1, 1, 1.0])))
    assert "harden" in inputs.nodeProblem(volume)
    bent = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    spline = slicer.vtkOrientedBSplineTransform()
    bent.SetAndObserveTransformFromParent(spline)
    volume.SetAndObserveTransformNodeID(bent.GetID())
    assert "harden" in inputs.nodeProblem(volume)
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert "no visible segment" in inputs.nodeProblem(segmentation)


def test_written_phantom_is_read_by_the_library_as_a_skull_when_said_so(scene, inputs, tmp_path):
    mask = np.zeros((60, 60, 60), np.uint8)
    z, y, x = np.ogrid[:60, :60, :60]
    radius = np.sqrt((z - 30.0) ** 2 + (y - 30.0) ** 2 + (x - 30.0) ** 2)
    mask[(radius < 25) & (radius > 21)] = 1
    volume = slicer.util.addVolumeFromArray(mask, ijkToRAS=np.diag([-3.0, -3.0, 3.0, 1.0]))
    inputs.writeImage(inputs.imageOfVolume(volume), tmp_path / "skull.nrrd")
    source = read_input(tmp_path / "skull.nrrd")
    assert source.kind == "skull"
    assert source.image.GetSpacing() == (3.0, 3.0, 3.0)
