"""A run of the library in another process, seen from the program that starts it.

For programs with a window, which must neither wait nor fall with the run (the Slicer module): how
to start it, what its lines mean, what to say when it ends badly, and how to end it at once.
Standard library only, and importable in a moment.
"""

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import SkullImplantError
from .processes import is_running

# Set for the run, which ends by itself once the process of this id is gone; see `watch.py`.
WATCHED_PROCESS_VARIABLE = "SKULL_IMPLANT_WATCHED_PROCESS"

CANCELLED_CODE = 130
WORK_PREFIX = "si"
# A full disk leaves less than this.
LEAST_FREE_BYTES = 16 * 2**20
LOG_LINES = 20
PROCESS_TABLE = Path("/proc")  # proc(5), where the system has it

STAGE_TITLES = {
    "sample patient": "Making the sample patient",
    "reading": "Reading the image",
    "skull": "Finding the skull",
    "pose": "Finding the head's position",
    "prior": "Predicting the missing bone",
    "completion": "Completing the skull",
    "rearrangement": "Refining the completed skull",
    "implant": "Fitting the implant",
    "surface": "Making the surface",
    "checks": "Checking the implant",
    "export": "Writing the results",
}
# Typical seconds of each stage, for a head CT of 0.55 mm on two processor cores, in their order.
DESIGN_SECONDS = {
    "reading": 1.5,
    "skull": 3.5,
    "pose": 0.8,
    "prior": 1.4,
    "completion": 2.0,
    "rearrangement": 1.4,
    "implant": 1.5,
    "surface": 0.4,
    "checks": 0.7,
    "export": 4.5,
}
STAGE_SECONDS = {
    "design": DESIGN_SECONDS,
    "sample": {"sample patient": 18.0},
    "demo": {"sample patient": 18.0, **DESIGN_SECONDS},
    "update": {"reading": 1.0, "surface": 0.4, "checks": 0.7, "export": 4.5},
    "defect": {"reading": 1.5, "skull": 3.5, "pose": 0.8, "export": 4.0},
    "devices": {},
}
# What a verb's run is called in a sentence, where it is not the verb itself.
NOUNS = {"sample": "making of the sample patient", "devices": "search for devices"}


def library_folder() -> Path:
    """Return the folder that holds `SkullImplantLib`: the working folder of every run."""
    return Path(__file__).absolute().parent.parent


def command(python: str, verb: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs `verb` with `python`, progress as JSON lines included.

    To be run in `library_folder()` with the variables of `environment()`; paths in `arguments` must
    therefore be absolute. A run's standard output and error may be read as one stream.
    """
    return [python, "-m", __package__, verb, *arguments, "--progress", "json"]


def environment() -> dict[str, str]:
    """Return the environment variables to set for a run, beside those that are there."""
    return {
        # Whatever the system's language: a reader loses all of a line that it cannot decode.
        "PYTHONIOENCODING": "ascii:backslashreplace",
        "PYTHONUNBUFFERED": "1",
        # Packages that another Python put into the user's home would shadow the application's own.
        "PYTHONNOUSERSITE": "1",
        WATCHED_PROCESS_VARIABLE: str(os.getpid()),
    }


@dataclass(frozen=True)
class Step:
    """A step of the run: `fraction` of the stage done, and `overall` of the run; 0 to 1."""

    stage: str
    fraction: float
    message: str
    overall: float

    @property
    def title(self) -> str:
        """What the stage is called for people."""
        return STAGE_TITLES.get(self.stage, self.stage.capitalize())


class JobProgress:
    """What the lines of a run have told so far.

    `pid` of the process that works (a launcher may stand between); `error`, its sentence, and
    `error_code`, where it ended badly; `done` where it ended well; `log`, the last lines that are
    no progress.
    """

    def __init__(self, verb: str = "design") -> None:
        self.verb = verb
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.pid: int | None = None
        self.error: str | None = None
        self.error_code: int | None = None
        self.done = False
        self._seconds = STAGE_SECONDS.get(verb, {})
        self._overall = 0.0

    def feed(self, line: str) -> Step | None:
        """Take in a line of the run's output; return the step where it tells of one."""
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            told = {}
        match told:
            case {"stage": str(stage), "fraction": int() | float() as fraction}:
                return self._step(stage, float(fraction), str(told.get("message", "")))
            case {"pid": int(pid)}:
                self.pid = pid
            case {"error": str(error)}:
                self.error = error
                code = told.get("code")
                self.error_code = code if isinstance(code, int) else self.error_code
            case {"done": True}:
                self.done = True
                self._overall = 1.0
            case _:
                if line.strip():
                    self.log.append(line.rstrip())
        return None

    def _step(self, stage: str, fraction: float, message: str) -> Step:
        fraction = min(max(fraction, 0.0), 1.0)
        total = sum(self._seconds.values())
        if stage in self._seconds:
            before = sum(list(self._seconds.values())[: list(self._seconds).index(stage)])
            overall = (before + fraction * self._seconds[stage]) / total
            # Only ever onward, also where a stage that was not expected comes in between.
            self._overall = max(self._overall, min(overall, 1.0))
        return Step(stage, fraction, message, self._overall)


def explain_exit(code: int, progress: JobProgress, free_bytes: int | None = None) -> str:
    """Return one sentence for a surgeon on why a run did not give a result.

    code: the exit code as the system gave it (POSIX: negative for a signal). free_bytes: what is
    left on the disk that the run wrote to, where that is known.
    """
    noun = NOUNS.get(progress.verb, progress.verb)
    if code == CANCELLED_CODE or progress.error_code == CANCELLED_CODE:
        return f"The {noun} was cancelled."
    if progress.error and progress.error_code != 1:
        return progress.error
    if free_bytes is not None and free_bytes < LEAST_FREE_BYTES:
        return f"The {noun} failed because the disk is full; free some space, then try again."
    if code == 0:
        return f"The {noun} ended without a complete result; please try again."
    # An error in the program is told in a line before the end. Slicer's launcher, which stands
    # between, makes a 1 of every code of a crash.
    crashed = code == 1 and progress.pid is not None and progress.error is None
    if code == 1 and not crashed:
        return (
            f"The {noun} failed because of an error in the program; please copy the log and "
            "report it."
        )
    if code == 2:
        return (
            f"The {noun} was started in a way that this version of the program does not know; "
            "please install the extension again."
        )
    # POSIX: a signal (-9, or 137 from a shell). Windows: 0xC0000005 and its like. All are what is
    # seen where a system runs out of memory, from its own killer to a library's failed allocation.
    return (
        f"The {noun} was ended by the system, most likely because memory ran out; close other "
        "programs or crop the CT to the head, then try again."
    )


def end_process_tree(pid: int) -> None:
    """End the process `pid` and all its descendants at once; what is gone already is no fault.

    For runs that were started by a launcher, which would leave its child behind. Waits for nothing:
    the starter still has to collect its own child.
    """
    if pid <= 1 or pid == os.getpid():
        raise ValueError(f"process {pid} is not one to end")
    if os.name == "nt":
        _end_tree_by_taskkill(pid)
    else:
        _end_tree_by_signals(pid)


def _end_tree_by_taskkill(pid: int) -> None:
    with suppress(OSError):
        subprocess.Popen(
            ["taskkill", "/PID", str(pid), "/T", "/F"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


def _end_tree_by_signals(pid: int) -> None:
    # What is stopped starts no more children, so that the second look finds the last of them.
    stopped: set[int] = set()
    tree = {pid}
    while tree - stopped:
        for process in tree - stopped:
            _signal(process, signal.SIGSTOP)
        stopped |= tree
        tree |= _descendants(pid)
    for process in tree:
        _signal(process, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for process, parent in _processes():
        children.setdefault(parent, []).append(process)
    found: set[int] = set()
    parents = [pid]
    while parents:
        new = [child for child in children.get(parents.pop(), []) if child not in found]
        found.update(new)
        parents += new
    return found


def _processes() -> Iterable[tuple[int, int]]:
    """Return every process of the system with its parent."""
    if not (PROCESS_TABLE / "self" / "stat").exists():
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False
        )
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [(int(row[0]), int(row[1])) for row in rows if len(row) == 2]
    found = []
    for name in filter(str.isdigit, os.listdir(PROCESS_TABLE)):
        with suppress(OSError, IndexError, ValueError):
            # Its line is: id (name) state parent ...; the name may hold spaces and brackets.
            line = (PROCESS_TABLE / name / "stat").read_text(errors="replace")
            told = line.rpartition(")")[2]
            found.append((int(name), int(told.split()[1])))
    return found


def short_work_folder(base: Path) -> Path:
    """Make and return an empty folder in `base`, named shortly, for Windows' limit on long paths.

    Folders that a process left there which is gone are removed: they may hold a patient's image.
    Raises `SkullImplantError` where it cannot be made.
    """
    try:
        base.mkdir(parents=True, exist_ok=True)
        for left in base.glob(f"{WORK_PREFIX}*-*"):
            owner = left.name.removeprefix(WORK_PREFIX).split("-")[0]
            if owner.isdigit() and not is_running(int(owner)):
                remove_folder(left, patience_s=0.0)
        return Path(tempfile.mkdtemp(prefix=f"{WORK_PREFIX}{os.getpid()}-", dir=base))
    except OSError as error:
        raise SkullImplantError(
            f"Cannot make a working folder in {base} ({error.strerror}); check free space and "
            "permissions."
        ) from error


def remove_folder(path: Path, patience_s: float = 0.5) -> bool:
    """Remove a folder with all in it, also what is read-only; return whether it is gone.

    On Windows a file may be held for a moment more, by a process that ends or by a virus scanner:
    it is tried again, for `patience_s` at the most.
    """
    give_up = time.monotonic() + patience_s
    while True:
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return True
        _allow_removal(path)
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return True
        if time.monotonic() >= give_up:
            return False
        time.sleep(0.05)


def _allow_removal(path: Path) -> None:
    """Take the read-only marks off a folder and all in it."""
    for folder, _, files in os.walk(path):
        for name in (folder, *(os.path.join(folder, file) for file in files)):
            if not os.path.islink(name):
                with suppress(OSError):
                    os.chmod(name, os.stat(name).st_mode | stat.S_IRWXU)
