"""A new segmentation on the grid and under the transform of an input, and the segments that go into it."""

from collections.abc import Mapping, Sequence

import vtk

import slicer

# Slicer's number for this way from labelmap to surface (vtkBinaryLabelmapToClosedSurfaceConversionRule).
SURFACE_NETS = "1"


def newSegmentation(
    name: str,
    inputNode: slicer.vtkMRMLTransformableNode | None = None,
    attributes: Mapping[str, str] | None = None,
    isHidden: bool = False,
) -> slicer.vtkMRMLSegmentationNode:
    """Return a new segmentation in the scene, without segments and display.

    :param inputNode: the volume or segmentation that it lies on; None where it is not to be seen.
    :param attributes: mark it from the start, as selectors look at them once it is there.
    :param isHidden: no selector and no module shall offer it.
    """
    scene = slicer.mrmlScene
    node = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
    node.UnRegister(None)  # Python's variable owns it
    node.SetName(scene.GenerateUniqueName(name))
    for attribute, value in (attributes or {}).items():
        node.SetAttribute(attribute, value)
    node.SetHideFromEditors(isHidden)
    scene.AddNode(node)
    node.SetSourceRepresentationToBinaryLabelmap()
    # Surfaces are not saved; a loaded scene makes them anew, and with surface nets in a moment.
    rule = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
    node.GetSegmentation().SetConversionParameter(rule.GetConversionMethodParameterName(), SURFACE_NETS)
    if inputNode is None:
        return node
    # Before the reference grid, which MRML brings from the volume's frame into the segmentation's.
    node.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
    if inputNode.IsA("vtkMRMLVolumeNode"):
        node.SetReferenceImageGeometryParameterFromVolumeNode(inputNode)
    else:
        key = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        node.GetSegmentation().SetConversionParameter(key, inputNode.GetSegmentation().GetConversionParameter(key))
    return node


def addSegment(
    node: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    name: str,
    color: Sequence[float],
    tags: Mapping[str, str],
    labelmap: slicer.vtkOrientedImageData,
    surface: vtk.vtkPolyData | None,
) -> None:
    """Add a segment with its voxels and, where it has one, its surface."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*color)
    for tag, value in tags.items():
        segment.SetTag(tag, value)
    segment.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), labelmap)
    if surface is not None:
        segment.AddRepresentation(slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName(), surface)
    node.GetSegmentation().AddSegment(segment, segmentId)
