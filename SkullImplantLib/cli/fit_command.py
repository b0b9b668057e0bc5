"""`skull-implant fit`: its words and options, and what it does."""

import argparse
from pathlib import Path

from ..checks import CheckOptions
from ..core.stages import StageReport
from ..core.threads import use_threads
from ..evaluation.foreign_implant import MeasuredFit, measure_fit, read_foreign_stl
from .commands import read_source
from .result import Result

SIGNS = {True: "ok     ", False: "look at"}


def fit(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant fit`: any implant measured on the head it is for."""
    use_threads(options.threads)
    mesh = read_foreign_stl(options.implant)
    source = read_source(options, report)
    limits = CheckOptions(clearance_mm=options.clearance_mm)
    measured = measure_fit(
        mesh, source, options.bone_threshold, limits, options.insertion_direction, report
    )
    return Result(measured.as_json(), _told(measured, options.implant))


def _told(measured: MeasuredFit, path: Path) -> str:
    checks = measured.checked.checks
    lines = [
        f"{path.name}: {measured.volume_cm3:.1f} cm³, {measured.triangles} triangles.",
        *(f"{SIGNS[check.passed]}  {check.name}: {check.sentence}" for check in checks),
        *(f"Note: {note}" for note in measured.notes),
    ]
    if measured.checked.direction is not None:
        x, y, z = measured.checked.direction
        lines.append(f"It comes out along {x:.3f}, {y:.3f}, {z:.3f} (LPS).")
    passed = sum(check.passed for check in checks)
    lines.append(f"{passed} of {len(checks)} checks passed.")
    return "\n".join(lines)
