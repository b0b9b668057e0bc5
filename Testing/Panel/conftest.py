"""The fixtures of the Slicer module's tests, and the panel in the states in which it is met."""

import pytest

from module_fixtures import *  # noqa: F403


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
