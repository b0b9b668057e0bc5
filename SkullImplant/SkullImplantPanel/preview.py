"""What a bone threshold selects, shown live in the slice views, and the automatic threshold."""

from collections.abc import Callable

import qt
import vtk

import slicer
from slicer.i18n import tr as _

from .background import inBackground
from .hiddennode import HiddenNode
from .inputs import SceneImage, imageOfVolume, inLps

# A moving slider asks for more previews than can be drawn; the last within this time is drawn.
DELAY_MS = 150
COLOR = (0.2, 0.9, 0.4)
SEGMENT_ID = "Bone"


class BonePreview:
    """A segmentation in the scene while it is shown: not saved, in no selector, never in 3D."""

    def __init__(self) -> None:
        self._node = HiddenNode("vtkMRMLSegmentationNode", "SkullImplant bone preview", _setUp)
        self._volumeNode: slicer.vtkMRMLScalarVolumeNode | None = None
        self._threshold = 0.0
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.connect("timeout()", self._draw)

    def show(self, volumeNode: slicer.vtkMRMLScalarVolumeNode, thresholdHu: float) -> None:
        """Show what is at least ``thresholdHu`` in a volume, soon."""
        self._volumeNode, self._threshold = volumeNode, thresholdHu
        self._timer.start()

    def hide(self) -> None:
        """Take the preview out of the scene."""
        self._timer.stop()
        self._node.remove()
        self._volumeNode = None

    def _draw(self) -> None:
        volumeNode, thresholdHu = self._volumeNode, self._threshold
        if volumeNode is None or not slicer.mrmlScene.IsNodePresent(volumeNode):
            self.hide()
            return
        if volumeNode.GetImageData() is None:
            return
        image = vtk.vtkImageData()
        image.ShallowCopy(volumeNode.GetImageData())
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)

        def show(labelmap: slicer.vtkOrientedImageData) -> None:
            # In the meantime the user may have asked for something else.
            if self._volumeNode is volumeNode and self._threshold == thresholdHu:
                self._showLabelmap(labelmap, volumeNode)

        inBackground(lambda: _above(image, matrix, thresholdHu), show)

    def _showLabelmap(
        self, labelmap: slicer.vtkOrientedImageData, volumeNode: slicer.vtkMRMLScalarVolumeNode
    ) -> None:
        segment = slicer.vtkSegment()
        segment.SetName(_("Bone above the threshold"))
        segment.SetColor(COLOR)
        segment.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), labelmap)
        node = self._node.get()
        with slicer.util.NodeModify(node):
            node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
            node.GetSegmentation().RemoveAllSegments()
            node.GetSegmentation().AddSegment(segment, SEGMENT_ID)
            node.GetDisplayNode().SetSegmentVisibility3D(SEGMENT_ID, False)
            node.GetDisplayNode().SetSegmentOpacity2DFill(SEGMENT_ID, 0.35)


def _setUp(node: slicer.vtkMRMLSegmentationNode) -> None:
    node.SetSourceRepresentationToBinaryLabelmap()
    node.GetDisplayNode().SetVisibility3D(False)


def _above(image: vtk.vtkImageData, ijkToRas: vtk.vtkMatrix4x4, thresholdHu: float) -> slicer.vtkOrientedImageData:
    threshold = vtk.vtkImageThreshold()
    threshold.SetInputData(image)
    threshold.ThresholdByUpper(thresholdHu)
    threshold.SetInValue(1)
    threshold.SetOutValue(0)
    threshold.SetOutputScalarTypeToUnsignedChar()
    threshold.Update()
    labelmap = slicer.vtkOrientedImageData()
    labelmap.ShallowCopy(threshold.GetOutput())
    labelmap.SetImageToWorldMatrix(ijkToRas)
    return labelmap


def findThreshold(volumeNode: slicer.vtkMRMLScalarVolumeNode, then: Callable[[float | None], None]) -> None:
    """Find the bone threshold that a design finds in a CT, in a thread, then call back with it in HU.

    None where there is none: in an MR, a mask, or whatever else is not in HU; why, the design says.
    """
    image = imageOfVolume(volumeNode)
    inBackground(lambda: _thresholdOf(image), then)


def _thresholdOf(image: SceneImage) -> float | None:
    from SkullImplantLib.errors import SkullImplantError
    from SkullImplantLib.reading.hounsfield import in_hounsfield_units
    from SkullImplantLib.skull.automatic_threshold import automatic_threshold_hu

    try:
        inHu, _notes = in_hounsfield_units(inLps(image), forced=False)
        return automatic_threshold_hu(inHu)
    except SkullImplantError:
        return None
