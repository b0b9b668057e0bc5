"""The host itself: the application, errors in slots, dialogs, settings."""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slicer
import vtk
from PySide6.QtCore import Property, Signal

import slicer_host.host

REAL_NAMES_FILE = Path(slicer_host.host.__file__).with_name("real_application_api.json")
PROCESS_LIMIT_S = 20.0


def _run_until(condition, limit_s=PROCESS_LIMIT_S):
    """Run the event loop until the condition holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        slicer.app.processEvents()
        time.sleep(0.005)


# Start


def test_start_is_idempotent(host):
    assert slicer_host.host.start() is host
    with pytest.raises(RuntimeError, match="runs already"):
        slicer_host.host.start(base_python="/nowhere")


def test_base_python_must_be_slicers(tmp_path):
    command = "from slicer_host.host import start; start()"
    environment = {**os.environ, "SLICER_BASE_PYTHON": str(tmp_path)}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    result = subprocess.run(
        [sys.executable, "-c", command], env=environment, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "is not Slicer's Base/Python/slicer" in result.stderr


def test_slicers_own_files_come_from_the_folder_that_was_asked_for(host):
    import slicer.parameterNodeWrapper
    import slicer.ScriptedLoadableModule

    folder = host.base_python or slicer_host.host.STANDINS
    assert Path(slicer.ScriptedLoadableModule.__file__).parent == folder
    assert Path(slicer.parameterNodeWrapper.__file__).parent.parent == folder


# The application


def _real_names():
    return json.loads(REAL_NAMES_FILE.read_text(encoding="utf-8"))["classes"]


def _names_of(class_name, *kinds):
    classes, found, waiting = _real_names(), set(), [class_name]
    while waiting:
        entry = classes.get(waiting.pop())
        if entry is None:
            continue
        waiting += entry["bases"]
        found |= {name.split("(")[0] for kind in kinds for name in entry[kind]}
    return found


def _public_members(cls):
    return {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_") and name != "staticMetaObject"
    }


@pytest.mark.parametrize(
    ("module_name", "class_name", "real_name"),
    [
        ("application", "Application", "qSlicerApplication"),
        ("application", "ModuleManager", "qSlicerModuleManager"),
        ("application", "ModuleFactoryManager", "qSlicerModuleFactoryManager"),
        ("io_manager", "CoreIOManager", "qSlicerCoreIOManager"),
        ("scripted_modules", "qSlicerScriptedLoadableModule", "qSlicerScriptedLoadableModule"),
        (
            "scripted_modules",
            "qSlicerScriptedLoadableModuleWidget",
            "qSlicerScriptedLoadableModuleWidget",
        ),
        ("mrml_modules", "CoreModule", "qSlicerAbstractCoreModule"),
    ],
)
def test_every_name_is_one_of_the_real_class(host, module_name, class_name, real_name):
    cls = getattr(sys.modules[f"slicer_host.{module_name}"], class_name)
    # Overrides of virtual methods keep the name of the base, where it may be a plain method.
    methods = _names_of(real_name, "slots", "invokables", "decorators") | {"setup", "isEntered"}
    for name, member in _public_members(cls).items():
        if isinstance(member, Signal):
            assert name in _names_of(real_name, "signals"), name
        elif isinstance(member, Property):
            assert name in _names_of(real_name, "properties"), name
        else:
            assert name in methods, name
    for name in getattr(cls, "_PROPERTIES", ()):
        assert name in _names_of(real_name, "properties"), name


@pytest.mark.parametrize("name", ["errorLogModel", "dicomDatabase", "commandOptions", "nonsense"])
def test_what_the_host_has_not_is_an_error(host, name):
    with pytest.raises((AttributeError, NotImplementedError)):
        getattr(slicer.app, name)
    with pytest.raises(AttributeError):
        setattr(slicer.app, name, 1)


def test_application_knows_what_it_is(host):
    # The version of what is installed, a release or a preview.
    major, minor = importlib.metadata.version("slicer-core").split(".")[:2]
    assert (slicer.app.majorVersion, slicer.app.minorVersion) == (int(major), int(minor))
    assert slicer.app.applicationName == "Slicer"
    assert slicer.app.mainApplicationName == "Slicer"
    assert not slicer.app.isCustomMainApplication
    assert slicer.app.documentationBaseUrl == f"https://slicer.readthedocs.io/en/{major}.{minor}"
    assert slicer.app.moduleDocumentationUrl("Data").endswith("/user_guide/modules/data.html")
    assert slicer.app.translate("context", "text") == "text"
    assert slicer.app.testingEnabled()
    with pytest.raises(RuntimeError, match="does not restart"):
        slicer.util.restart()


def test_settings_are_the_hosts_own(host):
    import qt

    slicer.app.userSettings().setValue("SkullImplant/model", "prior")
    assert slicer.util.settingsValue("SkullImplant/model", None) == "prior"
    assert slicer.app.settings().value("SkullImplant/model") == "prior"
    assert qt.QSettings().fileName().startswith(slicer.app.temporaryPath)
    slicer.app.userSettings().remove("SkullImplant/model")
    assert slicer.util.settingsValue("SkullImplant/model", "none") == "none"
    assert slicer.app.revisionUserSettings().fileName() != qt.QSettings().fileName()


def test_temporary_folder(host):
    assert os.access(slicer.app.temporaryPath, os.W_OK)
    folder = slicer.util.tempDirectory()
    assert folder.startswith(slicer.app.temporaryPath)
    assert os.path.isdir(folder)
    before = slicer.app.temporaryPath
    slicer.app.temporaryPath = folder
    assert slicer.app.temporaryPath == folder
    slicer.app.temporaryPath = before


def test_without_a_window_there_is_none(host):
    assert slicer.util.mainWindow() is None
    assert slicer.app.layoutManager() is None
    for call in (slicer.util.pythonShell, lambda: slicer.util.selectModule("Data")):
        with pytest.raises(RuntimeError):
            call()


def test_a_window_by_the_right_name_is_the_main_window(host):
    import qt

    window = qt.QMainWindow()
    window.name = "qSlicerMainWindow"
    assert slicer.util.mainWindow() is not None
    assert slicer.util.showStatusMessage("ready") is not False
    window.delete()
    assert slicer.util.mainWindow() is None


def test_rendering_is_paused_until_resumed_as_often(host):
    seen = []
    slicer.app.renderPaused.connect(seen.append)
    with slicer.util.RenderBlocker(), slicer.util.RenderBlocker():
        assert seen == [True]
    assert seen == [True, False]
    slicer.app.renderPaused.disconnect(seen.append)


def test_wait_cursor_is_set_and_restored(host):
    import qt

    with slicer.util.tryWithErrorDisplay("failed", waitCursor=True):
        assert slicer.app.overrideCursor().shape() == qt.Qt.WaitCursor
    assert not slicer.app.overrideCursor()
    with pytest.raises(ValueError), slicer.util.tryWithErrorDisplay("failed", waitCursor=True):
        raise ValueError
    assert not slicer.app.overrideCursor()


def test_startup_completed_is_signalled(host):
    seen = []

    def on_startup():
        seen.append("up")

    slicer.app.connect("startupCompleted()", on_startup)
    host.emit_startup_completed()
    slicer.app.disconnect("startupCompleted()", on_startup)
    host.emit_startup_completed()
    assert seen == ["up"]


# Errors and dialogs


def test_errors_in_slots_timers_and_observers_are_kept(host):
    import qt

    def fail(*_arguments):
        raise ValueError("in a slot")

    button = qt.QPushButton()
    button.connect("clicked(bool)", fail)
    button.click()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, fail)
    node.Modified()
    node.RemoveObserver(tag)
    qt.QTimer.singleShot(0, fail)
    _run_until(lambda: len(host.slot_errors) >= 3)
    errors = host.take_slot_errors()
    assert [str(error) for error in errors] == ["in a slot"] * 3
    assert host.slot_errors == []


def test_dialogs_are_skipped_when_testing_and_their_texts_kept(host):
    slicer.util.errorDisplay("no bone found")
    slicer.util.warningDisplay("thin")
    slicer.util.infoDisplay("done")
    slicer.util.confirmYesNoDisplay("overwrite?")
    assert [message.text for message in host.messages] == [
        "no bone found",
        "thin",
        "done",
        "overwrite?",
    ]
    assert [message.level for message in host.messages] == [40, 30, 20, 20]


def test_dialog_is_shown_when_not_testing(host):
    import ctk
    import qt

    host.set_testing(False)
    window = qt.QMainWindow()
    window.name = "qSlicerMainWindow"
    shown = []

    def answer():
        boxes = [w for w in slicer.app.topLevelWidgets() if isinstance(w, ctk.ctkMessageBox)]
        shown.extend((box.text, box.windowTitle) for box in boxes)
        for box in boxes:
            box.button(qt.QMessageBox.Yes).click()

    qt.QTimer.singleShot(50, answer)
    confirmed = host.call_in_event_loop(
        lambda: slicer.util.confirmYesNoDisplay("overwrite?", windowTitle="Export")
    )
    assert confirmed is True
    assert shown == [("overwrite?", "Export")]
    window.delete()


def test_error_display_needs_a_main_window(host):
    host.set_testing(False)
    slicer.util.errorDisplay("no window")  # Would wait for an answer if it were shown.
    assert host.messages[-1].text == "no window"


def test_progress_dialog(host):
    dialog = slicer.util.createProgressDialog(labelText="Meshing", maximum=3, value=1)
    assert (dialog.labelText, dialog.maximum, dialog.value) == ("Meshing", 3, 1)
    dialog.close()
