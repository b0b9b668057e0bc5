"""The real command sent to awkward places, for its input and its results: one sentence or a result.

A place is made by a function that gets an empty folder and a sound input in it, and returns what
the command is told. What must not change is compared before and after.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from killed_runs import digest
from outcomes import LONGEST_SENTENCE, Outcome

Place = Callable[[Path], tuple[str | bytes, str | bytes]]
PATIENCE_S = 120.0


def _results(name: str) -> Place:
    return lambda folder: ("skull.nrrd", name)


def _made(make: Callable[[Path], object], results: str | bytes, given: str | bytes) -> Place:
    def place(folder: Path) -> tuple[str | bytes, str | bytes]:
        make(folder)
        return given, results

    return place


def _into(make: Callable[[Path], object], results: str | bytes = "r") -> Place:
    return _made(make, results, "skull.nrrd")


def _from(make: Callable[[Path], object], given: str | bytes) -> Place:
    return _made(make, "r", given)


def _loop(folder: Path) -> None:
    (folder / "r").symlink_to(folder / "s")
    (folder / "s").symlink_to(folder / "r")


def _full_of_others(folder: Path) -> None:
    (folder / "r" / "implant.nrrd").mkdir(parents=True)
    (folder / "r" / "implant.nrrd" / "mine.txt").write_text("mine")


def _nothing(folder: Path) -> None:
    del folder


PLACES: dict[str, Place] = {
    "a new folder": _results("r"),
    "folders that are not there yet": _results("a/b/c/d"),
    "here": _results("."),
    "above": _results("../" + "x" * 8),
    "no name": _results(""),
    "a dash": _results("-"),
    "a name like an option": _results("--o"),
    "blanks": _results("  a b  "),
    "quotes": _results("a'b\"c"),
    "letters of other scripts": _results("Schädel-頭蓋骨"),
    "escape codes": _results("\x1b[31mred\x07"),
    "a line feed": _results("a\nb"),
    "a percent sign": _results("%d%s{0}"),
    "a name that is too long": _results("x" * 300),
    "input with a name that is too long": lambda _: ("x" * 300 + ".nrrd", "r"),
    "a path that is too long": _results("/".join(["y" * 200] * 30)),
    "bytes that are no UTF-8": _into(_nothing, b"r\xff"),
    "a file": _into(lambda f: (f / "r").write_text("mine")),
    "a file on the way": _into(lambda f: (f / "a").write_text("mine"), "a/r"),
    "a link to a folder": _into(lambda f: ((f / "real").mkdir(), (f / "r").symlink_to(f / "real"))),
    "a link to nothing": _into(lambda f: (f / "r").symlink_to(f / "nothing")),
    "links in a loop": _into(_loop),
    "a pipe": _into(lambda f: os.mkfifo(f / "r")),
    "a folder of another's": _into(
        lambda f: ((f / "r").mkdir(), (f / "r" / "mine.txt").write_text("mine"))
    ),
    "a folder where a result must be": _into(_full_of_others),
    "a device": _results("/dev/null"),
    "within a device": _results("/dev/full/r"),
    "where nobody may write": _results("/proc/r"),
    "no input": _from(_nothing, "none.nrrd"),
    "input that is a device": _from(_nothing, "/dev/zero"),
    "input that is a pipe": _from(lambda f: os.mkfifo(f / "in.nrrd"), "in.nrrd"),
    "input that is a folder": _from(lambda f: (f / "in.nrrd").mkdir(), "in.nrrd"),
    "input by a link": _from(lambda f: (f / "in.nrrd").symlink_to(f / "skull.nrrd"), "in.nrrd"),
    "input by a loop": _from(lambda f: (f / "in.nrrd").symlink_to(f / "in.nrrd"), "in.nrrd"),
    "input of another ending": _from(lambda f: (f / "in.txt").write_text("x"), "in.txt"),
    "input without an ending": _from(lambda f: (f / "skull.nrrd").rename(f / "skull"), "skull"),
    "input with a name in bytes": _from(
        lambda f: os.rename(f / "skull.nrrd", os.fsencode(f / "s") + b"\xfe.nrrd"), b"s\xfe.nrrd"
    ),
    "input with a line feed in its name": _from(
        lambda f: (f / "skull.nrrd").rename(f / "a\nb.nrrd"), "a\nb.nrrd"
    ),
    "input in capitals": _from(lambda f: (f / "skull.nrrd").rename(f / "S.NRRD"), "S.NRRD"),
    "input that is empty": _from(lambda f: (f / "e.nrrd").touch(), "e.nrrd"),
    "input without a name": _from(_nothing, ""),
}


def sent(name: str, skull: bytes) -> Outcome:
    """Return what comes of the command sent to the place of that name, with a skull's file."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "work"
        folder.mkdir()
        (folder / "skull.nrrd").write_bytes(skull)
        given, results = PLACES[name](folder)
        before = _theirs(Path(scratch))
        command = [sys.executable, "-m", "SkullImplantLib", "defect", given, "-o", results]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=PATIENCE_S, check=False, cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "hang", f"longer than {PATIENCE_S:g} s"
        after = _theirs(Path(scratch))
        said = done.stderr.decode("utf-8", "replace")
        if any(after.get(path) != content for path, content in before.items()):
            return "lost", "a file that is not the program's"
        if "Traceback" in said:
            return "traceback", said[-300:]
        if any(path.name.startswith((".skull-implant", ".partial")) for path in after):
            return "mixed", "what is left of the run"
        if done.returncode == 0:
            return "same", ""
        last = said.strip().splitlines()[-1] if said.strip() else ""
        new = [path for path in after if path not in before]
        if done.returncode != 2 or new:
            return ("crash" if done.returncode != 2 else "mixed"), f"{done.returncode} {last} {new}"
        good = 15 < len(last) <= LONGEST_SENTENCE + len("skull-implant: ") and last.isprintable()
        return ("told" if good else "long"), last[:1000]


def _theirs(folder: Path) -> dict[Path, str]:
    """Return the digest of each plain file below a folder; links count as what they are."""
    found = {}
    for where, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(where) / name
            if path.is_symlink():
                found[path] = os.readlink(path)
            elif path.is_file():
                found[path] = digest(path.read_bytes())
    return found
