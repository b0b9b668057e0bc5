"""`slicer.util.load*`, `save*` and `exportNode` on real storage nodes: every format comes back."""

import numpy as np
import pydicom
import pytest
import slicer
import vtk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (6, 5, 4)  # z, y, x
# An oblique IJK to RAS in mm, so that a lost axis, sign or spacing shows. Right-handed: the readers
# turn a left-handed grid over.
IJK_TO_RAS = np.array(
    [[-0.6, 0.0, 1.6, -12.0], [0.8, 0.0, 1.2, 7.0], [0.0, 0.9, 0.0, 31.0], [0.0, 0.0, 0.0, 1.0]]
)


def _volume(name="ct", dtype=np.int16):
    rng = np.random.default_rng(7)
    voxels = rng.integers(-1000, 2000, SHAPE).astype(dtype)
    return slicer.util.addVolumeFromArray(voxels, IJK_TO_RAS, name), voxels


def _ijk_to_ras(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _sphere(radius_mm=3.0):
    source = vtk.vtkSphereSource()
    source.SetRadius(radius_mm)
    source.SetCenter(10, 20, 30)
    source.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "sphere")
    model.SetAndObservePolyData(source.GetOutput())
    return model


def _segmentation(volume, mask):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "parts")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = node.GetSegmentation().AddEmptySegment("", "Skull")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
    return node, segment


@pytest.mark.parametrize("extension", [".nrrd", ".nii.gz", ".nii", ".mha"])
def test_volume_comes_back_with_its_geometry(tmp_path, extension):
    volume, voxels = _volume()
    path = tmp_path / f"head{extension}"
    assert slicer.util.exportNode(volume, str(path), {"useCompression": 1})
    loaded = slicer.util.loadVolume(str(path))
    assert loaded.GetName() == "head"
    assert np.array_equal(slicer.util.arrayFromVolume(loaded), voxels)
    assert np.allclose(_ijk_to_ras(loaded), IJK_TO_RAS, atol=1e-5)


def test_save_node_keeps_the_file_as_the_nodes_own(tmp_path):
    volume, voxels = _volume()
    path = tmp_path / "own.nrrd"
    assert slicer.util.saveNode(volume, str(path), {})
    assert volume.GetStorageNode().GetFileName() == str(path)
    assert np.array_equal(slicer.util.arrayFromVolume(slicer.util.loadVolume(str(path))), voxels)


def test_export_node_leaves_the_nodes_storage_alone(tmp_path):
    volume, _ = _volume()
    assert slicer.util.saveNode(volume, str(tmp_path / "own.nrrd"), {})
    assert slicer.util.exportNode(volume, str(tmp_path / "copy.mha"), {})
    assert volume.GetStorageNode().GetFileName().endswith("own.nrrd")


def test_export_in_world_coordinates_applies_the_transform(tmp_path):
    model = _sphere()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 100.0
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    model.SetAndObserveTransformNodeID(transform.GetID())
    path = tmp_path / "moved.vtp"
    assert slicer.util.exportNode(model, str(path), {}, world=True)
    center_mm = slicer.util.arrayFromModelPoints(slicer.util.loadModel(str(path))).mean(axis=0)
    original_mm = slicer.util.arrayFromModelPoints(model).mean(axis=0)
    assert np.allclose(center_mm - original_mm, [100, 0, 0], atol=1e-3)


def test_labelmap_is_read_as_one(tmp_path):
    volume, _ = _volume(dtype=np.uint8)
    path = tmp_path / "labels.nrrd"
    slicer.util.exportNode(volume, str(path), {})
    loaded = slicer.util.loadLabelVolume(str(path), {})
    assert loaded.IsA("vtkMRMLLabelMapVolumeNode")


def test_dicom_series_is_read_whole_and_in_the_right_place(tmp_path):
    slices, rows, columns = 5, 8, 6
    voxels_hu = np.arange(slices * rows * columns).reshape(slices, rows, columns) - 100
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = Dataset()
        dataset.file_meta = meta
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        dataset.PatientName, dataset.PatientID, dataset.Modality = "Test^Head", "1", "CT"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SeriesNumber, dataset.InstanceNumber = 1, index + 1
        dataset.ImagePositionPatient = [-30, -40, 2.5 * index]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.75], 2.5
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        dataset.PixelData = (voxels_hu[index] + 1024).astype(np.int16).tobytes()
        pydicom.dcmwrite(tmp_path / f"{index:03}.dcm", dataset, enforce_file_format=True)

    volume = slicer.util.loadVolume(str(tmp_path / "000.dcm"), {"name": "head"})
    assert np.array_equal(slicer.util.arrayFromVolume(volume), voxels_hu)
    # DICOM is LPS, MRML is RAS: the first voxel's x and y change sign.
    expected = np.array([[-0.75, 0, 0, 30], [0, -0.5, 0, 40], [0, 0, 2.5, 0], [0, 0, 0, 1]])
    assert np.allclose(_ijk_to_ras(volume), expected, atol=1e-5)

    files = [str(tmp_path / f"{index:03}.dcm") for index in (0, 1, 2)]
    part = slicer.util.loadVolume(files[0], {"fileNames": files})
    assert np.array_equal(slicer.util.arrayFromVolume(part), voxels_hu[:3])


def test_segmentation_comes_back(tmp_path):
    volume, voxels = _volume()
    mask = (voxels > 300).astype(np.uint8)
    node, _ = _segmentation(volume, mask)
    path = tmp_path / "parts.seg.nrrd"
    assert slicer.util.exportNode(node, str(path), {})
    loaded = slicer.util.loadSegmentation(str(path), {})
    segment = loaded.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "Skull"
    identifier = loaded.GetSegmentation().GetNthSegmentID(0)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(loaded, identifier, volume)
    assert np.array_equal(array, mask)


def test_binary_image_and_surface_can_be_read_as_segmentation(tmp_path):
    _, voxels = _volume()
    labels = slicer.util.addVolumeFromArray(
        (voxels > 0).astype(np.uint8), IJK_TO_RAS, "labels", "vtkMRMLLabelMapVolumeNode"
    )
    slicer.util.exportNode(labels, str(tmp_path / "labels.nrrd"), {})
    slicer.util.exportNode(_sphere(), str(tmp_path / "sphere.stl"), {})
    image = slicer.util.loadSegmentation(str(tmp_path / "labels.nrrd"), {})
    assert image.GetSegmentation().GetNumberOfSegments() == 1
    surface = slicer.util.loadSegmentation(str(tmp_path / "sphere.stl"), {})
    assert surface.GetSegmentation().GetNthSegment(0).GetName() == "sphere"


@pytest.mark.parametrize("extension", [".stl", ".ply", ".obj", ".vtp", ".vtk"])
def test_surface_comes_back_in_its_place(tmp_path, extension):
    model = _sphere()
    path = tmp_path / f"sphere{extension}"
    assert slicer.util.exportNode(model, str(path), {"useCompression": 0})
    points_mm = slicer.util.arrayFromModelPoints(slicer.util.loadModel(str(path)))
    original_mm = slicer.util.arrayFromModelPoints(model)
    assert np.allclose(points_mm.min(axis=0), original_mm.min(axis=0), atol=1e-3)
    assert np.allclose(points_mm.max(axis=0), original_mm.max(axis=0), atol=1e-3)


def test_stl_is_written_in_lps(tmp_path):
    path = tmp_path / "sphere.stl"
    slicer.util.exportNode(_sphere(), str(path), {})
    assert path.read_bytes().startswith(b"3D Slicer output. SPACE=LPS")


@pytest.mark.parametrize("extension", [".txt", ".xml", ".json"])
def test_text_comes_back(tmp_path, extension):
    text = "<p>Fläche: 42 cm²</p>\n" * 20  # A short text is kept in the scene, not in a file.
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "report")
    node.SetText(text)
    path = tmp_path / f"report{extension}"
    assert slicer.util.exportNode(node, str(path), {})
    assert slicer.util.loadText(str(path)).GetText() == text


def test_table_comes_back(tmp_path):
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "checks")
    slicer.util.updateTableFromArray(table, [np.array([1.5, 2.5]), np.array([3, 4])], ["mm", "n"])
    path = tmp_path / "checks.tsv"
    assert slicer.util.exportNode(table, str(path), {})
    loaded = slicer.util.loadTable(str(path))
    assert list(slicer.util.arrayFromTableColumn(loaded, "mm")) == [1.5, 2.5]


def test_transform_and_markups_come_back(tmp_path):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "move")
    matrix = np.eye(4)
    matrix[:3, 3] = [1, 2, 3]
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    assert slicer.util.exportNode(transform, str(tmp_path / "move.h5"), {})
    loaded = slicer.util.loadTransform(str(tmp_path / "move.h5"))
    assert np.allclose(slicer.util.arrayFromTransformMatrix(loaded), matrix)

    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    points.AddControlPoint(vtk.vtkVector3d(1, 2, 3), "nasion")
    assert slicer.util.exportNode(points, str(tmp_path / "points.mrk.json"), {})
    loaded = slicer.util.loadMarkups(str(tmp_path / "points.mrk.json"))
    assert np.allclose(slicer.util.arrayFromMarkupsControlPoints(loaded), [[1, 2, 3]])


@pytest.mark.parametrize("extension", [".mrb", ".mrml", ""])
def test_scene_comes_back(tmp_path, extension):
    volume, voxels = _volume()
    node, segment = _segmentation(volume, (voxels > 300).astype(np.uint8))
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Implant")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    path = tmp_path / f"scene{extension}"
    if extension == ".mrml":
        # A .mrml file holds no data: the nodes' files have to be there.
        slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"), {})
        slicer.util.saveNode(node, str(tmp_path / "parts.seg.nrrd"), {})
    assert slicer.util.saveScene(str(path), {})

    slicer.mrmlScene.Clear(False)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLVolumeNode") is None
    slicer.util.loadScene(str(path / "scene.mrml" if not extension else path), {})
    loaded = slicer.util.getNode("ct")
    assert np.array_equal(slicer.util.arrayFromVolume(loaded), voxels)
    parts = slicer.util.getNode("parts")
    assert parts.GetSegmentation().GetSegment(segment).GetName() == "Skull"
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(parts)
    assert hierarchy.GetItemName(hierarchy.GetItemParent(item)) == "Implant"
    assert hierarchy.GetItemOwnerPluginName(item) == "Segmentations"


def test_reader_is_chosen_by_name_and_content(tmp_path):
    volume, voxels = _volume()
    node, _ = _segmentation(volume, (voxels > 300).astype(np.uint8))
    slicer.util.exportNode(volume, str(tmp_path / "ct.nrrd"), {})
    slicer.util.exportNode(node, str(tmp_path / "parts.seg.nrrd"), {})
    (tmp_path / "parts.seg.nrrd").rename(tmp_path / "parts.nrrd")
    manager = slicer.app.coreIOManager()
    assert manager.fileType(str(tmp_path / "ct.nrrd")) == "VolumeFile"
    assert manager.fileType(str(tmp_path / "parts.nrrd")) == "SegmentationFile"
    expected = {
        "a.seg.nrrd": "SegmentationFile",
        "a.nii.gz": "VolumeFile",
        "IM0001": "VolumeFile",
        "a.stl": "ModelFile",
        "a.mrb": "SceneFile",
        "a.tsv": "TableFile",
        "a.txt": "TextFile",
        "a.mrk.json": "MarkupsFile",
        "a.tfm": "TransformFile",
    }
    assert {name: manager.fileType(name) for name in expected} == expected


def test_failure_to_read_is_an_error_and_leaves_no_node(tmp_path):
    path = tmp_path / "broken.nrrd"
    path.write_bytes(b"not an image")
    nodes = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    with pytest.raises(RuntimeError, match="Failed to load node from file"):
        slicer.util.loadVolume(str(path), {})
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == nodes
    with pytest.raises(RuntimeError, match="No reader for file type FiberBundleFile"):
        slicer.util.loadNodeFromFile(str(path), "FiberBundleFile", {})


def test_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no known file format"):
        slicer.util.exportNode(_sphere(), str(tmp_path / "sphere.docx"), {})


def test_files_read_and_saved_are_signalled(tmp_path):
    volume, _ = _volume()
    manager = slicer.app.coreIOManager()
    saved, loaded = [], []
    manager.fileSaved.connect(saved.append)
    manager.newFileLoaded.connect(loaded.append)
    slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"), {})
    node = slicer.util.loadVolume(str(tmp_path / "ct.nrrd"), {})
    manager.fileSaved.disconnect(saved.append)
    manager.newFileLoaded.disconnect(loaded.append)
    assert saved[0]["fileName"].endswith("ct.nrrd")
    assert list(loaded[0]["nodeIDs"]) == [node.GetID()]
