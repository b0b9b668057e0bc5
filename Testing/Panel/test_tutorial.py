"""The tutorial (`docs/tutorial.md`): a real CT with two holes, from the first click to the files.

With SKULL_IMPLANT_TUTORIAL its pictures are written into that folder (`make tutorial` keeps them in
Resources/Tutorial), otherwise into a temporary one.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import slicer
from PIL import Image
from test_screenshots import orange_pixels

from module_fixtures import PROJECT

# The two holes: at the left side, and behind at the top.
SIDE, BACK = ("parietotemporal", "0", None), ("random", "2", "25")
WINDOW = (1366, 768)


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = Path(os.environ.get("SKULL_IMPLANT_TUTORIAL", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def head_with_two_holes(shared_data, tmp_path) -> Path:
    """UNC CThead with two pieces of bone cut out of the CT."""
    ct = shared_data / "test" / "unc-cthead-ct.nii.gz"
    for number, (kind, seed, area) in enumerate((SIDE, BACK)):
        folder = tmp_path / f"cut-{number}"
        command = [sys.executable, "-m", "SkullImplantLib", "defect", str(ct), "-o", str(folder)]
        command += ["--kind", kind, "--seed", seed, *(["--area-cm2", area] if area else [])]
        subprocess.run(command, check=True, capture_output=True, cwd=PROJECT)
        ct = folder / "defective.nrrd"
    return ct


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where files are exported to, with a name that may be seen in a picture."""
    with tempfile.TemporaryDirectory(prefix="implants-") as name:
        yield Path(name)


@pytest.mark.slow
def test_from_the_first_click_to_the_files(
    host, scene, panel, window, wait_until, pictures, head_with_two_holes, tmp_path, folder
):
    import qt

    ui, parameters = panel.ui, panel._parameterNode

    def picture(name: str, section=None) -> Path:
        from SkullImplantPanel.scrolling import scrollTo

        if section is not None:
            scrollTo(section)
        path = pictures / f"{name}.png"
        window.screenshot(path, WINDOW)
        return path

    def ended() -> None:
        wait_until(lambda: panel.logic.run is None)
        assert ui.errorFrame.isHidden(), ui.errorLabel.text

    # 1. Load the CT and find the skull: both holes are in the table, and numbered in the views.
    volume = slicer.util.loadVolume(str(head_with_two_holes), {"name": "Head CT"})
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    parameters.inputVolume = volume
    wait_until(lambda: "HU" in ui.automaticThresholdCheckBox.text, 30)
    ui.findSkullButton.click()
    ended()
    assert ui.holesTable.rowCount >= 2
    numbers = [ui.holesTable.item(row, 0) for row in range(2)]
    assert [item.checkState() for item in numbers] == [qt.Qt.Checked] * 2
    picture("1-holes", ui.skullCollapsibleButton)

    # 2. Choose one, then both.
    numbers[1].setCheckState(qt.Qt.Unchecked)
    host.process_events()
    assert not parameters.allHoles
    ui.holesTable.item(1, 0).setCheckState(qt.Qt.Checked)
    host.process_events()

    # 3. Design both.
    ui.generateButton.click()
    ended()
    nodes = panel.logic.resultNodes(parameters)
    assert len(nodes.models) == 2
    assert not parameters.showHoles, "the holes give way to the implants"
    path = picture("2-implants", ui.reviewCollapsibleButton)
    assert (orange_pixels(path) > 300).sum() >= 2, "the implants are seen in the views"

    # 4. Go to the worst place, and see the gap as colors.
    from SkullImplantPanel.checkstable import SHOW

    rows = range(ui.checksTable.rowCount)
    button = next(b for b in (ui.checksTable.cellWidget(row, SHOW) for row in rows) if b)
    button.click()
    host.process_events()
    ui.colorByComboBox.setCurrentIndex(ui.colorByComboBox.findData("thickness"))
    ui.colorByComboBox.activated(ui.colorByComboBox.currentIndex)
    host.process_events()
    picture("3-worst-place", ui.checksTable)

    # 5. Compare with the mirrored other side.
    ui.colorByComboBox.setCurrentIndex(0)
    ui.colorByComboBox.activated(0)
    ui.centerButton.click()
    ui.compareCollapsibleButton.collapsed = False
    ui.mirrorCheckBox.click()
    wait_until(lambda: "mm" in ui.mirrorLabel.text or not ui.errorFrame.isHidden())
    ended()
    picture("4-other-side", ui.compareCollapsibleButton)

    # 6. Save the scene, come back, and export everything.
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear()
    assert slicer.util.loadScene(str(tmp_path / "case.mrb"))
    host.process_events()
    parameters = panel._parameterNode
    nodes = panel.logic.resultNodes(parameters)
    assert len(nodes.models) == 2 and parameters.showMirror
    assert ui.holesTable.rowCount >= 2
    parameters.exportFolder = folder
    for name, box in panel.panel.export.boxes.items():
        if not box.enabled:
            assert name == "dicom"  # the CT came from no DICOM series
            continue
        if not box.checked:
            box.click()
        assert box.checked, name
    ui.exportCollapsibleButton.collapsed = False
    ui.exportButton.click()
    wait_until(lambda: panel.logic.run is None and not panel.logic.exporting.running)
    assert ui.errorFrame.isHidden(), ui.errorLabel.text
    written = sorted(path.name.split("-", 2)[2] for path in folder.iterdir())
    assert {"implant-1.stl", "implant-2.stl", "mould-1-upper.stl", "try-in.stl", "implant.3mf",
            "report.html", "skull.stl", "implant.nrrd", "design.json"} <= set(written)  # fmt: skip
    picture("5-export", ui.exportCollapsibleButton)
    for path in pictures.glob("?-*.png"):
        assert Image.open(path).size == WINDOW
