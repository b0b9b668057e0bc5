"""Whether a process of another program runs, on every system."""

import os
import sys


def is_running(pid: int) -> bool:
    """Say whether there is a process of this id, dead ones that nobody collected included."""
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)  # sends nothing (kill(2)); on Windows it would send Ctrl-C
    except ProcessLookupError:
        return False
    except OSError:
        return True  # of another user
    return True


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    SYNCHRONIZE, WAIT_TIMEOUT, ERROR_ACCESS_DENIED = 0x00100000, 0x102, 5

    def _is_running_on_windows(pid: int) -> bool:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
        kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
        process = kernel.OpenProcess(SYNCHRONIZE, False, pid)
        if not process:
            return ctypes.get_last_error() == ERROR_ACCESS_DENIED
        try:
            return kernel.WaitForSingleObject(process, 0) == WAIT_TIMEOUT
        finally:
            kernel.CloseHandle(process)
