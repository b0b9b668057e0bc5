"""A folder of complete skulls, by one rule for all who read one: training, evaluation, population.

A plain folder holds images, each a complete skull named as its file: a mask, or a CT. Of a data set
in the layout of SkullBreak or SkullFix the skulls are those in `complete_skull`, in the folder
given or in one (`train`, `training_set` or the like) below it. A CT is segmented and a mask is
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

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")  # in small or capital letters
COMPLETE = "complete_skull"


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
    found: dict[str, SkullFile] = {}
    for skull in (skull for folder in folders for skull in skulls_in(folder)):
        if skull.name in found:
            raise SkullImplantError(_twice(skull.name))
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


def images_in(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by name without ending, in order; none where it is missing.

    Hidden files are none. Raises `SkullImplantError` where two have the same name.
    """
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = next((e for e in ENDINGS if path.name.lower().endswith(e)), None)
        if ending and path.is_file() and not path.name.startswith("."):
            name = path.name[: -len(ending)]
            if name in found:
                raise SkullImplantError(_twice(name))
            found[name] = path
    return found


def data_set_in(folder: Path, marker: str) -> Path | None:
    """Return `folder`, or the first folder in it, that holds a folder `marker`.

    Raises `SkullImplantError` where there is no such folder at all.
    """
    if not folder.is_dir():
        raise SkullImplantError(f"There is no folder {folder}; check its name.")
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    return next((path for path in [folder, *below] if (path / marker).is_dir()), None)


def _twice(name: str) -> str:
    return f"Two skulls are called {name}; rename one of them."
