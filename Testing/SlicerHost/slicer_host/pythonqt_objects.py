"""Objects and signals as PythonQt offers them: attribute access, connect, adapter classes.

The rules follow PythonQt's own source (`PythonQtInstanceWrapper.cpp`, `PythonQtSignalReceiver.cpp`,
`PythonQtStdDecorators.cpp`). Where PythonQt only prints a warning (an unknown signal in `connect`),
the host raises: what would silently do nothing in Slicer has to fail here. Code of the host that
wants PySide6's own manners subclasses PySide6's classes; their instances are left as they are.
"""

import contextlib
import functools
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

import shiboken6
from PySide6 import QtCore

from .pythonqt_meta import (
    accepted_arguments,
    existing_signal,
    has_dynamic_property,
    is_destroyed,
    meta_object,
    meta_signature,
    native_base,
    newer_than_qt5,
    properties_of,
    signal_signatures,
    write_property,
)

#: Exceptions raised by Python callables that a signal or a timer called, oldest first.
slot_errors: list[BaseException] = []

#: What single adapter classes have besides their PySide6 class: name -> members.
class_members: dict[str, dict[str, Any]] = {}
# Properties being read: Qt may look the same name up again, as a virtual method.
_being_read: set[tuple[int, str]] = set()
_ignoring_new_attributes = False


@contextlib.contextmanager
def new_attributes_ignored() -> Iterator[None]:
    """While PySide6's form builder runs, which sets each child as an attribute of the form."""
    global _ignoring_new_attributes
    _ignoring_new_attributes = True
    try:
        yield
    finally:
        _ignoring_new_attributes = False


def guarded_call(function: Callable, *arguments: Any) -> Any:
    """Call as PythonQt calls a slot: an exception is shown and recorded, and goes no further."""
    try:
        return function(*arguments)
    except Exception as error:
        slot_errors.append(error)
        traceback.print_exc()
        return None


# --- values ---------------------------------------------------------------------------------------


def to_python(value: Any) -> Any:
    """A value that came from Qt as PythonQt hands it out."""
    if isinstance(value, list):
        return tuple(to_python(item) for item in value)
    if type(value).__module__.startswith("PySide6.") and isinstance(value, QtCore.QObject):
        return NativeObject(value)
    return value


def unwrapped(value: Any) -> Any:
    """What Qt itself can take: the PySide6 object behind a `NativeObject`; all else as it is."""
    return object.__getattribute__(value, "_native") if type(value) is NativeObject else value


# --- signals --------------------------------------------------------------------------------------


def connect_callable(sender: QtCore.QObject, signature: str, function: Callable) -> bool:
    """Connect; raises AttributeError where PythonQt would warn that there is no such signal."""
    if not callable(function):
        raise TypeError(f"{function!r} is not callable")
    sender = unwrapped(sender)
    signal = existing_signal(sender, meta_signature(signature))
    accepted = accepted_arguments(function)

    def relay(*arguments: Any) -> None:
        guarded_call(function, *map(to_python, arguments[:accepted]))

    connection = QtCore.QObject.connect(sender, f"2{signal}", relay)
    _connections(sender).append((signal, function, connection))
    return True


def disconnect_callable(
    sender: QtCore.QObject, signature: str, function: Callable | None = None
) -> bool:
    """Take away one connection to the callable, or all that were made here; False if none was."""
    signal = existing_signal(sender, meta_signature(signature))
    made = _connections(sender)
    matching = [
        entry for entry in made if entry[0] == signal and (function is None or entry[1] == function)
    ]
    for entry in matching if function is None else matching[:1]:
        QtCore.QObject.disconnect(entry[2])
        made.remove(entry)
    return bool(matching)


def connect_slot(sender: QtCore.QObject, signal: str, receiver: QtCore.QObject, slot: str) -> bool:
    """Connect to a receiver's slot (or signal) named by signature; both must exist."""
    method = meta_signature(slot)
    if meta_object(unwrapped(receiver)).indexOfMethod(method) < 0:
        raise AttributeError(f"slot '{slot}' does not exist on {type(receiver).__name__}")
    accepted = 0 if method.endswith("()") else method.count(",") + 1
    function = getattr(receiver, method.split("(")[0])
    return connect_callable(sender, signal, lambda *arguments: function(*arguments[:accepted]))


def _connections(sender: QtCore.QObject) -> list[tuple[str, Callable, Any]]:
    return object.__getattribute__(sender, "__dict__").setdefault("_pythonqt_connections", [])


class BoundSignal:
    """A signal of an object as PythonQt's attribute: connect, disconnect, emit, call."""

    __slots__ = ("_name", "_native", "_sender")

    def __init__(self, sender: QtCore.QObject, name: str, native: QtCore.SignalInstance) -> None:
        self._sender, self._name, self._native = sender, name, native

    def _signature(self) -> str:
        # PythonQt takes the first declared overload, with all of its arguments.
        first = signal_signatures(self._sender, self._name)[0]
        return first.replace("PyObject", "vtkObject*")

    def connect(self, function: Callable) -> bool:
        return connect_callable(self._sender, self._signature(), function)

    def disconnect(self, function: Callable | None = None) -> bool:
        return disconnect_callable(self._sender, self._signature(), function)

    def emit(self, *arguments: Any) -> None:
        self._native.emit(*arguments)

    __call__ = emit


def emit_overload(sender: QtCore.QObject, name: str, kind: type, value: Any) -> None:
    """Emit the overload of a signal whose one argument is of that Python type."""
    native_base(type(sender)).__getattribute__(sender, name)[kind].emit(value)


# --- objects --------------------------------------------------------------------------------------


class NativeMethod:
    """A method of Qt bound to its object; results come back as PythonQt hands them out."""

    __slots__ = ("_method", "_owner")

    def __init__(self, owner: QtCore.QObject, method: Callable) -> None:
        self._owner, self._method = owner, method

    def __call__(self, *arguments: Any) -> Any:
        return to_python(self._method(*map(unwrapped, arguments)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NativeMethod) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, str]:
        return id(self._owner), self._method.__name__


def isinstance_by_native_class(cls: type, instance: object) -> bool:
    """`isinstance` for adapter classes: an instance of `qt.QWidget` is whatever is one in Qt."""
    native = cls.__dict__.get("_native_class")
    return (
        isinstance(unwrapped(instance), native) if native else type.__instancecheck__(cls, instance)
    )


def _python_classes(adapter_class: type) -> list[type]:
    """The adapter classes among the class and its bases, and what the user derived from them."""
    return [
        owner
        for owner in adapter_class.__mro__
        if issubclass(owner, PythonQtObject) and owner is not PythonQtObject
    ]


@functools.cache
def _python_functions(adapter_class: type) -> frozenset[str]:
    """Names of the functions that Python classes define: they override what Qt has of that name."""
    return frozenset(
        name
        for owner in _python_classes(adapter_class)
        for name, value in vars(owner).items()
        if isinstance(value, types.FunctionType)
    )


@functools.cache
def _declared_state(adapter_class: type) -> frozenset[str]:
    """Private attributes that the host's own classes announce: annotations and defaults."""
    return frozenset(
        name
        for owner in _python_classes(adapter_class)
        for name in [*vars(owner).get("__annotations__", {}), *vars(owner)]
        if name.startswith("_") and not name.startswith("__")
    )


class PythonQtManners:
    """How objects behave in PythonQt: attribute access, and the methods that PythonQt adds.

    The Qt object is the instance itself (adapter classes) or behind it (`NativeObject`).
    """

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") or name in vars(PythonQtManners):
            return object.__getattribute__(self, name)
        native = unwrapped(self)
        own = object.__getattribute__(native, "__dict__")
        # PySide6 keeps the instance's signals in its dictionary, too.
        if not isinstance(own.get(name), QtCore.SignalInstance | None):
            return own[name]
        cls = type(native)
        property_ = properties_of(cls).get(name)
        key = (id(native), name)
        if property_ and name not in _python_functions(cls) and key not in _being_read:
            if is_destroyed(native):
                raise ValueError(f"Trying to read property '{name}' from a destroyed object")
            _being_read.add(key)
            try:
                return to_python(property_.read(native))
            finally:
                _being_read.discard(key)
        if newer_than_qt5(cls, name):
            raise AttributeError(f"{cls.__name__}.{name} is not in Qt 5")
        # The PySide6 class's own lookup binds methods that are static, too (`QFile.exists`).
        value = native_base(cls).__getattribute__(native, name)
        if isinstance(value, QtCore.SignalInstance):
            return BoundSignal(native, name, value)
        if isinstance(value, types.BuiltinMethodType) and not name.startswith("_"):
            return NativeMethod(native, value)
        return value

    def __getattr__(self, name: str) -> Any:
        """What is neither a property nor in the class: dynamic property, `exec_`, child."""
        native = unwrapped(self)
        cls = type(native)
        if not name.startswith("_"):
            if has_dynamic_property(native, name):
                return to_python(QtCore.QObject.property(native, name))
            if name.endswith("_") and hasattr(cls, name[:-1]):
                return getattr(self, name[:-1])
            for child in QtCore.QObject.children(native):
                if QtCore.QObject.objectName(child) == name:
                    return to_python(child)
        if name in getattr(cls, "_real_names", ()):
            raise NotImplementedError(
                f"{cls.__name__}.{name} exists in Slicer; the development host has not got it"
            )
        raise AttributeError(f"{cls.__name__} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        native = unwrapped(self)
        cls = type(native)
        if property_ := properties_of(cls).get(name):
            write_property(native, name, property_, unwrapped(value))
        elif has_dynamic_property(native, name):
            QtCore.QObject.setProperty(native, name, value)
        elif _is_host_class(cls) and name not in _declared_state(cls):
            if not _ignoring_new_attributes:
                raise AttributeError(
                    f"'{name}' does not exist on {cls.__name__} and creating new attributes on"
                    " C++ objects is not allowed"
                )
        elif name in _qt_members(cls):
            raise AttributeError(f"'{name}' can not be overwritten on {cls.__name__} object")
        else:
            super().__setattr__(name, value)

    def connect(self, signal: str, receiver: Any, slot: str | None = None) -> bool:
        if slot is not None:
            return connect_slot(unwrapped(self), signal, receiver, slot)
        return connect_callable(unwrapped(self), signal, receiver)

    def disconnect(self, signal: str, receiver: Any = None, slot: str | None = None) -> bool:
        if slot is not None:
            raise NotImplementedError("disconnect() from a slot given by its signature")
        return disconnect_callable(unwrapped(self), signal, receiver)

    def className(self) -> str:
        return self.metaObject().className()

    def metaObject(self) -> QtCore.QMetaObject:
        return meta_object(unwrapped(self))

    def inherits(self, class_name: str) -> bool:
        native = unwrapped(self)
        names = [base.__name__ for base in type(native).__mro__]
        return class_name in names or QtCore.QObject.inherits(native, class_name)

    def delete(self) -> None:
        shiboken6.delete(unwrapped(self))

    def findChildren(self, kind: type | str, name: str = "") -> tuple:
        """Descendants of a class (or class name) and, if given, with an object name."""
        found = []
        for child in map(to_python, QtCore.QObject.children(unwrapped(self))):
            of_kind = child.inherits(kind) if isinstance(kind, str) else isinstance(child, kind)
            if of_kind and name in ("", child.name):
                found.append(child)
            found += child.findChildren(kind, name)
        return tuple(found)

    def findChild(self, kind: type | str, name: str = "") -> Any:
        return next(iter(self.findChildren(kind, name)), None)


class PythonQtObject(PythonQtManners):
    """Mixed in before the PySide6 class of every adapter class."""

    # The host's own classes set this in their bodies; a class that does not is the user's.
    _host_class = True
    # Names that the real class has, where it is listed (see `real_api.py`).
    _real_names: frozenset[str] = frozenset()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*map(unwrapped, arguments))


class NativeObject(PythonQtManners):
    """An object that C++ made, such as a combo box's line edit, with PythonQt's manners.

    Shiboken does not let such an object become an instance of an adapter class, so it stays behind
    this one; `isinstance` and comparison see through it.
    """

    __slots__ = ("_native",)

    def __init__(self, native: QtCore.QObject) -> None:
        object.__setattr__(self, "_native", native)

    @property
    def __class__(self) -> type:
        return adapter_of(type(unwrapped(self)))

    def __eq__(self, other: object) -> bool:
        return unwrapped(self) is unwrapped(other)

    def __hash__(self) -> int:
        return hash(unwrapped(self))

    def __repr__(self) -> str:
        return repr(unwrapped(self))


def _is_host_class(cls: type) -> bool:
    return "_host_class" in vars(cls) or not issubclass(cls, PythonQtObject)


@functools.cache
def _qt_members(cls: type) -> frozenset[str]:
    """Signals, methods and enumerations that a user's class has from Qt or from the host."""
    base = next(base for base in cls.__mro__ if _is_host_class(base))
    return frozenset(name for name in dir(base) if not name.startswith("_"))


@functools.cache
def adapter_of(native_class: type) -> type:
    """The adapter class of a PySide6 class that derives from QObject."""
    name = native_class.__name__
    body = {"_native_class": native_class, "_host_class": True, "__module__": "qt"}
    return type(native_class)(
        name, (PythonQtObject, native_class), body | class_members.get(name, {})
    )
