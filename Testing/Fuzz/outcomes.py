"""What comes of one changed input, told by a process of its own that may end or hang."""

import json
import os
import pickle
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mutations import Step, apply
from other_readers import agree, other_view
from SkullImplantLib.errors import SkullImplantError
from specimens import SPECIMENS, Seen

# As it was; refused in a sentence; read otherwise and said; read as another reader reads it.
RIGHT = ("same", "told", "noted", "agreed")
WRONG = ("silent", "long", "traceback", "crash", "hang", "mixed", "lost")
LONGEST_SENTENCE = 300
# A case takes a tenth of a second; the machine may be busy.
PATIENCE_S = 60.0
Outcome = tuple[str, str]


def make_sound(folder: Path) -> None:
    """Write a sound specimen of every kind into `folder`, and beside each what is read of it."""

    def made() -> Outcome:
        for number, specimen in enumerate(SPECIMENS.values()):
            place = folder / str(number)
            place.mkdir()
            path = specimen.make(place)
            seen = specimen.read(path)
            (folder / f"{number}.seen").write_bytes(
                pickle.dumps((path.relative_to(place), _kept(seen)))
            )
        return "same", ""

    # In a child, as threads of ITK's must not be there when cases are forked.
    outcome, what = in_child(made, patience_s=300.0)
    if outcome != "same":
        raise RuntimeError(f"sound files are not read: {what}")


def outcome_of(kind: str, sound: Path, steps: list[Step], kept: Path | None = None) -> Outcome:
    """Return what comes of a kind's sound specimen after the steps, and what there is to say.

    sound: the folder of `make_sound`; kept: where the changed files are copied to, if anywhere.
    """
    number = list(SPECIMENS).index(kind)
    relative, before = pickle.loads((sound / f"{number}.seen").read_bytes())
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "case"
        shutil.copytree(sound / str(number), place, symlinks=True)
        found = in_child(lambda: _seen(kind, place / relative, before, steps), PATIENCE_S)
        if kept:
            shutil.copytree(place, kept, symlinks=True)
        return found


def in_child(case: Callable[[], Outcome], patience_s: float) -> Outcome:
    """Return what `case` says in a forked process, or how that process ended."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        try:
            said = case()
        except BaseException:
            said = ("traceback", traceback.format_exc(limit=-2)[-400:])
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    give_up = time.monotonic() + patience_s
    ended = 0
    while not ended and time.monotonic() < give_up:
        ended, status = os.waitpid(pid, os.WNOHANG)
        time.sleep(0 if ended else 0.002)
    with os.fdopen(reading, "rb") as pipe:
        if not ended:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "hang", f"longer than {patience_s:g} s"
        if status != 0:
            return "crash", f"status {status}"
        outcome, what = json.loads(pipe.read())
    return outcome, what


def _seen(kind: str, path: Path, before: Any, steps: list[Step]) -> Outcome:
    specimen = SPECIMENS[kind]
    apply(steps, path, specimen.changed)
    try:
        after = specimen.read(path)
    except SkullImplantError as error:
        text = str(error)
        good = 15 < len(text) <= LONGEST_SENTENCE and text.isprintable()
        return ("told" if good else "long"), text[:1000]
    if not isinstance(after, Seen):
        return "same" if _kept(after) == before else "agreed", ""
    if np.array_equal(before.values, after.values) and np.allclose(before.matrix, after.matrix):
        return "same", ""
    if len(after.notes) > len(before.notes):
        return "noted", after.notes[-1]
    try:
        theirs = other_view(path)
    except Exception as error:
        return "silent", f"another reader refuses: {error!r}"[:300]
    return ("agreed", "") if agree(after, theirs) else ("silent", "another reader sees another")


def _kept(seen: Any) -> Any:
    """Return what is kept of a sound result: images whole, of others their words."""
    return seen if isinstance(seen, Seen) else repr(seen)
