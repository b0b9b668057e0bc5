"""The result folder: every file is written beside its place, and then all are moved at once."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SkullImplantError

STAGING_PREFIX = ".skull-implant-"


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; when the block ends well, its files move into `folder`.

    On any exception nothing is left: neither the files nor a `folder` that was not there before.
    Files of the same name from an earlier run are replaced. Staging folders that a killed process
    left behind are removed. Raises `SkullImplantError` where `folder` cannot be made or written.
    """
    made = _make(folder)
    try:
        for stale in folder.glob(STAGING_PREFIX + "*"):
            if not _in_use(stale):
                shutil.rmtree(stale, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{STAGING_PREFIX}{os.getpid()}-", dir=folder))
    except OSError as error:
        _unmake(made)
        raise SkullImplantError(
            f"Cannot write into {folder} ({error.strerror}); choose a folder that is writable."
        ) from error
    try:
        yield staging
        for path in sorted(staging.iterdir()):
            os.replace(path, folder / path.name)
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        _unmake(made)
        if isinstance(error, OSError):
            raise SkullImplantError(
                f"Cannot write into {folder} ({error.strerror}); check free space and permissions."
            ) from error
        raise
    shutil.rmtree(staging, ignore_errors=True)


def _make(folder: Path) -> list[Path]:
    """Make `folder` with its parents, and return those that were made, the deepest first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SkullImplantError(
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
        os.kill(process, 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:
        return True
    return process != os.getpid()
