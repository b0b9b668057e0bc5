"""*Color by*: gap, step, thickness and uncertainty on the implant, their legend, and what is under the mouse."""

import os
from pathlib import Path

import pytest

PANEL_PIXELS = 430
NAMES = ("gap", "step", "thickness", "uncertainty")


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = Path(os.environ.get("SKULL_IMPLANT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose(panel, name: str) -> None:
    """As a user does in the box."""
    box = panel.ui.colorByComboBox
    box.setCurrentIndex(box.findData(name))
    box.activated(box.currentIndex)


def nodes_of(panel):
    return panel.logic.resultNodes(panel._parameterNode)


def test_pictures(reviewed_in_window, window, pictures, host):
    from SkullImplantPanel import review

    panel = reviewed_in_window
    review.centerViews(nodes_of(panel))
    for name in NAMES:
        panel._parameterNode.colorBy = name
        window.screenshot(pictures / f"panel-{name}.png")
