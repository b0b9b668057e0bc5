"""Results are one transaction: a folder holds all of the old ones or all of the new, whatever ends
the run and wherever.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from SkullImplantLib.core import staging as staging_module
from SkullImplantLib.core.exchange import exchanged
from SkullImplantLib.core.staging import STAGING_PREFIX, settle, staged_folder
from SkullImplantLib.errors import DiskError

OURS = ("a", "b", "c", "report")
OLD, NEW = dict.fromkeys(("a", "b", "report"), "old"), dict.fromkeys(("a", "b", "c"), "new")

# Ends itself at the n-th thing that it does to the disk after its files are written: before it, or
# by a signal that Python sees after it.
RUN = """
import os, pathlib, signal, sys
from SkullImplantLib.core import exchange, staging
from SkullImplantLib.core.staging import staged_folder
folder, at, sign = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
signal.signal(signal.SIGTERM, signal.default_int_handler)
count = 0
def counted(call):
    def made(*given, **named):
        global count
        if not armed:
            return call(*given, **named)
        count += 1
        if count == at and sign == signal.SIGKILL:
            os.kill(os.getpid(), sign)
        result = call(*given, **named)
        if count == at:
            os.kill(os.getpid(), sign)
        return result
    return made
armed = False
for name in ("rename", "replace", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
staging.exchanged = counted(staging.exchanged if "exchange" in sys.argv else lambda *_: False)
with staged_folder(pathlib.Path(folder), ("a", "b", "c", "report")) as made:
    for name in "abc":
        (made / name).write_text("new")
    armed = True
print(count)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX knows them")


def filled(folder: Path, **more: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in {**OLD, **more}.items():
        (folder / name).write_text(text)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir() if not p.name.startswith(".")}


def run(folder: Path, at: int, sign: int, how: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", RUN, str(folder), str(at), str(sign), how]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


@posix
@pytest.mark.parametrize("sign", [9, 15])
def test_a_run_that_ends_anywhere_leaves_old_or_new(tmp_path: Path, sign: int) -> None:
    """Where folders can be exchanged there is no moment between."""
    if not exchanged(filled(tmp_path / "one"), filled(tmp_path / "other")):
        pytest.skip("this file system exchanges no folders")
    for at in range(1, 40):
        folder = filled(tmp_path / f"result-{at}", c="old")
        ended = run(folder, at, sign, "exchange")
        assert contents(folder) in ({**OLD, "c": "old"}, NEW), f"at step {at}"
        if ended.returncode == 0:
            break
        with staged_folder(folder, OURS) as made:
            (made / "a").write_text("again")
        assert contents(folder) == {"a": "again"}
        left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
        assert left == [] and all(not path.name.startswith(".") for path in folder.iterdir())
    assert ended.returncode == 0 and at > 2


@posix
@pytest.mark.parametrize("sign", [9, 15])
def test_what_was_begun_is_finished(tmp_path: Path, sign: int) -> None:
    """Beside a file of the user's own the folder stays, and what is read of it is settled first."""
    for at in range(1, 40):
        folder = filled(tmp_path / f"result-{at}", mine="mine")
        ended = run(folder, at, sign, "moves")
        settle(folder)
        found = contents(folder)
        assert found.pop("mine") == "mine"
        assert found in (OLD, NEW), f"at step {at}"
        if ended.returncode == 0:
            break
    assert ended.returncode == 0 and at > 4
    assert [p for p in folder.iterdir() if p.name.startswith(".")] == []


def test_all_or_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "result"
    with pytest.raises(ZeroDivisionError), staged_folder(folder) as made:
        (made / "a").write_text("1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with staged_folder(folder) as made:
        (made / "a").write_text("1")
        assert not (folder / "a").exists()
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert [path.name for path in folder.parent.iterdir()] == ["result"]


def test_what_a_killed_run_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    folder = filled(tmp_path / "result")
    stale = [
        folder / f"{STAGING_PREFIX}999999999-abc",
        tmp_path / f"{STAGING_PREFIX}999999999-abc-result",
    ]
    others = tmp_path / f"{STAGING_PREFIX}999999999-abc-my-result"
    odd = tmp_path / f"{STAGING_PREFIX}mine"
    for path in (*stale, others, odd):
        path.mkdir()
        (path / "half.nrrd").write_text("half")
    with staged_folder(folder, OURS) as made:
        (made / "a").write_text("1")
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert not any(path.exists() for path in stale) and others.exists() and odd.exists()


def test_a_second_run_into_a_folder_is_refused(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "result") as made:
        (made / "a").write_text("first")
        with (
            pytest.raises(DiskError, match="Another run is writing into"),
            staged_folder(tmp_path / "result"),
        ):
            pass
    assert contents(tmp_path / "result") == {"a": "first"}


def test_a_folder_in_the_way_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    folder = filled(tmp_path / "result")
    (folder / "c").mkdir()
    (folder / "c" / "mine").write_text("mine")
    with (
        pytest.raises(DiskError, match=r"There is a folder named c in .*; move it"),
        staged_folder(folder, OURS) as made,
    ):
        (made / "a").write_text("new")
        (made / "c").write_text("new")
    assert (folder / "a").read_text() == "old" and (folder / "c" / "mine").exists()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_an_error_of_the_work_is_not_the_folder_s(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "result"):
        (tmp_path / "nowhere").read_text()
    assert not (tmp_path / "result").exists()


@posix
def test_a_link_to_a_folder_stays_one_and_modes_are_the_user_s(tmp_path: Path) -> None:
    folder, link = filled(tmp_path / "real"), tmp_path / "link"
    folder.chmod(0o750)
    link.symlink_to(folder)
    with staged_folder(link, OURS) as made:
        (made / "a").write_text("new")
    assert link.is_symlink() and contents(folder) == {"a": "new"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


@posix
def test_who_stands_in_the_folder_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = filled(tmp_path / "result")
    monkeypatch.chdir(folder)
    with staged_folder(Path("."), OURS) as made:
        (made / "a").write_text("new")
    assert Path("a").read_text() == "new" and contents(folder) == {"a": "new"}


def test_without_exchange_the_files_are_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging_module, "exchanged", lambda *_: False)
    folder = filled(tmp_path / "result")
    with staged_folder(folder, OURS) as made:
        for name in NEW:
            (made / name).write_text("new")
    assert contents(folder) == NEW and [p.name for p in tmp_path.iterdir()] == ["result"]
