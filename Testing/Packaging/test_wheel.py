"""The wheel holds what the program needs: it designs where this repository is not found."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from cmake_lists import EXTENSION

from SkullImplantLib import __version__
from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.core.images import write_image

pytestmark = pytest.mark.slow

DEPENDENCIES = ("numpy", "scipy", "SimpleITK", "vtkmodules", "PIL", "pydicom", "torch")
SOURCES = ("pyproject.toml", "README.md", "SkullImplantLib")
# Of the folder SkullImplantLib, but not of the Python package.
NOT_SHIPPED = {"CMakeLists.txt"}
COARSE_MM = (2.0, 2.0, 2.0)


def _run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    """Run a command that finds no Python package but those of its own environment."""
    told = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    run = subprocess.run(list(map(str, command)), cwd=cwd, env=told, capture_output=True, text=True)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a folder of its own, as builds in the repository leave files there."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (EXTENSION / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(EXTENSION / name, source / name, ignore=ignored)
        else:
            shutil.copy(EXTENSION / name, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index")
    _run(*pip, ".", "--no-deps", "--no-build-isolation", "--wheel-dir", built, cwd=source)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment with the wheel; what it depends on is lent to it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=os.name == "posix")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--no-index")
    _run(*pip, "--no-deps", wheel, cwd=folder)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(_run(scripts / "python", "-c", where, cwd=folder).strip())
    # Folders named in a .pth file come last, and .pth files within them are not read: the
    # repository, which such a file of an editable install names, is not found.
    found = filter(None, map(importlib.util.find_spec, DEPENDENCIES))
    lent = {str(Path(str(spec.origin)).parents[1]) for spec in found}
    (packages / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    return scripts


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CT of a coarse head, in a folder away from the repository."""
    path = tmp_path_factory.mktemp("head") / "head.nrrd"
    write_image(make_sample_patient(3, SampleOptions(spacing_mm=COARSE_MM)).ct, path)
    return path


def test_wheel_holds_every_file_of_the_library(wheel: Path) -> None:
    folder = EXTENSION / "SkullImplantLib"
    files = (path for path in folder.rglob("*") if path.is_file())
    wanted = {
        path.relative_to(EXTENSION).as_posix()
        for path in files
        if path.name not in NOT_SHIPPED and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_wheel_alone_is_found_and_tells_its_version(environment: Path, tmp_path: Path) -> None:
    where = "import SkullImplantLib; print(SkullImplantLib.__file__)"
    found = Path(_run(environment / "python", "-c", where, cwd=tmp_path).strip())
    assert found.is_relative_to(environment.parent)
    said = _run(environment / "skull-implant", "--version", cwd=tmp_path)
    assert __version__ in said


@pytest.mark.parametrize("model", ["prior", "fine"])
def test_wheel_designs_with_the_files_that_it_brings_along(
    model: str, environment: Path, head: Path, tmp_path: Path
) -> None:
    if model != "prior":
        pytest.importorskip("torch", reason="a network needs PyTorch")
    command = (environment / "skull-implant", "design", head, "-o", tmp_path / "result")
    quiet = ("--model", model, "--no-report", "--progress", "none", "--json")
    design = json.loads(_run(*command, *quiet, cwd=tmp_path))
    assert design["model"]["name"] == model
    assert design["implant"]["volume_cm3"] > 10.0
    assert (tmp_path / "result" / "implant.stl").stat().st_size > 10_000
