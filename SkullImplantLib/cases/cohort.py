"""A public data set on disk: told by its own file names, and which of its cases are judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SkullImplantError
from .data_folders import TEST, CaseFile, Found, images_in
from .data_sets import (
    DATA_SETS,
    MUG500,
    SCIDATA,
    SEGTHOR,
    SKULLBREAK,
    SKULLFIX,
    DataSet,
    data_set_named,
)
from .mug500 import find_mug500
from .segthor import holds_segthor
from .skull_folder import SkullFile, skulls_of, with_names_of_their_own
from .triplets import find_skullbreak, find_skullfix
from .worded_paths import find_worded

# In the order in which they are told; words in paths would also tell some of the others.
FINDERS: dict[str, Callable[[Path], Found]] = {
    SKULLBREAK: find_skullbreak,
    SKULLFIX: find_skullfix,
    MUG500: find_mug500,
}
NAMES_TOLD = 6  # of what lies in a folder


@dataclass(frozen=True)
class Cohort:
    """What a folder holds of one data set."""

    data_set: DataSet
    folder: Path
    found: Found

    def chosen(
        self, part: str | None = None, kinds: Sequence[str] | None = None
    ) -> tuple[list[CaseFile], tuple[str, ...]]:
        """Return the cases of a part (`COHORT_PARTS`) and of some kinds, and sentences on what is
        left out.

        Without a part: the test part where its truth is there, else all cases with truth, else
        all. Cases without a kind are of every kind. Raises `SkullImplantError` where there is none.
        """
        cases = [one for one in self.found.cases if part in (None, "all", one.part)]
        notes = list(self.found.notes)
        if part is None:
            cases, left_out = _judged_first(cases)
            notes += left_out
        if kinds is not None:
            cases = [one for one in cases if one.kind is None or one.kind in kinds]
        if not cases:
            raise SkullImplantError(
                f"There is no case to evaluate in {self.folder}; {self._what_is_there()}"
            )
        return cases, tuple(notes)

    def training_skulls(self) -> list[SkullFile]:
        """Return the complete skulls to learn from: never those of a test part.

        Raises `SkullImplantError` where there is none.
        """
        skulls = [one for one in self.found.complete if one.part != TEST]
        if not skulls:
            raise SkullImplantError(
                f"There is no skull to learn from in {self.folder}, as a test part is never learnt "
                f"from; {self._what_is_there()}"
            )
        return [SkullFile(one.skull, one.path) for one in skulls]

    def lies_in(self, folder: Path) -> bool:
        """Say whether files of the data set lie in a folder itself, and not below it alone."""
        paths = [one.defective for one in self.found.cases]
        paths += [one.path for one in self.found.complete]
        return any(path.parent == folder for path in paths)

    def _parts(self) -> set[str | None]:
        cases, whole = self.found.cases, self.found.complete
        return {one.part for one in cases} | {one.part for one in whole}

    def _what_is_there(self) -> str:
        """Return the end of a sentence."""
        cases, whole = self.found.cases, self.found.complete
        parts = sorted({part or "whole" for part in self._parts()})
        kinds = sorted({one.kind for one in cases if one.kind})
        told = f"its {self.data_set.title} has {len(cases)} defective and {len(whole)} complete "
        told += f"skulls, of the parts: {', '.join(parts)}"
        return told + (f"; of the kinds: {', '.join(kinds[:NAMES_TOLD])}." if kinds else ".")


def _judged_first(cases: list[CaseFile]) -> tuple[list[CaseFile], list[str]]:
    test = [one for one in cases if one.part == TEST and one.implant]
    known = test or [one for one in cases if one.implant]
    if not known:
        return cases, []
    hidden = sum(one.implant is None for one in cases)
    if not hidden:
        return known, []
    return known, [
        f"{hidden} cases have no public truth and are left out; choose their part to design them."
    ]


def read_cohort(folder: Path, name: str | None = None) -> Cohort:
    """Return the data set in a folder; `name` says which (`data_sets`), else it is told.

    Raises `SkullImplantError`, with what was looked for and what is there, where there is none, or
    several and no name.
    """
    wanted = None if name is None else data_set_named(name)
    if wanted is not None and wanted.key == SEGTHOR:
        raise SkullImplantError(_no_skulls(folder))
    if wanted is not None:
        found = FINDERS.get(wanted.key, find_worded)(folder)
        if not found:
            raise SkullImplantError(_nothing(folder, [wanted]))
        return Cohort(wanted, folder, found)
    told = _told(folder)
    if len(told) > 1:
        titles = " and ".join(one.data_set.title for one in told)
        raise SkullImplantError(
            f"{folder} holds {titles}; say which with its name, or give the folder of one."
        )
    if told:
        return told[0]
    if holds_segthor(folder):
        raise SkullImplantError(_no_skulls(folder))
    worded = find_worded(folder)
    if not worded:
        raise SkullImplantError(_nothing(folder, list(DATA_SETS.values())))
    return Cohort(DATA_SETS[SCIDATA], folder, worded)


def is_segthor(folder: Path, name: str | None = None) -> bool:
    """Say whether a folder is to be read as SegTHOR: by the name given, or as it holds chests and
    no data set of skulls.

    Raises `SkullImplantError` where there is no such data set.
    """
    if name is not None:
        return data_set_named(name).key == SEGTHOR
    return holds_segthor(folder) and not _told(folder)


def skulls_to_learn_from(
    folders: Iterable[Path], named: Sequence[Cohort] = ()
) -> tuple[list[SkullFile], list[DataSet]]:
    """Return the complete skulls of several folders, and of data sets that are named, and the data
    sets among them: of a data set the skulls of its training part, of a plain folder all in it.

    Raises `SkullImplantError` where a folder has none, two skulls have one name, or a folder is
    the test part of a data set.
    """
    skulls: list[SkullFile] = []
    cohorts = list(named)
    for folder in folders:
        told = [one for one in _told(folder) if not images_in(folder) or one.lies_in(folder)]
        cohorts += told
        skulls += [] if told else skulls_of([folder])
    skulls += [skull for cohort in cohorts for skull in cohort.training_skulls()]
    return with_names_of_their_own(skulls), [cohort.data_set for cohort in cohorts]


def _told(folder: Path) -> list[Cohort]:
    """Return the data sets that a folder's own file names tell."""
    return [
        Cohort(DATA_SETS[key], folder, found)
        for key, find in FINDERS.items()
        if (found := find(folder))
    ]


def _nothing(folder: Path, looked_for: Sequence[DataSet]) -> str:
    layouts = "; ".join(f"{one.title} has {one.layout}" for one in looked_for)
    there = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    told = ", ".join(there[:NAMES_TOLD]) + (" and more" if len(there) > NAMES_TOLD else "")
    which = looked_for[0].title if len(looked_for) == 1 else "known data set"
    return f"There is no {which} in {folder}, which holds {told or 'nothing'}; {layouts}."


def _no_skulls(folder: Path) -> str:
    return f"{folder} holds chests and no skulls; SegTHOR is for organs, give a data set of skulls."
