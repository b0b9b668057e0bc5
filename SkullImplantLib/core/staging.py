"""A folder of results: every file is written beside its place, and then all are there at once."""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import DiskError
from .exchange import exchanged
from .files import for_native, remove_folder
from .folder_lock import LOCK_FILE, locked
from .handing_over import finish_what_was_begun, hand_over, was_begun
from .processes import is_running

STAGING_PREFIX = ".skull-implant-run-"


@contextmanager
def staged_folder(folder: Path, belonging: Collection[str] = ()) -> Iterator[Path]:
    """Yield an empty folder; when the block ends well, its files are in `folder`, all at once.

    On any exception nothing is left: neither the files nor a `folder` that was not there before.
    Files of the same name from an earlier run are replaced, and those of the names `belonging` that
    were not written this time are removed, so that no old report stands beside new masks. A folder
    that holds nothing else changes places with the new one in a single rename. What a killed
    process left behind is removed; what it had begun to move is finished.

    Raises `DiskError` where `folder` cannot be made or written, where a folder has the name of a
    file, or where another process writes into it.
    """
    folder = Path(os.path.realpath(folder))
    for_native(folder)
    made = _make(folder)
    try:
        with ExitStack() as held:
            with _told(folder):
                alone = held.enter_context(locked(folder))
                finish_what_was_begun(folder)
                _remove_stale(folder, alone)
                name = f"{STAGING_PREFIX}{os.getpid()}-"
                staging = Path(tempfile.mkdtemp(prefix=name, dir=folder))
            try:
                yield staging
                with _told(folder):
                    _put_into_place(staging, folder, belonging)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except BaseException:
        _unmake(made)
        raise


def settle(folder: Path) -> None:
    """Finish what a killed run had begun to move into a folder, before it is read."""
    if was_begun(folder):
        with suppress(OSError, DiskError), locked(folder):
            finish_what_was_begun(folder)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not folder.exists():
            raise DiskError(f"The folder {folder} was taken away meanwhile; run again.") from error
        raise DiskError(
            f"Cannot write into {folder} ({error.strerror}); check free space and permissions."
        ) from error


def _put_into_place(staging: Path, folder: Path, belonging: Collection[str]) -> None:
    """Bring the files of `staging` into `folder`; of `belonging` nothing older stays there."""
    written = {path.name for path in staging.iterdir()}
    for name in sorted({*written, *belonging}):
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            raise DiskError(
                f"There is a folder named {name} in {folder}; move it, or choose another place."
            )
    there = {path.name for path in folder.iterdir()} - {staging.name, LOCK_FILE}
    if there <= {*written, *belonging} and _exchanged(staging, folder):
        return
    hand_over(staging, folder, (set(belonging) & there) - written)


def _exchanged(staging: Path, folder: Path) -> bool:
    """Let `staging` and the folder around it change places, and remove the old one; return whether
    that could be done.
    """
    if _is_here(folder) or os.path.ismount(folder):
        return False
    outside = folder.parent / f"{staging.name}-{folder.name}"
    try:
        shutil.copymode(folder, staging)
        os.rename(staging, outside)
    except OSError:
        return False  # the folder may be written, the one around it not
    if exchanged(outside, folder):
        remove_folder(outside)
        return True
    os.rename(outside, staging)
    return False


def _is_here(folder: Path) -> bool:
    """Say whether this process stands in a folder, which it would keep when it is exchanged."""
    try:
        return Path.cwd().is_relative_to(folder)
    except OSError:
        return True


def _remove_stale(folder: Path, alone: bool) -> None:
    """Remove what killed runs left; alone: no other process can be at work here."""
    for place, ending in ((folder, []), (folder.parent, [folder.name])):
        with suppress(OSError):
            for path in list(place.iterdir()):
                if not path.name.startswith(STAGING_PREFIX):
                    continue
                process, *rest = path.name.removeprefix(STAGING_PREFIX).split("-", 2)
                if rest[1:] == ending and (alone or not _in_use(process)):
                    remove_folder(path)


def trace_remover(folder: Path | None) -> Callable[[], None]:
    """Return what removes the traces of a run into `folder` that cannot end by itself.

    Traces are this process's staging folders, and `folder` and its parents as far as they are not
    there now; what holds anything else stays.
    """
    if folder is None:
        return lambda: None
    missing = _missing(folder)

    def remove() -> None:
        for place in (folder, folder.parent):
            for staging in place.glob(f"{STAGING_PREFIX}{os.getpid()}-*"):
                remove_folder(staging)
        with suppress(OSError):
            (folder / LOCK_FILE).unlink()
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


def _in_use(process: str) -> bool:
    """Say whether the process that made a staging folder still runs."""
    return process.isdigit() and int(process) != os.getpid() and is_running(int(process))
