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
    """Receives the stage's name, the fraction of it done, a message, and the device that the stage
    works on where it is not plainly the processor; may raise `Cancelled`.
    """

    def __call__(
        self, stage: str, fraction: float, message: str = "", device: str | None = None
    ) -> None: ...


def no_report(stage: str, fraction: float, message: str = "", device: str | None = None) -> None:
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
    def stage(self, name: str, device: str | None = None) -> Iterator[Progress]:
        """Run a block as the stage `name`: yields its progress, and records time and memory.

        `device`: where a network of this stage runs, which is told with its progress.
        """
        where = {} if device is None else {"device": device}

        def progress(fraction: float, message: str = "") -> None:
            # The one report of 1 is the stage's own, once its time and memory are known.
            self.report(name, min(max(fraction, 0.0), ALMOST), message, **where)

        restart_peak()
        start = time.perf_counter()
        progress(0.0)
        yield progress
        seconds = time.perf_counter() - start
        peak = peak_bytes()
        gib = None if peak is None else round(peak / BYTES_PER_GIB, 3)
        # A stage that runs again, an export say, takes the place of its first run.
        self.records = [record for record in self.records if record.name != name]
        self.records.append(StageRecord(name, round(seconds, 3), gib))
        self.report(name, 1.0, **where)

    def as_list(self) -> list[dict[str, Any]]:
        """Return the records as plain dictionaries for `design.json`."""
        return [asdict(record) for record in self.records]
