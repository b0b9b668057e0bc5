"""The fixtures of the Slicer module's tests."""

from module_fixtures import *  # noqa: F403
