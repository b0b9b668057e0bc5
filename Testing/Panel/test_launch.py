"""A run that cannot be started, or does not end by itself, ends all the same, with a sentence."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import slicer

from module_fixtures import node_ids, own_seconds

CANCEL_S = 1.0


def assert_failed(panel, *words) -> None:
    """The panel is as after a run that failed, and says why in one sentence."""
    ui = panel.ui
    assert panel.logic.run is None
    assert ui.generateButton.text == "Generate implant"
    assert not ui.errorFrame.isHidden() and ui.progressBar.isHidden()
    for word in words:
        assert word in ui.errorLabel.text
    assert "Traceback" not in ui.errorLabel.text and ui.errorLabel.text.endswith(".")


def generate(panel, wait_until) -> None:
    """Click, and wait for the end of the run."""
    panel._parameterNode.model = "prior"
    panel.ui.generateButton.click()
    wait_until(lambda: panel.logic.run is None)


@pytest.fixture(autouse=True)
def no_work_folder_stays(host):
    """What these tests keep the panel from removing is removed after them."""
    yield
    for folder in Path(slicer.app.temporaryPath).glob("si*"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (FileNotFoundError(2, "No such file or directory"), "No such file"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (ValueError("embedded null byte"), "embedded null byte"),
        (RuntimeError("can't start new thread."), "new thread)"),
        (TypeError("unexpected keyword"), "unexpected keyword"),
        (AttributeError("no such thing"), "no such thing"),
        (MemoryError(), "MemoryError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_launch_that_fails_ends_the_run(ready, scene, wait_until, monkeypatch, error, word):
    def launch(*arguments, **options):
        raise error

    monkeypatch.setattr(slicer.util, "launchConsoleProcess", launch)
    before = node_ids(scene)
    generate(ready, wait_until)
    assert_failed(ready, "could not be started", word)
    assert node_ids(scene) == before
    assert ready.ui.generateButton.enabled, "another try can begin"


def test_work_folder_and_its_disk_that_are_gone_end_the_run(ready, wait_until, monkeypatch):
    """What a network drive does: first nothing can be written, then nothing be asked."""
    import shutil

    from SkullImplantPanel import requests

    def fails(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(requests.Request, "writeInto", fails)
    monkeypatch.setattr(shutil, "disk_usage", fails)
    generate(ready, wait_until)
    assert_failed(ready, "could not be written", "free some disk space")


@pytest.mark.slow
def test_result_that_cannot_be_taken_in_ends_the_run(ready, scene, wait_until, monkeypatch):
    def fails(*arguments):
        raise KeyError("a fault of ours")

    monkeypatch.setattr("SkullImplantPanel.logic.SkullImplantLogic._takeIn", fails)
    generate(ready, wait_until)
    assert_failed(ready, "could not be put into the scene")


# --- Slicer's version -----------------------------------------------------------------------------


def test_older_slicer_is_told_before_anything_runs(panel, scene, small_ct, monkeypatch):
    from SkullImplantPanel import slicerversion

    monkeypatch.setattr(slicerversion, "versionOfSlicer", lambda: (5, 10))
    panel._parameterNode.inputVolume = small_ct
    panel.panel.update()
    assert not panel.ui.generateButton.enabled
    assert "This is Slicer 5.10" in panel.ui.problemLabel.text
    assert "5.12 or newer" in panel.ui.problemLabel.text
    panel.ui.sampleButton.click()
    assert_failed(panel, "This is Slicer 5.10")


def test_versions_are_compared_as_numbers(panel, monkeypatch):
    from SkullImplantPanel import slicerversion

    for version, is_new_enough in (((5, 9), False), ((5, 12), True), ((6, 0), True)):
        monkeypatch.setattr(slicerversion, "versionOfSlicer", lambda version=version: version)
        assert (slicerversion.versionProblem() is None) == is_new_enough


# --- Cancel always returns ------------------------------------------------------------------------


def cancel(panel, wait_until) -> None:
    """Click on Cancel, not as a double click, and wait for the end."""
    wait_until(lambda: panel.panel.display.seconds > 0.5, 10)
    start = own_seconds()
    panel.ui.generateButton.click()
    wait_until(lambda: panel.logic.run is None, CANCEL_S)
    assert own_seconds() - start <= CANCEL_S
    assert panel.ui.progressLabel.text == "Cancelled."
    assert panel.ui.generateButton.text == "Generate implant" and panel.ui.generateButton.enabled


def test_cancel_returns_where_the_disk_hangs(ready, wait_until, monkeypatch):
    from SkullImplantPanel import requests

    monkeypatch.setattr(requests.Request, "writeInto", lambda *arguments: time.sleep(3))
    ready.ui.generateButton.click()
    cancel(ready, wait_until)


class Process:
    """A process that does not tell of its end."""

    pid = 2**22 + 1  # above Linux's largest

    def poll(self) -> None:
        """It goes on."""


@pytest.mark.parametrize("ending_fails", [False, True])
def test_cancel_returns_where_the_process_does_not_end(
    ready, wait_until, monkeypatch, ending_fails
):
    from SkullImplantPanel import run

    def end(pid):
        if ending_fails:
            raise PermissionError("not yours")

    monkeypatch.setattr(run, "end_process_tree", end)
    monkeypatch.setattr(slicer.util, "launchConsoleProcess", lambda *_, **__: Process())
    ready.ui.generateButton.click()
    wait_until(lambda: ready.logic.run.pid, 10)
    cancel(ready, wait_until)


def test_cancel_returns_where_the_work_folder_cannot_be_removed(ready, wait_until, monkeypatch):
    from SkullImplantPanel import run

    monkeypatch.setattr(run, "remove_folder", lambda *arguments: time.sleep(3))
    ready.ui.generateButton.click()
    cancel(ready, wait_until)


# --- a crash is no lack of memory -----------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_crash_of_the_process_is_told_as_one(ready, wait_until):
    ready.ui.generateButton.click()
    wait_until(lambda: ready.logic.run._progress.pid, 60)
    os.kill(ready.logic.run._progress.pid, signal.SIGSEGV)
    wait_until(lambda: ready.logic.run is None, 10)
    assert_failed(ready, "crash", "copy the log")
    assert "memory" not in ready.ui.errorLabel.text
