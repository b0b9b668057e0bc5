"""The development host: runs an unchanged Slicer scripted module on real Qt and real MRML.

    host = start()
    module = host.load_module(path_of_module_py)
    widget = host.make_widget(module)
    host.enter(widget)

Qt is PySide6 (through the adapters of `pythonqt`, `ctk_widgets` and `mrml_widgets`), MRML is the
slicer-core wheel. Slicer's own pure Python files, which the wheel lacks, are stand-ins of ours
(`standins`), or the real ones of a Slicer source tree when `SLICER_BASE_PYTHON` names its folder
`Base/Python/slicer`.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import PySide6
import slicer
from PySide6 import QtCore

from slicer_host import pythonqt
from slicer_host.mrml_modules import (
    SubjectHierarchyPlugins,
    create_scene,
    install_core_modules,
)

BASE_PYTHON_VARIABLE = "SLICER_BASE_PYTHON"
_HERE = Path(__file__).resolve().parent
STANDINS = _HERE / "standins"
STANDIN_MODULES = _HERE / "standin_modules"

# Functions of slicer.util that log the text of the dialog they show (or skip when testing).
_DIALOG_FUNCTIONS = ("_messageDisplay", "delayDisplay")
_SKIPPED_NOTE = "Testing mode is enabled"

_PROCESS_EVENTS = "_ZN16QCoreApplication13processEventsE6QFlagsIN10QEventLoop17ProcessEventsFlagEEi"

_host: Host | None = None


@dataclass(frozen=True)
class Message:
    """The text of a dialog of `slicer.util`; `level` is one of logging's."""

    level: int
    text: str


class Host:
    """The running host; made by `start()`."""

    def __init__(self, application: Any, scene: Any, base_python: Path | None) -> None:
        self._subject_hierarchy_plugins = SubjectHierarchyPlugins(scene)
        self.application = application
        self.scene = scene
        self.base_python = base_python
        # Exceptions that left a slot, an event handler or a VTK observer; oldest first.
        self.slot_errors = pythonqt.slot_errors
        self.messages: list[Message] = []

    # Modules

    def load_module(self, path: str | os.PathLike[str]) -> ModuleType:
        """Load a scripted module's .py file as the application does; returns its Python module."""
        from slicer_host.scripted_modules import import_module_file

        file = Path(path).resolve()
        name = file.stem
        if self.application.moduleManager().module(name) is not None:
            raise RuntimeError(f"Module {name} is loaded already: unload it first")
        python_module = import_module_file(file)
        module = slicer.qSlicerScriptedLoadableModule(file)
        instance = getattr(python_module, name)(module)
        if not hasattr(python_module, f"{name}Widget"):
            module.widgetRepresentationCreationEnabled = False
        setattr(slicer.modules, f"{name}Instance", instance)
        setattr(slicer.modules, name.lower(), module)
        if hasattr(instance, "setup"):
            instance.setup()
        self.application.moduleManager()._add(name, module)
        return python_module

    def make_widget(self, module: ModuleType | str) -> Any:
        """The module's `<Name>Widget`, its panel built. Its `parent` is the Qt widget around it."""
        name = module if isinstance(module, str) else module.__name__
        representation = getattr(slicer.modules, name.lower()).widgetRepresentation()
        if representation is None:
            raise RuntimeError(f"Module {name} has no widget class")
        return representation.self()

    def enter(self, widget: Any) -> None:
        """Show the panel: the one shown before is left, as in the module selector."""
        if not widget.parent.isEntered:
            self.leave()
            widget.parent.enter()

    def exit(self, widget: Any) -> None:
        """Leave the panel, as if another module were selected."""
        widget.parent.exit()

    def leave(self) -> None:
        """Leave the panel that is shown, if there is one."""
        manager = self.application.moduleManager()
        for module in map(manager.module, manager.modulesNames()):
            # Core modules have no panel here.
            representation = getattr(module, "_widget", None)
            if representation is not None and representation.isEntered:
                representation.exit()

    def reload(self, name: str) -> Any:
        """Reload the module's source and build its panel anew; returns the new widget."""
        slicer.util.reloadScriptedModule(name)
        return getattr(slicer.modules, f"{name}Widget")

    def unload(self, name: str) -> None:
        """Take the module out, as the application does when it ends, and its parameter nodes."""
        module = self.application.moduleManager().module(name)
        representation = module._widget
        if representation is not None and representation.isEntered:
            representation.exit()
        self.application.moduleManager()._remove(name)
        if representation is not None:
            representation.hide()
            representation.deleteLater()
        # A panel may leave its parameter node connected to widgets that are no more.
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            if name in (node.GetAttribute("ModuleName"), node.GetSingletonTag()):
                self.scene.RemoveNode(node)
        for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
            vars(slicer.modules).pop(attribute, None)
        sys.modules.pop(name, None)

    # The application

    def emit_startup_completed(self) -> None:
        """Tell the modules that the application is up (they register sample data and the like)."""
        self.application.startupCompleted.emit()

    def set_layout_manager(self, layout_manager: Any) -> None:
        """Make this the layout manager of `slicer.app`."""
        self.application.setLayoutManager(layout_manager)

    def set_testing(self, testing: bool) -> None:
        """Whether `slicer.app.testingEnabled()`: dialogs are skipped and errors are raised."""
        self.application._testing = testing

    def process_events(self) -> None:
        """Let Qt handle what is waiting."""
        self.application.processEvents()

    def call_in_event_loop(self, function: Callable[[], Any]) -> Any:
        """Call the function while the event loop runs, as it always does in the application.

        Without a running loop Qt deletes objects early: the dialogs of `slicer.util`, which ask to
        be deleted before they are shown, would not wait for an answer.
        """
        results: list[Any] = []
        errors: list[BaseException] = []
        loop = QtCore.QEventLoop()

        def call() -> None:
            try:
                results.append(function())
            except BaseException as error:
                errors.append(error)
            loop.quit()

        QtCore.QTimer.singleShot(0, call)
        loop.exec()
        if errors:
            raise errors[0]
        return results[0]

    def process_events_holding_lock(self, milliseconds: int = 50) -> None:
        """Let Qt handle what is waiting as Slicer does: without giving up Python's lock (GIL).

        PySide6 gives it up around its event loop, PythonQt does not; there other Python threads
        come on only while a slot runs Python. Raises `NotImplementedError` where this is not Linux.
        """
        libraries = list(Path(PySide6.__path__[0]).glob("Qt/lib/libQt6Core.so.6"))
        if not libraries:
            raise NotImplementedError("Qt's own function is found under its Linux name only")
        # QCoreApplication::processEvents(QEventLoop::ProcessEventsFlags, int maxtime)
        function = ctypes.PyDLL(str(libraries[0]))[_PROCESS_EVENTS]
        function.argtypes, function.restype = (ctypes.c_int, ctypes.c_int), None
        function(0, milliseconds)

    def take_slot_errors(self) -> list[BaseException]:
        """The slot errors so far, and forget them."""
        errors = list(self.slot_errors)
        self.slot_errors.clear()
        return errors

    def _record_slot_error(
        self, kind: type[BaseException], value: BaseException, trace: TracebackType | None
    ) -> None:
        self.slot_errors.append(value)
        traceback.print_exception(kind, value, trace)


class _DialogRecorder(logging.Handler):
    """Keeps the texts that slicer.util logs for its dialogs, in the host's `messages`."""

    def __init__(self, host: Host, util_file: str) -> None:
        super().__init__()
        self._host = host
        self._util_file = util_file

    def emit(self, record: logging.LogRecord) -> None:
        if record.pathname != self._util_file or record.funcName not in _DIALOG_FUNCTIONS:
            return
        text = record.getMessage()
        if not text.startswith(_SKIPPED_NOTE):
            self._host.messages.append(Message(record.levelno, text))


def start(
    base_python: str | os.PathLike[str] | None = None,
    *,
    testing: bool = True,
    display: bool = False,
) -> Host:
    """Start the host, or return the one that runs.

    `base_python`: Slicer's folder Base/Python/slicer, to use its files instead of the stand-ins;
    default: what SLICER_BASE_PYTHON says. `testing`: as `Slicer --testing`, dialogs are skipped and
    errors raised. `display`: show windows on the screen instead of offscreen.
    """
    global _host
    chosen = base_python if base_python is not None else os.environ.get(BASE_PYTHON_VARIABLE)
    folder = Path(chosen).resolve() if chosen else None
    if _host is not None:
        if base_python is not None and folder != _host.base_python:
            raise RuntimeError(f"The host runs already, with base_python={_host.base_python}")
        return _host
    if folder is not None and not (folder / "ScriptedLoadableModule.py").is_file():
        raise RuntimeError(f"{folder} is not Slicer's Base/Python/slicer")
    _host = _start(folder, testing, display)
    return _host


def _start(base_python: Path | None, testing: bool, display: bool) -> Host:
    if not display:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    own_folder = Path(tempfile.mkdtemp(prefix="slicer-host-"))
    atexit.register(shutil.rmtree, own_folder, ignore_errors=True)

    pythonqt.install_qt()
    # What follows needs the module `qt` when it is imported.
    from slicer_host.application import Application

    application = Application(sys.argv[:1], own_folder, testing)
    slicer.app = application
    from slicer_host.ctk_widgets import install_ctk
    from slicer_host.mrml_widgets import install_mrml_widgets

    install_ctk()
    install_mrml_widgets()
    # Made of those.
    from slicer_host.module_panel import qSlicerModulePanel
    from slicer_host.module_selector import qSlicerModuleSelectorToolBar
    from slicer_host.segment_editor_widget import qMRMLSegmentEditorWidget

    slicer.qSlicerModulePanel = qSlicerModulePanel
    slicer.qSlicerModuleSelectorToolBar = qSlicerModuleSelectorToolBar
    slicer.qMRMLSegmentEditorWidget = qMRMLSegmentEditorWidget
    from slicer_host.io_manager import CoreIOManager
    from slicer_host.scripted_modules import install_scripted_module_classes

    install_scripted_module_classes()
    scene, application_logic = create_scene(own_folder)
    slicer.mrmlScene = scene
    application._connect_scene(scene, application_logic, CoreIOManager())
    host = Host(application, scene, base_python)
    for name, module in install_core_modules(scene, application_logic).items():
        application.moduleManager()._add(name, module)

    sys.excepthook = host._record_slot_error
    _record_dialogs(host, slicer.util.__file__)
    slicer.__path__.append(str(base_python or STANDINS))
    importlib.invalidate_caches()
    for file in sorted(STANDIN_MODULES.glob("*.py")):
        host.load_module(file)
    return host


def _record_dialogs(host: Host, util_file: str) -> None:
    root = logging.getLogger()
    # The application logs everything; information is the least that slicer.util writes for dialogs.
    root.setLevel(min(root.level, logging.INFO))
    root.addHandler(_DialogRecorder(host, util_file))
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    root.addHandler(console)
