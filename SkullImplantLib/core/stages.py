"""The stages of a design: what each took in time and memory, and one progress report over all."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from .memory import BYTES_PER_GIB, peak_bytes, restart_peak
from .progress import Progress

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

        restart_peak()
        start = time.perf_counter()
        progress(0.0)
        yield progress
        seconds = time.perf_counter() - start
        peak = peak_bytes()
        gib = None if peak is None else round(peak / BYTES_PER_GIB, 3)
        self.records.append(StageRecord(name, round(seconds, 3), gib))
        self.report(name, 1.0)

    def as_list(self) -> list[dict[str, Any]]:
        """Return the records as plain dictionaries for `design.json`."""
        return [asdict(record) for record in self.records]
