"""The public data sets of defects on disk, in their own layouts.

- SkullBreak: `complete_skull/NNN.nrrd`, `defective_skull/KIND/NNN.nrrd`, `implant/KIND/NNN.nrrd`.
- SkullFix (AutoImplant 2020, and 2021 task 3): the same without KIND, in `training_set/`.

Either set may lie in `train`, `training_set` or the like below the folder given.
"""

from dataclasses import dataclass
from pathlib import Path

from ..errors import SkullImplantError
from .skull_folder import COMPLETE, data_set_in, images_in

DEFECTIVE, IMPLANT = "defective_skull", "implant"


@dataclass(frozen=True)
class CaseFile:
    """A defect of a data set: the skull with it, and, where they are public, what belongs there."""

    name: str  # skull/kind, or the skull alone
    skull: str  # cases of one skull are never split
    kind: str | None
    defective: Path
    implant: Path | None
    complete: Path | None


def cases_in(folder: Path) -> list[CaseFile]:
    """Return the cases of a SkullBreak or SkullFix folder, in order of kind and name.

    A case without its implant (the hidden truth of a test set) has None there. Raises
    `SkullImplantError` where there is no case.
    """
    where = data_set_in(folder, DEFECTIVE)
    if where is None:
        raise SkullImplantError(
            f"There is no data set in {folder}; give the folder that holds {DEFECTIVE} and "
            f"{IMPLANT}, as in SkullBreak and SkullFix."
        )
    complete = images_in(where / COMPLETE)
    kinds = sorted(path.name for path in (where / DEFECTIVE).iterdir() if path.is_dir())
    cases = []
    for kind in kinds or [""]:
        implants = images_in(where / IMPLANT / kind)
        for skull, defective in images_in(where / DEFECTIVE / kind).items():
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
