"""An implant that was edited by hand after its design: meshed and checked anew."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import vtk

from .core.images import array_of, read_mask, same_grid, voxel_volume_mm3
from .core.progress import silent
from .core.stages import StageReport, Stages, no_report
from .errors import SkullImplantError
from .implant.checks import Check, CheckOptions, check_implant
from .implant.surface import SurfaceOptions, surface_of
from .options import DesignOptions, check_lengths
from .reading.input import read_input

EDITED_NOTE = "The implant was edited by hand after the design."
MASKS = ("skull", "completed", "implant")


@dataclass(frozen=True)
class EditedDesign:
    """A design whose implant was edited: masks on one grid, mesh in LPS mm, checks, and what its
    `design.json` said of the design. `background` is what the pictures show: the CT, or the skull.
    """

    skull: sitk.Image
    completed: sitk.Image
    implant: sitk.Image
    volume_cm3: float
    mesh: vtk.vtkPolyData
    checks: tuple[Check, ...]
    background: sitk.Image
    facts: dict[str, Any]
    stages: Stages = field(repr=False)


def update_design(
    folder: Path,
    ct: Path | None = None,
    clearance_mm: float | None = None,
    report: StageReport = no_report,
) -> EditedDesign:
    """Mesh and check the implant in a result folder anew, as it is there now.

    All its pieces are kept, so that the checks can say that there are several. `clearance_mm` is
    the design's own unless given. Raises `SkullImplantError` where a mask is missing, empty or on
    another grid, or `design.json` is damaged.
    """
    facts = _facts_of(folder)
    if clearance_mm is not None:
        check_lengths(DesignOptions(clearance_mm=clearance_mm))
        facts["parameters"]["clearance_mm"] = clearance_mm
    skull, completed, implant, background = _read(folder, ct, report)
    facts.setdefault("input", _input_of(implant))
    stages = Stages(report)
    with stages.stage("surface") as progress:
        mesh = surface_of(implant, SurfaceOptions(pieces=None), progress)
    with stages.stage("checks") as progress:
        limits = CheckOptions(clearance_mm=facts["parameters"]["clearance_mm"])
        checks = check_implant(implant, skull, mesh, completed, limits, progress)
    return EditedDesign(
        skull=skull,
        completed=completed,
        implant=implant,
        volume_cm3=np.count_nonzero(array_of(implant)) * voxel_volume_mm3(implant) / 1000.0,
        mesh=mesh,
        checks=checks,
        background=background,
        facts=facts,
        stages=stages,
    )


def _facts_of(folder: Path) -> dict[str, Any]:
    """Return what `design.json` says of the design, with defaults for what it does not say."""
    path = folder / "design.json"
    told: Any = {}
    if path.exists():
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SkullImplantError(
                "design.json is damaged; take it away, and the update goes by the defaults."
            ) from error
    parts = {"parameters": dict, "model": dict, "input": dict, "implant": dict, "notes": list}
    if not isinstance(told, dict) or any(
        not isinstance(told[name], kind) for name, kind in parts.items() if name in told
    ):
        raise SkullImplantError(
            "design.json is not one of this program; take it away, and the update goes by the "
            "defaults."
        )
    defaults = {**asdict(DesignOptions()), "leave_out": None}
    facts = {
        "parameters": {**defaults, **told.get("parameters", {})},
        "model": told.get("model", {"name": None, "sha256": None}),
        "device": str(told.get("device", "cpu")),
        "hole_area_cm2": told.get("implant", {}).get("hole_area_cm2"),
        "notes": list(dict.fromkeys([*map(str, told.get("notes", [])), EDITED_NOTE])),
    }
    if "input" in told:
        facts["input"] = told["input"]
    clearance_mm = facts["parameters"]["clearance_mm"]
    if not isinstance(clearance_mm, (int, float)) or not 0.0 <= clearance_mm < np.inf:
        raise SkullImplantError("design.json has no usable clearance; give --clearance-mm.")
    return facts


def _input_of(mask: sitk.Image) -> dict[str, Any]:
    """Return what there is to say of an input that is not known: its grid."""
    return {
        "kind": "skull",
        "description": "unknown",
        "sha256": None,
        "size_xyz": list(mask.GetSize()),
        "spacing_mm_xyz": [round(s, 6) for s in mask.GetSpacing()],
    }


def _read(folder: Path, ct: Path | None, report: StageReport) -> tuple[sitk.Image, ...]:
    """Return skull, completed skull, implant, and what lies behind them in pictures."""
    images: list[sitk.Image] = []
    for done, name in enumerate(MASKS):
        report("reading", done / (len(MASKS) + 1), f"{name}.nrrd")
        images.append(read_mask(folder / f"{name}.nrrd"))
        if not array_of(images[-1]).any():
            raise SkullImplantError(
                f"{name}.nrrd is empty; undo the edit that took everything away, or design again."
            )
    report("reading", len(MASKS) / (len(MASKS) + 1), "pictures' background")
    images.append(read_input(ct, "ct", progress=silent).image if ct else images[0])
    for name, image in zip((*MASKS, "input"), images):
        if not same_grid(image, images[0]):
            raise SkullImplantError(
                f"The {name} does not lie on the grid of skull.nrrd; save it in the geometry of "
                "the CT."
            )
    report("reading", 1.0)
    return tuple(images)
