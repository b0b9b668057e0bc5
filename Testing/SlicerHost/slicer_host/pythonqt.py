"""The module `qt`: Qt as PythonQt offers it, over PySide6.

3D Slicer reaches Qt through PythonQt, whose manners differ from PySide6's: Qt properties are Python
attributes, signals are connected by their C++ signature, new attributes on C++ objects are refused.
`install_qt()` registers a module with these manners, so that a Slicer module runs unchanged.
"""

import functools
import re
import sys
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtWidgets

from .pythonqt_objects import (
    adapter_of,
    class_members,
    guarded_call,
    isinstance_by_native_class,
    slot_errors,
    to_python,
)
from .pythonqt_values import QT_MODULES, make_enums_integers
from .ui_loader import UiLoader

__all__ = ["install_qt", "slot_errors"]


def _single_shot(delay_ms: int, function: Callable) -> None:
    if not callable(function):
        raise TypeError(f"{function!r} is not callable")
    QtCore.QTimer.singleShot(delay_ms, lambda: guarded_call(function))


def _first_of_pair(function: Callable) -> staticmethod:
    """PySide6 returns (value, filter or ok); PythonQt returns the value alone."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return to_python(function(*arguments)[0])

    return staticmethod(call)


def _with_manners(function: Callable) -> staticmethod:
    """A static function of Qt whose result gets PythonQt's manners."""
    return staticmethod(lambda *arguments: to_python(function(*arguments)))


_CLASS_MEMBERS: dict[str, dict[str, Any]] = {
    "QTimer": {"singleShot": staticmethod(_single_shot)},
    "QFileDialog": {
        name: _first_of_pair(getattr(QtWidgets.QFileDialog, name))
        for name in ("getOpenFileName", "getOpenFileNames", "getSaveFileName")
    },
    "QInputDialog": {
        name: _first_of_pair(getattr(QtWidgets.QInputDialog, name))
        for name in ("getText", "getInt", "getDouble", "getItem", "getMultiLineText")
    },
    "QApplication": {
        name: _with_manners(getattr(QtWidgets.QApplication, name))
        for name in ("activeWindow", "clipboard", "focusWidget", "instance", "topLevelWidgets")
    },
}


def _lookup(name: str) -> Any:
    """`qt.<name>`: the adapter class, value class or namespace of that name."""
    if re.match(r"Q[A-Zt]", name):
        for module in QT_MODULES:
            if hasattr(module, name):
                found = getattr(module, name)
                is_object = isinstance(found, type) and issubclass(found, QtCore.QObject)
                return adapter_of(found) if is_object else found
    raise AttributeError(f"module 'qt' has no attribute '{name}'")


def install_qt() -> types.ModuleType:
    """Register the module `qt`; the same one at every call."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    make_enums_integers()
    class_members.update(_CLASS_MEMBERS)
    # A metaclass of our own would be the plain way; Shiboken crashes on objects of such classes.
    type(QtCore.QObject).__instancecheck__ = isinstance_by_native_class
    qt = types.ModuleType("qt", "Qt as PythonQt offers it, over PySide6.")
    qt.QUiLoader = UiLoader

    def module_getattr(name: str) -> Any:
        value = _lookup(name)
        setattr(qt, name, value)
        return value

    qt.__getattr__ = module_getattr
    sys.modules["qt"] = qt
    return qt
