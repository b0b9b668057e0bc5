"""Designs of the cases: made by a `skull-implant` as a user has it, kept, made once."""

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from facets import read_stl
from fit_cases import FitCase
from measuring import Bones, box_of, designed_implants, measure_design
from side_walls import walls_of

TIMEOUT_S = 1800
MEASURING = 3  # counts up when the measuring changes: what was measured before is measured anew
SLICED_MM = 0.5  # only the designs of this clearance are sliced: half a minute each


def design_folder(work: Path, run: str, case: FitCase, clearance_mm: float) -> Path:
    """Where a run's design of a case at a clearance lies."""
    return work / "designs" / run / case.name / f"{clearance_mm:g}"


def make_design(
    case: FitCase, clearance_mm: float, folder: Path, command: Sequence[str], again: bool = False
) -> str | None:
    """Design a case's implant into `folder` unless it is there; tell in a sentence what failed.

    The input's kind is told, so that a design is the same whatever the content looks like.
    """
    failed = folder / "failed.txt"
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    if (folder / "design.json").exists():
        return None
    if failed.exists():
        return failed.read_text(encoding="utf-8").strip()
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    asked = ["design", str(case.folder / "defective.nrrd"), "-o", str(folder)]
    asked += ["--clearance-mm", f"{clearance_mm:g}", "--input", "ct" if case.of_ct else "skull"]
    run = subprocess.run(
        [*command, *asked, "--no-report", "--json", "--progress", "none"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if run.returncode != 0 or not (folder / "design.json").exists():
        words = (run.stderr.strip().splitlines() or ["no words"])[-1]
        failed.write_text(f"exit {run.returncode}: {words}\n", encoding="utf-8")
        return failed.read_text(encoding="utf-8").strip()
    seconds = time.perf_counter() - start
    (folder / "wall_seconds.txt").write_text(f"{seconds:.1f}\n", encoding="utf-8")
    return None


def bones_of(case: FitCase, folder: Path) -> Bones:
    """What bone is, for a design in `folder`: a CT's at the threshold the design itself found.

    Raises `ValueError` where a CT's design tells no threshold.
    """
    complete_mask = case.image("complete")
    if not case.of_ct:
        mask = case.image("defective")
        return Bones(mask, complete_mask, None, mask, complete_mask)
    design = json.loads((folder / "design.json").read_text(encoding="utf-8"))
    threshold = design["parameters"].get("bone_threshold_hu")
    if threshold is None:
        raise ValueError("design.json tells no bone_threshold_hu.")
    skull = sitk.ReadImage(str(folder / "skull.nrrd"))
    return Bones(
        case.image("defective"), case.image("complete-ct"), float(threshold), skull, complete_mask
    )


def kept_rows(
    case: FitCase, clearance_mm: float, folder: Path, again: bool = False
) -> list[dict[str, Any]]:
    """The rows of a design, measured once: `measured.json` beside it, while it is the younger."""
    kept, design = folder / "measured.json", folder / "design.json"
    if not again and kept.exists() and kept.stat().st_mtime >= design.stat().st_mtime:
        rows = json.loads(kept.read_text(encoding="utf-8"))
        if all(row.get("measuring") == MEASURING for row in rows):
            return [row | {"at_orbit": case.at_orbit} for row in rows]
    rows = measured_rows(case, clearance_mm, folder)
    if design.exists():
        kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return rows


def measured_rows(case: FitCase, clearance_mm: float, folder: Path) -> list[dict[str, Any]]:
    """The rows of a design that lies in `folder`, one an implant; a row with `failed` otherwise."""
    told = {"case": case.name, "clearance": clearance_mm, "at_orbit": case.at_orbit}
    told["measuring"] = MEASURING
    if not (folder / "design.json").exists():
        failed = folder / "failed.txt"
        words = failed.read_text(encoding="utf-8").strip() if failed.exists() else "no design"
        return [told | {"failed": words}]
    try:
        rows = measure_design(
            folder,
            bones_of(case, folder),
            case.image("implant"),
            clearance_mm,
            slicing=clearance_mm == SLICED_MM,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        return [told | {"failed": f"not measured: {error}"}]
    wall = folder / "wall_seconds.txt"
    seconds = float(wall.read_text()) if wall.exists() else float("nan")
    return [told | {"wall_s": seconds} | row for row in rows]


def draw_design(case: FitCase, folder: Path, path: Path) -> None:
    """Draw a design that lies in `folder` to a PNG file; nothing where there is none."""
    from rim_pictures import draw_case  # needs OpenGL

    if not (folder / "design.json").exists():
        return
    design = json.loads((folder / "design.json").read_text(encoding="utf-8"))
    implants = [read_stl(each) for each, _ in designed_implants(folder, design)]
    bones = bones_of(case, folder)
    walls = walls_of(implants[0], bones.place_within_head(), np.random.default_rng(0))
    draw_case(implants, bones.surface(*box_of(implants)), walls.mean_sheet, path)
