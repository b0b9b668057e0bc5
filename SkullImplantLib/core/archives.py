"""Arrays and texts that a program kept: read as they were written, or one error that they are not.

Files of this program lie on a user's disk, go through mail and clouds, and come back damaged. What
a decoder makes of them is of many kinds; here it is one.
"""

import json
import math
import zipfile
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

# The most that an archive may hold, unpacked: the largest this program writes, a checkpoint of ch2
# with its optimiser's two moments and its average, has 0.3 GB.
MOST_BYTES = 2 << 30
MOST_ARRAYS = 10_000
MOST_TEXT = 64 << 20  # of a JSON text: no file of this program's has a hundredth
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Damaged(ValueError):
    """A file is not as this program wrote it."""


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an `.npz` file by name, none of them of objects.

    What a file declares is held against what it has before memory is taken for it. Raises
    `Damaged`, and `OSError` where it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARRAYS or sum(m.file_size for m in members) > MOST_BYTES:
                raise Damaged("it holds more than any file of this program")
            for member in members:
                with archive.open(member) as file:
                    _hold_against(file, member.file_size)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (Damaged, OSError):
        raise
    except Exception as error:  # whatever NumPy, zip and Python's own parser make of other bytes
        raise Damaged(str(error)) from error


def _hold_against(file: IO[bytes], size: int) -> None:
    """Raise `Damaged` where an array in the NPY format declares more, or less, than its bytes."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise Damaged("an array of another version of the format")
    shape, _, dtype = HEADERS[version](file)
    if dtype.hasobject:
        raise Damaged("an array of objects")
    bytes_needed = dtype.itemsize
    for n in shape:
        bytes_needed *= int(n)  # without the overflow of fixed-width numbers
    if bytes_needed != size - file.tell():
        raise Damaged("an array of another size than declared")


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
