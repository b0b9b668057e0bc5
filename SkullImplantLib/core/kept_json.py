"""JSON that this program kept: read as it was written, or one error that it is not.

Files of this program lie on a user's disk, go through mail and clouds, and come back damaged. What
a parser makes of them is of many kinds; here it is one.
"""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

MOST_TEXT = 64 << 20  # letters: no file of this program's has a hundredth


class Damaged(ValueError):
    """A file is not as this program wrote it."""


def parsed(text: str | bytes) -> Any:
    """Return what a JSON text says, by RFC 8259: without NaN and numbers that no float can be.

    Raises `Damaged`, also for nesting that no file of this program has.
    """
    if len(text) > MOST_TEXT:
        raise Damaged("a text longer than any of this program")
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Damaged(str(error)) from error


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Damaged(f"{text[:20]} is too large a number")
    return value


def _no_number(name: str) -> NoReturn:
    raise Damaged(f"{name} is no number")


def read_json(path: Path) -> Any:
    """Return what a JSON file says; raises `Damaged`, and `OSError` where it cannot be read."""
    with open(path, "rb") as file:
        text = file.read(MOST_TEXT + 1)
    return parsed(text)
