"""A new segmentation on the grid and under the transform of an input, and the segments that go into it."""

from collections.abc import Mapping, Sequence

import vtk

import slicer

from .results import SURFACE_NETS


def newSegmentation(
    inputNode: slicer.vtkMRMLTransformableNode, name: str, attribute: str
) -> slicer.vtkMRMLSegmentationNode:
    """Return a new segmentation in the scene, without segments and display.

    :param attribute: marks it from the start, as selectors look at it once it is there.
    """
    scene = slicer.mrmlScene
    node = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
    node.UnRegister(None)  # Python's variable owns it
    node.SetName(scene.GenerateUniqueName(name))
    node.SetAttribute(attribute, "")
    scene.AddNode(node)
    node.SetSourceRepresentationToBinaryLabelmap()
    # Surfaces are not saved; a loaded scene makes them anew, and with surface nets in a moment.
    rule = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
    node.GetSegmentation().SetConversionParameter(rule.GetConversionMethodParameterName(), SURFACE_NETS)
    # Before the reference grid, which MRML brings from the volume's frame into the segmentation's.
    node.SetAndObserveTransformNodeID(inputNode.GetTransformNodeID())
    if inputNode.IsA("vtkMRMLVolumeNode"):
        node.SetReferenceImageGeometryParameterFromVolumeNode(inputNode)
    return node


def addSegment(
    node: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    name: str,
    color: Sequence[float],
    tags: Mapping[str, str],
    labelmap: slicer.vtkOrientedImageData,
    surface: vtk.vtkPolyData,
) -> None:
    """Add a segment with its voxels and its surface."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*color)
    for tag, value in tags.items():
        segment.SetTag(tag, value)
    segment.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), labelmap)
    segment.AddRepresentation(slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName(), surface)
    node.GetSegmentation().AddSegment(segment, segmentId)
