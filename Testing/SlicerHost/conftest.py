"""Tests of the development host run on one host; see slicer_host/pytest_fixtures.py."""

from phantom_views import phantom, window
from slicer_host.pytest_fixtures import empty_scene_and_no_slot_errors, host

__all__ = ["empty_scene_and_no_slot_errors", "host", "phantom", "window"]
