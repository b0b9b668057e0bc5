"""What a design leaves on disk: masks, STL, pictures, report, and `design.json` on all of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import vtk

from .. import __version__
from ..core.images import write_image
from ..core.progress import part
from ..core.stages import Stages
from ..design import ImplantDesign
from ..implant.checks import Check
from ..options import DesignOptions
from ..reading.input import Input
from ..update import EditedDesign
from .pictures import compose_preview, renders_missing
from .report import write_report
from .stl import write_stl

DISCLAIMER = "A proposal for review by a qualified person; not a medical device."
RESULT_FILES = (
    "skull.nrrd",
    "completed.nrrd",
    "implant.nrrd",
    "implant.stl",
    "preview.png",
    "report.html",
    "design.json",
)


def write_results(
    design: ImplantDesign,
    source: Input,
    options: DesignOptions,
    folder: Path,
    pictures: bool = True,
) -> dict[str, Any]:
    """Write a design into `folder`, which exists, and return the contents of its `design.json`.

    `pictures` adds `preview.png` and `report.html`; where renders cannot be drawn on this machine
    a note says so, and everything else is written all the same.
    """
    masks = {"skull": design.skull, "completed": design.completed, "implant": design.implant.mask}
    background = source.image if source.kind == "ct" else design.skull
    preview = _write_files(folder, masks, design.mesh, background, design.stages, pictures)
    facts = {
        "input": {
            "kind": source.kind,
            "description": source.description,
            "sha256": source.sha256,
            "size_xyz": list(source.image.GetSize()),
            "spacing_mm_xyz": [round(s, 6) for s in source.image.GetSpacing()],
        },
        "parameters": {
            **asdict(options),
            "bone_threshold_hu": design.bone_threshold_hu,
            "leave_out": design.left_out,
        },
        "model": design.model,
        "device": design.device,
        "confidence": design.confidence.as_json(),
    }
    measures = _measures(
        design.implant.volume_cm3, round(design.hole_area_cm2, 1), design.checks, design.mesh
    )
    notes = _with_note_on_renders(design.notes, pictures)
    data = _as_dictionary(facts, measures, design.checks, notes, design.stages)
    _write_account(folder, data, preview)
    return data


def write_update(edited: EditedDesign, folder: Path, pictures: bool = True) -> dict[str, Any]:
    """Write an edited design as `write_results` writes a design; `design.json` says it is one."""
    masks = {"skull": edited.skull, "completed": edited.completed, "implant": edited.implant}
    preview = _write_files(folder, masks, edited.mesh, edited.background, edited.stages, pictures)
    facts = {name: edited.facts[name] for name in ("input", "parameters", "model", "device")}
    measures = _measures(
        edited.volume_cm3, edited.facts["hole_area_cm2"], edited.checks, edited.mesh
    )
    notes = _with_note_on_renders(edited.facts["notes"], pictures)
    data = _as_dictionary(facts, measures, edited.checks, notes, edited.stages)
    data["edited"] = True
    _write_account(folder, data, preview)
    return data


def _write_files(
    folder: Path,
    masks: dict[str, sitk.Image],
    mesh: vtk.vtkPolyData,
    background: sitk.Image,
    stages: Stages,
    pictures: bool,
) -> bytes | None:
    """Write masks, STL and, with `pictures`, the preview, which is returned."""
    with stages.stage("export") as progress:
        for done, (name, mask) in enumerate(masks.items()):
            progress(0.1 * done, "masks")
            write_image(mask, folder / f"{name}.nrrd")
        write_stl(mesh, folder / "implant.stl")
        if not pictures:
            return None
        preview = compose_preview(
            background, masks["skull"], masks["implant"], mesh, part(progress, 0.4, 0.95)
        )
        (folder / "preview.png").write_bytes(preview)
    return preview


def _with_note_on_renders(notes: Sequence[str], pictures: bool) -> list[str]:
    """Return the notes, with one where the preview has no renders."""
    missing = renders_missing() if pictures else None
    return list(dict.fromkeys([*notes, *filter(None, [missing])]))


def _measures(
    volume_cm3: float, hole_area_cm2: float | None, checks: Sequence[Check], mesh: vtk.vtkPolyData
) -> dict[str, Any]:
    """Return the sizes of an implant."""
    area_cm2 = next(float(check.value) for check in checks if check.name == "area")
    return {
        "volume_cm3": round(volume_cm3, 2),
        "area_cm2": round(area_cm2, 1),
        "thickness_mm": round(10.0 * volume_cm3 / area_cm2, 2),
        "hole_area_cm2": hole_area_cm2,
        "triangles": mesh.GetNumberOfPolys(),
        "size_mm_xyz": _extent_mm(mesh),
    }


def _as_dictionary(
    facts: dict[str, Any],
    measures: dict[str, Any],
    checks: Sequence[Check],
    notes: list[str],
    stages: Stages,
) -> dict[str, Any]:
    """Return the contents of `design.json`."""
    return {
        "disclaimer": DISCLAIMER,
        "version": __version__,
        **facts,
        "implant": measures,
        "checks": [asdict(check) for check in checks],
        "passed": all(check.passed for check in checks),
        "notes": notes,
        "stages": stages.as_list(),
    }


def _write_account(folder: Path, data: dict[str, Any], preview: bytes | None) -> None:
    """Write `design.json` and, where there is a preview, the report."""
    if preview:
        write_report(folder / "report.html", data, {"preview": preview})
    (folder / "design.json").write_text(json.dumps(data, indent=2, allow_nan=False) + "\n")


def _extent_mm(mesh: vtk.vtkPolyData) -> list[float]:
    bounds = mesh.GetBounds()
    return [round(bounds[2 * k + 1] - bounds[2 * k], 1) for k in range(3)]
