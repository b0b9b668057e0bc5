"""Standard streams closed, full or left, and signals at any moment: an exit code and a word."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell and its signals")
COMMAND = f'"{sys.executable}" -m SkullImplantLib'
FULL = Path("/dev/full")


def shell(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_fault(closed: str) -> None:
    done = shell(f"{COMMAND} devices --json {closed}")
    assert done.returncode == 0 and done.stderr == ""


def test_who_stops_listening_is_no_fault() -> None:
    done = shell(f"{COMMAND} devices --json | true; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 0 and "Traceback" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [("devices --json", "could not be printed"), ("design /none -o /n --json", "not exist")],
)
def test_a_full_disk_behind_standard_output_is_told(arguments: str, word: str) -> None:
    done = shell(f"{COMMAND} {arguments} > {FULL}")
    assert done.returncode == 2 and word in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["imports", "help"])
def test_a_signal_while_it_starts_is_a_word(sign: int, stage: str) -> None:
    """The program sends it to itself: at its first import, or when the first word is looked up."""
    place = {"imports": "argparse", "help": "SkullImplantLib.cli.commands"}[stage]
    code = (
        "import os, signal, sys\n"
        # A shell's background job ignores it, and so would this one.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {place!r}: os.kill(os.getpid(), {int(sign)})\n"
        f"sys.modules.pop({place!r}, None)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv[1:] = ['devices']\n"
        "from SkullImplantLib.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "skull-implant: Cancelled.\n"
