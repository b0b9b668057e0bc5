"""The stages of a design: what each took in time and memory, and one progress report over all."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .progress import Progress

BYTES_PER_GIB = 1024.0**3
ALMOST = 0.999


class StageReport(Protocol):
    """Receives the stage's name, the fraction of it done and a message; may raise `Cancelled`."""

    def __call__(self, stage: str, fraction: float, message: str = "") -> None: ...


def no_report(stage: str, fraction: float, message: str = "") -> None:
    """Report nothing."""


@dataclass(frozen=True)
class StageRecord:
    """What one stage took. `peak_memory_gib` is None where the system does not tell."""

    name: str
    seconds: float
    peak_memory_gib: float | None


@dataclass
class Stages:
    """The stages run so far, in order, and whom to report to."""

    report: StageReport = no_report
    records: list[StageRecord] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Run a block as the stage `name`: yields its progress, and records time and memory."""

        def progress(fraction: float, message: str = "") -> None:
            # The one report of 1 is the stage's own, once its time and memory are known.
            self.report(name, min(max(fraction, 0.0), ALMOST), message)

        _restart_peak_memory()
        start = time.perf_counter()
        progress(0.0)
        yield progress
        seconds = time.perf_counter() - start
        self.records.append(StageRecord(name, round(seconds, 3), peak_memory_gib()))
        self.report(name, 1.0)

    def as_list(self) -> list[dict[str, Any]]:
        """Return the records as plain dictionaries for `design.json`."""
        return [asdict(record) for record in self.records]


def _restart_peak_memory() -> None:
    """Let the kernel start its high-water mark anew (Linux, proc(5)); elsewhere it only grows."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_gib() -> float | None:
    """Return the process's peak resident memory in GiB since the stage began, where known."""
    try:
        status = Path("/proc/self/status").read_text()
        peak_kib = float(status.split("VmHWM:")[1].split()[0])
        return round(peak_kib * 1024.0 / BYTES_PER_GIB, 3)
    except (OSError, IndexError):
        pass
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_PER_GIB, 3)
