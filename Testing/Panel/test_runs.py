"""Runs from the panel: the click, the progress, the end, however it comes."""

import os
import signal
import time

import numpy as np
import pytest
import slicer

from module_fixtures import PATIENCE_S, node_ids, own_seconds

# What a person notices; and what the module promises for Cancel.
BLOCKED_S, CANCEL_S = 0.100, 1.0
RUNS_AT_MOST = 4


class EventLoopWatch:
    """Measures with a timer how long the event loop did not come round, and what was done then."""

    def __init__(self, doing):
        import qt  # is there once the host runs

        self._doing, self.place = doing, ""
        self.longest_s = 0.0
        self._timer = qt.QTimer()
        self._timer.setInterval(2)
        self._timer.connect("timeout()", self._tick)

    def __enter__(self):
        self._last = own_seconds()
        self._timer.start()
        return self

    def __exit__(self, *exception):
        self._timer.stop()

    def _tick(self):
        now = own_seconds()
        if now - self._last > self.longest_s:
            self.longest_s, self.place = now - self._last, self._doing()
        self._last = now


def worker(panel) -> int | None:
    """Process id of the run's own process, once it has told it."""
    return panel.logic.run._progress.pid if panel.logic.run else None


def assert_it_never_blocks(watched) -> None:
    """``watched()`` does it once more and returns the watch that ran meanwhile.

    What blocks the event loop does so in each run; a machine that is busy with other things, only
    in some: starting a process waits until that process has had a processor.
    """
    gaps = []
    for _ in range(RUNS_AT_MOST):
        watch = watched()
        gaps.append((round(watch.longest_s, 3), watch.place))
        if watch.longest_s <= BLOCKED_S:
            return
    pytest.fail(f"the event loop stood still in each of {RUNS_AT_MOST} runs: {gaps}")


def watched_design(host, ui, logic, holding_lock=False) -> EventLoopWatch:
    """Click, and handle events to the end of the design; return the watch that ran meanwhile."""
    end = time.monotonic() + PATIENCE_S
    with EventLoopWatch(lambda: ui.progressLabel.text) as watch:
        ui.generateButton.click()
        while logic.run is not None:
            assert time.monotonic() < end
            if holding_lock:
                host.process_events_holding_lock()
            else:
                host.process_events()
                time.sleep(0.005)
    return watch


@pytest.mark.slow
@pytest.mark.parametrize("holding_lock", [False, True], ids=["as in PySide6", "as in Slicer"])
def test_window_stays_alive_while_a_design_runs(host, ready, wait_until, holding_lock):
    """From the click to the implant in the scene, also where the event loop holds Python's lock."""
    wait_until(lambda: "HU" in ready.ui.automaticThresholdCheckBox.text, 20)

    def watched() -> EventLoopWatch:
        watch = watched_design(host, ready.ui, ready.logic, holding_lock)
        assert ready.ui.errorFrame.isHidden(), ready.ui.errorLabel.text
        return watch

    assert_it_never_blocks(watched)


def test_one_click_produces_the_implant(ready, scene, wait_until):
    ui = ready.ui
    stages, fractions = set(), []
    ui.generateButton.click()
    assert ui.generateButton.text == "Cancel" and ui.generateButton.enabled
    assert not ui.progressBar.isHidden()

    def ended() -> bool:
        stages.add(ui.progressLabel.text.split(" · ")[0].split(":")[0])
        fractions.append(ui.progressBar.value)
        return ready.logic.run is None

    wait_until(ended)
    assert fractions == sorted(fractions), "the bar never goes back"
    # Those that last long enough, of a head as coarse as this one, for everybody to see them.
    assert {"Finding the skull", "Predicting the missing bone"} <= stages
    assert ui.generateButton.text == "Generate implant" and ui.generateButton.enabled
    assert ui.progressBar.isHidden() and ui.errorFrame.isHidden()
    assert ui.progressLabel.text.startswith("Implant designed in ")
    assert ui.checksTable.rowCount > 10
    assert ui.exportButton.enabled
    assert scene.GetFirstNodeByClass("vtkMRMLModelNode") is not None


def test_cancel_is_idle_within_a_second_at_any_stage(ready, scene, wait_until):
    ui = ready.ui
    before = node_ids(scene)
    for ready_to_cancel in (
        lambda: True,  # the input is being written, or Python starts
        lambda: ready.logic.run.pid,  # Python starts
        lambda: worker(ready),  # libraries are loaded
        lambda: "Finding the skull" in ui.progressLabel.text,
        lambda: "Predicting" in ui.progressLabel.text,
    ):
        ui.generateButton.click()
        # Sooner the second click would be a double click's.
        wait_until(lambda: ready.panel.display.seconds > 0.5 and ready_to_cancel(), 60)  # noqa: B023
        start = own_seconds()
        ui.generateButton.click()
        wait_until(lambda: ready.logic.run is None, CANCEL_S)
        assert own_seconds() - start <= CANCEL_S
        assert ui.progressLabel.text == "Cancelled."
        assert ui.generateButton.text == "Generate implant" and ui.generateButton.enabled
        assert ui.errorFrame.isHidden()
    assert node_ids(scene) == before


def test_killed_process_shows_a_sentence_and_the_log(host, ready, scene, wait_until):
    ui = ready.ui
    before = node_ids(scene)
    ui.generateButton.click()
    wait_until(lambda: worker(ready), 60)
    os.kill(worker(ready), signal.SIGKILL)
    wait_until(lambda: ready.logic.run is None, 10)
    assert not ui.errorFrame.isHidden()
    assert "memory" in ui.errorLabel.text
    assert node_ids(scene) == before
    ui.copyLogButton.click()
    assert slicer.app.clipboard().text().startswith(ui.errorLabel.text)
    # The next click clears the error away.
    ui.generateButton.click()
    assert ui.errorFrame.isHidden()


@pytest.mark.slow
def test_failure_of_the_library_is_shown_as_it_says_it(ready, scene, wait_until):
    noise = np.random.default_rng(0).integers(100, 900, (60, 60, 60)).astype(np.int16)
    ready._parameterNode.inputVolume = slicer.util.addVolumeFromArray(
        noise, ijkToRAS=np.diag([-3.0, -3.0, 3.0, 1.0])
    )
    ready.ui.generateButton.click()
    wait_until(lambda: ready.logic.run is None)
    assert not ready.ui.errorFrame.isHidden()
    assert "CT" in ready.ui.errorLabel.text
    assert ready.ui.errorLabel.text.count(".") <= 2 and "Traceback" not in ready.ui.errorLabel.text
    # What was found and decided until then is in the log, for a report of the fault.
    ready.ui.copyLogButton.click()
    assert "design of version" in slicer.app.clipboard().text()


@pytest.mark.parametrize(
    ("model", "refine_mm", "instead"),
    [("fine", 0.0, "'prior'"), ("prior", 1.0, "'Refine coarse skull'")],
)
def test_network_without_torch_asks_and_says_what_to_do(
    host, ready, scene, monkeypatch, model, refine_mm, instead
):
    """No PyTorch here; the extension that would install it has no network."""
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    before = node_ids(scene)
    ready._parameterNode.model = model
    ready._parameterNode.refineMm = refine_mm
    ready.ui.generateButton.click()
    assert ready.logic.run is None
    assert not ready.ui.errorFrame.isHidden()
    assert "PyTorch" in ready.ui.errorLabel.text and instead in ready.ui.errorLabel.text
    assert any("needs PyTorch" in message.text for message in host.messages), "consent was asked"
    assert node_ids(scene) == before


def test_too_old_torch_is_named(ready, monkeypatch):
    from SkullImplantPanel import pytorch

    monkeypatch.setattr(pytorch, "torchVersion", lambda: "1.13.1+cu117")
    ready._parameterNode.model = "fine"
    ready.ui.generateButton.click()
    assert ready.logic.run is None
    assert "1.13.1" in ready.ui.errorLabel.text and "too old" in ready.ui.errorLabel.text


def test_scene_closed_in_the_middle_of_a_run(host, ready, scene, wait_until):
    ready.ui.generateButton.click()
    wait_until(lambda: worker(ready), 60)
    pid = worker(ready)
    scene.Clear()
    assert ready.logic.run is None
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 2)
    assert ready.ui.generateButton.text == "Generate implant"
    assert not ready.ui.generateButton.enabled
    assert ready.ui.progressBar.isHidden()
    assert scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


@pytest.mark.slow
def test_edit_and_update(host, ready, scene, wait_until):
    ui, parameters = ready.ui, ready._parameterNode
    parameters.model = "prior"
    ui.generateButton.click()
    wait_until(lambda: ready.logic.run is None)
    segmentation, volume = parameters.resultSegmentation, parameters.inputVolume
    implant = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "Implant", volume)
    before, text = np.count_nonzero(implant), ui.implantLabel.text
    layers = np.argwhere(implant.any(axis=(1, 2))).ravel()
    implant[layers[-3] :] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(implant, segmentation, "Implant", volume)
    ui.updateButton.click()
    assert not ui.updateButton.enabled and ui.generateButton.text == "Cancel"
    wait_until(lambda: ready.logic.run is None)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    assert "edited" in ui.notesLabel.text
    assert ui.implantLabel.text != text
    found = slicer.util.arrayFromSegmentBinaryLabelmap(
        parameters.resultSegmentation, "Implant", volume
    )
    assert np.count_nonzero(found) < before
    surfaces = [
        model
        for model in slicer.util.getNodesByClass("vtkMRMLModelNode")
        if model.GetName().startswith("Implant surface")
    ]
    # The automatic design stays, hidden, to go back to.
    assert len(surfaces) == 2
    assert sum(bool(model.GetDisplayVisibility()) for model in surfaces) == 1


@pytest.mark.slow
def test_segmentation_without_a_reference_image_is_designed_all_the_same(
    ready, scene, small_result, wait_until
):
    """Made of a surface alone, as an imported STL is, it has neither voxels nor a grid."""
    from SkullImplantPanel import inputs, results

    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Skull")
    model.SetAndObservePolyData(results.readResults(small_result).surfaces["Skull"])
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "From a surface")
    segmentation.CreateDefaultDisplayNodes()
    slicer.modules.segmentations.logic().ImportModelToSegmentationNode(model, segmentation)
    volume_cm3 = _volume_cm3(model.GetPolyData())
    ids = inputs.visibleSegmentIds(segmentation)
    image = inputs.snapshotOfSegments(segmentation, ids).image()
    voxel_cm3 = abs(np.linalg.det(image.ijkToRas[:3, :3])) / 1000.0
    assert np.count_nonzero(image.voxels) * voxel_cm3 == pytest.approx(volume_cm3, rel=0.1)
    ready._parameterNode.skullSegmentation = segmentation
    ready._parameterNode.skullIsSegmentation = True
    ready._parameterNode.model = "prior"
    assert ready.ui.generateButton.enabled
    ready.ui.generateButton.click()
    wait_until(lambda: ready.logic.run is None)
    assert ready.ui.errorFrame.isHidden(), ready.ui.errorLabel.text
    assert ready.logic.resultNodes(ready._parameterNode) is not None


def _volume_cm3(surface) -> float:
    import vtk

    mass = vtk.vtkMassProperties()
    mass.SetInputData(surface)
    return mass.GetVolume() / 1000.0


def test_double_click_starts_one_design(ready, wait_until):
    ready.ui.generateButton.click()
    ready.ui.generateButton.click()
    assert ready.logic.run is not None
    assert ready.ui.generateButton.text == "Cancel" and ready.ui.generateButton.enabled


def test_problem_of_a_chosen_input_is_shown_without_a_tooltip(ready, scene):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    scaling = slicer.util.vtkMatrixFromArray(np.diag([1.2, 1.0, 1.0, 1.0]))
    transform.SetMatrixTransformToParent(scaling)
    ready._parameterNode.inputVolume.SetAndObserveTransformNodeID(transform.GetID())
    ready.panel.update()
    assert not ready.ui.problemLabel.isHidden()
    assert "harden" in ready.ui.problemLabel.text


# --- the report, which is made when it is exported ------------------------------------------------


@pytest.mark.slow
def test_export_makes_the_report_once_and_never_blocks(reviewed, scene, tmp_path, wait_until):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    folders = [tmp_path / str(run) for run in range(RUNS_AT_MOST)]

    def watched() -> EventLoopWatch:
        nodes = reviewed.logic.resultNodes(parameters)
        if nodes.report is not None:
            scene.RemoveNode(nodes.report)
        parameters.exportFolder = folders.pop(0)
        with EventLoopWatch(lambda: ui.exportLabel.text) as watch:
            ui.exportButton.click()
            assert ui.exportButton.text == "Cancel" and not ui.progressBar.isHidden()
            assert not ui.updateButton.enabled
            wait_until(lambda: "%" in ui.exportLabel.text)
            wait_until(lambda: "Written" in ui.exportLabel.text)
        assert ui.exportButton.text == "Export" and ui.exportButton.enabled
        assert ui.errorFrame.isHidden() and ui.progressBar.isHidden()
        return watch

    assert_it_never_blocks(watched)
    report = ui.exportNameEdit.placeholderText + "-report.html"
    first = (parameters.exportFolder / report).read_text(encoding="utf-8")
    parameters.exportFolder = tmp_path / "again"
    ui.exportButton.click()
    assert reviewed.logic.run is None, "the report is there already"
    wait_until(lambda: "Written" in ui.exportLabel.text)
    assert (tmp_path / "again" / report).read_text(encoding="utf-8") == first


def test_export_is_cancelled_while_its_report_is_made(reviewed, scene, tmp_path, wait_until):
    ui = reviewed.ui
    before = node_ids(scene)
    ui.exportButton.click()
    wait_until(lambda: reviewed.panel.display.seconds > 0.5 and worker(reviewed))
    ui.exportButton.click()
    wait_until(lambda: reviewed.logic.run is None, CANCEL_S)
    assert ui.exportLabel.text == "No file was written. Cancelled."
    assert ui.exportButton.text == "Export" and ui.exportButton.enabled
    assert ui.errorFrame.isHidden()
    assert not (tmp_path / "export").exists()
    assert node_ids(scene) == before


def test_report_that_fails_is_told_and_nothing_is_written(reviewed, scene, tmp_path, wait_until):
    ui = reviewed.ui
    ui.exportButton.click()
    wait_until(lambda: worker(reviewed))
    os.kill(worker(reviewed), signal.SIGKILL)
    wait_until(lambda: reviewed.logic.run is None, 10)
    assert not ui.errorFrame.isHidden() and "making of the report" in ui.errorLabel.text
    assert ui.errorLabel.text in ui.exportLabel.text
    assert not (tmp_path / "export").exists()
    # Without the report the files come all the same.
    reviewed._parameterNode.exportFormats = "stl"
    ui.exportButton.click()
    wait_until(lambda: "Written" in ui.exportLabel.text)
    case = ui.exportNameEdit.placeholderText
    assert [path.name for path in (tmp_path / "export").iterdir()] == [f"{case}-implant.stl"]


def test_scene_closed_while_a_report_is_made(reviewed, scene, tmp_path, wait_until):
    ui = reviewed.ui
    ui.exportButton.click()
    wait_until(lambda: worker(reviewed))
    scene.Clear()
    assert reviewed.logic.run is None
    assert ui.exportButton.text == "Export" and not ui.exportButton.enabled
    assert ui.exportLabel.text == "" and ui.progressBar.isHidden()
    assert not (tmp_path / "export").exists()


def test_report_waits_for_the_run_in_progress(reviewed, wait_until):
    ui = reviewed.ui
    ui.generateButton.click()
    assert not ui.exportButton.enabled and "run in progress" in ui.exportButton.toolTip
    reviewed._parameterNode.exportFormats = "stl"
    assert ui.exportButton.enabled
