"""A run whose starter is gone ends: nobody sees its result, and nobody could cancel it any more."""

import _thread
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..core.processes import is_running
from ..job.protocol import CANCELLED_CODE, WATCHED_PROCESS_VARIABLE

LOOK_EVERY_S = 0.2
# Work in native code can be interrupted only when it comes back; after this it is not waited for.
GRACE_S = 0.5


@contextmanager
def ending_with_the_starter(tidy: Callable[[], None]) -> Iterator[None]:
    """While the block runs, end it as SIGTERM does once the process that started this one is gone.

    Gone is the parent, or the process that the environment variable
    `SKULL_IMPLANT_WATCHED_PROCESS` names, for starters that put a launcher in between. Where the
    block does not end within a moment, `tidy` is called, from another thread, and this process
    exits on the spot.
    """
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(ended, tidy), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()


def _watch(ended: threading.Event, tidy: Callable[[], None]) -> None:
    parent = os.getppid()
    named = os.environ.get(WATCHED_PROCESS_VARIABLE, "")
    watched = [parent] + ([int(named)] if named.isdigit() else [])
    while not ended.wait(LOOK_EVERY_S):
        # An orphan gets another parent on POSIX; on Windows it keeps the id of the dead one.
        if os.getppid() == parent and all(map(is_running, watched)):
            continue
        _thread.interrupt_main(signal.SIGTERM)
        if not ended.wait(GRACE_S):
            tidy()
            os._exit(CANCELLED_CODE)
        return
