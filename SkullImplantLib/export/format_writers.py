"""What writes the formats of `formats.py`, one function each."""

import base64
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.files import atomic_path
from ..core.image_files import read_labels
from ..core.images import array_of, write_image
from ..core.progress import Progress, part
from ..core.read_once import ReadOnce
from ..core.result_names import stl_names
from ..designing.stored_result import ResultMasks
from ..errors import SkullImplantError
from ..reading.input import Input
from ..reading.same_ct import read_same_ct
from .formats import (
    ACCOUNT,
    COMPLETED,
    IMPLANT,
    MASK_FILES,
    PICTURE,
    REPORT,
    SKULL,
    file_name,
    implants_of,
)
from .results import draw_pictures
from .shown_skull import ShownSkull
from .skull_surface import skull_surface
from .stl import read_stl, stl_content, write_stl

# How a report holds its picture, see `report.py`.
PICTURE_IN_REPORT = re.compile(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"')


@dataclass(frozen=True)
class ToDraw:
    """What a report that is yet to be made is drawn of, see `draw_pictures`, and its folder."""

    account: dict[str, Any]
    masks: ResultMasks
    folder: Path


@dataclass(frozen=True)
class Exported:
    """A result folder that is exported, and the folder that the files of `case` go to.

    `account`: the contents of its `design.json`. `ct`: the CT it was made for, None where it is not
    given. `engraving`: a text for the implants' inner side. `series`: the folder of the DICOM
    series that the CT came from, None where it is not given. `to_draw`: None where the result has
    its report, or nobody needs one. `notes`: what a person must know of what was written; writers
    add to them.
    """

    result: Path
    account: dict[str, Any]
    folder: Path
    case: str
    ct: Path | None = None
    engraving: str | None = None
    series: Path | None = None
    to_draw: ToDraw | None = None
    notes: list[str] = field(default_factory=list)
    _once: ReadOnce = field(default_factory=ReadOnce)

    @property
    def ways_out(self) -> tuple[NDArray[np.float64], ...]:
        """The unit vectors (LPS) along which the implants come out.

        Raises `SkullImplantError` where the design does not tell them.
        """
        told = [implant.get("insertion_direction_lps") for implant in self.account["implants"]]
        ways = [np.asarray(way, np.float64) for way in told if way]
        if len(ways) != len(told) or not ways:
            raise SkullImplantError(
                "The design does not say how the implant comes out; design or update it again."
            )
        return tuple(way / np.linalg.norm(way) for way in ways)

    def _meshes(self) -> tuple[vtkPolyData, ...]:
        names = stl_names(implants_of(self.account))
        meshes = tuple(read_stl(self.result / name) for name in names)
        if self.engraving is None:
            return meshes
        from .engraving import engraved

        return tuple(
            engraved(mesh, self.engraving, way) for mesh, way in zip(meshes, self.ways_out)
        )

    def implants(self) -> tuple[vtkPolyData, ...]:
        """Return the implants' meshes (LPS mm), engraved where that is asked for."""
        return self._once.get("implants", self._meshes)

    def labels(self, name: str) -> sitk.Image:
        """Return the labels in a file of the result; raises as `read_labels` does."""
        if self.to_draw is not None:
            read = self.to_draw.masks
            return {SKULL: read.skull, COMPLETED: read.completed, IMPLANT: read.implant}[name]
        return self._once.get(name, lambda: read_labels(self.result / name))

    def mask(self, name: str) -> sitk.Image:
        """Return a mask (uint8 0/1) in a file of the result; raises as `read_labels` does."""

        def mask() -> sitk.Image:
            labels = self.labels(name)
            # What is a mask already is not kept twice.
            return labels if array_of(labels).max(initial=0) <= 1 else labels != 0

        return self._once.get(f"mask {name}", mask)

    def shown_skull(self) -> ShownSkull:
        """Return the skull's surface as pictures and viewers show it."""
        return self._once.get("shown skull", lambda: ShownSkull(self.mask(SKULL)))

    def source(self, progress: Progress) -> Input | None:
        """Return the CT, None where none is given; raises as `read_same_ct` does."""
        ct = self.ct
        if self.to_draw is not None:
            return self.to_draw.masks.source
        if ct is None:
            return None
        sha256 = self.account.get("input", {}).get("sha256")
        return self._once.get("CT", lambda: read_same_ct(ct, sha256, progress))

    def pages(self, progress: Progress) -> Path:
        """Return the folder with the report, which is drawn first where it has to be."""
        to_draw = self.to_draw
        if to_draw is None:
            return self.result

        def drawn() -> Path:
            masks, folder = to_draw.masks, to_draw.folder
            skull = self.shown_skull()
            draw_pictures(self.result, to_draw.account, masks, skull, folder, progress)
            return folder

        return self._once.get("pages", drawn)

    def stl_bytes(self, number: int) -> bytes:
        """Return the STL file of an implant, by its number from 0, as it is exported."""
        return bytes(stl_content(self.implants()[number]))

    def to(self, ending: str) -> Path:
        """Return where the file of that ending goes."""
        return self.folder / file_name(self.case, ending)


def write_implants(exported: Exported, progress: Progress) -> None:
    """Write the implants' surfaces; read as meshes, so that a damaged file goes nowhere."""
    for name, mesh in zip(stl_names(implants_of(exported.account)), exported.implants()):
        write_stl(mesh, exported.to(name))


def write_skull(exported: Exported, progress: Progress) -> None:
    """Write the surface of the skull with its hole."""
    _write_surface(exported, SKULL, progress)


def write_completed(exported: Exported, progress: Progress) -> None:
    """Write the surface of the completed skull."""
    _write_surface(exported, COMPLETED, progress)


def _write_surface(exported: Exported, mask: str, progress: Progress) -> None:
    surface = skull_surface(exported.mask(mask), part(progress, 0.2, 0.7))
    write_stl(surface, exported.to(f"{Path(mask).stem}.stl"))


def write_masks(exported: Exported, progress: Progress) -> None:
    """Write the masks, compressed, with nothing in their headers but the grid."""
    for done, name in enumerate(MASK_FILES):
        progress(done / len(MASK_FILES))
        write_image(exported.labels(name), exported.to(name))


def write_page(exported: Exported, progress: Progress) -> None:
    """Write the report."""
    _copy(exported.pages(progress) / REPORT, exported.to(REPORT))


def write_picture(exported: Exported, progress: Progress) -> None:
    """Write the picture; where it does not lie beside the report, it is in it."""
    picture = picture_of(exported, progress)
    if picture is None:
        raise SkullImplantError("The report holds no picture; make the report again.")
    with atomic_path(exported.to(PICTURE)) as temporary:
        temporary.write_bytes(picture)


def picture_of(exported: Exported, progress: Progress) -> bytes | None:
    """Return the report's picture as PNG, None where there is none."""
    pages = exported.pages(progress)
    if (pages / PICTURE).is_file():
        return (pages / PICTURE).read_bytes()
    if not (pages / REPORT).is_file():
        return None
    page = (pages / REPORT).read_text(encoding="utf-8")
    found = PICTURE_IN_REPORT.search(page)
    return None if found is None else base64.b64decode(found.group(1))


def write_account(exported: Exported, progress: Progress) -> None:
    """Write the design's data, with the names that its STL files have here."""
    names = stl_names(implants_of(exported.account))
    implants = [
        {**told, "file": file_name(exported.case, name)}
        for told, name in zip(exported.account.get("implants", []), names)
    ]
    account = {**exported.account, **({"implants": implants} if implants else {})}
    text = json.dumps(account, indent=2, allow_nan=False) + "\n"
    with atomic_path(exported.to(ACCOUNT)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
