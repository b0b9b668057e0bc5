"""Files move from where they were written into a folder: once that has begun, it is ended.

Where a folder cannot be exchanged as a whole its files move one by one. What is to be done is
written down before, beside the files: whoever comes next, this process or the one after a kill,
finishes it.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path

from .files import remove_folder
from .kept_json import read_json

READY_PREFIX = ".skull-implant-ready-"
PLAN = "plan.json"


def hand_over(staging: Path, folder: Path, outdated: Collection[str]) -> None:
    """Move the files of `staging`, a folder within `folder`, into it, and remove the `outdated`.

    Raises `OSError` where that fails. Nothing may be in the way but files. An interruption comes
    through when all is done.
    """
    (staging / PLAN).write_text(json.dumps({"remove": sorted(outdated)}), encoding="utf-8")
    ready = folder / (READY_PREFIX + str(os.getpid()))
    os.rename(staging, ready)
    try:
        _finish(ready, folder)
    except KeyboardInterrupt:
        _finish(ready, folder)
        raise


def was_begun(folder: Path) -> bool:
    """Say whether a killed process left something half handed over."""
    return any(folder.glob(READY_PREFIX + "*"))


def finish_what_was_begun(folder: Path) -> None:
    """Finish what a killed process had begun to hand over into a folder, if any did.

    Raises `OSError` where that fails.
    """
    for ready in sorted(folder.glob(READY_PREFIX + "*")):
        if (ready / PLAN).is_file():
            _finish(ready, folder)
        else:
            remove_folder(ready)  # all but the plan is done


def _finish(ready: Path, folder: Path) -> None:
    plan = read_json(ready / PLAN)
    for path in sorted(ready.iterdir()):
        if path.name != PLAN:
            os.replace(path, folder / path.name)
    for name in plan["remove"]:
        (folder / name).unlink(missing_ok=True)
    remove_folder(ready)
