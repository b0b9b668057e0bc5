"""Cases run in several processes, those of one skull in the same where that keeps all busy.

Fresh processes (spawned, as on Windows), which end with this one however it ends. A worker writes
what it finds itself; through the pipe go only the case and how far it is.
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ..core.stages import StageReport
from ..core.threads import thread_variables, use_threads
from ..errors import OutOfMemory, Remedy, expected
from ..models import uses_torch
from .judge import AnyCase

# On Windows an interrupt is seen only between waits.
WAKE_S = 0.5
WORKER_GONE = (
    "A process that worked on a case was ended by the system, most likely because memory ran out."
)


def run_here(
    cases: Sequence[AnyCase],
    run: Callable[[AnyCase, StageReport], None],
    told: Callable[[str, int], None],
) -> None:
    """Run the cases in this process, one after the other; see `run_in_processes`."""
    for done, case in enumerate(cases):
        told(case.name, done)
        run(case, _StageNames(_with_count(told, done), case.name))


def run_in_processes(
    cases: Sequence[AnyCase],
    run: Callable[[AnyCase, StageReport], None],
    told: Callable[[str, int], None],
    jobs: int,
    threads: int,
    model: str,
) -> None:
    """Run the cases in `jobs` processes, each on `threads` threads.

    `run` is pickled and called as run(case, report). `told` is called here with a message and how
    many cases are done; what it raises ends the workers and is raised. Raises `SkullImplantError`
    where a worker does, or where one is gone.
    """
    waiting = _Waiting(cases)
    done = 0
    with _workers(min(jobs, len(cases)), run, threads, model) as idle:
        busy: dict[Any, _Worker] = {}
        while True:
            for worker in idle:
                case = waiting.next_for(worker.skull)
                if case is not None:
                    worker.skull = case.skull
                    worker.send(case)
                    busy[worker.pipe] = worker
            idle = []
            if not busy:
                return
            for pipe in wait(list(busy), timeout=WAKE_S):
                kind, told_by_it = busy[pipe].receive()
                if kind == "message":
                    told(told_by_it, done)
                elif kind == "refused":
                    raise told_by_it
                elif kind == "failed":
                    raise RuntimeError(f"a case failed in its process:\n{told_by_it}")
                else:
                    done += 1
                    told(told_by_it, done)
                    idle.append(busy.pop(pipe))


def _with_count(told: Callable[[str, int], None], done: int) -> Callable[[str], None]:
    return lambda message: told(message, done)


class _Waiting:
    """The cases that no worker has begun, by skull."""

    def __init__(self, cases: Sequence[Any]) -> None:
        self._left: dict[str, list[Any]] = {}
        for case in cases:
            self._left.setdefault(case.skull, []).append(case)
        self._begun: set[str] = set()

    def next_for(self, skull: str | None) -> Any | None:
        """Return the next case for a worker that holds `skull`; None where none is left.

        Of its own skull if there is one, then of a skull that nobody has begun, then of the one
        with the most left.
        """
        if skull not in self._left:
            skull = next((name for name in self._left if name not in self._begun), None)
        if skull is None:
            skull = max(self._left, key=lambda name: len(self._left[name]), default=None)
        if skull is None:
            return None
        self._begun.add(skull)
        case = self._left[skull].pop(0)
        if not self._left[skull]:
            del self._left[skull]
        return case


@dataclass
class _Worker:
    """A process, this side of its pipe, and the skull that it holds."""

    process: BaseProcess
    pipe: Connection
    skull: str | None = None

    def send(self, case: Any) -> None:
        try:
            self.pipe.send(case)
        except (BrokenPipeError, ConnectionError) as error:
            raise OutOfMemory(WORKER_GONE, Remedy.FEWER_JOBS) from error

    def receive(self) -> tuple[str, Any]:
        try:
            kind, text = self.pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise OutOfMemory(WORKER_GONE, Remedy.FEWER_JOBS) from error
        return kind, text


@contextmanager
def _workers(count: int, run: Any, threads: int, model: str) -> Iterator[list[_Worker]]:
    """Start the workers, and end them, idle or not, when the block ends."""
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        with thread_variables(threads):
            for _ in range(count):
                here, there = context.Pipe()
                process = context.Process(
                    target=_work, args=(there, run, threads, model), daemon=True
                )
                process.start()
                there.close()  # so that the end of the process is the end of the pipe
                workers.append(_Worker(process, here))
        yield list(workers)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()


class _StageNames:
    """A `StageReport` that passes on the name of each stage as it begins."""

    def __init__(self, tell: Callable[[str], None], case: str) -> None:
        self._tell, self._case, self._stage = tell, case, ""

    def __call__(
        self, stage: str, fraction: float, message: str = "", device: str | None = None
    ) -> None:
        if stage != self._stage:
            self._stage = stage
            self._tell(f"{self._case}: {stage}")


def _work(pipe: Connection, run: Any, threads: int, model: str) -> None:
    """Run the cases that come through the pipe, until this process is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the starter's, who ends this one
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    use_threads(threads, uses_torch(model))
    while True:
        try:
            case = pipe.recv()
        except EOFError:
            return
        try:
            run(case, _StageNames(lambda text: pipe.send(("message", text)), case.name))
        except Exception as error:
            refusal = expected(error)
            pipe.send(("refused", refusal) if refusal else ("failed", traceback.format_exc()))
        else:
            pipe.send(("done", case.name))


def _end_with_the_starter() -> None:
    starter = multiprocessing.parent_process()
    if starter is not None:
        starter.join()
        os._exit(1)
