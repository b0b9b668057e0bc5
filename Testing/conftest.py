"""What every test shares: examples of the property-based tests, and how many threads one process has."""

import os

# Before numpy and torch are imported. Threads that spin while they wait make a busy machine slow, and
# processes that test side by side (pytest-xdist) share the machine's cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if PROCESSES > 1:
    THREADS = str(max((os.cpu_count() or 1) // PROCESSES, 1))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, THREADS)

from hypothesis import HealthCheck, settings

# A test that is slow on a busy machine is not wrong.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# The same examples in each run, so that a change and nothing else makes a test fail ...
settings.register_profile("repeatable", derandomize=True, **PATIENT)
# ... and other ones in each run: `make test-random`, or --hypothesis-profile random.
settings.register_profile("random", print_blob=True, **PATIENT)
settings.load_profile("repeatable")
