"""Fixtures shared by the library's tests."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real skulls and head CTs, which stays outside the project."""
    folder = Path(os.environ.get("SKULL_IMPLANT_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real skulls are not at {folder}; set SKULL_IMPLANT_DATA to their folder")
    return folder
