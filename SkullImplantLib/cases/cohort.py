"""Skulls and cases on disk: a plain folder, or the public data sets in their own layouts.

- SkullBreak: `complete_skull/NNN.nrrd`, `defective_skull/KIND/NNN.nrrd`, `implant/KIND/NNN.nrrd`.
- SkullFix (AutoImplant 2020, and 2021 task 3): the same without KIND, in `training_set/`.
- A plain folder: every image in it is a complete skull, named as its file: a mask, or a CT.

Either set may lie in `train`, `training_set` or the like below the folder given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import SkullImplantError
from ..reading.input import read_input
from ..skull.segmentation import clean_skull, segment_skull

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
COMPLETE, DEFECTIVE, IMPLANT = "complete_skull", "defective_skull", "implant"


@dataclass(frozen=True)
class SkullFile:
    """A complete skull on disk; nothing but its name and path until it is read."""

    name: str
    path: Path

    def read(self) -> sitk.Image:
        """Return the skull's mask as `uint8` 0/1 in its own geometry, marrow filled.

        A CT is told from a mask by its values and segmented. Raises `SkullImplantError` where the
        file is neither, or holds no skull.
        """
        try:
            source = read_input(self.path)
            segment = segment_skull if source.kind == "ct" else clean_skull
            return segment(source.image).mask
        except SkullImplantError as error:  # of many files, this one
            raise SkullImplantError(f"{self.path.name}: {error}") from error


@dataclass(frozen=True)
class CaseFile:
    """A defect of a data set: the skull with it, and, where they are public, what belongs there."""

    name: str  # skull/kind, or the skull alone
    skull: str  # cases of one skull are never split
    kind: str | None
    defective: Path
    implant: Path | None
    complete: Path | None


def skulls_in(folder: Path) -> list[SkullFile]:
    """Return the complete skulls of a data set or of a plain folder, in order of their names.

    Raises `SkullImplantError` where there is none.
    """
    where = _data_set_in(folder, COMPLETE)
    found = _images_in(where / COMPLETE if where else folder)
    if not found:
        raise SkullImplantError(
            f"There is no skull in {folder}; give a folder of skulls ({', '.join(ENDINGS)}), "
            f"or a data set with a folder {COMPLETE}."
        )
    return [SkullFile(name, path) for name, path in found.items()]


def skulls_of(folders: Sequence[Path]) -> list[SkullFile]:
    """Return the complete skulls of several folders; see `skulls_in`.

    Raises `SkullImplantError` where two have the same name.
    """
    found: dict[str, SkullFile] = {}
    for skull in (skull for folder in folders for skull in skulls_in(folder)):
        if skull.name in found:
            raise SkullImplantError(f"Two skulls are called {skull.name}; rename one of them.")
        found[skull.name] = skull
    return list(found.values())


def cases_in(folder: Path) -> list[CaseFile]:
    """Return the cases of a SkullBreak or SkullFix folder, in order of kind and name.

    A case without its implant (the hidden truth of a test set) has None there. Raises
    `SkullImplantError` where there is no case.
    """
    where = _data_set_in(folder, DEFECTIVE)
    if where is None:
        raise SkullImplantError(
            f"There is no data set in {folder}; give the folder that holds {DEFECTIVE} and "
            f"{IMPLANT}, as in SkullBreak and SkullFix."
        )
    complete = _images_in(where / COMPLETE)
    kinds = sorted(path.name for path in (where / DEFECTIVE).iterdir() if path.is_dir())
    cases = []
    for kind in kinds or [""]:
        implants = _images_in(where / IMPLANT / kind)
        for skull, defective in _images_in(where / DEFECTIVE / kind).items():
            cases.append(
                CaseFile(
                    name=f"{skull}/{kind}" if kind else skull,
                    skull=skull,
                    kind=kind or None,
                    defective=defective,
                    implant=implants.get(skull),
                    complete=complete.get(skull),
                )
            )
    if not cases:
        raise SkullImplantError(f"There is no image in {where / DEFECTIVE}; check the download.")
    return cases


def split_skulls(
    skulls: Sequence[SkullFile], validation_share: float, seed: int
) -> tuple[list[SkullFile], list[SkullFile]]:
    """Split into skulls to learn from and skulls held back; whole skulls, so never their defects.

    Both lists keep the order given; the split depends on the names and `seed` alone, and at least
    one skull is on either side, unless the share held back is 0. Raises `SkullImplantError` for
    fewer than two skulls.
    """
    if validation_share == 0.0 and skulls:
        return list(skulls), []
    if len(skulls) < 2:
        raise SkullImplantError(
            "Training needs at least two skulls, one of them to check with; give a larger folder."
        )
    if not 0 < validation_share < 1:
        raise SkullImplantError("The share of skulls held back must be 0 or lie below 1.")
    names = sorted(skull.name for skull in skulls)
    count = int(np.clip(round(validation_share * len(names)), 1, len(names) - 1))
    held = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    return (
        [skull for skull in skulls if skull.name not in held],
        [skull for skull in skulls if skull.name in held],
    )


def _images_in(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by name without ending, in order; none where it is missing."""
    if not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.iterdir()):
        ending = next((e for e in ENDINGS if path.name.lower().endswith(e)), None)
        if ending and path.is_file() and not path.name.startswith("."):
            found[path.name[: -len(ending)]] = path
    return found


def _data_set_in(folder: Path, marker: str) -> Path | None:
    """Return `folder`, or the first folder in it, that holds a folder `marker`."""
    if not folder.is_dir():
        raise SkullImplantError(f"There is no folder {folder}; check its name.")
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    return next((path for path in [folder, *below] if (path / marker).is_dir()), None)
