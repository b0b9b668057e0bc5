"""A run of the library in another process, seen from the program that starts it.

For programs with a window, which must neither wait nor fall with the run (the Slicer module): how
to start it, what its lines mean, what to say when it ends badly, and how to end it at once.
Standard library only, and importable in a moment.
"""

import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Set for the run, which ends by itself once the process of this id is gone; see `cli/watch.py`.
WATCHED_PROCESS_VARIABLE = "SKULL_IMPLANT_WATCHED_PROCESS"

PACKAGE = __package__.split(".")[0]
CANCELLED_CODE = 130
# A full disk leaves less than this.
LEAST_FREE_BYTES = 16 * 2**20
LOG_LINES = 20

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
    return Path(__file__).absolute().parents[2]


def command(python: str, verb: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs `verb` with `python`, progress as JSON lines included.

    To be run in `library_folder()` with the variables of `environment()`; paths in `arguments` must
    therefore be absolute. A run's standard output and error may be read as one stream.
    """
    return [python, "-m", PACKAGE, verb, *arguments, "--progress", "json"]


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
