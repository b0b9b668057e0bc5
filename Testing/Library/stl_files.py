"""STL files read back by VTK, and judged by admesh, an independent program."""

import re
import subprocess
from pathlib import Path

import pytest
import vtk


def admesh(path: Path) -> dict[str, float]:
    """What admesh says about a file: its counters by name; facet states as found and as mended."""
    run = subprocess.run(
        ["admesh", path], capture_output=True, text=True, errors="replace", check=True
    )
    found = re.findall(r"([A-Z][\w ]*?) *: +(-?\d+(?:\.\d+)?)(?: +(\d+))?", run.stdout)
    return {name: float(first) for name, first, _ in found}


def assert_admesh_finds_no_fault(path: Path, volume_cm3: float) -> None:
    report = admesh(path)
    for fault in (
        "Total disconnected facets",
        "Degenerate facets",
        "Edges fixed",
        "Facets removed",
        "Facets added",
        "Facets reversed",
        "Backwards edges",
        "Normals fixed",
    ):
        assert report[fault] == 0, f"{fault}: {report[fault]}"
    assert report["Number of parts"] == 1
    assert report["Volume"] / 1000.0 == pytest.approx(volume_cm3, rel=1e-3)


def read(path: Path) -> vtk.vtkPolyData:
    reader = vtk.vtkSTLReader()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()
