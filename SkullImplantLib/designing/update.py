"""A result folder read again; an implant that was edited by hand in it, meshed and checked anew."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..completion.sub_voxel import sub_voxel_depth
from ..core.finer_grid import finer_grid
from ..core.grid import Grid
from ..core.image_files import read_labels, read_mask
from ..core.images import array_of, bounding_box, crop, same_grid
from ..core.kept_json import read_json
from ..core.progress import Progress, part
from ..core.side_by_side import Work, side_by_side
from ..core.stages import ALMOST, StageReport, Stages, no_report
from ..core.staging import settle
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
from ..reading.input import Input
from ..reading.same_ct import read_same_ct
from ..skull import Skull
from .completed_head import BOX_AROUND_HOLE_MM
from .finishing import Known, checked, meshes_of, surface_around
from .proposal import (
    SCHEMA_VERSION,
    Design,
    DrawnFacts,
    InputFacts,
    LeftOutFacts,
    ModelFacts,
    ReferenceFacts,
    facts_of,
)

EDITED_NOTE = "The implant was fitted again after the design, and may have been edited by hand."
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
    threshold_hu = _number(parameters.get("bone_threshold_hu"))
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
        hole_area_cm2=_number(told.get("implant", {}).get("hole_area_cm2")),
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
    return _number(told.get("parameters", {}).get("refine_mm"))


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
    for name, allowed in (("device", DEVICES), ("engine", ENGINES), ("smoother", SMOOTHERS)):
        known[name] = known[name] if known[name] in allowed else None
    known["insertion_direction"] = _three_numbers(parameters.get("insertion_direction"))
    holes = parameters.get("holes")
    known["holes"] = tuple(
        hole if isinstance(hole, int) else _three_numbers(hole)
        for hole in (holes if isinstance(holes, list) else [])
        if _three_numbers(hole) or (isinstance(hole, int) and _number(hole) is not None)
    )
    known["drill"] = _drill_of(parameters.get("drill"))
    options = replace(options, **{k: v for k, v in known.items() if v is not None})
    if "clearance_mm" in parameters and _number(parameters["clearance_mm"]) is None:
        options = replace(options, clearance_mm=math.nan)
    return options


def _drill_of(told: Any) -> DrillOptions:
    """Return the holes that the design asked for, the defaults for what it does not tell."""
    numbers: dict[str, Any] = {
        name: value
        for name in (field.name for field in fields(DrillOptions))
        if isinstance(told, dict) and (value := _number(told.get(name))) is not None
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
    volume_cm3 = _number(told.get("volume_cm3"))
    return LeftOutFacts(_text(told.get("sha256")) or "", 0.0 if volume_cm3 is None else volume_cm3)


def _drawn_of(parameters: dict[str, Any]) -> DrawnFacts:
    """Return what the design said of the curves that were drawn."""
    limit, cut = (
        told if isinstance(told := parameters.get(name), dict) else {}
        for name in ("limit_to", "cut_out")
    )
    names = (tuple(map(str, told.get("sha256", ()))) for told in (limit, cut))
    areas = (_number(told.get("area_cm2")) for told in (limit, cut))
    (limits, cuts), (limit_cm2, cut_cm2) = names, areas
    return DrawnFacts(limits, limit_cm2, cuts, cut_cm2, _number(cut.get("volume_cm3")) or 0.0)


def _reference_of(told: Any) -> ReferenceFacts | None:
    """Return what the design said of the reference that completed it, where it said all of it."""
    if not isinstance(told, dict) or {f.name for f in fields(ReferenceFacts)} - set(told):
        return None
    numbers = {
        name: _number(told[name])
        for name in ("residual_mm", "residual_most_mm", "agreeing_share", "thicker_mm", "scale_off")
    }
    if any(value is None for value in numbers.values()):
        return None
    return ReferenceFacts(
        sha256=_text(told["sha256"]) or "",
        shows=_text(told["shows"]) or "skull",
        kerf_mm=_number(told["kerf_mm"]),
        **{name: value for name, value in numbers.items() if value is not None},
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _three_numbers(values: Any) -> tuple[float, float, float] | None:
    if not isinstance(values, list) or len(values) != 3:
        return None
    x, y, z = (_number(value) for value in values)
    return None if x is None or y is None or z is None else (x, y, z)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
