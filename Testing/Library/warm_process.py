"""A Python process without PyTorch that runs command lines one after the other.

Python and the library's imports take seconds; a test that only needs a process of its own kind
asks this one, which has them behind it. Its sample patient is a coarse one, which takes a second.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# What Python says where a package is not there; and no module may have brought it along.
WITHOUT_TORCH = """
import importlib.abc, sys
class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoTorch())
"""
SERVE = """
import contextlib, io, json
from SkullImplantLib.cases import sample
from SkullImplantLib.cli.main import main
coarse = sample.SampleOptions(spacing_mm=(2.5, 2.5, 2.5))
sample.make_sample_patient.__defaults__ = (0, coarse, sample.silent)
answers = sys.stdout
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(json.loads(line))
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str


class WarmProcess:
    """The process; `run` gives it a command line, `close` ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_TORCH + SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path) -> Ended:
        """Run `skull-implant` with these arguments."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps(list(map(str, arguments))), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the process has died; its last words are on standard error"
        return Ended(*json.loads(answer))

    def close(self) -> None:
        self._process.communicate()
