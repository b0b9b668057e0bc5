"""How much more memory this process can have: the machine's, a container's, a limit of its own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

# Of macOS' `vm_stat`: pages that can be had without writing any to the disk.
_MAC_FREE = ("free", "inactive", "speculative", "purgeable")
_ASKED_S = 2.0


def free_bytes(root: Path = Path("/")) -> int | None:
    """Return how many more bytes this process can have, the least of what is known to limit it;
    None where nothing is.

    Linux: memory that is available without swapping (proc(5)), what the control groups around this
    process leave (cgroups(7), versions 1 and 2; files kept in memory can go), and the room that
    RLIMIT_AS leaves (setrlimit(2)). macOS, Windows: what the system says is available. root: where
    /proc and /sys lie.
    """
    if sys.platform == "win32":
        return _windows_bytes()
    known = [_mac_bytes()] if sys.platform == "darwin" else [_available_bytes(root)]
    known += [_cgroup_bytes(root), address_bytes(root)]
    return min((max(free, 0) for free in known if free is not None), default=None)


def resident_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes this process has in memory now; 0 where the system does not tell."""
    return _status_bytes(root, "VmRSS") or 0


def reserved_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes of addresses this process has; 0 where the system does not tell."""
    return _status_bytes(root, "VmSize") or 0


def address_bytes(root: Path = Path("/")) -> int | None:
    """Return how many bytes of addresses a limit (RLIMIT_AS) leaves; None where there is none."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _status_bytes(root, "VmSize")
    if limit == resource.RLIM_INFINITY or used is None:
        return None
    return max(limit - used, 0)


def _status_bytes(root: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, IndexError, ValueError):
        status = (root / "proc/self/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) * 1024
    return None


def _available_bytes(root: Path) -> int | None:
    with contextlib.suppress(OSError, IndexError, ValueError):
        text = (root / "proc/meminfo").read_text()
        return int(text.split("MemAvailable:")[1].split()[0]) * 1024
    return None


def _cgroup_bytes(root: Path) -> int | None:
    """Return what the control groups of this process leave it, the tightest of all around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    left = []
    for line in lines:
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if not controllers:
            mount, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = "sys/fs/cgroup/memory"
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # In a container the path may be that outside of it: what is there of it is asked.
        top, inner = root / mount, Path(path.lstrip("/"))
        for folder in (top, *(top / part for part in (inner, *inner.parents))):
            free = _group_bytes(folder, *names)
            if free is not None:
                left.append(free)
    return min(left, default=None)


def _group_bytes(folder: Path, limit: str, usage: str, kept: str) -> int | None:
    """Return what one control group leaves; None where it has no limit."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        most, used = (int((folder / name).read_text()) for name in (limit, usage))  # or "max"
        statistics = dict(
            line.split() for line in (folder / "memory.stat").read_text().splitlines()
        )
        return most - used + int(statistics.get(kept, 0))
    return None


def _mac_bytes() -> int | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        ran = subprocess.run(["vm_stat"], capture_output=True, text=True, timeout=_ASKED_S)
        lines = dict(line.split(":", 1) for line in ran.stdout.splitlines() if ":" in line)
        counts = [lines.get(f"Pages {name}", "0") for name in _MAC_FREE]
        free = sum(int(count.strip(" .")) for count in counts)
        return free * os.sysconf("SC_PAGE_SIZE") if free else None
    return None


def _windows_bytes() -> int | None:
    """Return what Windows says is available, of memory and of what programs may reserve."""
    if sys.platform != "win32":
        return None
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in _WINDOWS_FIELDS),
        )

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(min(status.available, status.available_page_file))


# MEMORYSTATUSEX, after its length and load.
_WINDOWS_FIELDS = (
    "total", "available", "total_page_file", "available_page_file", "total_virtual",
    "available_virtual", "available_extended_virtual",
)  # fmt: skip
