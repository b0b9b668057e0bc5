"""A result folder read again: the masks, the CT behind them, and what `design.json` tells."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from ..core.finer_grid import finer_grid
from ..core.image_files import read_labels, read_mask
from ..core.images import array_of, same_grid
from ..core.kept_json import read_json
from ..core.progress import Progress
from ..core.side_by_side import Work, side_by_side
from ..core.stages import ALMOST, StageReport, no_report
from ..core.staging import settle
from ..core.working_axes import on_working_axes
from ..errors import SkullImplantError
from ..reading.input import Input
from ..reading.same_ct import read_same_ct
from .proposal import SCHEMA_VERSION

MASKS = ("skull", "completed", "implant")
# What `design.json` holds where it is of this program, as far as it is read again.
PARTS = {
    "parameters": dict, "model": dict, "input": dict, "implant": dict, "implants": list,
    "notes": list,
}  # fmt: skip
# The first knew one implant and no way in; before there were versions the format was that one.
FIRST_VERSION = 1


@dataclass(frozen=True)
class ResultMasks:
    """The masks of a result folder, uint8 on one grid, the implants with their labels, the others
    0/1; and what lies behind them in pictures: the CT, on its own grid, or the skull.
    source: that CT as it was read, None where it is not given.
    """

    skull: sitk.Image
    completed: sitk.Image
    implant: sitk.Image
    background: sitk.Image
    source: Input | None = None


def read_account(folder: Path) -> dict[str, Any]:
    """Return what the `design.json` of a result folder holds; nothing where there is none.

    Raises `SkullImplantError` where it is damaged or not of this program, or there is no folder.
    """
    settle(folder)
    if not folder.is_dir():
        raise SkullImplantError(
            f"There is no folder {folder}; give a folder that a design was written to."
        )
    path = folder / "design.json"
    if not path.exists():
        return {}
    try:
        told = read_json(path)
    except (OSError, ValueError) as error:
        raise SkullImplantError(
            "design.json is damaged; design again, or for an update take it away."
        ) from error
    if not isinstance(told, dict) or any(
        not isinstance(told[name], kind) for name, kind in PARTS.items() if name in told
    ):
        raise SkullImplantError(
            "design.json is not one of this program; design again, or for an update take it away."
        )
    if told.get("schema_version", FIRST_VERSION) not in (FIRST_VERSION, SCHEMA_VERSION):
        raise SkullImplantError(
            "design.json is of another version of this program; use that one, or design again."
        )
    return told


def refined_to_mm(told: Mapping[str, Any]) -> float | None:
    """Return the side of the voxels that a design's skull was refined to, None where it was not."""
    return number_told(told.get("parameters", {}).get("refine_mm"))


def read_masks(
    folder: Path,
    ct: Path | str | None,
    report: StageReport = no_report,
    told: Mapping[str, Any] | None = None,
) -> ResultMasks:
    """Return the masks of a result folder, and the CT to show behind them where one is given.

    told: the contents of its `design.json`, which say on which grid the masks are, and which of the
    series in a folder the CT is. Raises `SkullImplantError` where a mask is missing, empty, or not
    on the grid of the skull.
    """
    told = told or {}
    images: dict[str, sitk.Image] = {}
    source: list[Input] = []

    def reading(name: str) -> Work:
        read = read_labels if name == "implant" else read_mask

        def mask(progress: Progress) -> None:
            images[name] = read(folder / f"{name}.nrrd")
            if not array_of(images[name]).any():
                raise SkullImplantError(
                    f"{name}.nrrd is empty; undo the edit that took everything away, or design "
                    "again."
                )

        return mask

    def reading_ct(progress: Progress) -> None:
        assert ct
        source.append(read_same_ct(Path(ct), told.get("input", {}).get("sha256"), progress))

    works = [(f"{name}.nrrd", reading(name)) for name in MASKS]
    if ct:
        works.insert(0, ("pictures' background", reading_ct))

    def progress(fraction: float, message: str = "") -> None:
        report("reading", ALMOST * fraction, message)

    side_by_side(works, progress)
    for name in MASKS:
        if not same_grid(images[name], images["skull"]):
            raise SkullImplantError(
                f"The {name} does not lie on the grid of skull.nrrd; save it in the geometry of "
                "the CT."
            )
    background = source[0].image if source else images["skull"]
    refine_mm = refined_to_mm(told)
    grid = background if refine_mm is None or not ct else _refined_grid(background, refine_mm)
    if not same_grid(grid, images["skull"]):
        raise SkullImplantError(
            "The CT does not lie on the grid of skull.nrrd; give the one that the design was made "
            "for, which is ct.nrrd where its folder holds one."
        )
    report("reading", 1.0)
    skull, completed, implant = (images[name] for name in MASKS)
    return ResultMasks(skull, completed, implant, background, source[0] if source else None)


def _refined_grid(ct: sitk.Image, refine_mm: float) -> sitk.Image:
    """Return the grid that masks of a CT have after refining; its own where it is too fine."""
    working, own = on_working_axes(ct)
    try:
        return own.hand_back(finer_grid(working, refine_mm))
    except SkullImplantError:
        return ct


def number_told(value: Any) -> float | None:
    """Return a value of `design.json` where it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None
