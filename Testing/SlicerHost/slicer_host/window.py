"""The development host's main window: module panel on the left, slice and 3D views on the right."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from PySide6 import QtCore, QtGui

from .layout import qSlicerLayoutManager

TITLE = "SkullImplant development host"
DISCLOSURE = "Development host: real MRML, Qt and VTK; not the Slicer application"
DEFAULT_SIZE = QtCore.QSize(1440, 900)
PANEL_WIDTH = 430
PANEL_MARGIN = 4
# Showing and laying out take a few turns of the event loop before every view has its final size.
SETTLE_MS = 200


class HostWindow(qt.QMainWindow):
    """Shows a module's panel beside the views of the host's scene, as Slicer's main window does.

    `host` is what `slicer_host.start()` returned; from here on `slicer.app.layoutManager()` is this
    window's, until the window is closed.
    """

    def __init__(self, host) -> None:
        super().__init__()
        self._host = host
        self._module_widget = None
        # slicer.util.mainWindow() finds the application's window by this name.
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle(TITLE)
        self.resize(DEFAULT_SIZE)

        central = qt.QWidget()
        column = qt.QVBoxLayout(central)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.disclosure = _disclosure()
        column.addWidget(self.disclosure)
        splitter = qt.QSplitter()
        column.addWidget(splitter, 1)
        self.setCentralWidget(central)

        self._heading = qt.QLabel()
        self._scroll_area = qt.QScrollArea()
        self._scroll_area.setWidgetResizable(True)
        self._scroll_area.setFrameShape(qt.QFrame.Shape.NoFrame)
        self._scroll_area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        splitter.addWidget(_panel(self._heading, self._scroll_area))

        viewport = qt.QWidget()
        viewport.setObjectName("CentralWidgetLayoutFrame")
        splitter.addWidget(viewport)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([PANEL_WIDTH, self.width - PANEL_WIDTH])
        self.layout_manager = qSlicerLayoutManager(slicer.app.applicationLogic(), viewport)
        slicer.app.setLayoutManager(self.layout_manager)

    def show_module(self, module_widget) -> None:
        """Leave the panel that is shown, if any, and enter this ScriptedLoadableModuleWidget's."""
        if self._module_widget is not None:
            self._scroll_area.takeWidget().setParent(None)
        self._module_widget = module_widget
        panel = module_widget.parent
        self._heading.setText(panel.windowTitle)
        self._scroll_area.setWidget(panel)
        panel.show()
        self._host.enter(module_widget)  # leaves the one before

    def screenshot(self, path: Path | str, size: tuple[int, int] | None = None) -> None:
        """Save the window as a PNG, every view rendered to its current state."""
        if size is not None:
            self.resize(*size)
        self.show()
        _run_event_loop(SETTLE_MS)
        picture = self.grab()
        if not picture.save(str(path), "PNG"):
            raise OSError(f"Could not write the screenshot {path}")

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        if self._module_widget is not None and self._module_widget.parent.isEntered:
            self._host.exit(self._module_widget)
        if slicer.app.layoutManager() is self.layout_manager:
            slicer.app.setLayoutManager(None)
            self.layout_manager._finalize()
        super().closeEvent(event)


def _disclosure() -> qt.QLabel:
    line = qt.QLabel(DISCLOSURE)
    line.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
    line.setStyleSheet("background: #40444b; color: #e6e6e6; padding: 2px; font-size: 11px;")
    return line


def _panel(heading: qt.QLabel, scroll_area: qt.QScrollArea) -> qt.QWidget:
    """The left column: "Modules: <heading>" above the scrolling panel."""
    panel = qt.QWidget()
    panel.setMinimumWidth(PANEL_WIDTH)
    column = qt.QVBoxLayout(panel)
    column.setContentsMargins(PANEL_MARGIN, PANEL_MARGIN, PANEL_MARGIN, PANEL_MARGIN)
    row = qt.QHBoxLayout()
    row.addWidget(qt.QLabel("Modules:"))
    heading.setFrameShape(qt.QFrame.Shape.StyledPanel)
    heading.setMargin(3)
    font = heading.font
    font.setBold(True)
    heading.setFont(font)
    row.addWidget(heading, 1)
    column.addLayout(row)
    column.addWidget(scroll_area, 1)
    return panel


def _run_event_loop(duration_ms: int) -> None:
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(duration_ms, loop.quit)
    loop.exec()
