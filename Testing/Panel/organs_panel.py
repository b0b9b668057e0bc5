"""Organs in the panel, put there and asked for, for the tests of its section."""

import numpy as np
import SimpleITK as sitk
import slicer
import vtk


def add(panel, folder, volume=None):
    from SkullImplantPanel.organsfiles import readOrgans
    from SkullImplantPanel.organsnodes import addOrgans

    nodes = addOrgans(readOrgans(folder), volume or panel._parameterNode.organsVolume)
    panel.panel.update()
    return nodes.segmentation


def organs_of(panel):
    from SkullImplantPanel.organsnodes import organsOf

    nodes = organsOf(panel._parameterNode.organsVolume)
    return None if nodes is None else nodes.segmentation


def truth(chest_folder, label) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(chest_folder / "labels.nrrd"))) == label


def voxels(segmentation, segment_id, volume) -> np.ndarray:
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) > 0


def rows(table) -> list[list[str]]:
    columns = range(table.columnCount)
    return [[table.item(row, at).text() for at in columns] for row in range(table.rowCount)]


def plain(label) -> str:
    return label.text.replace("\u200b", "")


def terminology(segment) -> str:
    value = vtk.reference("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), value)
    return str(value)


def labels_node(chest_folder, names, codes=()):
    """A segmentation of the true organs under other names, and codes where there are any."""
    labels = slicer.util.loadLabelVolume(str(chest_folder / "labels.nrrd"))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Labels")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(labels)
    for label, name in names.items():
        mask = (slicer.util.arrayFromVolume(labels) == label).astype(np.uint8)
        segment_id = node.GetSegmentation().AddEmptySegment(f"S{label}", name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, labels)
        entry = "Segmentation category and type~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~~^^~^^"
        if label in dict(codes):
            entry = f"Any~SCT^123037004^Anatomical Structure~SCT^{dict(codes)[label]}^X~^^~~^^~^^"
        key = slicer.vtkSegment.GetTerminologyEntryTagName()
        node.GetSegmentation().GetSegment(segment_id).SetTag(key, entry)
    slicer.mrmlScene.RemoveNode(labels)
    return node


def asked_labels(panel, tmp_path) -> sitk.Image:
    from SkullImplantPanel.organsrun import organsRequest

    request = organsRequest(panel._parameterNode)
    assert "--coarse" in request.arguments and "--dense" not in request.arguments
    request.writeInto(tmp_path)
    return sitk.ReadImage(str(tmp_path / "coarse.nrrd"))
