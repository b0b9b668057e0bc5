"""The map in the documents is of today's packages and their imports: `make map` draws it anew."""

import importlib.util

import pytest
from cmake_lists import EXTENSION

MAP = EXTENSION / "docs" / "reference" / "architecture.svg"
SCRIPT = EXTENSION / "docs" / "draw_map.py"


def test_map_shows_the_arrows_of_today() -> None:
    pytest.importorskip("grimp", reason="import-linter, which brings grimp, is not installed")
    spec = importlib.util.spec_from_file_location("draw_map", SCRIPT)
    assert spec and spec.loader
    draw_map = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw_map)
    recorded, today = draw_map.recorded_arrows(MAP), set(draw_map.arrows_of_library())
    assert recorded == today, "the packages' imports have changed; draw the map anew: make map"
