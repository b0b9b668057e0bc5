"""Work done side by side: most of its time is in libraries that let other threads run."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event, Lock

from .progress import Progress
from .threads import worker_count

# More would take the memory of as many whole skulls. Of two processors three make use, as each
# waits for Python's lock at times.
MOST_AT_ONCE = 3

Work = Callable[[Progress], None]


class _Stopped(Exception):
    """Another piece of work has failed."""


def side_by_side(works: Sequence[tuple[str, Work]], progress: Progress) -> None:
    """Do pieces of work, each with its title, the first ones first, and return when all are done.

    Each is given its own progress, which also stops it where another has failed: what the first of
    them raised is raised then, once all have ended.
    """
    lock, stop, done = Lock(), Event(), [0.0] * len(works)

    def of(number: int) -> Progress:
        title = works[number][0]

        def told(fraction: float, message: str = "") -> None:
            with lock:
                if stop.is_set():
                    raise _Stopped
                done[number] = max(done[number], fraction)
                progress(sum(done) / len(done), message or title)

        return told

    def do(number: int) -> None:
        told = of(number)
        try:
            told(0.0)
            works[number][1](told)
            told(1.0)
        except BaseException:
            stop.set()
            raise

    threads = worker_count()
    most = max(1, min(threads + 1 if threads > 1 else 1, MOST_AT_ONCE, len(works)))
    with ThreadPoolExecutor(most) as pool:
        running = [pool.submit(do, number) for number in range(len(works))]
        try:
            wait(running)
        except BaseException:  # this thread is interrupted
            stop.set()
            raise
    errors = [error for error in (work.exception() for work in running) if error is not None]
    # One that was stopped comes of another's.
    for error in sorted(errors, key=lambda error: isinstance(error, _Stopped)):
        raise error
