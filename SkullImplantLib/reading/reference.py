"""What shows a patient's earlier anatomy: a CT from before, the bone flap, an earlier design."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import SimpleITK as sitk

from ..core.progress import Progress, silent
from ..core.staging import settle
from ..errors import SkullImplantError
from .input import Kind, read_input

COMPLETED = "completed.nrrd"  # of a design's folder: the skull with its hole filled

Content = Literal["auto", "skull", "flap"]
CONTENTS: tuple[Content, ...] = ("auto", "skull", "flap")


@dataclass(frozen=True)
class Reference:
    """An image of the same patient's bone, of any pose and grid.

    image, kind: as `Input` has them. shows: `skull` (whole), `flap` (the piece taken out), or
    `auto`, told from the bone. sha256: of the file, of a DICOM series as `Input` has it, of an
    earlier design's completed skull. notes: warnings, a sentence each.
    """

    image: sitk.Image
    kind: Kind
    shows: Content = "auto"
    sha256: str = ""
    notes: tuple[str, ...] = ()


def read_reference(
    path: Path | str, shows: Content = "auto", progress: Progress = silent
) -> Reference:
    """Read a reference: a DICOM folder or image file of a CT or a mask, or an earlier design's
    folder, of which the completed skull counts.

    Raises `SkullImplantError` for everything that is not one usable image.
    """
    if shows not in CONTENTS:
        raise SkullImplantError(f"A reference shows no '{shows}'; say skull or flap, or auto.")
    path = Path(path)
    settle(path)
    if (path / COMPLETED).is_file():
        path = path / COMPLETED
    try:
        source = read_input(path, progress=progress, whole=False)
    except SkullImplantError as error:
        # Two images are read; the sentence must say which one is meant.
        raise type(error)(f"The reference cannot be used: {error}") from error
    return Reference(source.image, source.kind, shows, source.sha256, source.notes)
