"""What other programs say of an implant's file: pymeshlab, admesh, PrusaSlicer; each may be absent.

Each function returns no numbers, and `missing_tools` a sentence, where its program is not there.
"""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from facets import Facets

SLICERS = ("prusa-slicer", "PrusaSlicer", "prusa-slicer-console")
TIMEOUT_S = 300
# As it lies in the head an implant stands on a point of its rim: on a raft, with supports.
SLICING = ("--raft-layers", "3", "--support-material", "--layer-height", "0.3")
# What admesh repairs, in the words of its report's second half.
REPAIRS = (
    "Number of parts",
    "Degenerate facets",
    "Edges fixed",
    "Facets removed",
    "Facets added",
    "Facets reversed",
    "Backwards edges",
    "Normals fixed",
)
NO_REPAIRS = ("Number of parts",)  # of the above, told but no repair


def _slicer() -> str | None:
    return next((name for name in SLICERS if shutil.which(name)), None)


def missing_tools() -> list[str]:
    """A sentence for each program that is not there: its lines of the tables are not measured."""
    sentences = []
    if importlib.util.find_spec("pymeshlab") is None:
        sentences.append("Self-intersections are not counted: pymeshlab is not installed.")
    if shutil.which("admesh") is None:
        sentences.append("Repairs by admesh are not looked at: admesh is not installed.")
    if _slicer() is None:
        sentences.append("Nothing was sliced: PrusaSlicer is not installed.")
    return sentences


def tool_numbers(path: Path, implant: Facets, slicing: bool) -> dict[str, float | str]:
    """What the programs that are there say of an STL file; slicing takes half a minute."""
    numbers = self_intersections(path) | admesh_repairs(path)
    return numbers | sliced(path, implant) if slicing else numbers


def self_intersections(path: Path) -> dict[str, float | str]:
    """How many triangles cross others (pymeshlab)."""
    if importlib.util.find_spec("pymeshlab") is None:
        return {}
    import pymeshlab

    meshes = pymeshlab.MeshSet(verbose=False)
    meshes.load_new_mesh(str(path))
    meshes.meshing_merge_close_vertices(threshold=pymeshlab.PercentageValue(0.0))
    meshes.compute_selection_by_self_intersections_per_face()
    return {"self_intersections": int(meshes.current_mesh().selected_face_number())}


def admesh_repairs(path: Path) -> dict[str, float | str]:
    """How much admesh changes with its usual repairs: facets and edges, all together."""
    if shutil.which("admesh") is None:
        return {}
    run = subprocess.run(["admesh", str(path)], capture_output=True, text=True, timeout=TIMEOUT_S)
    found = {
        name: int(match.group(1))
        for name in REPAIRS
        if (match := re.search(rf"{name}\s*:\s*(\d+)", run.stdout))
    }
    if run.returncode != 0 or not found:
        return {"admesh_changes": -1}
    return {"admesh_changes": sum(n for name, n in found.items() if name not in NO_REPAIRS)}


def sliced(path: Path, implant: Facets) -> dict[str, float | str]:
    """Does PrusaSlicer slice it to G-code, without a word of repair or warning, and does it see our
    volume within 0.1 %?
    """
    slicer = _slicer()
    if slicer is None:
        return {}
    told = subprocess.run(
        [slicer, "--info", str(path)], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "implant.gcode"
        run = subprocess.run(
            [slicer, "--export-gcode", *SLICING, "--output", str(made), str(path)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        code = made.stat().st_size if made.exists() else 0
    words = (told.stdout + told.stderr + run.stdout + run.stderr).lower()
    volume = re.search(r"volume = ([\d.eE+]+)", told.stdout)
    off = abs(float(volume.group(1)) / implant.volume_mm3 - 1) if volume else 1.0
    manifold = re.search(r"manifold = yes", told.stdout) is not None
    repaired = any(word in words for word in ("repair", "warning", "open edge", "error"))
    return {
        "slicer_sound": int(code > 0 and manifold and not repaired and off <= 0.001),
        "slicer_volume_off_percent": 100 * off,
    }
