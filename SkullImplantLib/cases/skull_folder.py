"""A folder of complete skulls, by one rule for all who read one: training, evaluation, population.

A plain folder holds images, each a complete skull named as its file: a mask, or a CT. Of a data set
in the layout of SkullBreak or SkullFix the skulls are those in `complete_skull`, in the folder
given or in one (`train`, `training_set` or the like) below it, the training part before others. A
CT is segmented and a mask is
cleaned, as a design does with its input. A DICOM folder is no skull here: it has no name of its
own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from ..core.working_axes import as_working
from ..errors import SkullImplantError
from ..reading.input import Input, read_input
from ..skull.segmentation import clean_skull, segment_skull
from .data_folders import ENDINGS, TRAIN, images_in, part_of, subfolders, twice
from .triplets import COMPLETE


@dataclass(frozen=True)
class SkullFile:
    """A complete skull on disk; nothing but its name and path until it is read."""

    name: str
    path: Path

    def read(self, cleaned: bool = True) -> tuple[Input, sitk.Image]:
        """Return the file as read, on the working axes (`core.working_axes`), and the skull's mask
        as `uint8` 0/1 on the same grid.

        A CT is told from a mask by its values and segmented; a mask is cleaned, its marrow filled,
        unless it is wanted as it is. Raises `SkullImplantError` where the file is neither, or holds
        no skull.
        """
        try:
            source = read_input(self.path)
            source = replace(source, image=as_working(source.image))
            if source.kind == "ct":
                return source, segment_skull(source.image).mask
            return source, clean_skull(source.image).mask if cleaned else source.image
        except SkullImplantError as error:
            if self.path.name in str(error):
                raise
            # Of many files, this one.
            raise type(error)(f"{self.path.name}: {error}", error.remedy) from error


def skulls_in(folder: Path) -> list[SkullFile]:
    """Return the complete skulls of a data set or of a plain folder, in order of their files.

    Raises `SkullImplantError` where there is none, or two have the same name.
    """
    where = data_set_in(folder, COMPLETE)
    found = images_in(where / COMPLETE if where else folder)
    if not found:
        raise SkullImplantError(
            f"There is no skull in {folder}; give a folder of skulls ({', '.join(ENDINGS)}), "
            f"or a data set with a folder {COMPLETE}."
        )
    return [SkullFile(name, path) for name, path in found.items()]


def skulls_of(folders: Iterable[Path]) -> list[SkullFile]:
    """Return the complete skulls of several folders; see `skulls_in`.

    Raises `SkullImplantError` where a folder has none, or two skulls have the same name.
    """
    return with_names_of_their_own(skull for folder in folders for skull in skulls_in(folder))


def with_names_of_their_own(skulls: Iterable[SkullFile]) -> list[SkullFile]:
    """Return the skulls; raises `SkullImplantError` where two have the same name."""
    found: dict[str, SkullFile] = {}
    for skull in skulls:
        if skull.name in found:
            raise SkullImplantError(twice(skull.name))
        found[skull.name] = skull
    return list(found.values())


def named_skulls(skulls: Sequence[SkullFile], names: Sequence[str]) -> list[SkullFile]:
    """Return those of the skulls that are named, in the order of `skulls`.

    Raises `SkullImplantError` where none has a name that is asked for.
    """
    known = [skull.name for skull in skulls]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SkullImplantError(
            f"There is no skull called {unknown[0]}; there are {', '.join(known)}."
        )
    return [skull for skull in skulls if skull.name in names]


def data_set_in(folder: Path, marker: str) -> Path | None:
    """Return `folder`, or a folder in it, that holds a folder `marker`: the training part if there
    is one, else the first.

    Raises `SkullImplantError` where there is no such folder at all.
    """
    if not folder.is_dir():
        raise SkullImplantError(f"There is no folder {folder}; check its name.")
    holding = [path for path in [folder, *subfolders(folder)] if (path / marker).is_dir()]
    learnt = (path for path in holding if part_of(path) == TRAIN)
    return holding[0] if folder in holding else next(learnt, holding[0] if holding else None)
