"""Two folders change places at once, where the system can do that."""

import ctypes
import os
import sys
from pathlib import Path

AT_FDCWD = -100  # Linux, fcntl.h: paths count from the working folder
# renameat2(2) of Linux and renamex_np(2) of macOS: the flag that exchanges. Both are 2.
EXCHANGE = 2


def exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders of one file system by a single rename; return whether that was done.

    At no moment is either path missing. Windows, and some file systems, cannot.
    """
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "linux":
            return library.renameat2(AT_FDCWD, first, AT_FDCWD, second, EXCHANGE) == 0
        if sys.platform == "darwin":
            return library.renamex_np(first, second, EXCHANGE) == 0
    except (OSError, AttributeError, TypeError):
        return False  # an older C library; Windows has no such handle
    return False
