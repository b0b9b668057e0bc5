"""Notices that the desktop or the application became dark or light.

Slicer's Python (PythonQt) hands virtual methods of widgets to subclasses in Python, as its script repository shows
for an application that is closed; of a plain QObject it does not, so that the filter is a widget that is never shown.
"""

from collections.abc import Callable
from typing import Any

import qt


class ThemeWatch(qt.QWidget):
    """Tells when the palette or the style of a widget changes.

    :param watched: the widget.
    :param onChanged: called once the change is through, on the event loop's next turn.
    """

    def __init__(self, watched: qt.QWidget, onChanged: Callable[[], None]) -> None:
        qt.QWidget.__init__(self)
        self._watched: qt.QWidget | None = watched
        self._onChanged = onChanged
        self._isPending = False
        watched.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Called with every event of the widget; holds none of them up."""
        if event.type() in (qt.QEvent.PaletteChange, qt.QEvent.StyleChange) and not self._isPending:
            self._isPending = True
            qt.QTimer.singleShot(0, self._tell)
        return False

    def forget(self) -> None:
        """Watch no longer."""
        if self._watched is not None:
            self._watched.removeEventFilter(self)
            self._watched = None

    def _tell(self) -> None:
        self._isPending = False
        if self._watched is not None:
            self._onChanged()
