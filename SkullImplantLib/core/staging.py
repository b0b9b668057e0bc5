"""A folder of results: every file is written beside its place, and then all are moved at once."""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DiskError
from .files import remove_folder
from .processes import is_running

STAGING_PREFIX = ".skull-implant-"


@contextmanager
def staged_folder(folder: Path, belonging: Collection[str] = ()) -> Iterator[Path]:
    """Yield an empty folder; when the block ends well, its files move into `folder`.

    On any exception nothing is left: neither the files nor a `folder` that was not there before.
    Files of the same name from an earlier run are replaced, and those of the names `belonging` that
    were not written this time are removed, so that no old report stands beside new masks. Staging
    folders that a killed process left behind are removed. Raises `DiskError` where `folder`
    cannot be made or written.
    """
    made = _make(folder)
    try:
        for stale in folder.glob(STAGING_PREFIX + "*"):
            if not _in_use(stale):
                shutil.rmtree(stale, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{STAGING_PREFIX}{os.getpid()}-", dir=folder))
    except OSError as error:
        _unmake(made)
        raise DiskError(
            f"Cannot write into {folder} ({error.strerror}); choose a folder that is writable."
        ) from error
    try:
        yield staging
        _move(staging, folder, belonging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        _unmake(made)
        raise
    shutil.rmtree(staging, ignore_errors=True)


def _move(staging: Path, folder: Path, belonging: Collection[str]) -> None:
    """Move what lies in `staging` into `folder`; of `belonging` nothing older stays there."""
    try:
        written = {path.name for path in staging.iterdir()}
        for name in sorted(written):
            os.replace(staging / name, folder / name)
        for name in set(belonging) - written:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(
            f"Cannot write into {folder} ({error.strerror}); check free space and permissions."
        ) from error


def trace_remover(folder: Path | None) -> Callable[[], None]:
    """Return what removes the traces of a run into `folder` that cannot end by itself.

    Traces are this process's staging folders, and `folder` and its parents as far as they are not
    there now; what holds anything else stays.
    """
    if folder is None:
        return lambda: None
    missing = _missing(folder)

    def remove() -> None:
        for staging in folder.glob(f"{STAGING_PREFIX}{os.getpid()}-*"):
            remove_folder(staging)
        _unmake(missing)

    return remove


def _missing(folder: Path) -> list[Path]:
    """Return `folder` and its parents as far as they do not exist, the deepest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _make(folder: Path) -> list[Path]:
    """Make `folder` with its parents, and return those that were made, the deepest first."""
    made = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(
            f"Cannot make the folder {folder} ({error.strerror}); choose another place."
        ) from error
    return made


def _unmake(made: list[Path]) -> None:
    for path in made:
        try:
            path.rmdir()
        except OSError:
            return


def _in_use(staging: Path) -> bool:
    """Say whether the process that made a staging folder still runs."""
    try:
        process = int(staging.name.removeprefix(STAGING_PREFIX).split("-")[0])
    except ValueError:
        return False
    return process != os.getpid() and is_running(process)
