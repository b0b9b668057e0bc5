"""What Slicer pays for the module when it starts: as counted in a process that only loads it."""

import json
import os
import subprocess
import sys

from module_fixtures import MODULE_FILE, PROJECT

# Takes a second or more, or much memory, to import.
HEAVY = {"torch", "SimpleITK", "scipy", "pydicom", "PIL", "matplotlib", "pandas", "jsonschema"}
# The module's file, its package, logic, parameters, sample data and self-test, and room for a few.
MOST_OWN_FILES = 10
# Beside ours and Slicer's parameter nodes: parts of Python's own library, at the most.
MOST_OTHER_FILES = 10
LOADING = """
import json, sys
from slicer_host.host import start
host = start()
before = set(sys.modules)
host.load_module(sys.argv[1])
host.emit_startup_completed()
host.process_events()
print(json.dumps([sorted(before), sorted(set(sys.modules) - before)]))
"""


def test_slicer_starts_without_what_is_heavy():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
    loading = subprocess.run(
        [sys.executable, "-c", LOADING, str(MODULE_FILE)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    before, new = json.loads(loading.stdout.splitlines()[-1])
    # Nor does the host import it: what the module imports would then not be seen.
    assert not HEAVY & {name.partition(".")[0] for name in before + new}
    own = [name for name in new if name.startswith("SkullImplant")]
    assert "SkullImplant" in own and len(own) <= MOST_OWN_FILES, own
    # The library's door tells its version; none of its parts is imported.
    assert not [name for name in own if name.startswith("SkullImplantLib.")]
    others = {name for name in new if not name.startswith(("SkullImplant", "slicer."))}
    assert len(others) <= MOST_OTHER_FILES, others
