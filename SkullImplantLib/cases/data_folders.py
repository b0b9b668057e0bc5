"""How folders of data sets are gone through: images and files by name, and parts told by folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SkullImplantError

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")  # in small or capital letters
# Data sets are unpacked into folders of the archive's, the article's and the set's name.
DEEPEST = 5
TRAIN, TEST = "train", "test"
# How folders of the published parts begin: training_set, evaluation, test_set_for_participants ...
PART_WORDS = (("train", TRAIN), ("test", TEST), ("additional_test", TEST), ("eval", TEST),
              ("val", TEST))  # fmt: skip
# What an archive of a Mac leaves beside the files.
NO_DATA = ("__MACOSX",)


@dataclass(frozen=True)
class CaseFile:
    """A defect of a data set: the skull with it, and, where they are public, what belongs there.

    `name` is skull/kind, or the skull alone, and so are those of all parts different. `implant`: a
    mask on the grid of `defective`, or an STL in its frame.
    """

    name: str
    skull: str  # cases of one skull are never split
    kind: str | None
    defective: Path
    implant: Path | None
    complete: Path | None
    part: str | None = None  # `TRAIN`, `TEST`, or None where the data set has no parts


@dataclass(frozen=True)
class CompleteFile:
    """A complete skull of a data set, and the part that it belongs to."""

    skull: str
    path: Path
    part: str | None


@dataclass(frozen=True)
class Found:
    """What a folder holds of one data set, and sentences on what is left out of it."""

    cases: tuple[CaseFile, ...] = ()
    complete: tuple[CompleteFile, ...] = ()
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cases or self.complete)


def part_named(folder: str) -> str | None:
    """Return the part of a data set that a folder of this name holds; None where it says none."""
    return next((part for word, part in PART_WORDS if folder.lower().startswith(word)), None)


def part_of(folder: Path) -> str | None:
    """Return the part that a folder holds, by its own name (of `.` too)."""
    return part_named(Path(os.path.abspath(folder)).name)


def stem_of(name: str) -> str | None:
    """Return the name of an image's file without its ending; None for what is none, or hidden."""
    if name.startswith("."):
        return None
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), None)
    return name[: -len(ending)] if ending else None


def images_in(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by name without ending, in order; none where it is missing.

    Hidden files are none. Raises `SkullImplantError` where two have the same name.
    """
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = stem_of(path.name)
        if name and path.is_file():
            if name in found:
                raise SkullImplantError(twice(name))
            found[name] = path
    return found


def folders_in(folder: Path, deepest: int = DEEPEST) -> Iterator[Path]:
    """Yield a folder and those below it, each before its own, in order of their names.

    Raises `SkullImplantError` where there is no such folder.
    """
    if not folder.is_dir():
        raise SkullImplantError(f"There is no folder {folder}; check its name.")
    yield folder
    if deepest:
        for path in subfolders(folder):
            yield from folders_in(path, deepest - 1)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, in order, without hidden ones; none where it is missing."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in NO_DATA
    )


def twice(name: str) -> str:
    """Return what is said of two skulls of one name."""
    return f"Two skulls are called {name}; rename one of them."
