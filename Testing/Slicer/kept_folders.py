"""Folders that take long to make are made once, also where several processes test side by side."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE_S = 300.0


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `name` of this run of pytest, which `make` fills where nobody has yet.

    `make` gets the path of an empty folder. Where it fails for one process, the next one tries.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all processes of the run
    done, claim = base / name, base / f"{name}.claimed"
    end = time.monotonic() + PATIENCE_S
    while not done.exists():
        assert time.monotonic() < end, f"{name} was not made"
        try:
            claim.mkdir()
        except FileExistsError:
            time.sleep(0.1)
            continue
        try:
            # Another process may have been done between the question and the claim.
            if not done.exists():
                part = factory.mktemp(name)
                make(part)
                part.rename(done)
        finally:
            claim.rmdir()
    return done
