"""`skull-implant export`: its words and options, and what it does."""

import argparse
from pathlib import Path

from ..core.stages import StageReport
from ..core.threads import use_threads
from ..export.exporting import ExportedFiles, export_result
from ..export.renders import try_rendering
from .result import Result


def export(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant export`: a result folder as the files that others need."""
    use_threads(options.threads)
    try_rendering()
    found = export_result(
        options.result,
        options.formats,
        options.output,
        options.name,
        options.input,
        options.engrave,
        report,
    )
    return Result(found.as_json(), _told(found, options.output))


def _told(found: ExportedFiles, folder: Path) -> str:
    lines = [f"{name}: {', '.join(files)}" for name, files in found.files.items()]
    for number, size in enumerate(found.implants, 1):
        box, least = (" x ".join(f"{mm:.0f}" for mm in s) for s in (size.size_mm, size.least_mm))
        lines.append(
            f"Implant {number}: {size.volume_cm3:.1f} cm³, {box} mm as it lies in its file, "
            f"{least} mm in the least box."
        )
    return "\n".join([*lines, *found.notes, f"Written to {folder}."])
