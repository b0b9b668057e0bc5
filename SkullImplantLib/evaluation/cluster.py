"""Cases run by the workers of a Dask cluster, on as many machines as it has.

A worker reads a case's files where they lie (a folder that all machines see under one path), and
sends back what it found as bytes; they are written here. So workers need no place to write to, one
process alone writes each file, and what a worker that is lost had begun leaves nothing behind: the
scheduler gives its cases to another. A Dask scheduler runs what anyone who reaches it sends, and
its messages are pickles: it belongs into a network whose every member is trusted.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.files import atomic_path
from ..core.threads import use_threads
from ..errors import SkullImplantError
from ..models import uses_torch
from .judge import AnyCase, Judge

CONNECT_S = 20
# So often it is told that the run goes on, and who stops it is heard.
WAKE_S = 5.0
# One case at a time in a worker, whatever threads it has: designs share the process's own.
ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class CaseFiles:
    """What a worker found of a case: its row as bytes, and its implant where there is one."""

    row: bytes
    implant: bytes | None


def run_on_cluster(
    cases: Sequence[AnyCase],
    trial: Judge[AnyCase],
    told: Callable[[str, int], None],
    address: str,
    threads: int | None = None,
) -> None:
    """Run the cases on the cluster of the Dask scheduler at `address`, and keep them.

    `address`: `tcp://HOST:PORT`, or the path of the file that the scheduler wrote. `threads`: of
    each worker; None leaves it as many as it has. `told` is called here with a message and how many
    cases are done; what it raises stops the run. Raises `SkullImplantError` where Dask is missing,
    no scheduler answers, a worker refuses, or a case ended several workers.
    """
    with _client(address) as client:
        made_with = {case.name: trial.made_with(case) for case in cases}
        futures = {
            client.submit(_worked, case, trial, made_with[case.name], threads, pure=False): case
            for case in cases
        }
        done = 0
        try:
            while futures:
                with _telling_loss(address):
                    ended = _ended(list(futures))
                    at_work = "" if ended else _at_work(client)
                if at_work:
                    told(at_work, done)
                for future in ended:
                    case = futures.pop(future)
                    with _telling_loss(address, case.name):
                        found = future.result()
                    keep(trial, case, found)
                    done += 1
                    told(case.name, done)
        finally:
            with suppress(Exception):  # where the scheduler is lost, there is nothing to cancel
                client.cancel(list(futures))


def _ended(futures: list[Any]) -> list[Any]:
    """Return those of the futures that have ended, after a while at the most."""
    from distributed import wait

    try:
        return list(wait(futures, timeout=WAKE_S, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return []


@contextmanager
def _telling_loss(address: str, case: str = "") -> Iterator[None]:
    """Raise `SkullImplantError` where the block finds a scheduler lost, or a case's workers."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise SkullImplantError(
            f"The case {case} ended several workers of the cluster, most likely because memory ran "
            "out; give its workers more memory."
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise SkullImplantError(
            f"The Dask scheduler at {address} was lost; start it and run the same again, it goes "
            "on where it stopped."
        ) from error


def keep(trial: Judge[AnyCase], case: AnyCase, found: CaseFiles) -> None:
    """Write what a worker found of a case where a run here would have kept it."""
    if found.implant is not None:
        with atomic_path(trial.implant_path(case)) as temporary:
            temporary.write_bytes(found.implant)
    with atomic_path(trial.result_path(case)) as temporary:
        temporary.write_bytes(found.row)


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """Connect to a scheduler while the block runs."""
    try:
        from distributed import Client
    except ImportError as error:
        raise SkullImplantError(
            "A cluster needs Dask, which is not installed; install dask[distributed]."
        ) from error
    by_file = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**by_file, timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise SkullImplantError(
            f"There is no Dask scheduler at {address}; give the address that it tells when it "
            "starts, such as tcp://host:8786, or its scheduler file."
        ) from error
    try:
        yield client
    finally:
        client.close()


def _at_work(client: Any) -> str:
    workers = len(client.scheduler_info(n_workers=-1)["workers"])
    return f"{workers} workers at it" if workers else "waiting for workers"


def _worked(
    case: AnyCase, trial: Judge[AnyCase], made_with: dict[str, Any], threads: int | None
) -> CaseFiles:
    """Run a case on a worker, and return what it found.

    `made_with`: what it depends on, as the machine that asks sees it. Raises `SkullImplantError`
    where this one does not see the same.
    """
    with ONE_AT_A_TIME, tempfile.TemporaryDirectory() as folder:
        use_threads(threads, uses_torch(trial.model))
        here: Judge[AnyCase] = replace(trial, output=Path(folder))  # type: ignore[type-var]
        if _seen(here, case) != made_with:
            raise SkullImplantError(
                f"A worker sees other files for {case.name}, or is another version of the program; "
                "install the same on all machines, and give folders that all see under one path."
            )
        here.result_path(case).parent.mkdir()
        here.run(case)
        implant = here.implant_path(case)
        return CaseFiles(
            here.result_path(case).read_bytes(),
            implant.read_bytes() if implant.exists() else None,
        )


def _seen(trial: Judge[AnyCase], case: AnyCase) -> dict[str, Any] | None:
    try:
        return trial.made_with(case)
    except FileNotFoundError:
        return None
