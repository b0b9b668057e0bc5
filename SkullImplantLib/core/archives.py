"""Arrays that this program kept: read as they were written, or one error that they are not."""

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .kept_json import Damaged

# The most that an archive may hold, unpacked: the largest this program writes, a checkpoint of ch2
# with its optimiser's two moments and its average, has 0.3 GB.
MOST_BYTES = 2 << 30
MOST_ARRAYS = 10_000
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


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
