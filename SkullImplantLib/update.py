"""A result folder read again; an implant that was edited by hand in it, meshed and checked anew."""

import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from .core.images import array_of, read_mask, same_grid
from .core.progress import silent
from .core.stages import StageReport, Stages, no_report
from .design import SCHEMA_VERSION, Design, InputFacts, LeftOutFacts, ModelFacts, facts_of
from .errors import Remedy, SkullImplantError
from .implant.checks import CheckOptions, check_implant
from .implant.surface import SurfaceOptions, surface_of
from .options import DEVICES, ENGINES, DesignOptions, check_options
from .reading.input import read_input

EDITED_NOTE = "The implant was edited by hand after the design."
MASKS = ("skull", "completed", "implant")
# What `design.json` holds where it is of this program, as far as it is read again.
PARTS = {"parameters": dict, "model": dict, "input": dict, "implant": dict, "notes": list}


@dataclass(frozen=True)
class ResultMasks:
    """The masks of a result folder, uint8 0/1 on one grid, and what lies behind them in pictures:
    the CT, or the skull.
    """

    skull: sitk.Image
    completed: sitk.Image
    implant: sitk.Image
    background: sitk.Image


def update_design(
    folder: Path | str,
    ct: Path | str | None = None,
    clearance_mm: float | None = None,
    report: StageReport = no_report,
) -> Design:
    """Mesh and check the implant in a result folder anew, as it is there now.

    All its pieces are kept, so that the checks can say that there are several. `clearance_mm` is
    the design's own unless given. Raises `SkullImplantError` where a mask is missing, empty or on
    another grid, or `design.json` is damaged.
    """
    folder = Path(folder)
    told = read_account(folder)
    options = _options_of(told)
    if clearance_mm is not None:
        options = replace(options, clearance_mm=clearance_mm)
        check_options(options)
    elif not 0.0 <= options.clearance_mm < math.inf:
        raise SkullImplantError("design.json has no usable clearance.", Remedy.GIVE_CLEARANCE)
    masks = read_masks(folder, ct, report)
    stages = Stages(report)
    with stages.stage("surface") as progress:
        mesh = surface_of(masks.implant, SurfaceOptions(pieces=None), progress)
    with stages.stage("checks") as progress:
        limits = CheckOptions(clearance_mm=options.clearance_mm)
        checks = check_implant(masks.implant, masks.skull, mesh, masks.completed, limits, progress)
    parameters = told.get("parameters", {})
    return Design(
        skull=masks.skull,
        completed_part=masks.completed,
        implant_part=masks.implant,
        mesh=mesh,
        checks=checks,
        notes=(*map(str, told.get("notes", [])), EDITED_NOTE),
        background=masks.background,
        input=_input_of(told, masks.implant),
        options=options,
        bone_threshold_hu=_number(parameters.get("bone_threshold_hu")),
        hole_area_cm2=_number(told.get("implant", {}).get("hole_area_cm2")),
        left_out=_left_out_of(parameters.get("leave_out")),
        model=ModelFacts(*(_text(told.get("model", {}).get(f.name)) for f in fields(ModelFacts))),
        device=str(told.get("device", "cpu")),
        confidence=None,  # of an edited implant nobody knows
        stages=stages,
        edited=True,
    )


def read_account(folder: Path) -> dict[str, Any]:
    """Return what the `design.json` of a result folder holds; nothing where there is none.

    Raises `SkullImplantError` where it is damaged or not of this program.
    """
    path = folder / "design.json"
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
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
    # Before there were versions the format was that of the first.
    if told.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise SkullImplantError(
            "design.json is of another version of this program; use that one, or design again."
        )
    return told


def read_masks(folder: Path, ct: Path | str | None, report: StageReport = no_report) -> ResultMasks:
    """Return the masks of a result folder, and the CT to show behind them where one is given.

    Raises `SkullImplantError` where a mask is missing, empty, or not on the grid of the skull.
    """
    steps = len(MASKS) + 1
    images: list[sitk.Image] = []
    for done, name in enumerate(MASKS):
        report("reading", done / steps, f"{name}.nrrd")
        images.append(read_mask(folder / f"{name}.nrrd"))
        if not array_of(images[-1]).any():
            raise SkullImplantError(
                f"{name}.nrrd is empty; undo the edit that took everything away, or design again."
            )
    report("reading", len(MASKS) / steps, "pictures' background")
    images.append(read_input(ct, "ct", progress=silent).image if ct else images[0])
    for name, image in zip(MASKS, images):
        if not same_grid(image, images[0]):
            raise SkullImplantError(
                f"The {name} does not lie on the grid of skull.nrrd; save it in the geometry of "
                "the CT."
            )
    if not same_grid(images[-1], images[0]):
        raise SkullImplantError(
            "The CT does not lie on the grid of skull.nrrd; give the one that the design was made "
            "for."
        )
    report("reading", 1.0)
    return ResultMasks(*images)


def _options_of(told: dict[str, Any]) -> DesignOptions:
    """Return the options that the design was made with, the defaults for those it does not tell.

    A clearance, by which the checks go, that is told and no number is not a number here either.
    """
    parameters = told.get("parameters", {})
    options = DesignOptions()
    known: dict[str, Any] = {}
    for name in (field.name for field in fields(DesignOptions)):
        value = parameters.get(name)
        known[name] = _text(value) if isinstance(getattr(options, name), str) else _number(value)
    for name, allowed in (("device", DEVICES), ("engine", ENGINES)):
        known[name] = known[name] if known[name] in allowed else None
    options = replace(options, **{k: v for k, v in known.items() if v is not None})
    if "clearance_mm" in parameters and _number(parameters["clearance_mm"]) is None:
        options = replace(options, clearance_mm=math.nan)
    return options


def _input_of(told: dict[str, Any], mask: sitk.Image) -> InputFacts:
    """Return what the design said of its input; of one that is not known, its grid."""
    known = told.get("input", {})
    facts = facts_of(mask, "skull", "unknown", None)
    return replace(
        facts,
        kind=_text(known.get("kind")) or facts.kind,
        description=_text(known.get("description")) or facts.description,
        sha256=_text(known.get("sha256")),
    )


def _left_out_of(told: Any) -> LeftOutFacts | None:
    """Return what the design said of bone left out, where it said so."""
    if not isinstance(told, dict):
        return None
    volume_cm3 = _number(told.get("volume_cm3"))
    return LeftOutFacts(_text(told.get("sha256")) or "", 0.0 if volume_cm3 is None else volume_cm3)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
