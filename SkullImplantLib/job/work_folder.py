"""The folder in which a run works, and what runs that died left of theirs."""

import os
import tempfile
from pathlib import Path

from ..core.files import remove_folder
from ..core.processes import is_running
from ..errors import DiskError

WORK_PREFIX = "si"


def short_work_folder(base: Path) -> Path:
    """Make and return an empty folder in `base`, named shortly, for Windows' limit on long paths.

    Folders that a process left there which is gone are removed: they may hold a patient's image.
    Raises `DiskError` where it cannot be made.
    """
    try:
        base.mkdir(parents=True, exist_ok=True)
        for left in base.glob(f"{WORK_PREFIX}*-*"):
            owner = left.name.removeprefix(WORK_PREFIX).split("-")[0]
            if owner.isdigit() and not is_running(int(owner)):
                remove_folder(left, patience_s=0.0)
        return Path(tempfile.mkdtemp(prefix=f"{WORK_PREFIX}{os.getpid()}-", dir=base))
    except OSError as error:
        raise DiskError(
            f"Cannot make a working folder in {base} ({error.strerror}); check free space and "
            "permissions."
        ) from error
