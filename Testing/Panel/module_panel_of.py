"""The host window's module panel, as Slicer's has it."""

from typing import Any


def scroll_area(window: Any) -> Any:
    """Return the scroll area of a window's module panel."""
    import qt  # there once the host is

    return window.module_panel.findChild(qt.QScrollArea, "ScrollArea")
