"""The development host's main window: module panel on the left, slice and 3D views on the right."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from PySide6 import QtCore, QtGui

from .layout import qSlicerLayoutManager
from .module_panel import qSlicerModulePanel
from .module_selector import qSlicerModuleSelectorToolBar

TITLE = "Slicer module development host"
DISCLOSURE = "Development host: real MRML, Qt and VTK; not the Slicer application"
DEFAULT_SIZE = QtCore.QSize(1440, 900)
PANEL_WIDTH = 430
PANEL_GAP = 2
# Showing and laying out take a few turns of the event loop before every view has its final size.
SETTLE_MS = 200


class HostWindow(qt.QMainWindow):
    """Shows a module's panel beside the views of the host's scene, as Slicer's main window does.

    The user switches between the modules that have a panel with the selector above it.

    `host` is what `slicer_host.start()` returned; from here on `slicer.app.layoutManager()` is this
    window's, until the window is closed.
    """

    def __init__(self, host) -> None:
        super().__init__()
        self._host = host
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

        self.module_panel = qSlicerModulePanel()
        self.module_panel.setModuleManager(slicer.app.moduleManager())
        self._module_selector = qSlicerModuleSelectorToolBar()
        self._module_selector.connect("moduleSelected(QString)", self._show_panel)
        self._module_selector.setModuleManager(slicer.app.moduleManager())
        splitter.addWidget(_column(self._module_selector, self.module_panel))
        splitter.setCollapsible(0, False)

        viewport = qt.QWidget()
        viewport.setObjectName("CentralWidgetLayoutFrame")
        splitter.addWidget(viewport)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([PANEL_WIDTH, self.width - PANEL_WIDTH])
        self.layout_manager = qSlicerLayoutManager(slicer.app.applicationLogic(), viewport)
        slicer.app.setLayoutManager(self.layout_manager)

    def moduleSelector(self) -> qSlicerModuleSelectorToolBar:
        """The selector by which the user, or `slicer.util.selectModule`, switches modules."""
        return self._module_selector

    def show_module(self, module_widget) -> None:
        """Select the module of this ScriptedLoadableModuleWidget."""
        self._module_selector.selectModule(module_widget.moduleName)

    def _show_panel(self, module_name: str) -> None:
        """Leave the panel that is shown, wherever, and enter the module's."""
        self._host.leave()
        self.module_panel.setModule(module_name)

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
        self._module_selector.setModuleManager(None)
        self.module_panel.setModule("")
        # A closed window is not the one that slicer.util.mainWindow() looks for.
        self.setObjectName("")
        if slicer.app.layoutManager() is self.layout_manager:
            slicer.app.setLayoutManager(None)
            self.layout_manager._finalize()
        super().closeEvent(event)


def _disclosure() -> qt.QLabel:
    line = qt.QLabel(DISCLOSURE)
    line.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
    line.setStyleSheet("background: #40444b; color: #e6e6e6; padding: 2px; font-size: 11px;")
    return line


def _column(module_selector: qt.QWidget, module_panel: qt.QWidget) -> qt.QWidget:
    """The left column: the selector above the panel, with the margins of Slicer's dock widget."""
    widget = qt.QWidget()
    widget.setSizePolicy(qt.QSizePolicy.Minimum, qt.QSizePolicy.Preferred)
    column = qt.QVBoxLayout(widget)
    column.setSpacing(PANEL_GAP)
    column.setContentsMargins(0, PANEL_GAP, 0, 0)
    column.addWidget(module_selector)
    column.addWidget(module_panel, 1)
    return widget


def _run_event_loop(duration_ms: int) -> None:
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(duration_ms, loop.quit)
    loop.exec()
