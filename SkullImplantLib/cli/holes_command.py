"""What `skull-implant holes` does."""

import argparse
from pathlib import Path
from typing import Any

from ..core.stages import StageReport
from ..core.staging import staged_folder
from ..core.threads import use_threads
from ..designing.found_holes import find_holes
from ..export.holes_result import HOLES_FILES, write_holes
from ..models import torch_version, uses_torch
from ..skull.left_out import read_left_out
from .commands import read_curves, read_earlier, read_source, until_completed
from .foreseen import Foreseen
from .result import Result


def holes(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant holes`: CT or skull to a list of its holes."""
    refines = options.refine_mm is not None and torch_version() is not None
    use_threads(options.threads, refines or uses_torch(options.model))
    left_out = read_left_out(options.leave_out) if options.leave_out else None
    limit_to, cut_out = read_curves(options)
    settings = until_completed(options)
    foreseen = Foreseen(options.coarser)
    with foreseen.told():
        source = read_source(options, report, foreseen)
        reference = read_earlier(options, report)
        with staged_folder(options.output, HOLES_FILES) as folder:
            found = find_holes(
                source,
                settings,
                report,
                left_out,
                reference,
                limit_to=limit_to,
                cut_out=cut_out,
            )
            data = write_holes(found, folder)
    return Result(data, _told(data, options.output))


def _told(data: dict[str, Any], folder: Path) -> str:
    lines = ["No hole was found in the vault."] if not data["holes"] else []
    for hole in data["holes"]:
        place = ", ".join(f"{along:.0f}" for along in hole["centre_mm_xyz"])
        lines.append(
            f"{hole['number']}: {hole['area_cm2']:.1f} cm², {hole['where']}, at {place} (LPS, mm)"
            + ("" if hole["fillable"] else "; no implant is made for it")
            + "."
        )
        lines += [f"   {remark}" for remark in hole["remarks"]]
    lines += [f"Note: {note}" for note in data["notes"]]
    seconds = sum(stage["seconds"] for stage in data["stages"])
    lines += [f"{seconds:.0f} s; written to {folder}.", data["disclaimer"]]
    return "\n".join(lines)
