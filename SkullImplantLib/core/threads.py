"""How many processor threads the libraries below may use. Nothing heavy is imported with this."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# Libraries of linear algebra (OpenMP's, OpenBLAS, MKL, Apple's Accelerate) read these once, when
# they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@contextmanager
def thread_variables(threads: int | None) -> Iterator[None]:
    """While the block runs, let what is loaded in it, here or in a child, use so many threads.

    None leaves it to them.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def use_threads(threads: int | None, torch: bool = False) -> None:
    """Let SimpleITK, and PyTorch too where `torch` says so, use so many threads.

    None leaves it to them. `thread_variables` tells the libraries that are asked only once.
    """
    if threads is None:
        return
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    if torch:
        from torch import set_num_threads

        set_num_threads(threads)


def worker_count() -> int:
    """Return how many threads this process was told to use, for functions that are told each time.

    Those of `use_threads`; without it, about as many as there are cores.
    """
    import SimpleITK as sitk

    return int(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())


def processor_count() -> int:
    """Return how many processor cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows and macOS
        return os.cpu_count() or 1
