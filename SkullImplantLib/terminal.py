"""How progress looks on a terminal: a bar for people, JSON lines for programs."""

import json
import sys
import time
from typing import TextIO

BAR_CELLS = 28
# A bar redrawn more often than this only flickers.
REDRAW_SECONDS = 0.1


class ProgressBar:
    """One line per stage on a terminal; one line per finished stage in a log file."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._stage = ""
        self._start = self._last = 0.0

    def __call__(self, stage: str, fraction: float, message: str = "") -> None:
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
            self._stream.write("\r\x1b[2K" + line[:118] + ("\n" if done else ""))
        else:
            self._stream.write(f"{stage:<14} {seconds:6.1f} s\n")
        self._stream.flush()
        if done:
            self._stage = ""

    def close(self) -> None:
        """Leave an unfinished bar behind on its own line."""
        if self._live and self._stage:
            self._stream.write("\n")


class JsonLines:
    """`{"stage": ..., "fraction": ..., "message": ...}`, a line each, for a calling program."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def __call__(self, stage: str, fraction: float, message: str = "") -> None:
        line = {"stage": stage, "fraction": round(fraction, 4), "message": message}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is left open."""


class Quiet:
    """No progress at all."""

    def __call__(self, stage: str, fraction: float, message: str = "") -> None:
        return

    def close(self) -> None:
        """Nothing is left open."""
