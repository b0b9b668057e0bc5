"""`skull-implant export`: what it does, and what it says before and after."""

import argparse
from pathlib import Path

from ..core.stages import StageReport
from ..core.threads import use_threads
from ..export.exporting import ExportedFiles, PlannedExport, export_result, planned_export
from ..export.outgoing import Tells
from ..export.renders import try_rendering
from .printable import printable
from .result import Result, say

WHAT_IT_TELLS: dict[Tells, str] = {
    "patient": "carries the patient's identity",
    "label": "its label may tell the patient",
    "name": "its name may tell the patient",
    "nothing": "tells no patient",
}


def export(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant export`: a result folder as the files that others need."""
    if options.dry_run:
        plan = planned_export(options.result, options.formats, options.name, options.engrave)
        text = f"{_listed(plan, options.output)}\nNothing was written."
        return Result(plan.as_json(), text)
    use_threads(options.threads)
    try_rendering()
    plans: list[PlannedExport] = []

    def tell(plan: PlannedExport) -> None:
        plans.append(plan)
        if not options.json:
            say(printable(_listed(plan, options.output)))

    found = export_result(
        options.result,
        options.formats,
        options.output,
        options.name,
        options.input,
        options.engrave,
        report,
        options.dicom_series,
        tell,
    )
    return Result({**plans[0].as_json(), **found.as_json()}, _told(found, options.output))


def _listed(plan: PlannedExport, folder: Path) -> str:
    """Return what goes out, a line a file."""
    rows = [(file.name, file.format.title, WHAT_IT_TELLS[file.tells]) for file in plan.files]
    name, title = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"  {row[0]:<{name}}  {row[1]:<{title}}  {row[2]}" for row in rows]
    return "\n".join([f"What goes out, to {folder}:", *lines])


def _told(found: ExportedFiles, folder: Path) -> str:
    lines = []
    for number, size in enumerate(found.implants, 1):
        box, least = (" x ".join(f"{mm:.0f}" for mm in s) for s in (size.size_mm, size.least_mm))
        lines.append(
            f"Implant {number}: {size.volume_cm3:.1f} cm³, {box} mm as it lies in its file, "
            f"{least} mm in the least box."
        )
    return "\n".join([*lines, *found.notes, f"Written to {folder}."])
