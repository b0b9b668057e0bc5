"""One process at a time writes into a folder."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import DiskError

LOCK_FILE = ".skull-implant.lock"


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold a folder's lock while the block runs; yield whether the file system knows locks.

    The system lets go of it when the process ends, however it ends. Raises `DiskError` where
    another process holds it, `OSError` where nothing can be written.
    """
    path = folder / LOCK_FILE
    with open(path, "a", encoding="ascii") as file:
        held = _lock(file)
        if held is None:
            raise DiskError(
                f"Another run is writing into {folder}; wait until it has ended, or choose another "
                "folder."
            )
        try:
            yield held
        finally:
            # The folder may be another one by now, with a lock of the next run in it.
            own = _is_at(file, path)
            if own and os.name != "nt":  # there an open file cannot be removed
                path.unlink(missing_ok=True)
    if own and os.name == "nt":
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> bool | None:
        """Return True, or None where another holds it."""
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return None
        return True

else:
    import fcntl

    def _lock(file: IO[str]) -> bool | None:
        """Return True, None where another holds it, or False where there are no locks."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError:
            return False
        return True
