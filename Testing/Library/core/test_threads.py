"""As many threads as were asked for, in the libraries below too, seen from outside a process."""

import os
import subprocess
import sys

import pytest

from SkullImplantLib.core.threads import THREAD_VARIABLES, processor_count, thread_variables

# Runs a verb that loads the libraries, then lets BLAS and SciPy's trees work; tells of the threads
# there are then, and of the processor's seconds in a second.
CHILD = """
import os, sys, time
from SkullImplantLib.cli.main import main
assert "numpy" not in sys.modules and "SimpleITK" not in sys.modules
main(["devices", "--progress", "none", *sys.argv[1:]])
import numpy as np, scipy.linalg
from scipy.spatial import cKDTree
from SkullImplantLib.core.threads import use_threads, worker_count
use_threads(int(sys.argv[2]))
big = np.random.default_rng(0).normal(size=(1500, 1500))
points = np.random.default_rng(1).normal(size=(100_000, 3))
wall_s, processor_s = time.perf_counter(), time.process_time()
for _ in range(3):
    scipy.linalg.cho_factor(big @ big.T + 1500 * np.eye(1500))
cKDTree(points).query(points, workers=worker_count())
used = (time.process_time() - processor_s) / (time.perf_counter() - wall_s)
print(len(os.listdir("/proc/self/task")), used, worker_count())
"""


def threads_of_a_run(threads: int) -> tuple[int, float, int]:
    result = subprocess.run(
        [sys.executable, "-c", CHILD, "--threads", str(threads)],
        capture_output=True, text=True, check=True,
        env={k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES},
    )  # fmt: skip
    there, used, workers = result.stdout.splitlines()[-1].split()
    return int(there), float(used), int(workers)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_one_thread_is_one_thread() -> None:
    there, used, workers = threads_of_a_run(1)
    assert there == workers == 1
    assert used < 1.1
    assert threads_of_a_run(2)[2] == 2


def test_variables_are_set_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with pytest.raises(KeyError), thread_variables(3):
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"3"}
        raise KeyError
    assert dict(os.environ) == before
    with thread_variables(None):
        assert dict(os.environ) == before


def test_a_process_has_a_processor() -> None:
    assert 1 <= processor_count() <= (os.cpu_count() or 1)
