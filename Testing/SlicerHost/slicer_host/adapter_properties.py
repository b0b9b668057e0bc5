"""Qt properties of adapter classes that only store a value or pass it to a part of the widget."""

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore


def stored(
    kind: Any, attribute: str, changed: Callable[[Any], None] | None = None
) -> QtCore.Property:
    """A property kept in an attribute of the widget; `changed(widget)` runs after each write."""

    def read(widget: Any) -> Any:
        return getattr(widget, attribute)

    def write(widget: Any, value: Any) -> None:
        setattr(widget, attribute, value)
        if changed is not None:
            changed(widget)

    return QtCore.Property(kind, read, write)


def forwarded(kind: Any, part: str, name: str) -> QtCore.Property:
    """A property that is the property `name` of the widget's part (an attribute of it)."""

    def read(widget: Any) -> Any:
        return getattr(getattr(widget, part), name)

    def write(widget: Any, value: Any) -> None:
        setattr(getattr(widget, part), name, value)

    return QtCore.Property(kind, read, write)
