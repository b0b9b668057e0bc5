"""The exceptions that a stage raises on purpose; anything else is a bug."""

import errno
import os
import re
from enum import StrEnum

# What a write says where there is no room left, on the disk or within the user's share of it.
NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# What it says where a name, a path or its owner's permissions are in the way.
NO_PLACE = {
    errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR,
    errno.EISDIR, errno.EIO, errno.ENXIO, errno.ENODEV,
}  # fmt: skip
TOLD_LETTERS = 60
# A name that is no use to read in a sentence, and what is left of it.
_LONG_NAME = re.compile(r"(\S{80})\S{20,}(\S{80})")
# What libraries say where the system gives them no memory: ITK and torch, the C++ library, loaders
# of shared libraries (Linux, Windows), and threads that get no stack.
NO_MEMORY = (
    "allocate memory",
    "unable to allocate",
    "bad_alloc",
    "bad allocation",
    "failed to map segment",
    "paging file is too small",
    "not enough memory",
    "can't start new thread",
    "cannot create thread",
)


class Remedy(StrEnum):
    """What would mend an error, where the way to it is another in each program that shows it.

    Command line, panel and Python each put it into their own words.
    """

    LOWER_THRESHOLD = "lower-threshold"
    OTHER_THRESHOLD = "other-threshold"
    INPUT_IS_NO_CT = "input-is-no-ct"  # it was said to be one
    INPUT_IS_NO_SKULL = "input-is-no-skull"  # it was said to be one
    SAY_WHAT_INPUT_IS = "say-what-input-is"
    SAY_WHAT_REFERENCE_IS = "say-what-reference-is"
    SAY_ORIENTATION = "say-orientation"  # what the axes of the image really are
    CHOOSE_LABEL = "choose-label"  # of several in a mask
    CHOOSE_SEGMENT = "choose-segment"  # of several in a segmentation
    NO_LABEL = "no-label"  # the input has none
    NO_SEGMENT = "no-segment"
    LEAVE_OUT_METAL = "leave-out-metal"
    OTHER_SERIES = "other-series"
    NO_SERIES = "no-series"
    OTHER_WEIGHTS = "other-weights"
    OTHER_START = "other-start"  # weights to train on from
    USE_PRIOR = "use-prior"
    LESS_MEMORY = "less-memory"  # a smaller image, or fewer programs beside
    LESS_COARSE = "less-coarse"  # the image, which was to be averaged
    LEAVE_COARSE = "leave-coarse"  # the skull, which was to be refined
    USE_CPU = "use-cpu"
    USE_TORCH_ENGINE = "use-torch-engine"
    GIVE_CLEARANCE = "give-clearance"
    OTHER_POPULATION = "other-population"
    FEWER_JOBS = "fewer-jobs"
    TRAIN_ANEW = "train-anew"
    TRAIN_GENTLER = "train-gentler"
    TRAIN_WITH_VALIDATION = "train-with-validation"
    TRAIN_FROM_NOTHING = "train-from-nothing"


class SkullImplantError(Exception):
    """Something the user can mend.

    The message is one sentence that says what is wrong and, where every program does it alike, what
    to do; `remedy` is what to do where they differ. The command line prints both and exits with 2.
    It never contains a patient's name or identifier, nor what steers a terminal: files may be
    called anything, and say anything.
    """

    def __init__(self, message: str, remedy: Remedy | None = None) -> None:
        legible = "".join(letter if letter.isprintable() else "?" for letter in message)
        super().__init__(_LONG_NAME.sub(r"\1...\2", legible))
        self.remedy = remedy


class NoPlaceForDefect(SkullImplantError):
    """This draw finds no place for a defect in this skull; another draw or skull may."""


class DiskError(SkullImplantError):
    """A file or folder cannot be written: the disk is full, or it is not allowed."""


class OutOfMemory(SkullImplantError):
    """The computer's memory does not suffice for this input."""


def expected(error: Exception) -> SkullImplantError | None:
    """Return what a full memory or disk, or a name or place that cannot be, is to the user,
    whatever raised it; None for other errors.

    Libraries in C++ tell of memory in words alone.
    """
    # Of a file that cannot be read or written for want of memory, memory is the reason.
    if lacks_memory(error) and not isinstance(error, OutOfMemory):
        return OutOfMemory("Not enough memory for this image; close other programs or crop the CT.")
    if isinstance(error, SkullImplantError):
        return error
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return DiskError(
            "There is no space left on the disk; free some, or choose another place to write to."
        )
    if isinstance(error, OSError) and error.errno in NO_PLACE:
        name = os.path.basename(os.fsdecode(error.filename or "")) or "A file or folder"
        name = name if len(name) <= TOLD_LETTERS else f"{name[:TOLD_LETTERS]}..."
        return DiskError(
            f"{name} cannot be reached ({error.strerror}); check its name, path and permissions."
        )
    return None


def lacks_memory(error: BaseException) -> bool:
    """Say whether an error, or one that led to it, says that the system gave no memory."""
    if isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno == errno.ENOMEM
    ):
        return True
    if isinstance(error, (RuntimeError, ImportError, OSError)) and any(
        words in str(error).lower() for words in NO_MEMORY
    ):
        return True
    before = error.__cause__ or error.__context__
    return before is not None and lacks_memory(before)


class Cancelled(Exception):
    """The user stopped the work; raised out of a progress callback (exit code 130)."""


def with_remedy(message: str, remedy: str | None) -> str:
    """Return one sentence of a message and a remedy in words, "give another threshold" say."""
    if not remedy:
        return message
    joint = ", or " if ";" in message else "; "
    return f"{message.rstrip().removesuffix('.')}{joint}{remedy}."
