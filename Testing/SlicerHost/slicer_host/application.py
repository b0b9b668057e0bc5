"""`slicer.app`: the Qt application with the members that extensions use of Slicer's own.

The names are those of qSlicerCoreApplication and qSlicerApplication (real_application_api.json); a
member that is not here is an AttributeError, never a silent stand-in.
"""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import qt
from PySide6.QtCore import Property, Signal

SETTINGS_ORGANIZATION = "slicer.org"
SETTINGS_APPLICATION = "Slicer"
DOCUMENTATION_URL = "https://slicer.readthedocs.io/en/{}.{}"
MODULE_DOCUMENTATION_URL = "{base}/user_guide/modules/{module}.html"

# The application's PythonSlicer is a launcher: the interpreter is its child, a signal to stop is
# handed on, and a kill ends the launcher alone. So is this one.
_PYTHON_SLICER = """#!/bin/sh
{interpreter} "$@" <&0 &
child=$!
trap 'kill $child' INT TERM
wait $child
"""


class ModuleFactoryManager(qt.QObject):
    """`slicer.app.moduleManager().factoryManager()`: what is loaded."""

    _host_class = True
    _modules: dict[str, Any]

    def __init__(self, modules: dict[str, Any]) -> None:
        super().__init__()
        self._modules = modules

    def loadedModuleNames(self) -> list[str]:
        """Names of the loaded modules."""
        return list(self._modules)

    def isLoaded(self, name: str) -> bool:
        """Whether the module is loaded."""
        return name in self._modules

    def loadedModule(self, name: str) -> Any:
        """The loaded module, or None."""
        return self._modules.get(name)


class ModuleManager(qt.QObject):
    """`slicer.app.moduleManager()`."""

    _host_class = True
    _modules: dict[str, Any]
    _factory_manager: ModuleFactoryManager

    moduleLoaded = Signal(str)
    moduleAboutToBeUnloaded = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._modules = {}
        self._factory_manager = ModuleFactoryManager(self._modules)

    def factoryManager(self) -> ModuleFactoryManager:
        """The manager that knows which modules are loaded."""
        return self._factory_manager

    def modulesNames(self) -> list[str]:
        """Names of the loaded modules."""
        return list(self._modules)

    def module(self, name: str) -> Any:
        """The loaded module of that name, or None."""
        return self._modules.get(name)

    def _add(self, name: str, module: Any) -> None:
        self._modules[name] = module
        self.moduleLoaded.emit(name)

    def _remove(self, name: str) -> None:
        self.moduleAboutToBeUnloaded.emit(name)
        del self._modules[name]


class Application(qt.QApplication):
    """`slicer.app`. `folder` takes settings and temporary files, so no user's settings are met."""

    startupCompleted = Signal()
    renderPaused = Signal(bool)

    _host_class = True
    _application_logic: Any
    _io_manager: Any
    _layout_manager: Any
    _module_manager: ModuleManager
    _pause_count: int
    _revision_settings: Any
    _scene: Any
    _startup_environment: Any
    _startup_working_path: str
    _temporary_path: str
    _testing: bool
    _user_settings: Any
    _version: tuple[int, int, int]

    def __init__(self, arguments: list[str], folder: Path, testing: bool) -> None:
        super().__init__(arguments)
        self._testing = testing
        self._temporary_path = str(folder)
        self._startup_environment = qt.QProcessEnvironment.systemEnvironment()
        self._startup_working_path = os.getcwd()
        self._scene = None
        self._application_logic = None
        self._io_manager = None
        self._layout_manager = None
        self._module_manager = ModuleManager()
        self._pause_count = 0
        major, minor, patch = importlib.metadata.version("slicer-core").split(".")[:3]
        self._version = (int(major), int(minor), int(patch))
        qt.QCoreApplication.setOrganizationName(SETTINGS_ORGANIZATION)
        qt.QCoreApplication.setOrganizationDomain(SETTINGS_ORGANIZATION)
        qt.QCoreApplication.setApplicationName(SETTINGS_APPLICATION)
        qt.QCoreApplication.setApplicationVersion(f"{major}.{minor}.{patch}")
        ini_format = qt.QSettings.IniFormat
        qt.QSettings.setDefaultFormat(ini_format)
        qt.QSettings.setPath(ini_format, qt.QSettings.UserScope, str(folder / "settings"))
        self._user_settings = qt.QSettings()
        revision_file = str(folder / "settings" / "Slicer-revision.ini")
        self._revision_settings = qt.QSettings(revision_file, ini_format)
        _put_python_slicer_on_path(folder / "bin")

    def _connect_scene(self, scene: Any, application_logic: Any, io_manager: Any) -> None:
        self._scene = scene
        self._application_logic = application_logic
        self._io_manager = io_manager

    # Scene, logic, managers

    def mrmlScene(self) -> Any:
        """The application's MRML scene."""
        return self._scene

    def applicationLogic(self) -> Any:
        """The real vtkSlicerApplicationLogic."""
        return self._application_logic

    def moduleLogic(self, moduleName: str) -> Any:
        """The logic of a core module."""
        return self._application_logic.GetModuleLogic(moduleName)

    def moduleManager(self) -> ModuleManager:
        """The module manager."""
        return self._module_manager

    def coreIOManager(self) -> Any:
        """The IO manager."""
        return self._io_manager

    def ioManager(self) -> Any:
        """The IO manager, as it is called with a user interface."""
        return self._io_manager

    def layoutManager(self) -> Any:
        """The layout manager, None while there are no views."""
        return self._layout_manager

    def setLayoutManager(self, layoutManager: Any) -> None:
        """Use this layout manager from now on."""
        self._layout_manager = layoutManager

    def pythonConsole(self) -> None:
        """None: the host has no Python console."""
        return None

    # Settings and places

    def testingEnabled(self) -> bool:
        """Whether dialogs are skipped and errors raised, as in `Slicer --testing`."""
        return self._testing

    def userSettings(self) -> Any:
        """The user's settings, kept in the host's own folder."""
        return self._user_settings

    def settings(self) -> Any:
        """The older name of `userSettings`."""
        return self._user_settings

    def revisionUserSettings(self) -> Any:
        """The settings of this revision of the application."""
        return self._revision_settings

    def _set_temporary_path(self, path: str) -> None:
        self._temporary_path = path

    temporaryPath = Property(str, lambda self: self._temporary_path, _set_temporary_path)
    # The application's own folder: here one without anything of Slicer in it.
    slicerHome = Property(str, lambda self: self._temporary_path, constant=True)
    startupWorkingPath = Property(str, lambda self: self._startup_working_path, constant=True)

    def startupEnvironment(self) -> Any:
        """The environment the host was started in."""
        return self._startup_environment

    # What this is

    majorVersion = Property(int, lambda self: self._version[0], constant=True)
    minorVersion = Property(int, lambda self: self._version[1], constant=True)
    mainApplicationName = Property(str, lambda _self: SETTINGS_APPLICATION, constant=True)
    mainApplicationMajorVersion = Property(int, lambda self: self._version[0], constant=True)
    mainApplicationMinorVersion = Property(int, lambda self: self._version[1], constant=True)
    mainApplicationPatchVersion = Property(int, lambda self: self._version[2], constant=True)
    isCustomMainApplication = Property(bool, lambda _self: False, constant=True)
    documentationVersion = Property(
        str, lambda self: "{}.{}".format(*self._version[:2]), constant=True
    )
    documentationBaseUrl = Property(
        str, lambda self: DOCUMENTATION_URL.format(*self._version[:2]), constant=True
    )

    def moduleDocumentationUrl(self, moduleName: str) -> str:
        """Where a core module's documentation is."""
        base = self.documentationBaseUrl
        return MODULE_DOCUMENTATION_URL.format(base=base, module=moduleName.lower())

    # What it does

    def pauseRender(self) -> None:
        """Stop rendering the views until `resumeRender` was called as often."""
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        """Undo one `pauseRender`."""
        self.setRenderPaused(False)

    def setRenderPaused(self, pause: bool) -> None:
        """Pause or resume; the views change with the first pause and the last resume."""
        was_paused = self._pause_count > 0
        self._pause_count = max(0, self._pause_count + (1 if pause else -1))
        is_paused = self._pause_count > 0
        if is_paused == was_paused:
            return
        if self._layout_manager is not None:
            self._layout_manager.setRenderPaused(is_paused)
        self.renderPaused.emit(is_paused)

    @staticmethod
    def restart() -> None:
        """Refused: the host would end the program that started it."""
        raise RuntimeError("The development host does not restart the application.")


def _put_python_slicer_on_path(folder: Path) -> None:
    """Make `PythonSlicer`, the application's Python, findable on the PATH: it is this Python."""
    folder.mkdir(parents=True, exist_ok=True)
    launcher = folder / "PythonSlicer"
    launcher.write_text(_PYTHON_SLICER.format(interpreter=shlex.quote(sys.executable)))
    launcher.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
