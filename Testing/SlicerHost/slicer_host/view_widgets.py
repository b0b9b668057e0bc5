"""A view with its coloured bar, and the logic that runs it.

Class and public method names are those of qMRMLSliceWidget and qMRMLThreeDWidget.
"""

from __future__ import annotations

import qt
import slicer
import slicer.util
from vtkmodules.vtkCommonCore import vtkCommand

from .view_bars import qMRMLSliceControllerWidget, qMRMLThreeDViewControllerWidget
from .views import qMRMLSliceView, qMRMLThreeDView


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


def _stack(widget: qt.QWidget, *parts: qt.QWidget) -> None:
    column = qt.QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    for part in parts:
        column.addWidget(part)
    column.setStretchFactor(parts[-1], 1)
