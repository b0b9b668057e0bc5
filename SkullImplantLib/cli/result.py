"""What a verb of the command line prints, and the progress of one of its stages."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core.progress import Progress
from ..core.stages import StageReport


@dataclass(frozen=True)
class Result:
    """What a verb prints: `data` for `--json`, `text` for people."""

    data: dict[str, Any]
    text: str


def stage_of(report: StageReport, name: str) -> Progress:
    """Return the progress of one stage of a report."""
    return partial(report, name)
