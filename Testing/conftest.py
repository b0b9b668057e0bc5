"""What every test shares: the examples of property-based tests, and the threads of a process."""

import os
from collections import Counter

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

# Their tests start Qt and MRML, which stay in a process: they come after all others.
HOST_FOLDERS = {"Panel", "Slicer", "SlicerHost"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the host's tests last, long files first, so that processes side by side end together."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))

    def place(item: pytest.Item) -> tuple[bool, int]:
        on_host = item.path.parent.name in HOST_FOLDERS
        return on_host, -slow[item.path] if on_host else 0

    items.sort(key=place)
