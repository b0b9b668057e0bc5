"""Progress of long work: a callable that stages report to, and through which they are cancelled."""

from typing import Protocol


class Progress(Protocol):
    """Receives the fraction done, 0 to 1, and a short message; may raise `Cancelled`."""

    def __call__(self, fraction: float, message: str = "") -> None: ...


def silent(fraction: float, message: str = "") -> None:
    """Report nothing."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """Return a progress whose 0 to 1 is the stretch `start` to `stop` of `progress`."""

    def report(fraction: float, message: str = "") -> None:
        progress(start + (stop - start) * fraction, message)

    return report
