"""The folder in which a run works: short, its own, and gone afterwards."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from SkullImplantLib.core.files import remove_folder
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.job.work_folder import short_work_folder


def test_a_work_folder_is_short_and_goes_with_read_only_files(tmp_path: Path) -> None:
    base = tmp_path / "Ünïcode base"
    one, two = short_work_folder(base), short_work_folder(base)
    assert one != two and one.parent == base and len(one.name) <= 20
    (one / "deep").mkdir()
    (one / "deep" / "file").write_text("x")
    (one / "deep" / "file").chmod(0o444)
    (one / "deep").chmod(0o555)
    assert remove_folder(one) and not one.exists()
    assert remove_folder(one)  # gone already
    assert two.exists()


def test_a_work_folder_left_by_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"si{gone.pid}-abc"
    left.mkdir()
    (left / "input.nrrd").write_text("a patient")
    mine, others = short_work_folder(tmp_path), tmp_path / "site-packages"
    others.mkdir()
    short_work_folder(tmp_path)
    assert not left.exists()
    assert mine.exists() and others.exists()


def test_a_folder_that_cannot_be_made_or_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SkullImplantError, match="working folder"):
        short_work_folder(tmp_path / "file")
    start = time.monotonic()
    assert not remove_folder(tmp_path / "file", patience_s=0.2)
    assert time.monotonic() - start < 1.0
