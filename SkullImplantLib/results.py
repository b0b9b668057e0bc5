"""What a design leaves on disk: masks, STL, pictures, report, and `design.json` on all of it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vtk

from . import __version__
from .design import DesignOptions, ImplantDesign
from .export.pictures import compose_preview, renders_missing
from .export.report import write_report
from .export.stl import write_stl
from .images import write_image
from .progress import part
from .reading import Input

DISCLAIMER = "A proposal for review by a qualified person; not a medical device."


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
    notes = list(design.notes)
    preview: bytes | None = None
    with design.stages.stage("export") as progress:
        write_image(design.skull, folder / "skull.nrrd")
        progress(0.15, "masks")
        write_image(design.completed, folder / "completed.nrrd")
        progress(0.3, "masks")
        write_image(design.implant.mask, folder / "implant.nrrd")
        write_stl(design.mesh, folder / "implant.stl")
        if pictures:
            preview = compose_preview(
                source.image if source.kind == "ct" else design.skull,
                design.skull,
                design.implant.mask,
                design.mesh,
                part(progress, 0.4, 0.95),
            )
            (folder / "preview.png").write_bytes(preview)
            notes += filter(None, [renders_missing()])
    data = as_dictionary(design, source, options, notes)
    if pictures:
        write_report(folder / "report.html", data, {"preview": preview} if preview else {})
    (folder / "design.json").write_text(json.dumps(data, indent=2, allow_nan=False) + "\n")
    return data


def as_dictionary(
    design: ImplantDesign, source: Input, options: DesignOptions, notes: list[str]
) -> dict[str, Any]:
    """Return the contents of `design.json`."""
    area_cm2 = next(float(check.value) for check in design.checks if check.name == "area")
    return {
        "disclaimer": DISCLAIMER,
        "version": __version__,
        "input": {
            "kind": source.kind,
            "description": source.description,
            "sha256": source.sha256,
            "size_xyz": list(source.image.GetSize()),
            "spacing_mm_xyz": [round(s, 6) for s in source.image.GetSpacing()],
        },
        "parameters": {**asdict(options), "bone_threshold_hu": design.bone_threshold_hu},
        "model": design.model,
        "device": design.device,
        "implant": {
            "volume_cm3": round(design.implant.volume_cm3, 2),
            "area_cm2": round(area_cm2, 1),
            "thickness_mm": round(10.0 * design.implant.volume_cm3 / area_cm2, 2),
            "hole_area_cm2": round(design.hole_area_cm2, 1),
            "triangles": design.mesh.GetNumberOfPolys(),
            "size_mm_xyz": _extent_mm(design.mesh),
        },
        "checks": [asdict(check) for check in design.checks],
        "passed": all(check.passed for check in design.checks),
        "notes": notes,
        "stages": design.stages.as_list(),
    }


def _extent_mm(mesh: vtk.vtkPolyData) -> list[float]:
    bounds = mesh.GetBounds()
    return [round(bounds[2 * k + 1] - bounds[2 * k], 1) for k in range(3)]
