"""SegTHOR: chests (CT) with four organs, in the challenge's own layout.

`train/Patient_01/Patient_01.nii.gz` with `GT.nii.gz` beside it, and `test/Patient_41.nii.gz` alone.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import SkullImplantError
from .data_folders import folders_in, images_in, part_named
from .data_sets import DATA_SETS, SEGTHOR

ORGANS = {1: "oesophagus", 2: "heart", 3: "trachea", 4: "aorta"}  # the labels of GT.nii.gz
PATIENT = re.compile(r"patient_\d+", re.IGNORECASE)
TRUTH = "gt"


@dataclass(frozen=True)
class ChestFile:
    """A chest of SegTHOR: its CT, and its organs' labels (`ORGANS`) where they are public."""

    name: str
    ct: Path
    labels: Path | None
    part: str | None


def chests_in(folder: Path) -> list[ChestFile]:
    """Return the chests of a SegTHOR folder, in order of their names.

    Raises `SkullImplantError` where there is none, or two have the same name.
    """
    found: dict[str, ChestFile] = {}
    for where in folders_in(folder):
        images = images_in(where)
        truth = next((path for name, path in images.items() if name.lower() == TRUTH), None)
        for name, path in images.items():
            if not PATIENT.fullmatch(name):
                continue
            if name in found:
                raise SkullImplantError(f"Two patients are called {name}; rename one of them.")
            # A patient's folder holds one CT and its labels.
            labels = truth if where.name.lower() == name.lower() else None
            above = (word for word in reversed(where.parts) if not PATIENT.fullmatch(word))
            found[name] = ChestFile(name, path, labels, part_named(next(above, "")))
    if not found:
        raise SkullImplantError(
            f"There is no SegTHOR in {folder}; give the folder that holds "
            f"{DATA_SETS[SEGTHOR].layout}."
        )
    return [found[name] for name in sorted(found)]


def holds_segthor(folder: Path) -> bool:
    """Say whether a folder holds chests of SegTHOR."""
    return any(PATIENT.fullmatch(name) for where in folders_in(folder) for name in images_in(where))
