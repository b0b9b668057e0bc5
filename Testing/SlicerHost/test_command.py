"""The command `slicer-host`, as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from PySide6 import QtGui

from phantom_views import (
    rgb_of,
)

HERE = Path(__file__).parent
TEMPLATE_MODULE = HERE / "fixtures" / "TemplateModule" / "TemplateModule.py"
NAMES_OF_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def run_slicer_host(*arguments, **environment):
    """Run `python -m slicer_host` on the template module as a user without a display does."""
    kept = {k: v for k, v in os.environ.items() if k not in NAMES_OF_DISPLAYS}
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "slicer_host", str(TEMPLATE_MODULE), *map(str, arguments)],
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_a_display_it_says_what_to_do():
    run = run_slicer_host()
    assert run.returncode == 2
    assert "xvfb-run slicer-host MODULE.py" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_a_missing_file_is_named():
    run = run_slicer_host("--open", "nowhere.nrrd", "--screenshot", "unused.png")
    assert run.returncode == 2
    assert "nowhere.nrrd does not exist" in run.stderr


def test_sample_data_that_no_module_registered_are_named():
    run = run_slicer_host("--sample", "Nobody's", "--screenshot", "unused.png")
    assert run.returncode == 2
    assert "Nobody's" in run.stderr.splitlines()[-1]


@pytest.mark.slow
def test_command_opens_module_and_file_and_makes_a_picture(phantom, tmp_path):
    volume_file, picture = tmp_path / "phantom.nrrd", tmp_path / "window.png"
    assert slicer.util.saveNode(phantom.volume, str(volume_file))
    run = run_slicer_host("--open", volume_file, "--screenshot", picture, "--size", "1000x700")
    assert run.returncode == 0, run.stderr
    image = QtGui.QImage(str(picture))
    assert (image.width(), image.height()) == (1000, 700)
    rgb = rgb_of(image)
    panel, slices = rgb[100:, :400], rgb[100:, 450:]
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 50  # text and widgets
    assert (np.ptp(slices, axis=-1) == 0).mean() > 0.3  # grey volume on black
    assert len(np.unique(slices.reshape(-1, 3), axis=0)) > 50
