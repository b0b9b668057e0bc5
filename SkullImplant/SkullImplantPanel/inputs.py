"""From the scene to files for the library: images of nodes, in the frame of the input.

The frame is the input's own, without its parent transform: results lie on the input's grid and are
put under the same transform, so they stay with it whatever becomes of that transform. Reading MRML
happens in the GUI's thread and copies nothing; writing can be done in any thread.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import vtk
from numpy.typing import ArrayLike
from vtk.util.numpy_support import vtk_to_numpy

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.core.images import index_to_lps_mm
from SkullImplantLib.export.maps_file import write_maps
from SkullImplantLib.export.stl import write_stl

# From RAS, which MRML uses, to LPS, which files and the library use; and back.
FLIP_RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# A transform is a movement where it leaves lengths as they are, up to rounding in its file.
RIGID_TOLERANCE = 1e-3
# Matrices of one grid differ by rounding only.
SAME_GRID = 1e-6
# Marks a result's segmentation, with the name of its input; and its folder, so that only such are removed.
RESULT_ATTRIBUTE = "SkullImplant.Result"
# The completed skull in it, and the code (SNOMED CT) of its implants.
COMPLETED_ID, IMPLANT_CODE = "CompletedSkull", "SCT^40388003^Implant"
# Marks the segmentation of a skull and its holes that were found, with the name of its input; and a hole in it.
FOUND_ATTRIBUTE, HOLE_TAG = "SkullImplant.Found", "SkullImplant.Hole"
# Around segments that have no reference image.
MARGIN_MM = 20.0


@dataclass(frozen=True)
class SceneImage:
    """Voxels (z, y, x), a view where possible, and the matrix from index (x, y, z) to RAS mm."""

    voxels: np.ndarray
    ijkToRas: np.ndarray


def nodeProblem(node: slicer.vtkMRMLTransformableNode) -> str | None:
    """Return why a volume or segmentation cannot be the input, in one sentence, or None."""
    if node.IsA("vtkMRMLSegmentationNode"):
        if not visibleSegmentIds(node):
            return _("The segmentation has no visible segment; show the segment that is the skull.")
        if not skullSegmentIds(node):
            return _("Of the segmentation only implants and completed skulls are visible; show the segment that is "
                     "the skull with its hole.")
    elif node.GetImageData() is None or 0 in node.GetImageData().GetDimensions():
        return _("The volume is empty; load the CT again.")
    elif node.GetImageData().GetNumberOfScalarComponents() != 1:
        return _("The volume has several values per voxel (color or vectors); choose a CT.")
    matrix = matrixToWorld(node)
    if matrix is None or np.abs(matrix[:3, :3].T @ matrix[:3, :3] - np.eye(3)).max() > RIGID_TOLERANCE:
        return _("The input is under a transform that scales or bends it; harden that transform first "
                 "(Transforms module), or remove it.")
    return None


def matrixToWorld(node: slicer.vtkMRMLTransformableNode) -> np.ndarray | None:
    """Return the 4x4 matrix of the node's parent transforms (RAS mm), or None where it is not linear."""
    transformNode = node.GetParentTransformNode()
    if transformNode is None:
        return np.eye(4)
    if not transformNode.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    transformNode.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def definedPoints(markupsNode: slicer.vtkMRMLMarkupsNode) -> list[int]:
    """Return which control points have been placed; a point that follows the mouse has not."""
    defined = slicer.vtkMRMLMarkupsNode.PositionDefined
    points = range(markupsNode.GetNumberOfControlPoints())
    return [point for point in points if markupsNode.GetNthControlPointPositionStatus(point) == defined]


def pointsOf(markupsNode: slicer.vtkMRMLMarkupsNode, node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """Return the placed control points (n, 3), LPS mm, in the frame of a node.

    :raises ValueError: a transform bends that frame.
    """
    toWorld = matrixToWorld(node)
    if toWorld is None:
        raise ValueError(_("The input is under a transform that bends it; harden that transform first."))
    points = definedPoints(markupsNode)
    world = np.ones((len(points), 4))
    for row, point in zip(world, points):
        markupsNode.GetNthControlPointPositionWorld(point, row[:3])
    return (world @ (FLIP_RAS_LPS @ np.linalg.inv(toWorld)).T)[:, :3]


def inWorld(place: ArrayLike, node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """Return a place in the frame of a node, LPS mm, as it lies in the world, RAS mm."""
    world = np.zeros(3)
    node.TransformPointToWorld(FLIP_RAS_LPS[:3, :3] @ np.asarray(place), world)
    return world


def directionOf(arrow: slicer.vtkMRMLMarkupsLineNode, node: slicer.vtkMRMLTransformableNode) -> np.ndarray | None:
    """Return the unit vector (LPS) along an arrow in the frame of a node; None where it points nowhere.

    :raises ValueError: a transform bends that frame.
    """
    points = pointsOf(arrow, node)
    if len(points) != 2:
        return None
    along = points[1] - points[0]
    length = float(np.linalg.norm(along))
    return along / length if length > 0 else None


def imageOfVolume(
    volumeNode: slicer.vtkMRMLScalarVolumeNode, within: slicer.vtkMRMLTransformableNode | None = None
) -> SceneImage:
    """Return a volume's voxels as a view, in its own frame, or in that of the node ``within``.

    :raises ValueError: a transform bends that way.
    """
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    toFrame = np.eye(4) if within is None else _toFrame(volumeNode, within)
    return SceneImage(slicer.util.arrayFromVolume(volumeNode), toFrame @ slicer.util.arrayFromVTKMatrix(matrix))


def _toFrame(
    node: slicer.vtkMRMLTransformableNode, within: slicer.vtkMRMLTransformableNode | None
) -> np.ndarray:
    """Return the matrix from a node's frame to that of another, or to the world.

    :raises ValueError: a transform bends that way.
    """
    toWorld = matrixToWorld(node)
    frameToWorld = np.eye(4) if within is None else matrixToWorld(within)
    if toWorld is None or frameToWorld is None:
        raise ValueError(_("A volume or segmentation is under a transform that bends it; harden that transform "
                           "first."))
    return np.asarray(np.linalg.inv(frameToWorld) @ toWorld)


def visibleSegmentIds(segmentationNode: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """Return the ids of the segments that are shown, in their order."""
    displayNode = segmentationNode.GetDisplayNode()
    ids = segmentationNode.GetSegmentation().GetSegmentIDs()
    return [i for i in ids if displayNode is None or displayNode.GetSegmentVisibility(i)]


def skullSegmentIds(segmentationNode: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """Return the ids of the segments that are shown and can be a skull with a hole: no implant or hole of the module.

    These are told by their ids, as a result has them, or by their code where they were copied.
    """
    segmentation, found = segmentationNode.GetSegmentation(), []
    for segmentId in visibleSegmentIds(segmentationNode):
        value = vtk.reference("")
        segmentation.GetSegment(segmentId).GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), value)
        own = segmentationNode.GetAttribute(RESULT_ATTRIBUTE) is not None
        if segmentation.GetSegment(segmentId).HasTag(HOLE_TAG):
            continue
        if IMPLANT_CODE not in str(value) and not (own and segmentId == COMPLETED_ID):
            found.append(segmentId)
    return found


def snapshotOfSegments(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentIds: list[str],
    within: slicer.vtkMRMLTransformableNode | None = None,
    inWorld: bool = False,
    labels: Sequence[int] | None = None,
) -> "SegmentsSnapshot":
    """Return segments as they are now, without copying a voxel; the work on them is the snapshot's.

    ``labels``: what the image has for each of the segments, instead of 1 for all.

    They lie in the segmentation's own frame, or in that of the node ``within``, or in the world's.

    :raises ValueError: a transform bends that way.
    """
    name = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    if not segmentationNode.GetSegmentation().ContainsRepresentation(name):
        segmentationNode.CreateBinaryLabelmapRepresentation()  # it was made of surfaces
    labelmaps = []
    for segmentId, label in zip(segmentIds, labels or [1] * len(segmentIds), strict=True):
        shared = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentId)
        if shared is not None:
            labelmap = slicer.vtkOrientedImageData()
            labelmap.ShallowCopy(shared)
            value = segmentationNode.GetSegmentation().GetSegment(segmentId).GetLabelValue()
            labelmaps.append((labelmap, value, label))
    toFrame: np.ndarray = np.eye(4)
    if inWorld or within is not None:
        toFrame = _toFrame(segmentationNode, within)
    return SegmentsSnapshot(labelmaps, referenceGrid(segmentationNode), toFrame)


@dataclass(frozen=True)
class SegmentsSnapshot:
    """Labelmaps with the value that means the segment and its label in the image, and the grid of that."""

    labelmaps: "list[tuple[slicer.vtkOrientedImageData, int, int]]"
    grid: slicer.vtkOrientedImageData
    toFrame: np.ndarray

    def image(self) -> SceneImage:
        """Return the segments with their labels on the grid; may be called in any thread."""
        x, y, z = self.grid.GetDimensions()
        union = np.zeros((z, y, x), np.uint8)
        for labelmap, value, label in self.labelmaps:
            # Where two of them overlap the first keeps the voxel.
            np.putmask(union, (_onGrid(labelmap, self.grid) == value) & (union == 0), label)
        ijkToRas = matrixOf(self.grid) @ _translation(self.grid.GetExtent()[::2])
        return SceneImage(union, self.toFrame @ ijkToRas)


def referenceGrid(segmentationNode: slicer.vtkMRMLSegmentationNode) -> slicer.vtkOrientedImageData:
    """Return the grid, without voxels, that the segmentation was made on; else one around all of it."""
    grid = slicer.vtkOrientedImageData()
    segmentation = segmentationNode.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = segmentation.GetConversionParameter(name)
    if not geometry:
        geometry = segmentation.DetermineCommonLabelmapGeometry(
            slicer.vtkSegmentation.EXTENT_UNION_OF_SEGMENTS, None)
        slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, grid, False)
        # Segments that end where their grid ends look cut off.
        extent = list(grid.GetExtent())
        for axis, spacing in enumerate(grid.GetSpacing()):
            extent[2 * axis] -= math.ceil(MARGIN_MM / spacing)
            extent[2 * axis + 1] += math.ceil(MARGIN_MM / spacing)
        grid.SetExtent(extent)
    else:
        slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, grid, False)
    return grid


def _onGrid(labelmap: slicer.vtkOrientedImageData, grid: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return a labelmap's values (z, y, x) on the whole of a grid, 0 where it has none."""
    x, y, z = grid.GetDimensions()
    scalars = labelmap.GetPointData().GetScalars()
    if scalars is None:
        return np.zeros((z, y, x), np.uint8)
    if np.abs(matrixOf(labelmap) - matrixOf(grid)).max() < SAME_GRID and _within(labelmap, grid):
        # Only another extent of the same grid; copying leaves the window alive, resampling does not.
        whole = np.zeros((z, y, x), np.uint8)
        voxels = vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1])
        start = np.subtract(labelmap.GetExtent()[::2], grid.GetExtent()[::2])[::-1]
        whole[tuple(slice(a, a + n) for a, n in zip(start, voxels.shape))] = voxels
        return whole
    resampled = slicer.vtkOrientedImageData()
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    if not resample(labelmap, grid, resampled):
        raise RuntimeError("a segment could not be brought onto its segmentation's grid")
    return vtk_to_numpy(resampled.GetPointData().GetScalars()).reshape(z, y, x)


def _within(labelmap: slicer.vtkOrientedImageData, grid: slicer.vtkOrientedImageData) -> bool:
    inner, outer = labelmap.GetExtent(), grid.GetExtent()
    return all(inner[k] >= outer[k] and inner[k + 1] <= outer[k + 1] for k in (0, 2, 4))


def matrixOf(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return the 4x4 matrix from an image's index (x, y, z) to its frame, RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _translation(offset: Sequence[int]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def inLps(image: SceneImage) -> sitk.Image:
    """Return an image as the library takes it, in LPS; copies the voxels."""
    voxels = image.voxels if image.voxels.dtype != bool else image.voxels.astype(np.uint8)
    result = sitk.GetImageFromArray(voxels)
    ijkToLps = FLIP_RAS_LPS @ image.ijkToRas
    spacing = np.linalg.norm(ijkToLps[:3, :3], axis=0)
    result.SetSpacing(spacing.tolist())
    result.SetOrigin(ijkToLps[:3, 3].tolist())
    result.SetDirection((ijkToLps[:3, :3] / spacing).ravel().tolist())
    return result


def writeImage(image: SceneImage, path: Path, compressed: bool = False) -> None:
    """Write an image in LPS; for the length of a run only, compressing is not worth its time."""
    sitk.WriteImage(inLps(image), str(path), useCompression=compressed)


def writeImages(images: "Mapping[str, SceneImage | SegmentsSnapshot]", folder: Path, compressed: bool = False) -> None:
    """Write images and snapshots under their file names into a folder."""
    for name, image in images.items():
        writeImage(image.image() if isinstance(image, SegmentsSnapshot) else image, folder / name, compressed)


def writeSurface(surface: vtk.vtkPolyData, path: Path) -> None:
    """Write a surface in RAS as a file in LPS: STL, or the library's file of maps (``.vtp``) with its values."""
    toLps = vtk.vtkTransform()
    toLps.SetMatrix(slicer.util.vtkMatrixFromArray(FLIP_RAS_LPS))
    lps = vtk.vtkTransformPolyDataFilter()
    lps.SetInputData(surface)
    lps.SetTransform(toLps)
    lps.Update()
    if path.suffix != ".vtp":
        write_stl(lps.GetOutput(), path)
        return
    data = lps.GetOutput().GetPointData()
    arrays = [data.GetArray(k) for k in range(data.GetNumberOfArrays())]
    maps = {array.GetName(): vtk_to_numpy(array) for array in arrays if array.GetNumberOfComponents() == 1}
    write_maps(lps.GetOutput(), maps, path)


def readImage(path: Path) -> SceneImage:
    """Read an image file."""
    image = sitk.ReadImage(str(path))
    return SceneImage(sitk.GetArrayFromImage(image), FLIP_RAS_LPS @ index_to_lps_mm(image))
