"""The log of a training, `log.csv`: one row for each validation."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..core.files import atomic_path
from ..errors import Remedy, SkullImplantError

# Of a loss after the point: enough to compare the curves of two runs.
LOSS_DIGITS = 6


@dataclass(frozen=True)
class LogRow:
    """One validation: mean loss since the last one, and the mean implant Dice of the held-back
    skulls on the network's grid, of the network and of the prior alone; not a number where no skull
    is held back, or no prior is known. `skull_dice`: the same of the whole skull, for networks that
    see all of it.

    `minutes` of training since the training was begun, interruptions not counted.
    """

    iteration: int
    loss: float
    network_dice: float
    prior_dice: float
    minutes: float
    skull_dice: float = math.nan  # as in older logs, which have it not


def write_log(path: Path, rows: Sequence[LogRow]) -> None:
    """Write all rows, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(LogRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_log(path: Path) -> list[LogRow]:
    """Return the rows of a log; raises `SkullImplantError` where it is damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                LogRow(
                    int(row["iteration"]), *(float(row[field.name]) for field in fields(LogRow)[1:])
                )
                for row in ({"skull_dice": "nan"} | each for each in csv.DictReader(file))
            ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise SkullImplantError(f"The log {path.name} is damaged.", Remedy.TRAIN_ANEW) from error
