"""A run of the library in another process, seen from the program that starts it.

For programs with a window, which must neither wait nor fall with the run (the Slicer module): how
to start it, what its lines mean, and what to say when it ends badly. Standard library only, and
importable in a moment. How to end it at once is in `process_tree`, where it works in `work_folder`.
"""

import json
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import Remedy, with_remedy
from .stage_table import STAGE_SECONDS, STAGE_TITLES

# Set for the run, which ends by itself once the process of this id is gone; see `cli/watch.py`.
WATCHED_PROCESS_VARIABLE = "SKULL_IMPLANT_WATCHED_PROCESS"

PACKAGE = __package__.split(".")[0]
CANCELLED_CODE = 130
# A full disk leaves less than this.
LEAST_FREE_BYTES = 16 * 2**20
# What `--verbose` tells of a design is some dozens of lines; what others print may be any number.
LOG_LINES = 200

# As which signal or code a system ends a process: POSIX, and Windows with its NTSTATUS.
KILLED_SIGNAL = 9  # the kernel's own killer of what takes too much memory uses it, too
CRASH_SIGNALS = {4, 7, 8, 10, 11}  # SIGILL, SIGBUS, SIGFPE, SIGBUS (macOS), SIGSEGV
ENDING_SIGNALS = {1, 2, 15}  # SIGHUP, SIGINT, SIGTERM
# Illegal instruction, access violation, division by 0, stack overflow, heap and stack corruption.
CRASH_STATUSES = {0xC000001D, 0xC0000005, 0xC0000094, 0xC00000FD, 0xC0000374, 0xC0000409}
NO_MEMORY_STATUSES = {0xC0000017, 0xC000012D}  # no memory, commit limit
# What libraries and Python's faulthandler print.
NO_MEMORY_WORDS = ("bad_alloc", "memoryerror", "out of memory", "cannot allocate memory")
CRASH_WORDS = ("fatal python error", "segmentation fault", "access violation")

# What a verb's run is called in a sentence, where it is not the verb itself.
NOUNS = {
    "sample": "making of the sample patient",
    "devices": "search for devices",
    "report": "making of the report",
    "mirror": "look at the other side",
    "compare": "comparison",
    "organs": "search for organs",
}


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
        # A crash is then told in the output, whatever a launcher makes of its code.
        "PYTHONFAULTHANDLER": "1",
        WATCHED_PROCESS_VARIABLE: str(os.getpid()),
    }


@dataclass(frozen=True)
class Step:
    """A step of the run: `fraction` of the stage done, and `overall` of the run; 0 to 1.

    `device` is where a network runs in this stage ("cpu", "cuda"), None where there is none.
    """

    stage: str
    fraction: float
    message: str
    overall: float
    device: str | None = None

    @property
    def title(self) -> str:
        """What the stage is called for people."""
        return STAGE_TITLES.get(self.stage, self.stage.capitalize())


class JobProgress:
    """What the lines of a run have told so far.

    `pid` of the process that works (a launcher may stand between). Where it ended badly, `error` is
    the sentence without the remedy, `remedy` what would mend it, and `error_code` the exit code;
    without a remedy that is known here, `error` is the sentence in the command line's words. `done`
    where it ended well. `log` holds the last lines that are no progress.
    """

    def __init__(self, verb: str = "design") -> None:
        self.verb = verb
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.pid: int | None = None
        self.error: str | None = None
        self.remedy: Remedy | None = None
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
                device = told.get("device")
                message = str(told.get("message", ""))
                return self._step(stage, float(fraction), message, device and str(device))
            case {"pid": int(pid)}:
                self.pid = pid
            case {"error": str(error)}:
                self.remedy = _remedy(told.get("remedy"))
                # What another version's remedy would be, only the whole sentence says.
                known = self.remedy is not None or told.get("remedy") is None
                self.error = str(told.get("message") or error) if known else error
                code = told.get("code")
                self.error_code = code if isinstance(code, int) else self.error_code
            case {"done": True}:
                self.done = True
                self._overall = 1.0
            case _:
                if line.strip():
                    self.log.append(line.rstrip())
        return None

    def _step(self, stage: str, fraction: float, message: str, device: str | None) -> Step:
        fraction = min(max(fraction, 0.0), 1.0)
        total = sum(self._seconds.values())
        if stage in self._seconds:
            before = sum(list(self._seconds.values())[: list(self._seconds).index(stage)])
            overall = (before + fraction * self._seconds[stage]) / total
            # Only ever onward, also where a stage that was not expected comes in between.
            self._overall = max(self._overall, min(overall, 1.0))
        return Step(stage, fraction, message, self._overall, device)


def _remedy(told: object) -> Remedy | None:
    """Return the remedy of that value; None for none, and for one of another version."""
    return next((remedy for remedy in Remedy if remedy == told), None)


def explain_exit(
    code: int,
    progress: JobProgress,
    free_bytes: int | None = None,
    remedies: Mapping[Remedy, str] | None = None,
) -> str:
    """Return one sentence for a surgeon on why a run did not give a result.

    code: the exit code as the system gave it (POSIX: negative for a signal). free_bytes: what is
    left on the disk that the run wrote to, where that is known. remedies: how the program that
    started the run words each remedy; one that is not among them is left out.
    """
    noun = NOUNS.get(progress.verb, progress.verb)
    if code == CANCELLED_CODE or progress.error_code == CANCELLED_CODE:
        return f"The {noun} was cancelled."
    if progress.error and progress.error_code != 1:
        words = (remedies or {}).get(progress.remedy) if progress.remedy else None
        return with_remedy(progress.error, words)
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
    match _kind_of_end(code, progress.log):
        case "crash":
            return (
                f"The {noun} ended in a crash of the program or of a library of it; please copy "
                "the log and report it."
            )
        case "ended":
            return f"The {noun} was ended by another program or by the system; please try again."
        case "memory":
            return (
                f"The {noun} was ended by the system, most likely because memory ran out; close "
                "other programs or crop the CT, then try again."
            )
    return (
        f"The {noun} was ended by the system, because memory ran out or because of a crash; close "
        "other programs or crop the CT and try again, or copy the log and report it."
    )


def _kind_of_end(code: int, log: Sequence[str]) -> str | None:
    """Return how the system ended a process: "memory", "crash" or "ended"; None where it is open.

    POSIX tells a signal (-9, or 137 from a shell), Windows a status (0xC0000005 and its like); a
    launcher may have made 1 of either. What was printed before tells more than a code.
    """
    words = "\n".join(log).lower()
    status = code % 2**32
    number = -code if -64 <= code < 0 else code - 128 if 128 < code < 192 else None
    if any(word in words for word in NO_MEMORY_WORDS):
        return "memory"
    if any(word in words for word in CRASH_WORDS):
        return "crash"
    if number == KILLED_SIGNAL or status in NO_MEMORY_STATUSES:
        return "memory"
    if number in CRASH_SIGNALS or status in CRASH_STATUSES:
        return "crash"
    return "ended" if number in ENDING_SIGNALS else None
