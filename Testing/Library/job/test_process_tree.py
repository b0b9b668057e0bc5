"""A tree of real processes, ended at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from SkullImplantLib.job import process_tree
from SkullImplantLib.job.process_tree import end_process_tree

posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and /proc are POSIX's")
# Generous against the contract's 0.3 s, for a busy machine.
AT_ONCE_S = 0.3


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
            monkeypatch.setattr(process_tree, "PROCESS_TABLE", tmp_path / "no-proc")
        start = time.monotonic()
        end_process_tree(launcher.pid)
        assert time.monotonic() - start < AT_ONCE_S
        assert launcher.wait(5) == -signal.SIGKILL
        assert _wait_for(lambda: not any(map(_runs, pids)), 1.0)
    finally:
        launcher.kill()
    end_process_tree(launcher.pid)  # gone already


def test_no_process_above_or_itself_is_ended() -> None:
    for pid in (0, 1, -1, os.getpid()):
        with pytest.raises(ValueError, match="not one to end"):
            end_process_tree(pid)


@posix_only
def test_windows_is_asked_to_end_the_tree_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another system a script takes the place of Windows' command and notes what it is asked."""
    taskkill = tmp_path / "taskkill"
    taskkill.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/asked"\n')
    taskkill.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    process_tree._end_tree_by_taskkill(4321)
    end = time.monotonic() + 10.0
    while not (tmp_path / "asked").exists() or not (tmp_path / "asked").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (tmp_path / "asked").read_text().split() == ["/PID", "4321", "/T", "/F"]
