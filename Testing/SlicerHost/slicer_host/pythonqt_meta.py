"""What Qt's meta-objects say of a class: its properties and signals, under PythonQt's names."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from .pythonqt_values import property_value

# Names that came with Qt 6 and that might tempt a module: Slicer is also built on Qt 5.15.
_NOT_IN_QT5 = {
    "QAction": ("checkableChanged", "enabledChanged", "visibleChanged"),
    "QCheckBox": ("checkStateChanged",),
    "QComboBox": ("labelDrawingMode",),
    "QMessageBox": ("options", "setOption", "setOptions", "testOption"),
    "QWidget": ("accessibleIdentifier",),
}


def meta_object(instance: QtCore.QObject) -> QtCore.QMetaObject:
    """What Qt knows of the object's class."""
    # Not the object's own `metaObject()`: when the object goes, PySide6 takes the class's from all.
    return type(instance).staticMetaObject


def is_destroyed(instance: QtCore.QObject) -> bool:
    """Whether the C++ object is gone."""
    try:
        QtCore.QObject.signalsBlocked(instance)
    except RuntimeError:
        return True
    return False


@functools.cache
def native_base(cls: type) -> type:
    """The PySide6 class that an adapter class (or PySide6 class) stands on."""
    return next(base for base in cls.__mro__ if base.__module__.startswith("PySide6."))


@functools.cache
def properties_of(adapter_class: type) -> dict[str, QtCore.QMetaProperty]:
    """The class's Qt properties by the name under which PythonQt shows them."""
    meta = adapter_class.staticMetaObject
    found = {meta.property(i).name(): meta.property(i) for i in range(meta.propertyCount())}
    if issubclass(adapter_class, QtCore.QTimer):
        del found["singleShot"]  # PythonQt leaves the name to the static function.
    if "name" not in found:
        found["name"] = found["objectName"]
    return {name: value for name, value in found.items() if not newer_than_qt5(adapter_class, name)}


@functools.cache
def newer_than_qt5(cls: type, name: str) -> bool:
    """Whether the class has the name in Qt 6 only."""
    return any(name in _NOT_IN_QT5.get(base.__name__, ()) for base in cls.__mro__)


def has_dynamic_property(native: QtCore.QObject, name: str) -> bool:
    """Whether the object itself was given a property of that name."""
    return any(found.data() == name.encode() for found in native.dynamicPropertyNames())


def write_property(
    native: QtCore.QObject, name: str, property_: QtCore.QMetaProperty, value: Any
) -> None:
    """Write a property; raises AttributeError, as PythonQt, where it does not take the value."""
    if is_destroyed(native):
        raise AttributeError(f"Trying to set property '{name}' on a destroyed object")
    if not property_.isWritable():
        raise AttributeError(f"Property '{name}' of {type(native).__name__} is not writable")
    try:
        written = property_.write(native, property_value(value, property_))
    except (TypeError, ValueError, OverflowError):
        written = False
    if not written:
        raise AttributeError(
            f"Property '{name}' of type '{property_.typeName()}' does not accept an object of"
            f" type {type(value).__name__} ({value!r})"
        )


def meta_signature(signature: str) -> str:
    """A C++ signature as the meta-object of the adapter spells it: pointers to VTK are PyObject."""
    if "PyObject" in signature:
        raise ValueError(f"'{signature}' is no C++ signature")
    normal = QtCore.QMetaObject.normalizedSignature(signature.lstrip("012345")).data().decode()
    return re.sub(r"\bvtk(?:\w+\*|IdType)", "PyObject", normal)


def existing_signal(sender: QtCore.QObject, signal: str) -> str:
    """The signal's signature; raises AttributeError where the sender has none such."""
    is_new = newer_than_qt5(type(sender), signal.split("(")[0])
    if is_new or meta_object(sender).indexOfSignal(signal) < 0:
        overloads = signal_signatures(sender, signal.split("(")[0])
        raise AttributeError(
            f"signal '{signal}' does not exist on {type(sender).__name__}"
            f" (it has {', '.join(overloads) or 'none of that name'})"
        )
    return signal


def signal_signatures(sender: QtCore.QObject, name: str) -> list[str]:
    """The overloads of a signal, in the order of their declaration."""
    meta = meta_object(sender)
    methods = [meta.method(index) for index in range(meta.methodCount())]
    return [
        method.methodSignature().data().decode()
        for method in methods
        if method.methodType() == QtCore.QMetaMethod.Signal and method.name() == name.encode()
    ]


def accepted_arguments(function: Callable) -> int | None:
    """How many of a signal's arguments PythonQt passes to the callable; None: all of them."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARARGS:
        return None
    return code.co_argcount - int(inspect.ismethod(function))
