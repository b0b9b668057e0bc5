"""The fixtures of the Slicer module's tests, and the panel in the states in which it is met."""

from pathlib import Path

import pytest
import slicer

from module_fixtures import *  # noqa: F403

WINDOW_SIZE = (1500, 1180)


@pytest.fixture
def panel(host, scene, tmp_path):
    """The module's widget, entered, with an export folder of its own."""
    widget = host.make_widget("SkullImplant")
    host.enter(widget)
    widget._parameterNode.exportFolder = tmp_path / "export"
    yield widget
    widget.logic.abandon()
    widget.ui.previewButton.checked = False
    host.exit(widget)


@pytest.fixture
def ready(panel, small_ct):
    """The panel with the small patient chosen."""
    panel._parameterNode.inputVolume = small_ct
    return panel


@pytest.fixture
def reviewed(panel, small_ct, small_result):
    """The panel with a result under review, as after a design."""
    from SkullImplantPanel import results

    parameters = panel._parameterNode
    nodes = results.addResults(results.readResults(small_result), small_ct)
    parameters.inputVolume = small_ct
    parameters.resultSegmentation = nodes.segmentation
    return panel


@pytest.fixture
def chest(panel, chest_folder):
    """The panel with a chest, which is chosen, and the section open."""
    choices = panel.panel.design.choices
    before, choices._lookedForDevices = choices._lookedForDevices, True
    panel.ui.organsCollapsibleButton.collapsed = False
    panel._parameterNode.organsVolume = slicer.util.loadVolume(str(chest_folder / "chest.nrrd"))
    yield panel
    panel.ui.organsCollapsibleButton.collapsed = True
    choices._lookedForDevices = before


@pytest.fixture
def window(host, scene, panel, tmp_path):
    """The host's window with the panel and the four views."""
    from slicer_host.window import HostWindow

    window = HostWindow(host)
    window.resize(*WINDOW_SIZE)
    panel._parameterNode.exportFolder = Path("/home/surgeon/implants")
    host.exit(panel)
    window.show_module(panel)
    window.show()
    yield window
    window.close()
    panel.parent.setParent(None)
    host.enter(panel)


@pytest.fixture
def reviewed_in_window(window, panel, small_ct, small_result):
    """The panel with a result under review, beside the four views."""
    import slicer
    from SkullImplantPanel import results

    nodes = results.addResults(results.readResults(small_result), small_ct)
    slicer.util.setSliceViewerLayers(background=small_ct, fit=True)
    panel._parameterNode.inputVolume = small_ct
    panel._parameterNode.resultSegmentation = nodes.segmentation
    return panel
