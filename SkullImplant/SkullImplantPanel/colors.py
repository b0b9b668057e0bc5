"""Colors of texts that tell good from bad, readable on the panel as it is."""

import qt

# On a light window and on a dark one, each with a contrast of at least 4.5 (WCAG 2.1, 1.4.3).
GOOD_COLORS, LOOK_COLORS, BAD_COLORS = ("#1f7a33", "#69db7c"), ("#a34f00", "#ffa94d"), ("#b3202c", "#ff8787")
# Grays that are seen to be out of force and can still be read.
GRAY_COLORS = ("#757575", "#9a9a9a")
HALF = 128


def readableColor(widget: qt.QWidget, colors: tuple[str, str]) -> str:
    """Return the one of two colors, for a light and for a dark window, that is readable on a widget."""
    onLight, onDark = colors
    return onDark if widget.palette.color(qt.QPalette.Window).lightness() < HALF else onLight


def lookStyle(widget: qt.QWidget) -> str:
    """Return the style of a label that tells what to look at, readable on a widget."""
    return f"color: {readableColor(widget, LOOK_COLORS)};"


def grayOf(widget: qt.QWidget) -> str:
    """Return the color of texts that tell of what is not so any more."""
    return readableColor(widget, GRAY_COLORS)
