"""The subjects that organs are learnt from: chests on disk or by formulas, prepared once.

A cohort's CTs do not fit into memory: what a training needs of each is kept in a file, as cases of
skulls are (`prepared.py`), and read when it is drawn; some stay in memory.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..cases.segthor import ChestFile
from ..cases.thorax_phantom import ThoraxOptions, make_thorax
from ..core.archives import read_archive
from ..core.checksums import sha256_of
from ..core.files import atomic_path
from ..core.progress import Progress, silent
from ..errors import DiskError, OutOfMemory, SkullImplantError
from .split import split_skulls, without

Kept = TypeVar("Kept")
NAME_LETTERS = 12  # of the checksum, in a file's name, of all that the file depends on
# Subjects in memory; each takes 20 to 50 MB of it.
IN_MEMORY = 16
HELD_BACK = 10_000  # the first seed of procedural subjects that are never learnt from
SEGTHOR_PREFIX = "segthor-"  # of the names of patients, as skulls bear their data set's


class Subject(Protocol):
    """A CT with its organs' labels; nothing but its name until it is read."""

    @property
    def name(self) -> str: ...

    def identity(self) -> str:
        """Return what the subject depends on, beside the program: another text is another one."""

    def read(self) -> tuple[sitk.Image, sitk.Image]:
        """Return CT (HU) and labels (uint8, as `cases.thorax_phantom.ORGANS`) on one grid, on the
        working axes.
        """


@dataclass(frozen=True)
class ProceduralChest:
    """The procedural thorax of a seed on a grid of `size` voxels (x, y, z)."""

    seed: int
    size: tuple[int, int, int]

    @property
    def name(self) -> str:
        return f"procedural thorax {self.seed}"

    def identity(self) -> str:
        return f"{self.seed} {self.size}"

    def read(self) -> tuple[sitk.Image, sitk.Image]:
        made = make_thorax(self.seed, ThoraxOptions(size=self.size))
        return made.ct, made.labels


@dataclass(frozen=True)
class PatientChest:
    """A patient of SegTHOR, or of another folder in its layout, with labels."""

    file: ChestFile

    @property
    def name(self) -> str:
        return SEGTHOR_PREFIX + self.file.name

    def identity(self) -> str:
        assert self.file.labels is not None
        return sha256_of(self.file.ct) + sha256_of(self.file.labels)

    def read(self) -> tuple[sitk.Image, sitk.Image]:
        ct, labels = self.file.read()
        assert labels is not None
        return ct, labels


@dataclass(frozen=True)
class OrganSubjects:
    """The subjects to learn from, and those held back, patients never split."""

    learnt: Sequence[Subject]
    held_back: Sequence[Subject]


def procedural_subjects(
    learnt: int, held_back: int, sizes: Sequence[tuple[int, int, int]]
) -> OrganSubjects:
    """Return procedural subjects, of `sizes` in turn."""
    seeds = [*range(learnt), *range(HELD_BACK, HELD_BACK + held_back)]
    made = [ProceduralChest(seed, sizes[k % len(sizes)]) for k, seed in enumerate(seeds)]
    return OrganSubjects(made[:learnt], made[learnt:])


def patients_split(
    chests: Sequence[ChestFile], validation_share: float, seed: int, leave_out: Sequence[str] = ()
) -> OrganSubjects:
    """Return the patients with labels, split by patient; those of `leave_out` in neither part.

    Raises `SkullImplantError` where a name to leave out is none of theirs, or too few are left.
    """
    used = without(chests, leave_out, "patient")
    patients = [PatientChest(one) for one in used if one.labels]
    return OrganSubjects(*split_skulls(patients, validation_share, seed, "patients with labels"))


class KeptSubjects(Sequence[Kept], Generic[Kept]):
    """Prepared subjects, each read from its file when it is asked for."""

    def __init__(self, paths: Sequence[Path], load: Callable[[Path], Kept]) -> None:
        self._paths, self._load = list(paths), lru_cache(maxsize=IN_MEMORY)(load)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, number: int) -> Kept: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Kept]: ...

    def __getitem__(self, number: int | slice) -> Kept | Sequence[Kept]:
        if isinstance(number, slice):
            return [self._load(path) for path in self._paths[number]]
        return self._load(self._paths[number])


def kept_subjects(
    subjects: Sequence[Subject],
    folder: Path,
    settings: str,
    make: Callable[[sitk.Image, sitk.Image], Mapping[str, NDArray[Any]]],
    load: Callable[[Mapping[str, NDArray[Any]]], Kept],
    progress: Progress = silent,
) -> KeptSubjects[Kept]:
    """Return the subjects as files in `folder`, made where they are not there.

    `make` turns CT and labels into arrays by name, `load` these into what is asked for; `settings`:
    what `make` depends on. Raises `SkullImplantError`, which names the subject, where one cannot be
    read or made, and later where a file is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, subject in enumerate(subjects):
        progress(number / len(subjects), f"preparing {subject.name}")
        told = hashlib.sha256(f"{settings} {subject.identity()}".encode()).hexdigest()
        path = folder / f"{subject.name}-{told[:NAME_LETTERS]}.npz"
        if not path.exists():
            _keep(subject, path, make)
        paths.append(path)

    def read(path: Path) -> Kept:
        try:
            return load(read_archive(path))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise SkullImplantError(
                f"The prepared subject {path.name} is damaged; delete it and train again."
            ) from error

    return KeptSubjects(paths, read)


def _keep(
    subject: Subject,
    path: Path,
    make: Callable[[sitk.Image, sitk.Image], Mapping[str, NDArray[Any]]],
) -> None:
    try:
        arrays = make(*subject.read())
    except (DiskError, OutOfMemory):
        raise
    except SkullImplantError as error:
        raise type(error)(f"{subject.name}: {error}", error.remedy) from error
    with atomic_path(path) as temporary:
        # Not compressed: it is read again and again.
        np.savez(temporary, **dict(arrays))  # type: ignore[arg-type]
