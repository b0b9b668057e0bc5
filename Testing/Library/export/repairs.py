"""What admesh would repair in an STL file, in the words of its report."""

import shutil
import subprocess
from pathlib import Path

import pytest

needs_admesh = pytest.mark.skipif(
    shutil.which("admesh") is None, reason="admesh is not installed (apt-get install admesh)"
)


def admesh_changes(path: Path) -> dict[str, int]:
    told = subprocess.run(["admesh", str(path)], capture_output=True, text=True, check=True).stdout
    rows = [line.rsplit(":", 1) for line in told.splitlines() if line.count(":") == 1]
    names = ("Degenerate facets", "Edges fixed", "Facets removed", "Facets added",
             "Facets reversed", "Backwards edges", "Normals fixed")  # fmt: skip
    found = {name.strip(): int(value) for name, value in rows if name.strip() in names}
    assert set(found) == set(names), told
    return found
