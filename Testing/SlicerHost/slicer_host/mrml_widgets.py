"""Slicer's MRML widgets on real Qt and the real MRML scene, as far as panels of modules use them.

Names and behaviour follow Slicer's public headers and sources (see `real_api.json`). A name that
Slicer has and the host has not raises NotImplementedError.
"""

import sys
import types
from typing import Any

import slicer
from PySide6.QtCore import Signal, Slot

from .adapter_properties import stored
from .ctk_numbers import ctkDoubleSpinBox, ctkSliderWidget
from .ctk_ranges import ctkRangeWidget
from .mrml_node_selector import qMRMLNodeComboBox
from .pythonqt import install_qt
from .real_api import stands_for_real

__all__ = ["install_mrml_widgets", "qMRMLNodeComboBox"]

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
