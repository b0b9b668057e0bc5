"""`qt.QUiLoader`: builds a Designer form out of adapter widgets, and only out of what it declares.

A class, property, signal or slot in the form that does not exist is an error here; Slicer itself
says little or nothing about it. No connection is made that the form does not declare.
"""

import enum
import sys
import xml.etree.ElementTree as ET
from typing import Any

from PySide6 import QtCore, QtUiTools

from .pythonqt_meta import properties_of
from .pythonqt_objects import connect_slot, new_attributes_ignored, to_python
from .real_api import real_classes

# Modules in which the classes named in a form are looked for.
_CLASS_MODULES = ("qt", "ctk", "slicer")


class UiError(RuntimeError):
    """The form names something that does not exist."""


def widget_class(name: str) -> type:
    """The adapter class of that name."""
    for module in _CLASS_MODULES:
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type):
            return cls
    known = name in real_classes()
    raise UiError(
        f"The form uses a class {name}, "
        + ("which the development host has not got" if known else "which does not exist")
    )


def _enum_value(text: str, owner: type) -> Any:
    """The value of `Class::Name` or `Class::Name|Class::Other` as a form writes it."""
    result = None
    for part in filter(None, text.split("|")):
        *scope, name = part.split("::")
        holder = owner if not scope or scope[0] == owner.__name__ else _scope(scope[0])
        value = getattr(holder, name, None)
        if not isinstance(value, enum.Enum | int):
            raise UiError(f"The form uses a value {part}, which does not exist")
        result = value if result is None else result | value
    return result


def _scope(name: str) -> Any:
    return getattr(sys.modules["qt"], name, None) or widget_class(name)


class _FormBuilder(QtUiTools.QUiLoader):
    """Makes every widget, layout and action of the form an adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, QtCore.QObject] = {}
        self.errors: list[Exception] = []

    def _make(self, class_name: str, parent: QtCore.QObject | None, name: str) -> Any:
        # Called from C++: what is raised here would be lost, so `UiLoader.load` raises it.
        try:
            made = widget_class(class_name)(*([] if parent is None else [parent]))
        except Exception as error:
            self.errors.append(error)
            return None
        made.name = name
        self.made[name] = made
        return made

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        if class_name == "Line":  # Designer's own word for a QFrame drawn as a line.
            class_name = "QFrame"
        return self._make(class_name, parent, name)

    def createLayout(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        # A layout inside a layout is given to its widget by the builder itself.
        is_widget = parent is not None and parent.isWidgetType() and parent.layout() is None
        return self._make(class_name, parent if is_widget else None, name)

    def createAction(self, parent: Any = None, name: str = "") -> Any:
        return self._make("QAction", parent, name)


class UiLoader:
    """PythonQt's QUiLoader, as far as `slicer.util.loadUI` needs it."""

    def load(self, file: QtCore.QIODevice, parent: Any = None) -> Any:
        """The form's top widget. Raises UiError for anything in it that does not exist."""
        if not file.isOpen():
            file.open(QtCore.QIODevice.ReadOnly)
        return self.load_text(bytes(file.readAll().data()).decode("utf-8"), parent)

    def load_text(self, text: str, parent: Any = None) -> Any:
        form = ET.fromstring(text)
        _check_properties(form)
        connections = form.find("connections")
        if connections is not None:
            form.remove(connections)
        enumerations = _take_enumerations(form)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(form, encoding="utf-8"))
        buffer.open(QtCore.QIODevice.ReadOnly)
        builder = _FormBuilder()
        with new_attributes_ignored():
            root = builder.load(buffer, parent)
        if builder.errors:
            raise builder.errors[0]
        if root is None:
            raise UiError(f"The form could not be built: {builder.errorString()}")
        for object_name, property_name, value in enumerations:
            setattr(builder.made[object_name], property_name, value)
        for connection in [] if connections is None else connections.iter("connection"):
            _connect(builder.made, connection)
        return to_python(root)


# A property of forms alone, which Qt's builder makes a call of.
BUDDY = ("QLabel", "buddy")


def _check_properties(form: ET.Element) -> None:
    for element in form.iter("widget"):
        cls = widget_class(_class_name(element))
        for declared in element.findall("property"):
            name = declared.get("name", "")
            if declared.get("stdset") == "0" or name in properties_of(cls):
                continue
            if (cls.__name__, name) == BUDDY:
                continue
            if not (_class_name(element) == "QFrame" and element.get("class") == "Line"):
                raise UiError(
                    f"The form sets {name} of {element.get('name')},"
                    f" a property that {cls.__name__} does not have"
                )


def _class_name(element: ET.Element) -> str:
    name = element.get("class", "")
    return "QFrame" if name == "Line" else name


def _take_enumerations(form: ET.Element) -> list[tuple[str, str, Any]]:
    """Take from the form what Qt's builder cannot set: enumerations of Python's properties."""
    taken = []
    for element in form.iter("widget"):
        cls = widget_class(_class_name(element))
        for declared in element.findall("property"):
            name, value = declared.get("name", ""), declared[0]
            property_ = properties_of(cls).get(name)
            if value.tag in ("enum", "set") and property_ and not property_.isEnumType():
                taken.append((element.get("name"), name, _enum_value(value.text or "", cls)))
                element.remove(declared)
    return taken


def _connect(made: dict[str, QtCore.QObject], connection: ET.Element) -> None:
    sender, signal, receiver, slot = (
        connection.findtext(part, "") for part in ("sender", "signal", "receiver", "slot")
    )
    for name in (sender, receiver):
        if name not in made:
            raise UiError(f"The form connects {name}, which it does not contain")
    connect_slot(made[sender], signal, made[receiver], slot)
