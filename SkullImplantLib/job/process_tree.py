"""A process and all its descendants, ended at once, on every system."""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROCESS_TABLE = Path("/proc")  # proc(5), where the system has it


def end_process_tree(pid: int) -> None:
    """End the process `pid` and all its descendants at once; what is gone already is no fault.

    For runs that were started by a launcher, which would leave its child behind. Waits for nothing:
    the starter still has to collect its own child.
    """
    if pid <= 1 or pid == os.getpid():
        raise ValueError(f"process {pid} is not one to end")
    if os.name == "nt":
        _end_tree_by_taskkill(pid)
    else:
        _end_tree_by_signals(pid)


def _end_tree_by_taskkill(pid: int) -> None:
    with suppress(OSError):
        subprocess.Popen(
            ["taskkill", "/PID", str(pid), "/T", "/F"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


def _end_tree_by_signals(pid: int) -> None:
    # What is stopped starts no more children, so that the second look finds the last of them.
    stopped: set[int] = set()
    tree = {pid}
    while tree - stopped:
        for process in tree - stopped:
            _signal(process, signal.SIGSTOP)
        stopped |= tree
        tree |= _descendants(pid)
    for process in tree:
        _signal(process, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for process, parent in _processes():
        children.setdefault(parent, []).append(process)
    found: set[int] = set()
    parents = [pid]
    while parents:
        new = [child for child in children.get(parents.pop(), []) if child not in found]
        found.update(new)
        parents += new
    return found


def _processes() -> Iterable[tuple[int, int]]:
    """Return every process of the system with its parent."""
    if not (PROCESS_TABLE / "self" / "stat").exists():
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False
        )
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [(int(row[0]), int(row[1])) for row in rows if len(row) == 2]
    found = []
    for name in filter(str.isdigit, os.listdir(PROCESS_TABLE)):
        with suppress(OSError, IndexError, ValueError):
            # Its line is: id (name) state parent ...; the name may hold spaces and brackets.
            line = (PROCESS_TABLE / name / "stat").read_text(errors="replace")
            told = line.rpartition(")")[2]
            found.append((int(name), int(told.split()[1])))
    return found
