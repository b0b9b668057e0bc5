"""The panel among other modules, in any projection, by keyboard and reader, in US English."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import slicer

from module_fixtures import MODULE_FILE

FORM = MODULE_FILE.parent / "Resources" / "UI" / "SkullImplant.ui"
BRITISH = re.compile(
    r"\b\w*(colour|centre|grey|behaviour|honour|millimetre|labelled|licence|isation|ise\b|ised\b)"
)
# Words that end so in both.
BOTH = {"otherwise", "noise", "raise", "raised", "precise", "smoothwise", "rise", "likewise"}


def camera():
    """The camera of the first 3D view."""
    return slicer.util.getNodesByClass("vtkMRMLCameraNode")[0].GetCamera()


@pytest.fixture
def far_away(reviewed_in_window):
    """The camera and the slices far from the implant."""
    camera().SetPosition(1000.0, 2000.0, 3000.0)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        node.SetSliceOffset(-50.0)
    return places()


def places():
    """Where camera and slices are."""
    offsets = [node.GetSliceOffset() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")]
    return [*camera().GetPosition(), *np.round(offsets, 3)]


def test_design_that_ends_moves_no_view_while_the_user_is_elsewhere(
    host, reviewed_in_window, far_away
):
    from SkullImplantPanel.run import Outcome

    panel = reviewed_in_window
    nodes = panel.logic.resultNodes(panel._parameterNode)
    host.exit(panel)
    panel.panel.design._onDesigned(Outcome("done", value=nodes))
    assert places() == far_away
    host.enter(panel)
    shown = places()
    assert shown != far_away, "back in the module, the new implant is shown"
    camera().SetPosition(1000.0, 2000.0, 3000.0)
    host.exit(panel)
    host.enter(panel)
    assert places()[:3] == [1000.0, 2000.0, 3000.0], "once"


def test_implant_is_seen_whole_in_parallel_projection(host, reviewed_in_window):
    panel = reviewed_in_window
    view = slicer.util.getNodesByClass("vtkMRMLViewNode")[0]
    view.SetRenderMode(slicer.vtkMRMLViewNode.Orthographic)
    host.process_events()
    bounds = np.zeros(6)
    panel.logic.resultNodes(panel._parameterNode).model.GetRASBounds(bounds)
    size = float(np.linalg.norm(bounds.reshape(3, 2) @ [-1.0, 1.0]))
    for before in (1.0, 5000.0):
        camera().SetParallelScale(before)
        panel.ui.centerButton.click()
        host.process_events()
        assert camera().GetParallelProjection()
        assert 0.5 * size < camera().GetParallelScale() < 1.5 * size


# --- keyboard and screen reader -------------------------------------------------------------------


def widgets(panel):
    """The form's widgets by name, in its order."""
    names = [widget.get("name") for widget in ET.parse(FORM).iter("widget")]
    return {name: getattr(panel.ui, name) for name in names if name != "SkullImplant"}


def test_every_field_has_a_name_for_screen_readers(panel):
    for name, widget in widgets(panel).items():
        has_text = bool(getattr(widget, "text", "")) and type(widget).__name__ != "QDoubleSpinBox"
        is_label = type(widget).__name__ in ("QLabel", "QFrame")
        assert is_label or has_text or widget.accessibleName, name


def test_every_label_of_a_field_is_its_buddy(panel):
    found = widgets(panel)
    buddies = [widget.buddy() for widget in found.values() if type(widget).__name__ == "QLabel"]
    buddies = [buddy.objectName for buddy in buddies if buddy is not None]
    assert len(buddies) == len(set(buddies))
    for name, widget in found.items():
        if type(widget).__name__ == "QLabel" and widget.text.endswith(":") and "Hint" not in name:
            assert widget.buddy() is not None, name


def test_tab_goes_down_the_form(panel):
    stops = [stop.text for stop in ET.parse(FORM).iter("tabstop")]
    order = [name for name in widgets(panel) if name in stops]
    assert stops == order
    passive = {"QLabel", "QFrame", "QProgressBar"}
    active = [n for n, w in widgets(panel).items() if type(w).__name__ not in passive]
    assert stops == active


def test_texts_are_in_us_english():
    texts = [node.text or "" for node in ET.parse(FORM).iter("string")]
    files = set((MODULE_FILE.parent / "SkullImplantPanel").glob("*.py"))
    # The library's own sentences are as the library has them.
    for path in files - {MODULE_FILE.parent / "SkullImplantPanel" / "librarysentences.py"}:
        texts += re.findall(r'_\(\s*((?:"[^"]*"\s*)+)', path.read_text(encoding="utf-8"))
    assert len(texts) > 200
    found = {match.group(0) for text in texts for match in BRITISH.finditer(text.lower())}
    assert found - BOTH == set()
