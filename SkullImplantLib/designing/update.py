"""Implants that were edited by hand in a result folder, fitted, meshed and checked anew."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..completion.sub_voxel import sub_voxel_depth
from ..core.grid import Grid
from ..core.images import array_of, bounding_box, crop
from ..core.progress import Progress, part
from ..core.stages import StageReport, Stages, no_report
from ..core.working_axes import OwnAxes, as_working, on_working_axes
from ..errors import Remedy, SkullImplantError
from ..implant import BoneSurface, Implant, check_library, mask_of, refitted
from ..options import (
    DEVICES,
    ENGINES,
    SMOOTHERS,
    DesignOptions,
    Direction,
    DrillOptions,
    check_options,
)
from ..skull import Skull
from .completed_head import BOX_AROUND_HOLE_MM
from .finishing import Known, checked, meshes_of, surface_around
from .proposal import (
    Design,
    DrawnFacts,
    InputFacts,
    LeftOutFacts,
    ModelFacts,
    ReferenceFacts,
    facts_of,
)
from .stored_result import ResultMasks, number_told, read_account, read_masks

EDITED_NOTE = "The implant was fitted again after the design, and may have been edited by hand."


def update_design(
    folder: Path | str,
    ct: Path | str | None = None,
    clearance_mm: float | None = None,
    insertion_direction: Direction | None = None,
    report: StageReport = no_report,
) -> Design:
    """Fit, mesh and check the implants in a result folder anew, as they are there now.

    The edited voxels are made smooth by voxel rearrangement, the patient's own skull the template,
    and fitted by the same field as a design: clearance and direction of insertion are the design's
    own unless given. All pieces are kept, so that the checks can say that there are several.
    Raises `SkullImplantError` where a mask is missing, empty or on another grid, `design.json` is
    damaged, or no clearance is known.
    """
    folder = Path(folder)
    told = read_account(folder)
    options = _options_of(told)
    if clearance_mm is None and not 0.0 <= options.clearance_mm < math.inf:
        raise SkullImplantError("design.json has no usable clearance.", Remedy.GIVE_CLEARANCE)
    if clearance_mm is not None:
        options = replace(options, clearance_mm=clearance_mm)
    if insertion_direction is not None:
        options = replace(options, insertion_direction=insertion_direction)
    check_options(options)
    check_library(options.drill)
    stored = read_masks(folder, ct, report, told)
    masks, own = _working(stored)
    parameters = told.get("parameters", {})
    threshold_hu = number_told(parameters.get("bone_threshold_hu"))
    # Of a refined skull the surface is the mask's: the CT's grey is of the coarse grid.
    grey = masks.background if ct and options.refine_mm is None else None
    skull = Skull(masks.skull, threshold_hu, (), grey)
    stages = Stages(report)
    labels = array_of(masks.implant)
    box = bounding_box(labels, _voxels(BOX_AROUND_HOLE_MM, masks.implant))
    with stages.stage("implant") as progress:
        bone = surface_around(skull, box)
        edited = [int(label) for label in np.unique(labels[labels > 0])]
        implants = tuple(
            _fitted(
                crop(masks.implant, box) == label,
                bone,
                _direction_told(told, label),
                options,
                part(progress, number / len(edited), (number + 1) / len(edited)),
            )
            for number, label in enumerate(edited)
        )
        mask = mask_of(implants, masks.skull)
    with stages.stage("surface") as progress:
        meshes = meshes_of(implants, progress)
    with stages.stage("checks") as progress:
        known = Known(bone, skull, crop(masks.completed, box))
        designed = checked(implants, meshes, known, options, progress)
    return Design(
        grid=Grid.of(stored.skull),
        skull_part=stored.skull,
        completed_part=stored.completed,
        implant_part=own.hand_back(mask),
        implants=designed,
        notes=(*map(str, told.get("notes", [])), EDITED_NOTE),
        background=stored.background,
        input=_input_of(told, stored.implant, options.refine_mm is not None),
        options=options,
        bone_threshold_hu=threshold_hu,
        hole_area_cm2=number_told(told.get("implant", {}).get("hole_area_cm2")),
        left_out=_left_out_of(parameters.get("leave_out")),
        drawn=_drawn_of(parameters),
        reference=_reference_of(told.get("reference")),
        model=ModelFacts(*(_text(told.get("model", {}).get(f.name)) for f in fields(ModelFacts))),
        device=str(told.get("device", "cpu")),
        confidence=None,  # of an edited implant nobody knows
        stages=stages,
        edited=True,
        resampled=stored.source is not None and stored.source.resampled,
    )


def _working(stored: ResultMasks) -> tuple[ResultMasks, OwnAxes]:
    """Return masks, and what lies behind them, on the working axes, and the masks' own axes."""
    skull, own = on_working_axes(stored.skull)
    rest = (stored.completed, stored.implant, stored.background)
    completed, implant, background = (as_working(image) for image in rest)
    return ResultMasks(skull, completed, implant, background, stored.source), own


def _fitted(
    mask: sitk.Image,
    bone: BoneSurface,
    told: tuple[float, float, float] | None,
    options: DesignOptions,
    progress: Progress,
) -> Implant:
    """Return an edited implant, made smooth and fitted on the way in that is asked for or told."""
    depth = sub_voxel_depth(mask, bone.field)
    direction = options.insertion_direction or told
    return refitted(depth, bone, direction, options.implant, progress)


def _direction_told(told: dict[str, Any], label: int) -> tuple[float, float, float] | None:
    """Return the direction (LPS) that the design had for an implant, where it tells it."""
    implants = told.get("implants", [])
    # One implant may be drawn in any value; of several each has its label.
    number = 0 if len(implants) == 1 else label - 1
    if number >= len(implants) or not isinstance(implants[number], dict):
        return None
    direction = _three_numbers(implants[number].get("insertion_direction_lps"))
    return direction if direction and any(direction) else None


def _voxels(length_mm: float, grid: sitk.Image) -> tuple[int, int, int]:
    """Return how many voxels a length takes along (z, y, x), rounded up."""
    x, y, z = (math.ceil(length_mm / s) for s in grid.GetSpacing())
    return z, y, x


def _options_of(told: dict[str, Any]) -> DesignOptions:
    """Return the options that the design was made with, the defaults for those it does not tell.

    A clearance, by which the checks go, that is told and no number is not a number here either.
    """
    parameters = told.get("parameters", {})
    options = DesignOptions()
    known: dict[str, Any] = {}
    for name in (field.name for field in fields(DesignOptions)):
        value = parameters.get(name)
        known[name] = (
            _text(value) if isinstance(getattr(options, name), str) else number_told(value)
        )
    for name, allowed in (("device", DEVICES), ("engine", ENGINES), ("smoother", SMOOTHERS)):
        known[name] = known[name] if known[name] in allowed else None
    known["insertion_direction"] = _three_numbers(parameters.get("insertion_direction"))
    holes = parameters.get("holes")
    known["holes"] = tuple(
        hole if isinstance(hole, int) else _three_numbers(hole)
        for hole in (holes if isinstance(holes, list) else [])
        if _three_numbers(hole) or (isinstance(hole, int) and number_told(hole) is not None)
    )
    known["drill"] = _drill_of(parameters.get("drill"))
    options = replace(options, **{k: v for k, v in known.items() if v is not None})
    if "clearance_mm" in parameters and number_told(parameters["clearance_mm"]) is None:
        options = replace(options, clearance_mm=math.nan)
    return options


def _drill_of(told: Any) -> DrillOptions:
    """Return the holes that the design asked for, the defaults for what it does not tell."""
    numbers: dict[str, Any] = {
        name: value
        for name in (field.name for field in fields(DrillOptions))
        if isinstance(told, dict) and (value := number_told(told.get(name))) is not None
    }
    if "suture_holes" in numbers:
        numbers["suture_holes"] = int(numbers["suture_holes"])
    return DrillOptions(**numbers)


def _input_of(told: dict[str, Any], mask: sitk.Image, refined: bool) -> InputFacts:
    """Return what the design said of its input; of one that is not known, its grid.

    refined: the masks do not lie on the input's grid, which the design alone tells.
    """
    known = told.get("input", {})
    facts = facts_of(mask, "skull", "unknown", None)
    size, spacing_mm = (_three_numbers(known.get(f"{n}_xyz")) for n in ("size", "spacing_mm"))
    if refined and size and spacing_mm:
        facts = replace(facts, size_xyz=tuple(map(int, size)), spacing_mm_xyz=spacing_mm)
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
    volume_cm3 = number_told(told.get("volume_cm3"))
    return LeftOutFacts(_text(told.get("sha256")) or "", 0.0 if volume_cm3 is None else volume_cm3)


def _drawn_of(parameters: dict[str, Any]) -> DrawnFacts:
    """Return what the design said of the curves that were drawn."""
    limit, cut = (
        told if isinstance(told := parameters.get(name), dict) else {}
        for name in ("limit_to", "cut_out")
    )
    names = (tuple(map(str, told.get("sha256", ()))) for told in (limit, cut))
    areas = (number_told(told.get("area_cm2")) for told in (limit, cut))
    (limits, cuts), (limit_cm2, cut_cm2) = names, areas
    return DrawnFacts(limits, limit_cm2, cuts, cut_cm2, number_told(cut.get("volume_cm3")) or 0.0)


def _reference_of(told: Any) -> ReferenceFacts | None:
    """Return what the design said of the reference that completed it, where it said all of it."""
    if not isinstance(told, dict) or {f.name for f in fields(ReferenceFacts)} - set(told):
        return None
    numbers = {
        name: number_told(told[name])
        for name in ("residual_mm", "residual_most_mm", "agreeing_share", "thicker_mm", "scale_off")
    }
    if any(value is None for value in numbers.values()):
        return None
    return ReferenceFacts(
        sha256=_text(told["sha256"]) or "",
        shows=_text(told["shows"]) or "skull",
        kerf_mm=number_told(told["kerf_mm"]),
        **{name: value for name, value in numbers.items() if value is not None},
    )


def _three_numbers(values: Any) -> tuple[float, float, float] | None:
    if not isinstance(values, list) or len(values) != 3:
        return None
    x, y, z = (number_told(value) for value in values)
    return None if x is None or y is None or z is None else (x, y, z)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
