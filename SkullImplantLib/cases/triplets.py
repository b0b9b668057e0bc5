"""SkullBreak and SkullFix (AutoImplant 2020 and 2021) as their authors laid them out.

- SkullBreak: `complete_skull/NNN.nrrd`, `defective_skull/KIND/NNN.nrrd`, `implant/KIND/NNN.nrrd`.
- SkullFix: the same without KIND, in `training_set/`; and, without truth,
  `test_set_for_participants/NNN.nrrd` and `additional_test_set_for_participants/NNN.nrrd`.

The parts lie in `train` and `test`, `training` and `evaluation`, or the like.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from .data_folders import (
    CaseFile,
    CompleteFile,
    Found,
    folders_in,
    images_in,
    part_of,
    subfolders,
)
from .data_sets import SKULLBREAK, SKULLFIX

COMPLETE, DEFECTIVE, IMPLANT = "complete_skull", "defective_skull", "implant"
# Defective skulls alone; the authors' archives have `for` and `give`.
FOR_PARTICIPANTS = re.compile(r"(additional_)?test_set_\w*participants", re.IGNORECASE)


def find_skullbreak(folder: Path) -> Found:
    """Return what a folder holds of SkullBreak."""
    places = [where for where in _triplets(folder) if _kinds(where)]
    return _found(places, SKULLBREAK)


def find_skullfix(folder: Path) -> Found:
    """Return what a folder holds of SkullFix."""
    places = [where for where in _triplets(folder) if images_in(where / DEFECTIVE)]
    given = [where for where in folders_in(folder) if FOR_PARTICIPANTS.fullmatch(where.name)]
    found = _found(places, SKULLFIX)
    more = [
        CaseFile(name, name, None, path, None, None, part_of(where))
        for where in given
        for skull, path in images_in(where).items()
        for name in [_name(SKULLFIX, where, skull)]
    ]
    return Found((*found.cases, *more), found.complete, found.notes)


def _triplets(folder: Path) -> Iterator[Path]:
    return (where for where in folders_in(folder) if (where / DEFECTIVE).is_dir())


def _kinds(where: Path) -> list[str]:
    return [path.name for path in subfolders(where / DEFECTIVE) if images_in(path)]


def _found(places: list[Path], key: str) -> Found:
    cases: list[CaseFile] = []
    complete: list[CompleteFile] = []
    alone = 0
    for where in places:
        whole = images_in(where / COMPLETE)
        part = part_of(where)
        names = {skull: _name(key, where, skull) for skull in whole}
        complete += [CompleteFile(names[skull], path, part) for skull, path in whole.items()]
        for kind in _kinds(where) if key == SKULLBREAK else [""]:
            implants = images_in(where / IMPLANT / kind)
            defective = images_in(where / DEFECTIVE / kind)
            alone += len(set(implants) - set(defective))
            for skull, path in defective.items():
                name = _name(key, where, skull)
                cases.append(
                    CaseFile(
                        f"{name}/{kind}" if kind else name,
                        name,
                        kind or None,
                        path,
                        implants.get(skull),
                        whole.get(skull),
                        part,
                    )
                )
    notes = (f"{alone} implants have no defective skull and are left out.",) if alone else ()
    return Found(tuple(cases), tuple(complete), notes)


def _name(key: str, where: Path, skull: str) -> str:
    # The numbers of each part begin anew.
    return "-".join(word for word in (key, part_of(where), skull) if word)
