"""Values between Python and Qt as PythonQt converts them: properties and enumerations."""

import enum
import math
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

QT_MODULES = (QtWidgets, QtGui, QtCore)


def property_value(value: Any, property_: QtCore.QMetaProperty) -> Any:
    """A Python value for a property of that type, by PythonQt's lax conversions.

    Raises TypeError or ValueError where PythonQt finds no conversion.
    """
    type_name = property_.typeName()
    if type_name == "bool":
        return bool(value)
    if type_name in ("int", "uint", "qlonglong"):
        return math.floor(value) if isinstance(value, float) else int(value)
    if type_name in ("double", "float"):
        return float(value)
    if type_name == "QString":
        return str(value)
    if type_name == "QStringList":
        if isinstance(value, str) or not all(isinstance(item, str) for item in value):
            raise TypeError("a sequence of strings is needed")
        return list(value)
    value_class = getattr(QtGui, type_name, None)
    if isinstance(value_class, type) and isinstance(value, value_class):
        return value_class.__copy__(value)  # PySide6 refuses instances of Python subclasses.
    return value


def make_enums_integers() -> None:
    """Let Qt's enumerations compare with and convert to int, as PythonQt's do."""

    def equal(self: enum.Enum, other: object) -> bool:
        if isinstance(other, int) and not isinstance(other, type(self)):
            return self.value == other
        return self is other

    def enumerations(owner: Any, depth: int = 0) -> list[type[enum.Enum]]:
        found = []
        for value in vars(owner).values():
            if isinstance(value, type) and issubclass(value, enum.Enum):
                found.append(value)
            elif isinstance(value, type) and depth == 0:
                found += enumerations(value, depth + 1)
        return found

    for module in QT_MODULES:
        for enumeration in enumerations(module):
            if not issubclass(enumeration, int):
                enumeration.__eq__ = equal
                enumeration.__hash__ = lambda self: hash(self.value)
                enumeration.__int__ = lambda self: self.value
                enumeration.__index__ = lambda self: self.value

    color_name = QtGui.QColor.name

    def name_in_format(color: QtGui.QColor, name_format: int = 0) -> str:
        return color_name(color, QtGui.QColor.NameFormat(int(name_format)))

    # The one place where Slicer's own Python code gives Qt an integer for an enumeration.
    QtGui.QColor.name = name_in_format
