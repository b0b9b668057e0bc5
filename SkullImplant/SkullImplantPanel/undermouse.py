"""What is under the mouse: the values of an implant's surface there, in slices and in 3D."""

from collections.abc import Callable
from typing import Any

import numpy as np
import vtk

import slicer
from slicer.i18n import tr as _

from .results import ResultNodes
from .surfacemaps import GAP, MAPS, STEP, THICKNESS, UNCERTAINTY

# A picked point lies on the surface as drawn; one in a slice that lies within the implant may be so deep.
ON_MM, WITHIN_MM = 1.5, 20.0


class UnderMouse:
    """Follows the mouse over all views while it is told to.

    :param show: called with the values in words whenever they change; with an empty text where there is no implant.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._nodes: ResultNodes | None = None
        self._crosshair: slicer.vtkMRMLCrosshairNode | None = None
        self._tag = 0
        self._text = ""
        # By the id of a model the surface that its locator was made of.
        self._locators: dict[str, tuple[vtk.vtkPolyData, int, vtk.vtkStaticPointLocator]] = {}

    def follow(self, nodes: ResultNodes | None) -> None:
        """Tell of the surfaces of a result from now on, or of none."""
        self._nodes = nodes
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode") if nodes is not None else None
        if crosshair is not self._crosshair:
            self._leave()
            self._crosshair = crosshair
            if crosshair is not None:
                event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
                self._tag = crosshair.AddObserver(event, self._onMoved)
        if nodes is None:
            self._locators = {}
            self._say("")

    def _leave(self) -> None:
        if self._crosshair is not None:
            self._crosshair.RemoveObserver(self._tag)
            self._crosshair = None

    def _onMoved(self, caller: Any, event: Any) -> None:
        place = np.zeros(3)
        nodes = self._nodes
        if nodes is None or not caller.GetCursorPositionRAS(place):
            self._say("")
            return
        for number, model in enumerate(nodes.models, 1):
            values = self._valuesAt(model, place)
            if values:
                text = _inWords(values)
                if len(nodes.models) > 1:
                    text = _("implant {number}: {values}").format(number=number, values=text)
                self._say(text[:1].upper() + text[1:])
                return
        self._say("")

    def _say(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self._show(text)

    def _valuesAt(self, model: slicer.vtkMRMLModelNode, world: np.ndarray) -> dict[str, float]:
        """Return by name what the nearest point of a surface knows; nothing where the surface is not seen, or far."""
        display, surface = model.GetDisplayNode(), model.GetPolyData()
        if display is None or not display.GetVisibility() or surface is None or surface.GetNumberOfPoints() == 0:
            return {}
        place = np.zeros(3)
        model.TransformPointFromWorld(world, place)
        bounds = np.reshape(surface.GetBounds(), (3, 2))
        if np.any(place < bounds[:, 0] - ON_MM) or np.any(place > bounds[:, 1] + ON_MM):
            return {}
        nearest = self._locatorOf(model, surface).FindClosestPoint(place)
        apart = place - np.array(surface.GetPoint(nearest))
        away, normals = float(np.linalg.norm(apart)), surface.GetPointData().GetNormals()
        inside = normals is not None and float(apart @ normals.GetTuple3(nearest)) < 0.0
        if away > (WITHIN_MM if inside else ON_MM):
            return {}
        arrays = {each.name: surface.GetPointData().GetArray(each.array) for each in MAPS}
        values = {name: array.GetTuple1(nearest) for name, array in arrays.items() if array is not None}
        return {name: value for name, value in values.items() if np.isfinite(value)}

    def _locatorOf(self, model: slicer.vtkMRMLModelNode, surface: vtk.vtkPolyData) -> vtk.vtkStaticPointLocator:
        known = self._locators.get(model.GetID())
        if known is None or known[0] is not surface or known[1] != surface.GetPoints().GetMTime():
            locator = vtk.vtkStaticPointLocator()
            locator.SetDataSet(surface)
            locator.BuildLocator()
            known = self._locators[model.GetID()] = (surface, surface.GetPoints().GetMTime(), locator)
        return known[2]


def _inWords(values: dict[str, float]) -> str:
    """Return values in mm as words, what is asked most first."""
    words = {
        THICKNESS: _("thickness {value:.1f} mm"),
        GAP: _("gap {value:.1f} mm"),
        STEP: _("step {value:+.1f} mm"),
        UNCERTAINTY: _("uncertainty {value:.1f} mm"),
    }
    return ", ".join(word.format(value=values[name]) for name, word in words.items() if name in values)
