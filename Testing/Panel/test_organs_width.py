"""The section Organs in 350 pixels, in each of its states."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from organs_panel import (
    add,
    labels_node,
    organs_of,
)
from test_width import LONG_NAME, LONG_PATH, LONG_SENTENCE, column  # noqa: F401 - a fixture


def closed_by_pytorch(panel, folder):
    panel.panel.organs._torchProblem = "PyTorch 2.5 is too old; 2.6 or newer is needed."
    panel._parameterNode.organsVolume.SetName(LONG_NAME)


def with_a_problem(panel, folder):
    panel._parameterNode.organsCoarse = labels_node(folder, {1: LONG_NAME})
    panel._parameterNode.organsCoarse.SetName(LONG_NAME)


def running(panel, folder):
    from SkullImplantLib.job.protocol import Step

    section = panel.panel.organs
    section.control = SimpleNamespace(running=True, cancelling=False)
    section._finding = True
    section._onProgress(Step("organ refinement", 0.5, LONG_PATH, 0.5))


def failed(panel, folder):
    panel.panel.organs._text = LONG_SENTENCE


def with_organs(panel, folder, notes=()):
    segmentation = organs_of(panel)
    data = json.loads(segmentation.GetAttribute("SkullImplant.Organs"))
    data["notes"] += notes
    data["organs"][1]["volume_cm3"] = 12345.678
    data["organs"][1]["occupancy_percent"] = 12.34
    data["organs"][1]["sure"] = 1.0
    segmentation.SetAttribute("SkullImplant.Organs", json.dumps(data))
    panel.panel.organs._text = "4 organs were found in 100 s."


def with_long_notes(panel, folder):
    with_organs(panel, folder, [LONG_SENTENCE, "The trachea was not found."])


STATES = [closed_by_pytorch, with_a_problem, running, failed, with_organs, with_long_notes]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_of_the_section_is_cut_off(
    column,  # noqa: F811
    chest,
    chest_folder,
    organs_result,
    state,
    tmp_path,
):
    if "notes" in state.__name__ or "organs" in state.__name__:
        add(chest, organs_result)
    section = chest.panel.organs
    control = section.control
    state(chest, chest_folder)
    chest.panel.update()
    folder = Path(os.environ.get("SKULL_IMPLANT_SCREENSHOTS", tmp_path))
    column.picture(folder / f"narrow-organs-{state.__name__}-{column.theme}.png")
    found = column.cut_off()
    assert chest.ui.organsProgressBar.isHidden() == (state is not running)
    section.forget()
    section.control, section._torchProblem = control, None
    assert not found, "\n".join(found)
