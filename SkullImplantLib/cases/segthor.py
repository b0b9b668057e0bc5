"""SegTHOR: chests (CT) with four organs, in the challenge's own layout.

`train/Patient_01/Patient_01.nii.gz` with `GT.nii.gz` beside it, and `test/Patient_41.nii.gz` alone.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..core.image_files import read_labels
from ..core.images import same_grid
from ..core.working_axes import as_working
from ..errors import SkullImplantError
from ..reading.input import read_input
from .data_folders import TEST, folders_in, images_in, part_named
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

    def read(self) -> tuple[sitk.Image, sitk.Image | None]:
        """Return the CT in HU and the labels (uint8), on one grid, on the working axes
        (`core.working_axes`).

        Raises `SkullImplantError` where a file cannot be read, or the grids differ.
        """
        ct = read_input(self.ct, "ct").image
        if self.labels is None:
            return as_working(ct), None
        labels = read_labels(self.labels)
        if not same_grid(ct, labels):
            raise SkullImplantError(
                f"The labels {self.labels.name} of {self.name} are not on the grid of its CT; "
                "download both again."
            )
        return as_working(ct), as_working(labels)


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


def chests_to_learn_from(folder: Path) -> list[ChestFile]:
    """Return the chests of a SegTHOR folder that have labels and are not of a test part.

    Raises `SkullImplantError` where there is none.
    """
    found = chests_in(folder)
    chests = [one for one in found if one.labels and one.part != TEST]
    if not chests:
        raise SkullImplantError(
            f"There is no chest to learn from in {folder}: of {len(found)} none has labels "
            f"({TRUTH.upper()}) outside a test part, which is never learnt from; give the training "
            "part."
        )
    return chests


def holds_segthor(folder: Path) -> bool:
    """Say whether a folder holds chests of SegTHOR."""
    return any(PATIENT.fullmatch(name) for where in folders_in(folder) for name in images_in(where))
