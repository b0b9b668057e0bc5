"""The host itself: the application, modules, errors in slots, dialogs, processes, settings."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
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
    assert (slicer.app.majorVersion, slicer.app.minorVersion) == (5, 12)
    assert slicer.app.applicationName == "Slicer"
    assert slicer.app.mainApplicationName == "Slicer"
    assert not slicer.app.isCustomMainApplication
    assert slicer.app.documentationBaseUrl == "https://slicer.readthedocs.io/en/5.12"
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


# Modules


def test_logics_are_slicers_own(host):
    expected = {
        "volumes": "vtkSlicerVolumesLogic",
        "segmentations": "vtkSlicerSegmentationsModuleLogic",
        "models": "vtkSlicerModelsLogic",
        "terminologies": "vtkSlicerTerminologiesModuleLogic",
        "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
        "cropvolume": "vtkSlicerCropVolumeLogic",
    }
    for name, class_name in expected.items():
        logic = getattr(slicer.modules, name).logic()
        assert logic.GetClassName() == class_name
        assert logic.GetMRMLScene() is slicer.mrmlScene
    assert slicer.app.moduleLogic("Volumes") is slicer.modules.volumes.logic()
    assert slicer.util.getModuleLogic("Volumes") is slicer.modules.volumes.logic()
    with pytest.raises(RuntimeError, match="Could not find module"):
        slicer.util.getModule("Nonsense")
    assert not hasattr(slicer.modules, "dynamicmodeler")


def test_scene_has_what_every_slicer_scene_has(host):
    logic = slicer.app.applicationLogic()
    assert slicer.app.mrmlScene() is slicer.mrmlScene is logic.GetMRMLScene()
    assert logic.GetSelectionNode() is not None
    assert logic.GetInteractionNode() is not None
    scene = slicer.mrmlScene
    assert scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") is not None
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorNode") > 40
    assert slicer.util.getNode("GenericColors").GetNumberOfColors() == 64
    default_slice = scene.GetDefaultNodeByClass("vtkMRMLSliceNode")
    assert default_slice.GetSliceOrientationPreset("Axial") is not None
    scene.Clear(False)
    assert scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") is not None
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorNode") > 40


def test_data_nodes_are_in_the_subject_hierarchy(host):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    owners = {
        "vtkMRMLScalarVolumeNode": "Volumes",
        "vtkMRMLLabelMapVolumeNode": "LabelMaps",
        "vtkMRMLSegmentationNode": "Segmentations",
        "vtkMRMLModelNode": "Models",
        "vtkMRMLTableNode": "Tables",
        "vtkMRMLTextNode": "Texts",
        "vtkMRMLLinearTransformNode": "Transforms",
        "vtkMRMLMarkupsFiducialNode": "Markups",
    }
    for class_name, owner in owners.items():
        node = slicer.mrmlScene.AddNewNodeByClass(class_name)
        item = hierarchy.GetItemByDataNode(node)
        assert hierarchy.GetItemOwnerPluginName(item) == owner
        assert hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID()
    slicer.mrmlScene.RemoveNode(node)
    assert not hierarchy.GetItemByDataNode(node)
    hidden = slicer.mrmlScene.CreateNodeByClass("vtkMRMLModelNode")
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    slicer.mrmlScene.AddNode(hidden)
    assert not hierarchy.GetItemByDataNode(hidden)


def test_segmentation_round_trip_and_closed_surface(host):
    voxels = np.zeros((20, 20, 20), np.uint8)
    voxels[5:15, 5:15, 5:15] = 1
    volume = slicer.util.addVolumeFromArray(voxels)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = node.GetSegmentation().AddEmptySegment("", "cube")
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, segment, volume)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
    assert np.array_equal(array, voxels)
    assert node.CreateClosedSurfaceRepresentation()
    surface = vtk.vtkPolyData()
    assert node.GetClosedSurfaceRepresentation(segment, surface)
    assert surface.GetNumberOfPoints() > 100


def test_module_file_that_is_broken_is_an_error(host, tmp_path):
    broken = tmp_path / "Broken.py"
    broken.write_text("from slicer.ScriptedLoadableModule import *\nraise ImportError('no')\n")
    with pytest.raises(ImportError):
        host.load_module(broken)
    assert not hasattr(slicer.modules, "broken")
    nameless = tmp_path / "Nameless.py"
    nameless.write_text("class Other: pass\n")
    with pytest.raises(AttributeError, match="Nameless"):
        host.load_module(nameless)


def test_module_object_refuses_unknown_properties(host, tmp_path):
    file = tmp_path / "Odd.py"
    file.write_text(
        "from slicer.ScriptedLoadableModule import *\n"
        "class Odd(ScriptedLoadableModule):\n"
        "    def __init__(self, parent):\n"
        "        ScriptedLoadableModule.__init__(self, parent)\n"
        "        parent.titel = 'Odd'\n"
    )
    with pytest.raises(AttributeError, match="titel"):
        host.load_module(file)


def test_entering_a_panel_leaves_the_one_before(host, tmp_path):
    source = (
        "from slicer.ScriptedLoadableModule import *\n"
        "class {name}(ScriptedLoadableModule): pass\n"
        "class {name}Widget(ScriptedLoadableModuleWidget):\n"
        "    log = []\n"
        "    def enter(self): self.log.append(('enter', self.parent.isEntered))\n"
        "    def exit(self): self.log.append(('exit', self.parent.isEntered))\n"
        "    def cleanup(self): self.log.append('cleanup')\n"
    )
    widgets = []
    for name in ("First", "Second"):
        (tmp_path / f"{name}.py").write_text(source.format(name=name))
        widgets.append(host.make_widget(host.load_module(tmp_path / f"{name}.py")))
    first, second = widgets
    host.enter(first)
    host.enter(first)
    host.enter(second)
    assert first.log == [("enter", True), ("exit", False)]
    with pytest.raises(RuntimeError, match="not entered"):
        host.exit(first)
    host.unload("First")
    host.unload("Second")
    assert first.log[-1] == "cleanup"
    assert second.log == [("enter", True), ("exit", False), "cleanup"]


# Processes


def test_console_process_runs_beside_the_event_loop(host):
    code = "import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(0.05)"
    lines, codes = [], []
    process = slicer.util.launchConsoleProcess(
        [sys.executable, "-c", code],
        blocking=False,
        logCallback=lines.append,
        completedCallback=codes.append,
    )
    assert process.poll() is None
    _run_until(lambda: codes)
    assert lines == ["0", "1", "2"]
    assert codes == [0]


def test_console_process_can_be_killed(host):
    codes = []
    process = slicer.util.launchConsoleProcess(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        blocking=False,
        completedCallback=codes.append,
    )
    start = time.monotonic()
    process.kill()
    _run_until(lambda: codes)
    assert codes[0] != 0
    assert time.monotonic() - start < 1.0


def test_environment_at_startup_is_the_users(host, monkeypatch):
    monkeypatch.setenv("SET_LATER", "1")
    environment = slicer.util.startupEnvironment()
    assert "SET_LATER" not in environment
    assert environment["HOME"] == os.environ["HOME"]


def test_python_slicer_is_this_python(host):
    launcher = shutil.which("PythonSlicer")
    assert launcher is not None
    command = [launcher, "-c", "import sys; print(sys.prefix); sys.exit(3)"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.strip() == sys.prefix
    assert result.returncode == 3
    # It stands for the user's environment only inside the application.
    assert str(Path(launcher).parent) not in slicer.util.startupEnvironment()["PATH"]


def test_terminating_python_slicer_ends_its_python(host, tmp_path):
    mark = tmp_path / "survived"
    code = f"import time, pathlib; time.sleep(1.0); pathlib.Path({str(mark)!r}).touch()"
    process = subprocess.Popen([shutil.which("PythonSlicer"), "-c", code])
    time.sleep(0.3)
    process.terminate()
    assert process.wait(PROCESS_LIMIT_S) != 0
    time.sleep(1.2)
    assert not mark.exists()


# Stand-ins of other modules


def test_sample_data_refuses_the_network(host):
    import SampleData

    with pytest.raises(ValueError, match="no network"):
        SampleData.downloadFromURL(uris="https://example.org/a.nrrd", fileNames="a.nrrd")


def test_custom_downloader_belongs_to_the_button(host):
    import SampleData

    called = []
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="Test",
        sampleName="MadeHere",
        uris="https://example.org/none",
        fileNames="none",
        customDownloader=called.append,
    )
    with pytest.raises(ValueError, match="no network"):
        SampleData.downloadSample("MadeHere")
    widget = slicer.modules.sampledata.createNewWidgetRepresentation()
    slicer.util.findChild(widget, "MadeHerePushButton").click()
    assert [source.sampleName for source in called] == ["MadeHere"]
    # As in the application, a source without addresses is refused.
    with pytest.raises(TypeError, match="uris and fileNames"):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            sampleName="Nowhere", customDownloader=called.append
        )


def test_pytorch_utils_finds_torch_and_installs_nothing(host):
    import PyTorchUtils

    logic = PyTorchUtils.PyTorchUtilsLogic()
    assert logic.torchInstalled()
    assert str(logic.getDevice()).startswith(("cpu", "cuda"))
    with pytest.raises(RuntimeError, match="no network"):
        logic.installTorch()
