"""Slicer's MRML widgets on real Qt and the real MRML scene, as far as panels of modules use them.

Names and behaviour follow Slicer's public headers and sources (see `real_api.json`). A name that
Slicer has and the host has not raises NotImplementedError.
"""

import sys
import types
from typing import Any

import slicer
from PySide6.QtCore import Property, Signal, Slot

from .adapter_properties import stored
from .ctk_buttons import ctkCollapsibleButton
from .ctk_numbers import ctkDoubleSpinBox, ctkSliderWidget
from .ctk_ranges import ctkRangeWidget
from .mrml_checkable_selector import qMRMLCheckableNodeComboBox
from .mrml_node_selector import qMRMLNodeComboBox
from .pythonqt import install_qt
from .pythonqt_objects import emit_overload
from .real_api import stands_for_real
from .vtk_observers import Observers

__all__ = ["install_mrml_widgets", "qMRMLCheckableNodeComboBox", "qMRMLNodeComboBox"]

qt = install_qt()


@stands_for_real
class qMRMLWidget(qt.QWidget):
    _scene: Any = None

    mrmlSceneChanged = Signal(object)

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


@stands_for_real
class qMRMLCollapsibleButton(ctkCollapsibleButton):
    _scene: Any = None

    mrmlSceneChanged = Signal(object)

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@stands_for_real
class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A selector of a segmentation node and, beside it, of one of its segments."""

    _node_selector: qMRMLNodeComboBox
    _segment_box: qt.QComboBox
    _observers: Observers
    _segmentation: Any = None
    _segment_ids: list
    _none_enabled = False
    _filling = False

    currentNodeChanged = Signal((object,), (bool,))
    currentSegmentChanged = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._segment_ids = []
        self._observers = Observers(self)
        self._node_selector = qMRMLNodeComboBox()
        self._node_selector.nodeTypes = ["vtkMRMLSegmentationNode"]
        for name in ("noneEnabled", "addEnabled", "removeEnabled"):
            setattr(self._node_selector, name, False)
        self._segment_box = qt.QComboBox()
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._node_selector)
        layout.addWidget(self._segment_box)
        self._node_selector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_node)
        self._segment_box.connect("currentIndexChanged(int)", self._on_segment)

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._node_selector.setMRMLScene(scene)

    def _on_node(self, node: Any) -> None:
        self._observers.remove()
        self._segmentation = node.GetSegmentation() if node is not None else None
        if node is not None:
            fill = qMRMLSegmentSelectorWidget._on_segmentation
            for event in ("SegmentAdded", "SegmentRemoved", "SegmentModified"):
                event_id = getattr(slicer.vtkSegmentation, event)
                self._observers.add(self._segmentation, event_id, fill)
        self._fill()
        emit_overload(self, "currentNodeChanged", object, node)
        emit_overload(self, "currentNodeChanged", bool, node is not None)

    def _on_segmentation(self, _segmentation: Any, _node: Any) -> None:
        self._fill()

    def _fill(self) -> None:
        before = self.currentSegmentID()
        segmentation = self._segmentation
        ids = list(segmentation.GetSegmentIDs()) if segmentation is not None else []
        self._filling = True
        self._segment_ids = ["", *ids] if self._none_enabled else ids
        self._segment_box.clear()
        for segment_id in self._segment_ids:
            name = segmentation.GetSegment(segment_id).GetName() if segment_id else "None"
            self._segment_box.addItem(name)
        kept = before in self._segment_ids
        self._segment_box.currentIndex = (
            self._segment_ids.index(before) if kept else min(0, len(self._segment_ids) - 1)
        )
        self._filling = False
        if self.currentSegmentID() != before:
            self.currentSegmentChanged.emit(self.currentSegmentID())

    def _on_segment(self) -> None:
        if not self._filling:
            self.currentSegmentChanged.emit(self.currentSegmentID())

    def currentNode(self) -> Any:
        return self._node_selector.currentNode()

    def currentNodeID(self) -> str:
        return self._node_selector.currentNodeID

    @Slot(object)
    def setCurrentNode(self, node: Any) -> None:
        self._node_selector.setCurrentNode(node)

    @Slot(str)
    def setCurrentNodeID(self, node_id: str) -> None:
        self._node_selector.setCurrentNodeID(node_id)

    def segmentIDs(self) -> tuple:
        return tuple(segment_id for segment_id in self._segment_ids if segment_id)

    def currentSegmentID(self) -> str:
        index = self._segment_box.currentIndex
        return self._segment_ids[index] if 0 <= index < len(self._segment_ids) else ""

    @Slot(str)
    def setCurrentSegmentID(self, segment_id: str) -> None:
        ids = self._segment_ids
        self._segment_box.currentIndex = ids.index(segment_id) if segment_id in ids else -1

    noneEnabled = stored(bool, "_none_enabled", _fill)
    segmentationNodeSelectorVisible = Property(
        bool,
        lambda self: not self._node_selector.isHidden(),
        lambda self, visible: self._node_selector.setVisible(visible),
    )


@stands_for_real
class qMRMLSegmentationShow3DButton(qt.QPushButton):
    """Shows a segmentation in 3D by creating its closed surface, and hides it by removing that."""

    _node: Any = None
    _observers: Observers
    _locked = False

    def __init__(self, parent: Any = None) -> None:
        super().__init__("Show 3D", *([] if parent is None else [parent]))
        self._observers = Observers(self)
        self.checkable = True
        self.connect("toggled(bool)", self._on_toggled)
        self._update()

    @Slot(object)
    def setSegmentationNode(self, node: Any) -> None:
        self._observers.remove()
        self._node = node
        if node is not None:
            update = qMRMLSegmentationShow3DButton._on_segmentation
            for name in ("SegmentAdded", "SegmentRemoved", "ContainedRepresentationNamesModified"):
                event = getattr(slicer.vtkSegmentation, name)
                self._observers.add(node.GetSegmentation(), event, update)
        self._update()

    def segmentationNode(self) -> Any:
        return self._node

    @Slot(bool)
    def setLocked(self, locked: bool) -> None:
        self._locked = locked
        self._update()

    def _on_segmentation(self, _segmentation: Any, _node: Any) -> None:
        self._update()

    def _surface_name(self) -> str:
        return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()

    def _update(self) -> None:
        node = self._node
        has_segments = node is not None and node.GetSegmentation().GetNumberOfSegments() > 0
        was_blocking = self.blockSignals(True)
        self.enabled = has_segments and not self._locked
        self.checked = has_segments and node.GetSegmentation().ContainsRepresentation(
            self._surface_name()
        )
        self.blockSignals(was_blocking)

    def _on_toggled(self, show: bool) -> None:
        if self._node is None or self._locked:
            return
        if show:
            self._node.CreateClosedSurfaceRepresentation()
            display = self._node.GetDisplayNode()
            if display is not None:
                display.SetPreferredDisplayRepresentationName3D(self._surface_name())
        else:
            self._node.RemoveClosedSurfaceRepresentation()
        self._update()

    locked = Property(bool, lambda self: self._locked, setLocked)


@stands_for_real
class qMRMLSliderWidget(ctkSliderWidget):
    _scene: Any = None

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene

    def mrmlScene(self) -> Any:
        return self._scene


@stands_for_real
class qMRMLSpinBox(ctkDoubleSpinBox):
    _scene: Any = None

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene

    def mrmlScene(self) -> Any:
        return self._scene


@stands_for_real
class qMRMLRangeWidget(ctkRangeWidget):
    _scene: Any = None

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene

    mrmlScene = stored(object, "_scene")


def install_mrml_widgets() -> types.ModuleType:
    """Put the classes on the package `slicer`; returns the package."""
    for name, value in vars(sys.modules[__name__]).items():
        if name.startswith("qMRML"):
            setattr(slicer, name, value)
    return slicer
