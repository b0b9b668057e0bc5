"""A run in another process: its lines, its ends in words, and ending a tree of real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.job import protocol as job
from SkullImplantLib.job.protocol import JobProgress, explain_exit

posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and /proc are POSIX's")
# Generous against the contract's 0.3 s, for a busy machine.
AT_ONCE_S = 0.3


def test_it_opens_in_a_moment_and_without_the_heavy_packages() -> None:
    code = (
        "import sys, time; start = time.process_time(); import SkullImplantLib.job; "
        "seconds = time.process_time() - start; "
        "assert not {'torch', 'numpy', 'SimpleITK', 'vtk', 'scipy'} & set(sys.modules); "
        "print(seconds)"
    )
    command = [sys.executable, "-c", code]
    # The processor's time, and the best of three: the machine may be busy with other things.
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.1


def test_the_command_runs_the_library_in_its_folder() -> None:
    arguments = job.command(sys.executable, "design", ["--help"])
    assert arguments[:4] == [sys.executable, "-m", "SkullImplantLib", "design"]
    assert arguments[-2:] == ["--progress", "json"]
    assert (job.library_folder() / "SkullImplantLib" / "job.py").is_file()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | job.environment()
    run = subprocess.run(
        arguments, cwd=job.library_folder(), env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0 and "--clearance-mm" in run.stdout


def test_lines_become_steps_and_the_whole_goes_only_onward() -> None:
    progress = JobProgress()
    assert progress.feed('{"pid": 77}\n') is None and progress.pid == 77
    told = [
        ("reading", 0.0), ("reading", 1.0), ("skull", 0.5), ("skull", 0.4), ("unheard-of", 0.9),
        ("completion", 0.2), ("prior", 0.5), ("export", 1.0),
    ]  # fmt: skip
    steps = [progress.feed(f'{{"stage": "{s}", "fraction": {f}, "message": "m"}}') for s, f in told]
    assert all(step is not None for step in steps)
    assert [(s.stage, s.fraction) for s in steps if s] == told
    overall = [s.overall for s in steps if s]
    assert overall == sorted(overall) and overall[0] == 0.0 and overall[-1] == pytest.approx(1.0)
    assert steps[2] and steps[2].title == "Finding the skull" and steps[2].message == "m"
    assert steps[4] and steps[4].title == "Unheard-of"
    assert progress.feed('{"done": true}') is None and progress.done


def test_what_is_no_progress_is_kept_as_the_log() -> None:
    progress = JobProgress()
    lines = [f"line {i}" for i in range(30)]
    strange = ["3", "[1, 2]", '{"stage": 3}', '{"stage": "skull", "fraction": "x"}', "{"]
    for line in [*lines, "", "  \n", *strange]:
        assert progress.feed(line) is None
    assert list(progress.log) == [*lines[-(job.LOG_LINES - len(strange)) :], *strange]
    progress.feed('{"error": "The CT is empty; check the file.", "code": 2}')
    assert progress.error == "The CT is empty; check the file." and progress.error_code == 2
    assert len(progress.log) == job.LOG_LINES


@pytest.mark.parametrize("verb", sorted(job.STAGE_SECONDS))
def test_every_stage_has_a_title(verb: str) -> None:
    assert set(job.STAGE_SECONDS[verb]) <= set(job.STAGE_TITLES)


def _ended(line: str = "") -> JobProgress:
    progress = JobProgress()
    progress.feed(line)
    return progress


@pytest.mark.parametrize(
    ("code", "line", "free_bytes", "sentence"),
    [
        (2, '{"error": "The CT is empty; crop less.", "code": 2}', None, "The CT is empty; crop"),
        (130, '{"error": "Cancelled.", "code": 130}', None, "The design was cancelled."),
        (-9, "", None, "memory ran out"),
        (137, "", 10**12, "memory ran out"),
        (-11, "", None, "ended by the system"),
        (0xC0000005, "", None, "ended by the system"),
        (0xC0000005 - 2**32, "", None, "ended by the system"),
        (1, "Traceback ...", None, "copy the log and report it"),
        (1, '{"error": "Internal error: KeyError: 3", "code": 1}', None, "error in the program"),
        (1, "", 0, "disk is full"),
        (0, "", None, "without a complete result"),
        (2, "usage: ...", None, "install the extension again"),
    ],
)
def test_every_end_is_one_sentence(
    code: int, line: str, free_bytes: int | None, sentence: str
) -> None:
    said = explain_exit(code, _ended(line), free_bytes)
    assert sentence in said and said.endswith(".") and "\n" not in said
    assert "KeyError" not in said


def _wait_for(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    """Say whether a process runs; one that is dead but not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# A launcher whose child does the work with a child of its own; SIGTERM moves none of them.
TREE = """
import os, signal, subprocess, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder, depth = Path(sys.argv[1]), int(sys.argv[2])
child = subprocess.Popen([sys.executable, __file__, str(folder), str(depth - 1)]) if depth else None
(folder / f"part-{depth}").write_text(str(os.getpid()))
os.rename(folder / f"part-{depth}", folder / f"pid-{depth}")
time.sleep(60)
"""


@posix_only
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the test looks into /proc")
@pytest.mark.parametrize("listing", ["proc", "ps"])
def test_a_launcher_and_all_below_it_end_at_once(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "tree with space) (.py"
    script.write_text(TREE)
    launcher = subprocess.Popen(
        ["sh", "-c", '"$0" "$1" "$2" 2; exit 0', sys.executable, str(script), str(tmp_path)]
    )
    try:
        assert _wait_for(lambda: len(list(tmp_path.glob("pid-*"))) == 3)
        pids = [int(path.read_text()) for path in tmp_path.glob("pid-*")]
        if listing == "ps":
            monkeypatch.setattr(job, "PROCESS_TABLE", tmp_path / "no-proc")
        start = time.monotonic()
        job.end_process_tree(launcher.pid)
        assert time.monotonic() - start < AT_ONCE_S
        assert launcher.wait(5) == -signal.SIGKILL
        assert _wait_for(lambda: not any(map(_runs, pids)), 1.0)
    finally:
        launcher.kill()
    job.end_process_tree(launcher.pid)  # gone already


def test_no_process_above_or_itself_is_ended() -> None:
    for pid in (0, 1, -1, os.getpid()):
        with pytest.raises(ValueError, match="not one to end"):
            job.end_process_tree(pid)


@posix_only
def test_windows_is_asked_to_end_the_tree_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another system a script takes the place of Windows' command and notes what it is asked."""
    taskkill = tmp_path / "taskkill"
    taskkill.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/asked"\n')
    taskkill.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    job._end_tree_by_taskkill(4321)
    end = time.monotonic() + 10.0
    while not (tmp_path / "asked").exists() or not (tmp_path / "asked").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (tmp_path / "asked").read_text().split() == ["/PID", "4321", "/T", "/F"]


def test_a_crash_behind_slicers_launcher_is_told_as_a_crash() -> None:
    """The launcher ends with 1 whatever became of its child, which had told that it works."""
    progress = JobProgress()
    progress.feed('{"pid": 4321}')
    progress.feed("error: [python-real] exit abnormally - Report the problem.")
    assert "ended by the system" in explain_exit(1, progress)


def test_a_work_folder_is_short_and_goes_with_read_only_files(tmp_path: Path) -> None:
    base = tmp_path / "Ünïcode base"
    one, two = job.short_work_folder(base), job.short_work_folder(base)
    assert one != two and one.parent == base and len(one.name) <= 20
    (one / "deep").mkdir()
    (one / "deep" / "file").write_text("x")
    (one / "deep" / "file").chmod(0o444)
    (one / "deep").chmod(0o555)
    assert job.remove_folder(one) and not one.exists()
    assert job.remove_folder(one)  # gone already
    assert two.exists()


def test_a_work_folder_left_by_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"si{gone.pid}-abc"
    left.mkdir()
    (left / "input.nrrd").write_text("a patient")
    mine, others = job.short_work_folder(tmp_path), tmp_path / "site-packages"
    others.mkdir()
    job.short_work_folder(tmp_path)
    assert not left.exists()
    assert mine.exists() and others.exists()


def test_a_folder_that_cannot_be_made_or_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SkullImplantError, match="working folder"):
        job.short_work_folder(tmp_path / "file")
    start = time.monotonic()
    assert not job.remove_folder(tmp_path / "file", patience_s=0.2)
    assert time.monotonic() - start < 1.0
