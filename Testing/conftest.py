"""What every test shares: the examples of property-based tests, and the threads of a process."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from SkullImplantLib.core.threads import THREAD_VARIABLES

# Before numpy and torch are imported. Threads that spin while they wait make a busy machine slow,
# and processes that test side by side (pytest-xdist) share the machine's cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if PROCESSES > 1:
    THREADS = str(max((os.cpu_count() or 1) // PROCESSES, 1))
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, THREADS)

# A test that is slow on a busy machine is not wrong.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# The same examples in each run, so that a change and nothing else makes a test fail ...
settings.register_profile("repeatable", settings.get_profile("patient"), derandomize=True)
# ... and other ones in each run: `make test-random`, or --hypothesis-profile random.
settings.register_profile("random", settings.get_profile("patient"), derandomize=False)
settings.load_profile("repeatable")

# Their tests start Qt and MRML, which stay in a process as they are left: one process tests them
# all, in order, beside those of the others.
HOST_FOLDERS = {"Panel", "Slicer", "SlicerHost"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the host's tests, and of the others those of a file; the longest group begins first,
    but in one process the host's come last.
    """
    for item in items:
        on_host = item.path.parent.name in HOST_FOLDERS
        item.add_marker(pytest.mark.xdist_group("host" if on_host else item.path.name))
    items.sort(key=lambda item: (item.path.parent.name in HOST_FOLDERS) == (PROCESSES == 1))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draw the same random numbers in each run, where a test brings no generator of its own."""
    del item
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
