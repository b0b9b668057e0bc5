"""Slow work in a thread, its result back in the GUI's thread, on Qt's event loop.

numpy, SimpleITK and VTK give up Python's lock while they compute, so the window stays responsive.
Slicer's own event loop holds that lock, though: another thread comes on only while the GUI's thread
runs Python and lets it. So looking for its end is also what drives it.
Nothing that runs in the thread may touch a MRML node or a widget.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import qt

# How often a thread's end is looked for, a tenth of the 100 ms that a person notices; and for how
# long the thread is then let run.
POLL_MS = 10
YIELD_S = 0.002


def inBackground(
    work: Callable[[], Any],
    then: Callable[[Any], None],
    failed: Callable[[Exception], None] | None = None,
) -> None:
    """Run ``work`` in a thread; call ``then`` with its value, or ``failed`` with its exception.

    Returns at once, before anything is called back. Without ``failed`` an exception is raised in the
    event loop, where it is logged.
    """
    box: dict[str, Any] = {}

    def run() -> None:
        try:
            box["value"] = work()
        except Exception as error:
            box["error"] = error

    thread = threading.Thread(target=run, name="SkullImplant", daemon=True)
    thread.start()

    def look() -> None:
        time.sleep(YIELD_S)  # gives up Python's lock
        if thread.is_alive():
            qt.QTimer.singleShot(POLL_MS, look)
        elif "error" not in box:
            then(box["value"])
        elif failed is not None:
            failed(box["error"])
        else:
            raise box["error"]

    qt.QTimer.singleShot(0, look)
