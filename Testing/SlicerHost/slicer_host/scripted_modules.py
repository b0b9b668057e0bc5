"""Scripted modules as the application holds them: the module object and its panel's widget.

Both are named as their C++ classes, since `slicer.util` asks for those by name.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import qt
import slicer
from PySide6.QtCore import Property


class qSlicerScriptedLoadableModule:
    """`slicer.modules.<name>` of a scripted module; the `parent` that the module's class fills in.

    Attributes other than the real ones cannot be set, as in the application.
    """

    _PROPERTIES = (
        *("title", "categories", "dependencies", "contributors", "helpText", "hidden", "index"),
        *("acknowledgementText", "icon", "associatedNodeTypes", "extensions"),
        "widgetRepresentationCreationEnabled",
    )

    def __init__(self, path: Path) -> None:
        attributes: dict[str, Any] = dict.fromkeys(self._PROPERTIES)
        for name in ("categories", "dependencies", "contributors", "associatedNodeTypes"):
            attributes[name] = []
        attributes.update(title="", helpText="", acknowledgementText="", hidden=False, index=-1)
        attributes.update(extensions={}, widgetRepresentationCreationEnabled=True)
        attributes.update(name=path.stem, path=str(path), icon=qt.QIcon())
        attributes.update(_widget=None, _logic=None)
        self.__dict__.update(attributes)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._PROPERTIES:
            raise AttributeError(f"qSlicerScriptedLoadableModule has no writable property '{name}'")
        self.__dict__[name] = value

    def logic(self) -> Any:
        """The C++ logic every scripted module has; the Python one belongs to its widget."""
        if self._logic is None:
            logic = slicer.vtkSlicerScriptedLoadableModuleLogic()
            logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
            logic.SetMRMLScene(slicer.mrmlScene)
            self.__dict__["_logic"] = logic
        return self._logic

    def mrmlScene(self) -> Any:
        """The application's scene."""
        return slicer.mrmlScene

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget | None:
        """The module's panel, made at the first call."""
        if self._widget is None:
            self.__dict__["_widget"] = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget | None:
        """One more panel of the module, None for a module without a widget class."""
        if not self.widgetRepresentationCreationEnabled:
            return None
        widget = qSlicerScriptedLoadableModuleWidget(self)
        widget.setup()
        # The scene comes after setup(), so that panels can be built without one.
        widget.setMRMLScene(slicer.mrmlScene)
        return widget


class qSlicerScriptedLoadableModuleWidget(slicer.qMRMLWidget):
    """The Qt widget around a scripted module's panel: the `parent` of its Python widget class."""

    _host_class = True
    _module: qSlicerScriptedLoadableModule
    _entered: bool
    _python_widget: Any

    def __init__(self, module: qSlicerScriptedLoadableModule) -> None:
        super().__init__()
        self._module = module
        self._entered = False
        self.setLayout(qt.QVBoxLayout())
        self._instantiate()

    def _instantiate(self) -> None:
        class_name = f"{self._module.name}Widget"
        widget_class = getattr(sys.modules[self._module.name], class_name)
        self._python_widget = widget_class(self)
        setattr(slicer.modules, class_name, self._python_widget)

    moduleName = Property(str, lambda self: self._module.name, constant=True)
    # Whether this is the panel that is shown.
    isEntered = Property(bool, lambda self: self._entered)

    def self(self) -> Any:
        """The Python widget (an instance of `<Name>Widget`)."""
        return self._python_widget

    def setup(self) -> None:
        """Build the panel."""
        self.setObjectName(f"{self._module.name}ModuleWidget")
        self.setWindowTitle(self._module.title)
        self._call("setup")

    def reload(self) -> None:
        """Make the Python widget anew, from the module's present source, and build its panel."""
        self._instantiate()
        self.setup()

    def enter(self) -> None:
        """The panel comes to be shown."""
        if self._entered:
            raise RuntimeError(f"{self._module.name} is entered already")
        self._entered = True
        self._call("enter")

    def exit(self) -> None:
        """The panel is left for another module's."""
        if not self._entered:
            raise RuntimeError(f"{self._module.name} is not entered")
        self._entered = False
        self._call("exit")

    def setEditedNode(self, node: Any, role: str = "", context: str = "") -> bool:
        """Let the panel show the node; False if it does not."""
        method = getattr(self._python_widget, "setEditedNode", None)
        return bool(method(node, role, context)) if method else False

    def nodeEditable(self, node: Any) -> float:
        """How well the panel can edit the node, 0 to 1."""
        method = getattr(self._python_widget, "nodeEditable", None)
        return float(method(node)) if method else 0.0

    def _call(self, method_name: str) -> None:
        method = getattr(self._python_widget, method_name, None)
        if method is not None:
            method()


def import_module_file(path: Path) -> Any:
    """Run the module's file as the top-level Python module of its name, its folder on sys.path."""
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} is not a Python file")
    python_module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = python_module
    specification.loader.exec_module(python_module)
    return python_module


def install_scripted_module_classes() -> None:
    """Put both classes on `slicer`."""
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
