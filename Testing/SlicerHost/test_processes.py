"""Processes that a module starts, and the environment that they get."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import slicer

PROCESS_LIMIT_S = 20.0


def _run_until(condition, limit_s=PROCESS_LIMIT_S):
    """Run the event loop until the condition holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        slicer.app.processEvents()
        time.sleep(0.005)


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
