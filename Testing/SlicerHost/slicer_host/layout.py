"""The layout manager, which places the views.

The arrangement is the real one: vtkMRMLLayoutLogic holds Slicer's layouts as XML and makes the view
nodes in the scene, and the layout manager here turns that XML into nested Qt layouts. Class and
public method names are those of qMRMLLayoutManager.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import qt
import slicer
import slicer.util
from PySide6 import QtCore
from vtkmodules.vtkCommonCore import vtkCollection, vtkCommand

from .displayable_managers import register_displayable_managers
from .view_widgets import qMRMLSliceWidget, qMRMLThreeDWidget

VIEW_GAP_PIXELS = 2
EQUAL_SHARE = 100  # of the room for views, where a layout names no size


class qSlicerLayoutManager(qt.QObject):
    """Keeps a view for every view node that the current layout shows, arranged in the viewport.

    The scene's layout node decides (`setLayout`, or a scene file that was read); the slice and view
    logics are handed to the application logic, which is where MRML looks for them.
    """

    _host_class = True
    _application_logic: slicer.vtkMRMLApplicationLogic
    _viewport: qt.QWidget
    _frame: qt.QWidget | None
    _slice_widgets: dict[str, qMRMLSliceWidget]
    _three_d_widgets: dict[str, qMRMLThreeDWidget]
    _slice_logics: vtkCollection
    _view_logics: vtkCollection
    _layout_logic: slicer.vtkMRMLLayoutLogic
    _shown_description: str | None
    _observations: slicer.util.VTKObservationMixin

    layoutChanged = QtCore.Signal(int)

    def __init__(self, application_logic, viewport: qt.QWidget):
        super().__init__(viewport)
        self._application_logic = application_logic
        self._viewport = viewport
        self._frame = None
        self._slice_widgets = {}
        self._three_d_widgets = {}
        self._slice_logics = vtkCollection()
        self._view_logics = vtkCollection()
        application_logic.SetSliceLogics(self._slice_logics)
        application_logic.SetViewLogics(self._view_logics)
        register_displayable_managers(application_logic)

        scene = slicer.mrmlScene
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self._layout_logic = slicer.vtkMRMLLayoutLogic()
        self._layout_logic.SetMRMLScene(scene)
        self._shown_description = None
        self._observations = slicer.util.VTKObservationMixin()
        # After the layout logic, which observes the same and makes missing view nodes first.
        for event in (scene.EndBatchProcessEvent, scene.EndRestoreEvent):
            self._observations.addObserver(scene, event, self._on_layout_modified)
            self._observations.addObserver(scene, event, self._on_scene_loaded)
        self._observations.addObserver(scene, scene.NodeRemovedEvent, self._on_node_removed)
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def _on_scene_loaded(self, *_) -> None:
        """Displayable managers pass over what happens to slices while a scene is loaded."""
        for widget in self._slice_widgets.values():
            if widget.mrmlSliceNode() is not None:
                widget.mrmlSliceNode().Modified()

    # --- what is there ----------------------------------------------------------------------------

    def mrmlScene(self):
        return slicer.mrmlScene

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slice_widgets)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._slice_widgets.get(name)

    def threeDWidget(self, which: int | str) -> qMRMLThreeDWidget | None:
        """The 3D widget of that number or name; None if there is none."""
        if isinstance(which, str):
            return self._three_d_widgets.get(which)
        widgets = list(self._three_d_widgets.values())
        return widgets[which] if 0 <= which < len(widgets) else None

    def viewWidget(self, view_node):
        """The widget of this slice or view node; None if it has none."""
        for widget in self.viewWidgets():
            if widget.mrmlAbstractViewNode() is view_node:
                return widget
        return None

    def viewWidgets(self) -> list:
        return [*self._slice_widgets.values(), *self._three_d_widgets.values()]

    def mrmlSliceLogics(self) -> vtkCollection:
        return self._slice_logics

    def mrmlViewLogics(self) -> vtkCollection:
        return self._view_logics

    def layoutLogic(self):
        return self._layout_logic

    def activeMRMLThreeDViewNode(self):
        widget = self.threeDWidget(0)
        return widget.mrmlViewNode() if widget else None

    def activeThreeDRenderer(self):
        widget = self.threeDWidget(0)
        return widget.threeDView()._renderer if widget else None

    # --- what can be done -------------------------------------------------------------------------

    def setLayout(self, layout: int) -> None:
        """Show one of vtkMRMLLayoutNode's layouts (SlicerLayoutFourUpView, ...)."""
        self._layout_logic.GetLayoutNode().SetViewArrangement(layout)
        self._on_layout_modified()

    def resetThreeDViews(self) -> None:
        for widget in self._three_d_widgets.values():
            widget.threeDView().resetFocalPoint()
            widget.threeDView().resetCamera()

    def resetSliceViews(self) -> None:
        for widget in self._slice_widgets.values():
            widget.sliceController().fitSliceToBackground()

    def setRenderPaused(self, pause: bool) -> None:
        for widget in self.viewWidgets():
            widget.viewWidget().setRenderPaused(pause)

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)

    # As Qt properties, which PythonQt shows as attributes.
    layout = QtCore.Property(
        int, lambda self: self._layout_logic.GetLayoutNode().GetViewArrangement(), setLayout
    )
    threeDViewCount = QtCore.Property(int, lambda self: len(self._three_d_widgets))
    tableViewCount = QtCore.Property(int, lambda self: 0)
    plotViewCount = QtCore.Property(int, lambda self: 0)

    # --- following the layout node ----------------------------------------------------------------

    def _on_layout_modified(self, _caller=None, _event=None) -> None:
        layout_node = self._layout_logic.GetLayoutNode()
        if layout_node is None or slicer.mrmlScene.IsBatchProcessing():
            return
        # The logic makes a new layout node when the scene was emptied to the last singleton.
        if not self._observations.hasObserver(
            layout_node, vtkCommand.ModifiedEvent, self._on_layout_modified
        ):
            self._observations.addObserver(
                layout_node, vtkCommand.ModifiedEvent, self._on_layout_modified
            )
        description = layout_node.GetCurrentLayoutDescription()
        if description and description != self._shown_description:
            self._arrange(ElementTree.fromstring(description))
            self._shown_description = description
            self.layoutChanged.emit(self.layout)

    def _on_node_removed(self, _caller, _event) -> None:
        for widgets in (self._slice_widgets, self._three_d_widgets):
            for name, widget in list(widgets.items()):
                node = widget.mrmlAbstractViewNode()
                if node is None or node.GetScene() is None:
                    del widgets[name]
                    self._discard(widget)
                    self._shown_description = None

    def _arrange(self, description: ElementTree.Element) -> None:
        outer = self._viewport.layout()
        if outer is None:
            outer = qt.QVBoxLayout(self._viewport)
            outer.setContentsMargins(0, 0, 0, 0)
        for widget in self.viewWidgets():
            widget.hide()
            widget.setParent(self._viewport)
        if self._frame is not None:
            self._frame.deleteLater()
        self._frame = self._build(description)
        outer.addWidget(self._frame)

    def _build(self, element: ElementTree.Element) -> qt.QWidget:
        """The widget of a <view>, or of a <layout> with all its items."""
        if element.tag == "view":
            widget = self._view_of(element)
            widget.show()
            return widget
        if element.get("type") == "tab":
            tabs = qt.QTabWidget()
            for item in element:
                tabs.addTab(self._build(item[0]), item.get("name") or item[0].get("singletontag"))
            return tabs
        horizontal = element.get("type") == "horizontal"
        parts = [self._build(item[0]) for item in element]
        if element.get("split") == "true":
            orientation = QtCore.Qt.Orientation
            splitter = qt.QSplitter(orientation.Horizontal if horizontal else orientation.Vertical)
            splitter.setHandleWidth(VIEW_GAP_PIXELS)
            for part in parts:
                splitter.addWidget(part)
            splitter.setSizes([int(item.get("splitSize", EQUAL_SHARE)) for item in element])
            return splitter
        direction = qt.QBoxLayout.Direction
        frame = qt.QWidget()
        box = qt.QBoxLayout(direction.LeftToRight if horizontal else direction.TopToBottom, frame)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(VIEW_GAP_PIXELS)
        for part in parts:
            box.addWidget(part, EQUAL_SHARE)
        return frame

    def _view_of(self, element: ElementTree.Element) -> qt.QWidget:
        """The widget of a <view> element, made if it is not there yet."""
        node_class, name = element.get("class"), element.get("singletontag")
        node = slicer.mrmlScene.GetSingletonNode(name, node_class)
        if node_class == "vtkMRMLSliceNode":
            if name not in self._slice_widgets:
                self._slice_widgets[name] = qMRMLSliceWidget(
                    node, self._application_logic, self._slice_logics, self._viewport
                )
            return self._slice_widgets[name]
        if node_class == "vtkMRMLViewNode":
            if name not in self._three_d_widgets:
                self._three_d_widgets[name] = qMRMLThreeDWidget(
                    node, self._application_logic, self._view_logics, self._viewport
                )
            return self._three_d_widgets[name]
        missing = qt.QLabel(f"The development host has no view for a {node_class}.")
        missing.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        return missing

    def _discard(self, widget) -> None:
        logics = self._slice_logics if isinstance(widget, qMRMLSliceWidget) else self._view_logics
        logics.RemoveItem(widget.logic())
        widget._finalize()
        widget.setParent(None)
        widget.deleteLater()

    def _finalize(self) -> None:
        """Let go of scene and OpenGL; for the end of the program."""
        self._observations.removeObservers()
        for widget in self.viewWidgets():
            self._discard(widget)
        self._slice_widgets.clear()
        self._three_d_widgets.clear()
        self._layout_logic.SetMRMLScene(None)
