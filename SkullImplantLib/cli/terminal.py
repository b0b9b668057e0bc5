"""How progress looks on a terminal: a bar for people, JSON lines for programs."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from ..errors import Cancelled, SkullImplantError
from .printable import printable
from .wording import sentence_of

BAR_CELLS = 28
# A bar redrawn more often than this only flickers.
REDRAW_SECONDS = 0.1


class Quiet:
    """No progress at all, and a failure in one sentence."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def __call__(
        self, stage: str, fraction: float, message: str = "", device: str | None = None
    ) -> None:
        """Take in a step; what a `StageReport` does."""

    def begin(self) -> None:
        """The run begins."""

    def log(self, line: str) -> None:
        """Show a line of the log."""
        self._put(line + "\n")

    def _put(self, text: str) -> None:
        """Write text at once; whoever reads it and goes away cancels the run."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise Cancelled from None

    def close(self) -> None:
        """No more steps will come."""

    def end(self) -> None:
        """The run ended well."""

    def fail(self, error: SkullImplantError, code: int) -> None:
        """The run ended badly, with this exit code."""
        self._stream.write(f"skull-implant: {sentence_of(error)}\n")


class ProgressBar(Quiet):
    """One line per stage on a terminal; one line per finished stage in a log file."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._live = self._stream.isatty()
        self._stage = ""
        self._start = self._last = 0.0

    def __call__(
        self, stage: str, fraction: float, message: str = "", device: str | None = None
    ) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._start, self._last = stage, now, 0.0
        done = fraction >= 1.0
        if not done and (not self._live or now - self._last < REDRAW_SECONDS):
            return
        self._last = now
        seconds = now - self._start
        if self._live:
            cells = "█" * int(fraction * BAR_CELLS)
            line = f"{stage:<14} {cells:<{BAR_CELLS}} {fraction:4.0%} {seconds:6.1f} s  {message}"
            self._put("\r\x1b[2K" + printable(line)[:118] + ("\n" if done else ""))
        else:
            self._put(f"{stage:<14} {seconds:6.1f} s\n")
        if done:
            self._stage = ""

    def log(self, line: str) -> None:
        """Show a line of the log in place of an unfinished bar, which comes back below it."""
        super().log(("\r\x1b[2K" if self._live else "") + line)
        self._last = 0.0

    def close(self) -> None:
        """Leave an unfinished bar behind on its own line."""
        if self._live and self._stage:
            self._stream.write("\n")


class JsonLines(Quiet):
    """A line of JSON (ASCII) for everything, for a calling program: `job.protocol.JobProgress`.

    First `{"pid": ...}`; then the steps, `{"stage": ..., "fraction": ..., "message": ...}`, with a
    `"device"` where a network runs; and in the end `{"done": true}`, or
    `{"error": SENTENCE, "code": EXIT_CODE, "message": ..., "remedy": ...}`: the message is the
    sentence without its remedy, which is a value of `Remedy` or null. Lines of a log are no JSON.
    """

    def __call__(
        self, stage: str, fraction: float, message: str = "", device: str | None = None
    ) -> None:
        told = {"stage": stage, "fraction": round(fraction, 4), "message": message}
        self._write(told if device is None else {**told, "device": device})

    def begin(self) -> None:
        self._write({"pid": os.getpid()})

    def end(self) -> None:
        self._write({"done": True})

    def fail(self, error: SkullImplantError, code: int) -> None:
        told = {"error": sentence_of(error), "code": code}
        with suppress(Cancelled):
            self._write({**told, "message": str(error), "remedy": error.remedy})

    def _write(self, told: dict[str, Any]) -> None:
        self._put(json.dumps(told) + "\n")


@contextmanager
def showing_log(show: Quiet, wanted: bool) -> Iterator[None]:
    """While the block runs, show what the library logs, if it is wanted."""
    logger = logging.getLogger(__name__.partition(".")[0])
    before, handler = logger.level, _LogLines(show)
    if wanted:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _LogLines(logging.Handler):
    """Shows log records as lines, on whatever shows the progress."""

    def __init__(self, show: Quiet) -> None:
        super().__init__()
        self._show = show
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._show.log(printable(self.format(record)))
