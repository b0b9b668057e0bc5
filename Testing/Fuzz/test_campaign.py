"""A few of the campaign's cases in each run of the tests; `make fuzz` runs thousands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("campaign.py")
CASES, KILLS, PLACES = 300, 6, 8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="cases are forked, and killed as POSIX does")
def test_nothing_that_is_changed_killed_or_sent_astray_goes_wrong(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, CAMPAIGN, "--cases", str(CASES), "--seed", "11", "--jobs", "1",
         "--kills", str(KILLS), "--places", str(PLACES), "-o", tmp_path],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    result = json.loads((tmp_path / "campaign.json").read_text())
    assert sum(sum(counts.values()) for counts in result["counts"].values()) == CASES
    assert sum(counts.get("told", 0) for counts in result["counts"].values()) > CASES / 3
    assert sum(counts.get("same", 0) for counts in result["counts"].values()) > CASES / 20
    assert result["runs"]["counts"]["sent to awkward places"]
