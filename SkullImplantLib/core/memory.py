"""The process's peak resident memory, since it began or since it was last asked to start anew."""

import sys
from contextlib import suppress
from pathlib import Path

BYTES_PER_GIB = 1024.0**3


def restart_peak() -> None:
    """Let the kernel start its high-water mark anew (Linux, proc(5)); elsewhere it only grows."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int | None:
    """Return the peak resident memory in bytes, or None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        pass
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
