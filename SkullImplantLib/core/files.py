"""Files and folders that are there whole or not at all, and gone when they are removed."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DiskError, SkullImplantError

# Asking for the mask sets it: once, before there are threads.
_UMASK = os.umask(0)
os.umask(_UMASK)
FILE_MODE = 0o666 & ~_UMASK  # of a file that anyone makes; temporary ones are the user's own alone


def for_native(path: Path) -> str:
    """Return a path for ITK and VTK, which take UTF-8 alone and end the process for other bytes.

    Raises `SkullImplantError` where it holds such.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise SkullImplantError(
            f"The name {path} holds bytes that are no UTF-8; rename the file or folder."
        ) from error
    return str(path)


def checked_file(path: Path) -> Path:
    """Return the path of a file that can be read to its end.

    Raises `SkullImplantError` where there is none, or a device or pipe, which may never end.
    """
    if not path.exists():
        raise SkullImplantError(f"{path} does not exist; check the path.")
    if not path.is_file():
        raise SkullImplantError(f"{path.name} is a folder, device or pipe; give a file.")
    return path


def remove_folder(path: Path, patience_s: float = 0.5) -> bool:
    """Remove a folder with all in it, also what is read-only; return whether it is gone.

    On Windows a file may be held for a moment more, by a process that ends or by a virus scanner:
    it is tried again, for `patience_s` at the most.
    """
    give_up = time.monotonic() + patience_s
    while True:
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return True
        _allow_removal(path)
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return True
        if time.monotonic() >= give_up:
            return False
        time.sleep(0.05)


def _allow_removal(path: Path) -> None:
    """Take the read-only marks off a folder and all in it."""
    for folder, _, files in os.walk(path):
        for name in (folder, *(os.path.join(folder, file) for file in files)):
            if not os.path.islink(name):
                with suppress(OSError):
                    os.chmod(name, os.stat(name).st_mode | stat.S_IRWXU)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` once the block has ended well.

    The temporary name keeps the ending, which tells writers the format. On any exception the
    temporary file is removed. Raises `DiskError` where the folder or the file cannot be written.
    """
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".nii.gz") else path.suffix
    try:
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=suffix, dir=path.parent)
    except OSError as error:
        raise DiskError(
            f"Cannot write into {path.parent} ({error.strerror}); choose a folder that exists, "
            "is writable and has free space."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(FILE_MODE)
        os.replace(temporary, path)
    except OSError as error:
        raise DiskError(
            f"Cannot write {path.name} ({error.strerror}); check free space and permissions."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
