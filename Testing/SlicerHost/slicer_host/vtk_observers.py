"""Observers of VTK objects that belong to a Qt widget."""

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import slicer
import vtk

from .pythonqt_objects import guarded_call

SCENE_EVENTS_WITH_NODE = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent,
    slicer.vtkMRMLScene.NodeRemovedEvent,
)


class Observers:
    """VTK observers of a widget: they end with it, and an exception in one is recorded."""

    def __init__(self, widget: Any) -> None:
        self._widget = weakref.ref(widget)
        self._tags: list[tuple[Any, int]] = []
        weakref.finalize(widget, self.remove)

    def add(self, observed: Any, event: Any, method: Callable) -> None:
        """Call `method(widget, observed, node)` on the event; node is the event's node or None."""

        def callback(caller: Any, _event: str, node: Any = None) -> None:
            widget = self._widget()
            if widget is None or not shiboken6.isValid(widget):
                self.remove()
            else:
                guarded_call(method, widget, caller, node)

        if event in SCENE_EVENTS_WITH_NODE:
            callback = vtk.calldata_type(vtk.VTK_OBJECT)(callback)
        self._tags.append((observed, observed.AddObserver(event, callback)))

    def remove(self, observed: Any = None) -> None:
        """End those of one object, or all."""
        for entry in list(self._tags):
            if observed is None or entry[0] is observed:
                entry[0].RemoveObserver(entry[1])
                self._tags.remove(entry)
