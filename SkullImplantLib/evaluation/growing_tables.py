"""Tables that are written anew after every case, by one process or by several at the same time."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic

from ..core.stages import StageReport
from .judge import AnyCase, Judge
from .tables import judged_of, write_tables

Row = dict[str, Any]
SECONDS_A_MINUTE, MINUTES_AN_HOUR = 60.0, 60
ALMOST = 0.999


class GrowingTables(Generic[AnyCase]):
    """The tables of all cases that are there by now, whoever made them.

    Several processes may write into one folder: each table is there whole, and the last that is
    written holds every case. A process keeps its case before it writes, and looks again after; so
    what it has missed is either seen then, or written by the one that kept it.
    """

    def __init__(
        self,
        cases: Sequence[AnyCase],
        trial: Judge[AnyCase],
        table_of: Callable[[Sequence[Row]], str],
    ) -> None:
        self._cases, self._trial, self._table_of = cases, trial, table_of
        self._known: dict[Path, tuple[int, Row | None]] = {}

    def write(self) -> None:
        """Write the tables of what is there, until nothing came while they were written."""
        rows: list[Row] | None = None
        while rows != (now := self.rows()):
            rows = now
            write_tables(rows, self.text(), self._trial.output)

    def judged(self) -> list[tuple[AnyCase, Row]]:
        """Return the cases that are there, in their order, and their rows."""
        found = ((case, self._row_of(case)) for case in self._cases)
        return [(case, row) for case, row in found if row is not None]

    def rows(self) -> list[Row]:
        """Return the rows of the cases that are there, in their order."""
        return [row for _, row in self.judged()]

    def text(self) -> str:
        """Return the table of what is there; it says how many are to come."""
        rows = self.rows()
        missing = len(self._cases) - len(rows)
        so_far = f"**So far {len(rows)} of {len(self._cases)} cases.**\n\n" if missing else ""
        return so_far + self._table_of(rows)

    def _row_of(self, case: AnyCase) -> Row | None:
        path = self._trial.result_path(case)
        try:
            changed_ns = path.stat().st_mtime_ns
        except OSError:
            return None
        if path not in self._known or self._known[path][0] != changed_ns:
            self._known[path] = changed_ns, self._trial.kept(case)
        return self._known[path][1]


class ToldCases:
    """Tells how far a run is, with the time that is left, and lets the tables grow."""

    def __init__(
        self, tables: GrowingTables[Any], kept: int, missing: int, report: StageReport
    ) -> None:
        self._tables, self._report = tables, report
        self._kept, self._missing = kept, missing
        self._done, self._start = 0, time.monotonic()
        self._so_far = ""

    def __call__(self, message: str, done: int) -> None:
        """Tell a message, and how many of the missing cases are done."""
        if done > self._done:
            self._done = done
            self._tables.write()
            self._so_far = self._told_so_far()
        share = (self._kept + done) / max(self._kept + self._missing, 1)
        self._report("evaluation", min(share, ALMOST), f"{self._so_far}{message}")

    def _told_so_far(self) -> str:
        """Return how many are done, their mean Dice, and when the rest will be."""
        told = [f"{self._kept + self._done} of {self._kept + self._missing}"]
        judged = judged_of(self._tables.rows())
        if judged:
            told.append(f"mean Dice {sum(row['dice'] for row in judged) / len(judged):.3f}")
        seconds = (time.monotonic() - self._start) / self._done * (self._missing - self._done)
        if seconds:
            told.append(f"{duration(seconds)} left")
        return ", ".join(told) + "; "


def duration(seconds: float) -> str:
    """Return a time in words that are no more exact than a guess at it."""
    minutes = round(seconds / SECONDS_A_MINUTE)
    if minutes < 1:
        return "less than a minute"
    if minutes < MINUTES_AN_HOUR:
        return f"about {minutes} min"
    return f"about {minutes // MINUTES_AN_HOUR} h {minutes % MINUTES_AN_HOUR:02d} min"
