"""The panel beside real slice and 3D views: pictures of the work from the CT to the implant.

With SKULL_IMPLANT_SCREENSHOTS they are written into that folder (`make screenshots` keeps them in
Resources/Screenshots), otherwise into a temporary one.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from PIL import Image

from module_fixtures import PROJECT

PANEL_PIXELS = 430


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = Path(os.environ.get("SKULL_IMPLANT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def orange_pixels(path: Path) -> np.ndarray:
    """Where the implant's colour is among the views, per quarter: Red, 3D, Green, Yellow."""
    found = []
    for quarter in quarters_of(path):
        red, green, blue = np.moveaxis(quarter, 2, 0)
        found.append(((red > 120) & (red > 1.4 * green) & (green > 1.2 * blue)).sum())
    return np.array(found)


def quarters_of(path: Path) -> list[np.ndarray]:
    """The views' pixels (RGB): Red, 3D, Green, Yellow."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)[:, PANEL_PIXELS:]
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return [
        picture[:height, :width],
        picture[:height, width:],
        picture[height:, :width],
        picture[height:, width:],
    ]


def pixels_like(quarter: np.ndarray, color: tuple[float, float, float]) -> int:
    """How many pixels of a view have the hue of a color, however light or shaded."""
    chroma, wanted = quarter - quarter.min(axis=2, keepdims=True), np.array(color) - min(color)
    lengths = np.linalg.norm(chroma, axis=2) * np.linalg.norm(wanted)
    alike = chroma @ wanted / np.maximum(lengths, 1e-9)
    return int(((alike > 0.97) & (np.ptp(quarter, axis=2) > 40)).sum())


def click_and_take_pictures(panel, window, wait_until, pictures: Path, name: str) -> None:
    ui = panel.ui
    wait_until(lambda: "HU" in ui.automaticThresholdCheckBox.text, 30)
    ui.generateButton.click()
    wait_until(lambda: panel.logic.run is None)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    path = pictures / f"panel-{name}.png"
    window.screenshot(path)
    assert (orange_pixels(path) > 1000).all(), "the implant is seen in every view"


@pytest.mark.slow
def test_real_ct_with_a_craniectomy(
    host, scene, panel, window, wait_until, pictures, tmp_path, shared_data
):
    """UNC CThead, a parietotemporal craniectomy, one click."""
    command = [sys.executable, "-m", "SkullImplantLib", "defect"]
    options = ["-o", str(tmp_path), "--kind", "parietotemporal", "--seed", "0"]
    source = str(shared_data / "test" / "unc-cthead-ct.nii.gz")
    subprocess.run([*command, source, *options], check=True, capture_output=True, cwd=PROJECT)
    volume = slicer.util.loadVolume(str(tmp_path / "defective.nrrd"), {"name": "Head CT"})
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    panel._parameterNode.inputVolume = volume
    click_and_take_pictures(panel, window, wait_until, pictures, "unc-cthead")


@pytest.mark.slow
def test_sample_patient_before_during_and_after(host, scene, panel, window, wait_until, pictures):
    ui = panel.ui
    ui.sampleButton.click()
    assert ui.generateButton.text == "Cancel"
    wait_until(lambda: panel.logic.run is None)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    assert panel._parameterNode.inputVolume.GetImageData().GetDimensions()[0] > 300
    assert ui.generateButton.text == "Generate implant" and ui.generateButton.enabled
    assert ui.sampleButton.isHidden()
    wait_until(lambda: "HU" in ui.automaticThresholdCheckBox.text, 30)
    ui.previewButton.checked = True
    wait_until(lambda: slicer.util.getNodes("SkullImplant bone preview*"), 10)
    window.screenshot(pictures / "panel-threshold.png")
    ui.previewButton.checked = False
    click_and_take_pictures(panel, window, wait_until, pictures, "sample-patient")


def test_loaded_scene_shows_its_implant_where_it_was(
    host, scene, panel, window, wait_until, pictures, tmp_path, small_ct, small_result
):
    """The slices of a scene that is loaded show the segments at their own position at once."""
    from SkullImplantPanel import results, review

    nodes = results.addResults(results.readResults(small_result), small_ct)
    slicer.util.setSliceViewerLayers(background=small_ct, fit=True)
    panel._parameterNode.resultSegmentation = nodes.segmentation
    review.centerViews(nodes)
    window.screenshot(tmp_path / "before.png")
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    window.screenshot(tmp_path / "after.png")
    before, after = orange_pixels(tmp_path / "before.png"), orange_pixels(tmp_path / "after.png")
    slices = [0, 2, 3]
    assert after[slices] == pytest.approx(before[slices], rel=0.1)


def test_organs_of_a_chest_are_seen_in_every_view(
    host, scene, panel, window, pictures, chest_folder, organs_result
):
    """The section open, beside the organs in slices and in 3D."""
    from SkullImplantPanel.organsfiles import readOrgans
    from SkullImplantPanel.organsnodes import addOrgans
    from SkullImplantPanel.run import Outcome

    from SkullImplantLib.organs.known_organs import KNOWN_ORGANS

    ui, section = panel.ui, panel.panel.organs
    volume = slicer.util.loadVolume(str(chest_folder / "chest.nrrd"), {"name": "Chest CT"})
    panel._parameterNode.organsVolume = volume
    nodes = addOrgans(readOrgans(organs_result), volume)
    closed = [ui.patientCollapsibleButton, ui.skullCollapsibleButton, ui.designCollapsibleButton]
    closed += [ui.reviewCollapsibleButton, ui.exportCollapsibleButton]
    for button in closed:
        button.collapsed = True
    choices = panel.panel.design.choices
    before, choices._lookedForDevices = choices._lookedForDevices, True
    ui.organsCollapsibleButton.collapsed = False
    host.process_events()
    section._onFound(Outcome("done", value=nodes))
    section.forget()  # how long it took
    panel.panel.update()
    path = pictures / "panel-organs.png"
    window.screenshot(path)
    heart, aorta = (next(o.rgb for o in KNOWN_ORGANS if o.name == n) for n in ("heart", "aorta"))
    assert all(pixels_like(quarter, heart) > 1000 for quarter in quarters_of(path))
    assert pixels_like(quarters_of(path)[1], aorta) > 1000
    for button in closed:
        button.collapsed = False
    ui.organsCollapsibleButton.collapsed = True
    choices._lookedForDevices = before
