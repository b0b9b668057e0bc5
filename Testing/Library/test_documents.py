"""The Python that the documents show runs as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest

from data_set_layouts import lay_out_segthor
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.images import write_image

PROJECT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_python_of(document: str, names: dict[str, Any]) -> None:
    """Run the Python of a document, block after block, with and into `names`."""
    blocks = BLOCK.findall((PROJECT / document).read_text(encoding="utf-8"))
    assert blocks, f"{document} shows no Python"
    for block in blocks:
        exec(compile(block, document, "exec"), names)


@pytest.fixture
def beside_a_head(
    coarse_patient: SamplePatient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working folder, with the CT that the documents name."""
    write_image(coarse_patient.ct, tmp_path / "head.nrrd")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_python_of_readme_and_how_to_designs(
    beside_a_head: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    run_python_of("README.md", names)
    written = {path.name for path in (beside_a_head / "result").iterdir()}
    assert {"implant.nrrd", "implant.stl", "design.json", "report.html"} <= written
    assert len(capsys.readouterr().out.splitlines()) == len(names["design"].checks)
    # The how-to goes on where the README ends.
    run_python_of("docs/how-to/use-in-python.md", names)
    assert "skull: 100%" in capsys.readouterr().out


def test_python_of_the_data_sets_reads_segthor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_python_of("docs/how-to/public-data-sets.md", {"folder": lay_out_segthor(tmp_path)})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[2].startswith("Patient_41 test") and lines[2].endswith("None")
