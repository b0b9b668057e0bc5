"""What needs no network runs where PyTorch is not installed, and what needs one says so."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from SkullImplantLib import models
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.images import write_image
from SkullImplantLib.errors import SkullImplantError
from warm_process import Ended, WarmProcess


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., Ended]]:
    """`run(*arguments, code=0)` runs `skull-implant` where PyTorch is not installed."""
    process = WarmProcess()

    def checked(*arguments: str | Path, code: int = 0) -> Ended:
        ended = process.run(*arguments)
        assert ended.code == code, ended.err
        return ended

    yield checked
    process.close()


@pytest.mark.slow
def test_the_patients_verbs_run(
    run: Callable[..., Ended], coarse_patient: SamplePatient, tmp_path: Path
) -> None:
    write_image(coarse_patient.ct, tmp_path / "ct.nrrd")
    made, edited, cut = (tmp_path / name for name in ("made", "edited", "cut"))
    quiet = ("--progress", "none", "--json")
    made_by = run("design", tmp_path / "ct.nrrd", "-o", made, "--threads", "2", *quiet).out
    design = json.loads(made_by)
    assert design["model"]["name"] == "prior"
    data = json.loads(run("update", made, "-o", edited, "--no-report", *quiet).out)
    assert data["edited"] and data["model"]["name"] == "prior"
    write_image(coarse_patient.complete, tmp_path / "complete.nrrd")
    run("defect", tmp_path / "complete.nrrd", "-o", cut, "--seed", "1", *quiet)
    truth = ("--truth", made / "implant.nrrd", "--defective", made / "skull.nrrd")
    measured = run("evaluate", "--implant", made / "implant.nrrd", *truth, *quiet).out
    assert json.loads(measured)["dice"] == 1.0


def test_the_sample_patient_is_made(run: Callable[..., Ended], tmp_path: Path) -> None:
    run("sample", "-o", tmp_path, "--progress", "none")
    assert {p.name for p in tmp_path.iterdir()} == {"sample-ct.nrrd", "sample-answer.nrrd"}


def test_devices_and_help(run: Callable[..., Ended]) -> None:
    found = json.loads(run("devices", "--json", "--progress", "none").out)
    assert found["torch"] is None and found["torch_ok"] is False
    assert [device["id"] for device in found["devices"]] == ["cpu"]
    assert "not installed" in run("devices").out
    for verb in ("design", "train", "evaluate", "benchmark", "organs"):
        assert "examples:" in run(verb, "--help").out


def test_what_needs_torch_says_so(
    run: Callable[..., Ended], coarse_patient: SamplePatient, tmp_path: Path
) -> None:
    write_image(coarse_patient.defective, tmp_path / "skull.nrrd")
    output = tmp_path / "output"
    asked = ("design", tmp_path / "skull.nrrd", "-o", output, "--progress", "none")
    said = run(*asked, "--model", "fine", code=2).err
    assert said == (
        "skull-implant: The model 'fine' needs PyTorch, which is not installed; install it, "
        "or use --model prior.\n"
    )
    assert not output.exists()
    said = run("train", tmp_path, "-o", output, "--progress", "none", code=2).err
    assert said == "skull-implant: Training needs PyTorch, which is not installed; install it.\n"
    chest = tmp_path / "skull.nrrd"
    said = run("organs", chest, "-o", output, "--progress", "none", code=2).err
    assert said == (
        "skull-implant: The segmentation of organs needs PyTorch, which is not installed; "
        "install it.\n"
    )


def test_too_old_a_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the number is another one: no second PyTorch is installed for this."""
    monkeypatch.setattr("torch.__version__", "2.5.1+cu121")
    with pytest.raises(SkullImplantError, match=r"needs PyTorch 2\.6 or newer, and 2\.5\.1\+cu121"):
        models.require_torch("The model 'fine'")
    for version, enough in (("2.6.0", True), ("2.13.0+cpu", True), ("3.0", True), ("1.13", False)):
        assert models.is_torch_new_enough(version) is enough


# What the Slicer module uses within its own process.
IN_PROCESS = (
    "core.images", "errors", "export.stl", "implant.surface", "job.protocol", "models", "options",
    "skull.thresholds",
)  # fmt: skip


def test_rooms_used_in_another_process_bring_no_torch() -> None:
    code = (
        "import sys, importlib\n"
        f"for name in {IN_PROCESS}:\n"
        "    importlib.import_module('SkullImplantLib.' + name)\n"
        "    assert 'torch' not in sys.modules, name"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_opens_no_heavy_room() -> None:
    code = (
        "import sys; from SkullImplantLib.cli.main import build_parser; build_parser(); "
        "heavy = {'torch', 'numpy', 'scipy', 'SimpleITK', 'vtk'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_networks_are_listed() -> None:
    assert models.shipped_models() == ("fine",)
    assert models.DEFAULT_MODEL == "auto" and models.NETWORK in models.shipped_models()
    for name, needs in (("prior", False), ("mirror", False), ("fine", True), ("auto", False)):
        assert models.model_needs_torch(name) is needs


def test_auto_is_the_prior_and_any_other_name_itself() -> None:
    assert models.chosen_model("auto") == "prior"
    assert models.chosen_model("mine.npz") == "mine.npz"


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (
            "ImportError('libtorch.so: no such file')",
            "cannot be loaded; install",
        ),
        (
            "ImportError('libtorch.so: Cannot allocate memory')",
            "Not enough memory",
        ),
        ("MemoryError()", "Not enough memory"),
    ],
)
def test_a_torch_that_does_not_load_is_told_by_its_reason(
    tmp_path: Path, fails: str, said: str
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"raise {fails}\n")
    code = "from SkullImplantLib.models import require_torch; require_torch('This')"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and said in done.stderr.splitlines()[-1]
