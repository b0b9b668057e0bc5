"""`python -m SkullImplantLib ...` is `skull-implant ...`."""

import gc
import os
import signal
import sys
from types import FrameType

# Threads that wait by spinning make torch ten times slower on a busy desktop; read at its import.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# As with OpenBLAS's, by default for some hundredths of a second after each product of matrices:
# the logarithm of the clock cycles after which they sleep, of which this is the least.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

# Python looks for what only refers to itself after so many new objects, 700 by default. The headers
# of a CT series are hundreds of thousands, and nothing of ours refers to itself.
OBJECTS_BETWEEN_LOOKS = 50_000

CANCELLED = 130  # as shells have it: 128 and the number of SIGINT


def main() -> int:
    """Run the command line; the imports wait until here so that `--help` of others is not slow.

    Ended while it still imports, it says so in a word, as later.
    """
    _open_what_is_closed()
    waiting = [sign for sign in (signal.SIGINT, signal.SIGTERM) if _is_heard(sign)]
    before = [signal.signal(sign, _end) for sign in waiting]
    from .cli.main import main as run

    for sign, handler in zip(waiting, before):
        signal.signal(sign, handler)
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)
    try:
        return run()
    except KeyboardInterrupt:
        return _told()
    finally:
        gc.freeze()  # nor is it looked for when all of it goes


def _open_what_is_closed() -> None:
    """Let closed standard streams lead nowhere.

    A file that is opened would take their place else, and get what is printed.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: SIM115 (for good)


def _is_heard(sign: int) -> bool:
    """Say whether a signal is not ignored, as SIGINT is in the background of a shell."""
    return signal.getsignal(sign) is not signal.SIG_IGN


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(_told())


def _told() -> int:
    os.write(2, b"skull-implant: Cancelled.\n")
    return CANCELLED


if __name__ == "__main__":
    sys.exit(main())
