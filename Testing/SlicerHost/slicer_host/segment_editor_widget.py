"""The widget inside Slicer's Segment Editor, over the real logic of it, with two effects.

The logic (`vtkSlicerSegmentEditorLogic`) and the filter of the effects are Slicer's own, from the
slicer-core wheel, so an edit does to a segmentation what it does in the application: by default the
edited segment takes its voxels away from all others, overlapping ones too.
"""

import math
from typing import Any

import slicer
import vtk
from PySide6.QtCore import Signal, Slot

from .mrml_widgets import qMRMLNodeComboBox, qMRMLWidget
from .pythonqt import install_qt
from .real_api import stands_for_real
from .vtk_observers import Observers

qt = install_qt()

MARGIN_MM, LARGEST_MARGIN_MM, MARGIN_DECIMALS = 1.0, 20.0, 2
COLOR_PIXELS = 14


@stands_for_real
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Shows what the segment editor node selects; changes the selected segment by a margin."""

    _logic: Any
    _node: Any = None
    _segmentation: Any = None  # the one whose segments are listed
    _node_observers: Observers
    _segmentation_observers: Observers
    _segmentation_box: qMRMLNodeComboBox
    _volume_box: qMRMLNodeComboBox
    _segments: qt.QListWidget
    _segment_ids: list
    _margin_box: qt.QDoubleSpinBox
    _margin_buttons: qt.QWidget
    _updating = False

    segmentationNodeChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._node_observers, self._segmentation_observers = Observers(self), Observers(self)
        self._segment_ids = []
        self._segmentation_box = _node_box("vtkMRMLSegmentationNode")
        self._volume_box = _node_box("vtkMRMLScalarVolumeNode")
        self._volume_box.noneEnabled = True
        self._segments = qt.QListWidget()
        self._margin_box = qt.QDoubleSpinBox()
        self._margin_box.setDecimals(MARGIN_DECIMALS)
        self._margin_box.maximum = LARGEST_MARGIN_MM
        self._margin_box.value = MARGIN_MM
        self._margin_box.suffix = " mm"
        self._margin_buttons = qt.QWidget()
        row = qt.QHBoxLayout(self._margin_buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for text, sign in (("Grow", 1), ("Shrink", -1)):
            button = qt.QPushButton(text)
            button.setObjectName(text)
            button.connect("clicked()", lambda sign=sign: self._change(sign))
            row.addWidget(button)
        form = qt.QFormLayout(self)
        form.addRow("Segmentation:", self._segmentation_box)
        form.addRow("Source volume:", self._volume_box)
        form.addRow(self._segments)
        form.addRow("Margin:", self._margin_box)
        form.addRow(self._margin_buttons)
        self._segmentation_box.connect("currentNodeChanged(vtkMRMLNode*)", self._on_segmentation)
        self._volume_box.connect("currentNodeChanged(vtkMRMLNode*)", self._on_volume)
        self._segments.connect("currentRowChanged(int)", self._on_row)

    # Selections: the node has them, through the logic

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._logic.SetMRMLScene(scene)
        self._segmentation_box.setMRMLScene(scene)
        self._volume_box.setMRMLScene(scene)
        self.updateWidgetFromMRML()

    @Slot(object)
    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._node_observers.remove()
        self._node = node
        self._logic.SetSegmentEditorNode(node)
        if node is not None:
            update = qMRMLSegmentEditorWidget._on_mrml
            self._node_observers.add(node, vtk.vtkCommand.ModifiedEvent, update)
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    @Slot(object)
    def setSegmentationNode(self, node: Any) -> None:
        self._logic.SetSegmentationNode(node)

    @Slot(str)
    def setSegmentationNodeID(self, node_id: str) -> None:
        self.setSegmentationNode(self.mrmlScene().GetNodeByID(node_id))

    def segmentationNode(self) -> Any:
        return self._logic.GetSegmentationNode()

    def segmentationNodeID(self) -> str:
        return _id_of(self.segmentationNode())

    @Slot(object)
    def setSourceVolumeNode(self, node: Any) -> None:
        # Without a segmentation the logic takes no volume.
        self._logic.SetSourceVolumeNode(node)

    @Slot(str)
    def setSourceVolumeNodeID(self, node_id: str) -> None:
        self.setSourceVolumeNode(self.mrmlScene().GetNodeByID(node_id))

    def sourceVolumeNode(self) -> Any:
        return self._logic.GetSourceVolumeNode()

    def sourceVolumeNodeID(self) -> str:
        return _id_of(self.sourceVolumeNode())

    @Slot(str)
    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._logic.SetCurrentSegmentID(segment_id)

    def currentSegmentID(self) -> str:
        return self._logic.GetCurrentSegmentID()

    def _on_segmentation(self, node: Any) -> None:
        if not self._updating:
            self.setSegmentationNode(node)

    def _on_volume(self, node: Any) -> None:
        if not self._updating:
            self.setSourceVolumeNode(node)

    def _on_row(self, row: int) -> None:
        if not self._updating and row >= 0:
            self.setCurrentSegmentID(self._segment_ids[row])

    # What is shown

    def _on_mrml(self, _caller: Any, _node: Any) -> None:
        self.updateWidgetFromMRML()

    @Slot()
    def updateWidgetFromMRML(self) -> None:
        if self._updating or self._node is None or self.mrmlScene() is None:
            return
        self._updating = True
        try:
            node = self.segmentationNode()
            if node is not self._segmentation:
                self._follow(node)
            self._segmentation_box.setCurrentNode(node)
            self._volume_box.setCurrentNode(self.sourceVolumeNode())
            self._list_segments()
        finally:
            self._updating = False

    def _follow(self, node: Any) -> None:
        """List another segmentation; with it comes its reference volume, as in the application."""
        self._segmentation_observers.remove()
        self._segmentation = node
        if node is not None:
            for event in ("SegmentAdded", "SegmentRemoved", "SegmentModified"):
                event_id = getattr(slicer.vtkSegmentation, event)
                update = qMRMLSegmentEditorWidget._on_mrml
                self._segmentation_observers.add(node.GetSegmentation(), event_id, update)
            self.setSourceVolumeNode(
                node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
            )
            node.CreateDefaultDisplayNodes()
        self.segmentationNodeChanged.emit(node)

    def _list_segments(self) -> None:
        self._segment_ids = list(self._logic.GetSegmentIDs())
        self._segments.clear()
        for segment_id in self._segment_ids:
            segment = self._segmentation.GetSegmentation().GetSegment(segment_id)
            color = qt.QPixmap(COLOR_PIXELS, COLOR_PIXELS)
            color.fill(qt.QColor.fromRgbF(*segment.GetColor()))
            self._segments.addItem(qt.QListWidgetItem(qt.QIcon(color), segment.GetName()))
        if self.currentSegmentID() not in self._segment_ids:
            self._logic.SelectFirstSegment(False)
        current = self.currentSegmentID()
        known = current in self._segment_ids
        self._segments.setCurrentRow(self._segment_ids.index(current) if known else -1)
        self._margin_buttons.enabled = known
        if known and self._logic.UpdateReferenceGeometryImage():
            # A margin of less than a voxel changes nothing.
            voxel_mm = max(self._logic.GetReferenceGeometryImage().GetSpacing())
            step = 10**-MARGIN_DECIMALS
            self._margin_box.minimum = math.ceil(voxel_mm / step) * step

    # Effects

    def _change(self, sign: int) -> None:
        """Grow (1) or shrink (-1) the current segment by the margin."""
        logic = self._logic
        with slicer.util.tryWithErrorDisplay("The segment was not changed.", waitCursor=True):
            logic.UpdateSelectedSegmentLabelmap()
            if logic.GetSelectedSegmentLabelmap().IsEmpty():
                raise RuntimeError("The segment is empty.")
            logic.ResetModifierLabelmapToDefault()
            new = logic.GetModifierLabelmap()
            new.ShallowCopy(
                _with_margin(logic.GetSelectedSegmentLabelmap(), sign * self._margin_box.value)
            )
            mode, per_segment, without_mask = logic.ModificationModeSet, True, False
            logic.ModifySegmentByLabelmap(
                *(self.segmentationNode(), self.currentSegmentID(), new),
                *(mode, per_segment, without_mask),
            )


def _with_margin(labelmap: Any, margin_mm: float) -> vtk.vtkImageData:
    """The labelmap grown by the margin, or shrunk by a negative one: by growing what is outside."""
    outside = margin_mm < 0
    growing = _binary(labelmap, outside)
    margin = slicer.vtkITKImageMargin()
    margin.SetInputData(growing)
    margin.CalculateMarginInMMOn()
    margin.SetOuterMarginMM(abs(margin_mm))
    margin.Update()
    return _binary(margin.GetOutput(), outside)


def _binary(image: vtk.vtkImageData, inverted: bool) -> vtk.vtkImageData:
    threshold = vtk.vtkImageThreshold()
    threshold.SetInputData(image)
    threshold.ThresholdByLower(0)
    threshold.SetInValue(int(inverted))
    threshold.SetOutValue(int(not inverted))
    threshold.SetOutputScalarTypeToUnsignedChar()
    threshold.Update()
    return threshold.GetOutput()


def _node_box(node_type: str) -> qMRMLNodeComboBox:
    box = qMRMLNodeComboBox()
    box.nodeTypes = [node_type]
    for name in ("addEnabled", "removeEnabled"):
        setattr(box, name, False)
    return box


def _id_of(node: Any) -> str:
    return "" if node is None else node.GetID()
