"""The views' arrangement: a view with its coloured bar, and the layout manager that places them.

The arrangement is the real one: vtkMRMLLayoutLogic holds Slicer's layouts as XML and makes the view
nodes in the scene, and the layout manager here turns that XML into nested Qt layouts. Class and
public method names are those of qMRMLSliceWidget, qMRMLThreeDWidget and qMRMLLayoutManager.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import qt
import slicer
import slicer.util
from PySide6 import QtCore
from vtkmodules.vtkCommonCore import vtkCollection, vtkCommand

from .view_bars import qMRMLSliceControllerWidget, qMRMLThreeDViewControllerWidget
from .views import qMRMLSliceView, qMRMLThreeDView, register_displayable_managers

VIEW_GAP_PIXELS = 2
EQUAL_SHARE = 100  # of the room for views, where a layout names no size


class qMRMLSliceWidget(qt.QWidget):
    """A slice view under its bar, run by a slice logic of its own."""

    _host_class = True
    _logic: slicer.vtkMRMLSliceLogic
    _view: qMRMLSliceView
    _controller: qMRMLSliceControllerWidget
    _observations: slicer.util.VTKObservationMixin

    def __init__(self, slice_node, application_logic, slice_logics, parent=None):
        super().__init__(parent)
        self.setObjectName(f"qMRMLSliceWidget{slice_node.GetLayoutName()}")
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        # The displayable managers look their logic up in this collection as they start.
        slice_logics.AddItem(self._logic)
        self._view = qMRMLSliceView(self)
        self._view.interactorObserver().SetSliceLogic(self._logic)
        self._logic.SetDisplayableManagerGroup(self._view._group)
        self._logic.SetSliceNode(slice_node)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._view.setMRMLSliceNode(slice_node)
        self._controller = qMRMLSliceControllerWidget(self._logic, slice_node, self)
        _stack(self, self._controller, self._view)
        self._view.resized.connect(self._on_view_resized)
        self._observations = slicer.util.VTKObservationMixin()
        self._observations.addObserver(
            self._logic, vtkCommand.ModifiedEvent, self._on_logic_modified
        )
        self._on_logic_modified()

    def sliceLogic(self):
        return self._logic

    def logic(self):
        return self._logic

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    def viewWidget(self) -> qMRMLSliceView:
        return self._view

    def sliceController(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def controllerWidget(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlAbstractViewNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def interactorStyle(self):
        return self._view.interactorStyle()

    def overlayCornerAnnotation(self):
        return self._view.cornerAnnotation()

    def fitSliceToBackground(self) -> None:
        self._controller.fitSliceToBackground()

    def _on_logic_modified(self, _caller=None, _event=None) -> None:
        self._view.setImageDataConnection(self._logic.GetImageDataConnection())

    def _on_view_resized(self, _size) -> None:
        width, height = self._view.renderWindow().GetSize()
        self._logic.ResizeSliceNode(width, height)

    def _finalize(self) -> None:
        self._observations.removeObservers()
        self._controller._finalize()
        self._view._finalize()
        self._logic.SetDisplayableManagerGroup(None)
        self._logic.SetMRMLScene(None)


class qMRMLThreeDWidget(qt.QWidget):
    """A 3D view under its bar, run by a view logic of its own."""

    _host_class = True
    _logic: slicer.vtkMRMLViewLogic
    _view: qMRMLThreeDView
    _controller: qMRMLThreeDViewControllerWidget

    def __init__(self, view_node, application_logic, view_logics, parent=None):
        super().__init__(parent)
        self.setObjectName(f"ThreeDWidget{view_node.GetLayoutName()}")
        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.AddViewNode(view_node.GetLayoutName())  # takes the one there is
        view_logics.AddItem(self._logic)
        self._view = qMRMLThreeDView(self)
        self._logic.SetDisplayableManagerGroup(self._view._group)
        self._view.setMRMLViewNode(view_node)
        self._controller = qMRMLThreeDViewControllerWidget(self._view, self)
        _stack(self, self._controller, self._view)

    def viewLogic(self):
        return self._logic

    def logic(self):
        return self._logic

    def threeDView(self) -> qMRMLThreeDView:
        return self._view

    def viewWidget(self) -> qMRMLThreeDView:
        return self._view

    def threeDController(self) -> qMRMLThreeDViewControllerWidget:
        return self._controller

    def controllerWidget(self) -> qMRMLThreeDViewControllerWidget:
        return self._controller

    def mrmlViewNode(self):
        return self._view.mrmlViewNode()

    def mrmlAbstractViewNode(self):
        return self._view.mrmlViewNode()

    def _finalize(self) -> None:
        self._view._finalize()
        self._logic.SetDisplayableManagerGroup(None)
        self._logic.SetMRMLScene(None)


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


def _stack(widget: qt.QWidget, *parts: qt.QWidget) -> None:
    column = qt.QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    for part in parts:
        column.addWidget(part)
    column.setStretchFactor(parts[-1], 1)
