"""A run whose starter dies ends by itself, soon, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.images import write_image
from SkullImplantLib.core.processes import is_running
from SkullImplantLib.job.protocol import (
    WATCHED_PROCESS_VARIABLE,
    command,
    environment,
    library_folder,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="starters are killed by POSIX signals")

# About a second, and more for a busy machine.
SOON_S = 8.0

# Starts what it is given, notes its process, and waits.
STARTER = """
import subprocess, sys, time
run = subprocess.Popen(sys.argv[2:], stderr=open(sys.argv[1], "w"), stdout=subprocess.DEVNULL)
time.sleep(60)
"""
# A run that sits in native code, where no signal reaches Python.
STUCK = """
import ctypes, os, sys
from pathlib import Path
from SkullImplantLib.cli.main import _stop
from SkullImplantLib.cli.watch import ending_with_the_starter
from SkullImplantLib.core.staging import staged_folder, trace_remover
import signal
signal.signal(signal.SIGTERM, _stop)
output = Path(sys.argv[1])
with ending_with_the_starter(trace_remover(output)), staged_folder(output) as folder:
    (folder / "half.nrrd").write_text("half")
    print('{"pid": %d}' % os.getpid(), file=sys.stderr, flush=True)
    print('{"stage": "stuck"}', file=sys.stderr, flush=True)
    ctypes.CDLL(None).sleep(60)
"""


def lines_of(path: Path) -> list[dict]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def start(log: Path, arguments: list[str], stage: str, **changes: str) -> subprocess.Popen:
    """Start a starter, and return it once its run has come to `stage`."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(log), *arguments],
        cwd=library_folder(),
        env={**os.environ, **changes},
    )
    assert wait_for(lambda: any(line.get("stage") == stage for line in lines_of(log)), 30)
    return starter


def gone(pid: int) -> bool:
    # Orphans may stay uncollected in a container without an init process.
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    return not is_running(pid)


@pytest.fixture(scope="module")
def design(coarse_patient: SamplePatient, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = tmp_path_factory.mktemp("watched") / "ct.nrrd"
    write_image(coarse_patient.ct, path)
    return command(sys.executable, "design", [str(path), "--model", "prior", "-o"])


def _with_output(design: list[str], output: Path) -> list[str]:
    where = design.index("-o") + 1
    return [*design[:where], str(output), *design[where:]]


def test_a_design_ends_with_its_starter(design: list[str], tmp_path: Path) -> None:
    output, log = tmp_path / "new" / "output", tmp_path / "log"
    starter = start(log, _with_output(design, output), "skull")
    pid = lines_of(log)[0]["pid"]
    assert list(output.iterdir())
    starter.kill()
    starter.wait()
    assert wait_for(lambda: gone(pid), SOON_S)
    assert not output.parent.exists()
    end = lines_of(log)[-1]
    assert (end["error"], end["code"]) == ("Cancelled.", 130)


def test_a_design_ends_with_the_process_it_is_told_to_watch(
    design: list[str], tmp_path: Path
) -> None:
    """Between the program and the run stands a launcher, which outlives the program."""
    output, log = tmp_path / "output", tmp_path / "log"
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    told = {WATCHED_PROCESS_VARIABLE: str(program.pid)}
    launcher = start(log, _with_output(design, output), "skull", **told)
    pid = lines_of(log)[0]["pid"]
    program.kill()
    program.wait()
    try:
        assert wait_for(lambda: gone(pid), SOON_S)
        assert launcher.poll() is None and not output.exists()
    finally:
        launcher.kill()


def test_a_run_stuck_in_native_code_is_not_waited_for(tmp_path: Path) -> None:
    output, log = tmp_path / "output", tmp_path / "log"
    starter = start(log, [sys.executable, "-c", STUCK, str(output)], "stuck")
    pid = lines_of(log)[0]["pid"]
    assert [path.name for path in output.rglob("half.nrrd")]
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert wait_for(lambda: gone(pid), SOON_S)
    assert not output.exists()


@pytest.mark.slow
def test_a_run_ends_when_nobody_reads_its_progress(design: list[str], tmp_path: Path) -> None:
    output = tmp_path / "output"
    run = subprocess.Popen(
        _with_output(design, output),
        cwd=library_folder(),
        env={**os.environ, **environment()},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert run.stderr is not None
    for line in run.stderr:
        if json.loads(line).get("stage") == "pose":
            break
    run.stderr.close()
    assert run.wait(20) in (130, 120)  # 120: Python itself cannot flush what it wrote
    assert not output.exists()


def test_a_process_runs_until_it_is_collected() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(os.getpid()) and is_running(process.pid) and is_running(1)
    process.communicate(b"\n")
    assert not is_running(process.pid)
