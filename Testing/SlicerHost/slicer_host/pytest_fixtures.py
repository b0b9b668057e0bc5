"""Fixtures for tests on the host; a conftest.py imports them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest

from slicer_host.host import Host, start


@pytest.fixture(scope="session")
def host() -> Host:
    """The running host, one for all tests."""
    return start()


@pytest.fixture(autouse=True)
def empty_scene_and_no_slot_errors(host: Host) -> Iterator[None]:
    """Each test has an empty scene, and fails if an exception left a slot or an observer.

    A test that expects such an exception takes it with `host.take_slot_errors()`.
    """
    host.messages.clear()
    host.set_testing(True)
    yield
    host.process_events()
    host.scene.Clear(False)
    host.process_events()
    errors = host.take_slot_errors()
    if errors:
        texts = ["".join(traceback.format_exception(error)) for error in errors]
        pytest.fail("An exception left a slot:\n" + "\n".join(texts), pytrace=False)
