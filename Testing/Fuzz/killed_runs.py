"""The real command killed at every move that it makes on the disk: all is old or all is new.

A run counts what it renames, removes, makes and opens for writing below the results' folder, and
ends itself at the n-th such move. Then the folder must hold one of the two results whole, and the
next run must leave its own and nothing else.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from outcomes import Outcome
from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.core.images import write_image
from SkullImplantLib.core.staging import settle

COMMAND = """
import os, sys
at, sign, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
moves = 0
def seen(event, given):
    global moves
    if event not in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open"):
        return
    path = str(given[0])
    if event == "open" and not (isinstance(given[1], str) and set(given[1]) & set("wax+")):
        return
    if os.path.isabs(path) and not path.startswith(place):
        return
    moves += 1
    if moves == at:
        os.kill(os.getpid(), sign)
sys.addaudithook(seen)
sys.argv = ["skull-implant", *sys.argv[4:]]
from SkullImplantLib.__main__ import main
code = main()
sys.stderr.write(f"moves={moves}")
sys.exit(code)
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# More than a run makes.
MOST_MOVES = 24
STRANGER = "a file of the user's own"


def prepare(folder: Path) -> None:
    """Write a skull, and the two results of which one must be there after every kill."""
    patient = make_sample_patient(3, SampleOptions(spacing_mm=(2.5, 2.5, 2.5)))
    write_image(patient.complete, folder / "skull.nrrd")
    for name, seed in (("old", 1), ("new", 2)):
        if _run(folder, folder / name, seed).returncode:
            raise RuntimeError("the command fails where nobody kills it")


def killed(prepared: Path, at: int, sign: int, beside: bool) -> Outcome | None:
    """Return what is left of a run that got the signal at its move number `at`; None where it made
    fewer. beside: a file of the user's own lies in the folder.
    """
    old, new = contents(prepared / "old"), contents(prepared / "new")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "results"
        shutil.copytree(prepared / "old", folder)
        if beside:
            (folder / "notes.txt").write_text(STRANGER)
        done = _run(prepared, folder, 2, at, sign)
        if "Traceback" in done.stderr:
            return "traceback", done.stderr[-300:]
        moves = re.search(r"moves=(\d+)", done.stderr)
        if done.returncode == 0 and moves and int(moves[1]) < at:
            return None
        settle(folder)  # as whoever reads the results, or writes them, does first
        found = contents(folder)
        if beside and found.pop("notes.txt", None) != digest(STRANGER.encode()):
            return "lost", "a file that is not the program's"
        if found not in (old, new):
            return "mixed", f"{sorted(found)} after {done.returncode}"
        again = _run(prepared, folder, 2)
        left = [p.name for p in (*folder.iterdir(), *Path(scratch).iterdir()) if p.name[0] == "."]
        found = contents(folder)
        found.pop("notes.txt", None)
        if again.returncode or found != new or left:
            return "mixed", f"the next run left {sorted(found)} and {left}: {again.stderr[-200:]}"
        return "same", ""


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of each result in a folder by its name."""
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return {path.name: digest(path.read_bytes()) for path in files}


def digest(content: bytes) -> str:
    """Return a digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _run(
    prepared: Path, folder: Path, seed: int, at: int = 0, sign: int = 0
) -> subprocess.CompletedProcess[str]:
    arguments = ["defect", str(prepared / "skull.nrrd"), "-o", str(folder), "--seed", str(seed)]
    arguments += ["--progress", "none"]
    command = [sys.executable, "-c", COMMAND, str(at), str(int(sign)), str(folder.parent)]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=300, check=False, cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
