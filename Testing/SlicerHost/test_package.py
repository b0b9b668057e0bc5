"""The package as pip builds it: all of its files, its command and its licence."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE / "slicer_host"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built of a copy, so that this folder stays as it is."""
    pytest.importorskip("setuptools", "77", reason="builds the wheel")
    source = tmp_path_factory.mktemp("source")
    for name in (
        *("pyproject.toml", "README.md", "LICENSE.txt"),
        *(file.relative_to(HERE) for file in files_of_package()),
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((HERE / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*command, "-w", folder, source], check=True, capture_output=True, timeout=120)
    (file,) = folder.glob("slicer_host-*.whl")
    return zipfile.ZipFile(file)


def files_of_package():
    return [file for file in PACKAGE.rglob("*") if file.is_file() and file.suffix != ".pyc"]


def test_every_file_is_packed_and_nothing_else(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {file.relative_to(HERE).as_posix() for file in files_of_package()}


def test_it_brings_its_command_and_licence(wheel):
    texts = {name.partition("/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    command = "slicer-host = slicer_host.__main__:main"
    assert command in wheel.read(texts["entry_points.txt"]).decode()
    metadata = wheel.read(texts["METADATA"]).decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Dist: slicer-core" in metadata and "Requires-Dist: PySide6-Ess" in metadata
    assert "Apache License" in wheel.read(texts["licenses/LICENSE.txt"]).decode()


def test_it_needs_nothing_of_the_module_that_it_is_tested_with():
    for file in files_of_package():
        assert b"SkullImplant" not in file.read_bytes(), file
