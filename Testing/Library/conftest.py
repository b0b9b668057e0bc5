"""Fixtures shared by the library's tests."""

import os
from pathlib import Path

import pytest

from segthor_folder import lay_out_chests
from SkullImplantLib.cases.sample import SampleOptions, SamplePatient, make_sample_patient
from SkullImplantLib.core.images import write_image

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real skulls and head CTs, which stays outside the project."""
    folder = Path(os.environ.get("SKULL_IMPLANT_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real skulls are not at {folder}; set SKULL_IMPLANT_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def patient() -> SamplePatient:
    """The sample patient on a coarse grid, for tests that only need some head with a hole."""
    return make_sample_patient(3, SampleOptions(spacing_mm=(1.2, 1.2, 1.4)))


@pytest.fixture(scope="session")
def coarse_patient() -> SamplePatient:
    """The sample patient on a very coarse grid, for tests that need a design, not its accuracy."""
    return make_sample_patient(3, SampleOptions(spacing_mm=(2.5, 2.5, 2.5)))


@pytest.fixture(scope="session")
def two_skulls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two small complete skulls; nobody writes into it."""
    folder = tmp_path_factory.mktemp("skulls")
    for seed in range(2):
        options = SampleOptions(spacing_mm=(2.5, 2.5, 2.5))
        write_image(make_sample_patient(seed, options).complete, folder / f"head-{seed}.nrrd")
    return folder


@pytest.fixture(scope="session")
def three_chests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SegTHOR of three tiny patients with labels, and one without; nobody writes into it."""
    return lay_out_chests(tmp_path_factory.mktemp("SegTHOR"))
