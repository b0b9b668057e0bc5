"""What a verb of the command line prints, and the progress of one of its stages."""

import os
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core.progress import Progress
from ..core.stages import StageReport
from ..errors import DiskError


@dataclass(frozen=True)
class Result:
    """What a verb prints: `data` for `--json`, `text` for people."""

    data: dict[str, Any]
    text: str


def stage_of(report: StageReport, name: str) -> Progress:
    """Return the progress of one stage of a report."""
    return partial(report, name)


def say(text: str) -> None:
    """Print to standard output; who does not listen to the end misses it, and nothing else.

    Raises `DiskError` where it cannot be written.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise DiskError(
                f"The answer could not be printed ({error.strerror}); what was to be written is "
                "written."
            ) from error
