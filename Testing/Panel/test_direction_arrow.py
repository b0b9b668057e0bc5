"""The arrow along which an implant comes out: shown, dragged, and the implant fitted again."""

import json

import numpy as np
import pytest
import slicer
from PySide6 import QtCore

from phantom_views import drag, three_d_view

FLIP = np.array([-1.0, -1.0, 1.0])


def told(panel) -> list[dict]:
    nodes = panel.logic.resultNodes(panel._parameterNode)
    return json.loads(nodes.design.GetText())["implants"]


def turned(direction, degrees: float) -> np.ndarray:
    """A unit vector turned towards the crown."""
    direction = np.asarray(direction)
    aside = np.array([0.0, 0.0, 1.0]) - direction[2] * direction
    aside /= np.linalg.norm(aside)
    return np.cos(np.radians(degrees)) * direction + np.sin(np.radians(degrees)) * aside


def point_arrow(panel, direction_lps) -> None:
    """Turn the arrow and let go of its end."""
    arrow = panel._parameterNode.directionArrow
    foot = np.array(arrow.GetNthControlPointPosition(0))
    arrow.SetNthControlPointPosition(1, foot + 60.0 * FLIP * direction_lps)
    arrow.InvokeEvent(slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent)


def angle_deg(a, b) -> float:
    cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def test_the_arrow_comes_out_of_the_implant_as_it_was_fitted(reviewed, scene):
    ui, parameters = reviewed.ui, reviewed._parameterNode
    assert parameters.directionArrow is None
    ui.automaticDirectionCheckBox.checked = False
    arrow = parameters.directionArrow
    foot, tip = (np.array(arrow.GetNthControlPointPosition(k)) for k in (0, 1))
    (implant,) = told(reviewed)
    assert np.allclose(FLIP * foot, implant["centre_mm_xyz"], atol=0.01)
    assert angle_deg(FLIP * (tip - foot), implant["insertion_direction_lps"]) < 0.1
    assert arrow.GetDisplayNode().GetLineDirectionVisibility()
    ui.automaticDirectionCheckBox.checked = True
    assert parameters.directionArrow is None
    assert scene.GetFirstNodeByClass("vtkMRMLMarkupsLineNode") is None


def test_an_arrow_that_is_deleted_makes_the_direction_automatic_again(reviewed, scene, host):
    reviewed.ui.automaticDirectionCheckBox.checked = False
    scene.RemoveNode(reviewed._parameterNode.directionArrow)
    host.process_events()
    assert reviewed.ui.automaticDirectionCheckBox.checked
    assert reviewed._parameterNode.directionArrow is None


def test_a_design_is_asked_for_along_the_arrow(ready, scene):
    """Without a result it comes out of the head's top; its frame is that of the CT."""
    from SkullImplantPanel import requests

    parameters = ready._parameterNode

    def asked() -> list[str]:
        arguments = requests.designRequest(parameters).arguments
        return [a for a in arguments if a.startswith("--insertion-direction")]

    assert asked() == []
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[0, -1, 0, 12.0], [1, 0, 0, -40.0], [0, 0, 1, 7.0], [0, 0, 0, 1.0]])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    parameters.inputVolume.SetAndObserveTransformNodeID(transform.GetID())
    ready.ui.automaticDirectionCheckBox.checked = False
    (argument,) = asked()
    numbers = [float(n) for n in argument.split("=")[1].split(",")]
    assert numbers == pytest.approx([0, 0, 1], abs=1e-6)
    arrow = parameters.directionArrow
    arrow.SetNthControlPointPositionWorld(0, [0.0, 0.0, 0.0])
    arrow.SetNthControlPointPositionWorld(1, [0.0, 50.0, 0.0])  # the CT's own R: in LPS, -x
    (argument,) = asked()
    numbers = [float(n) for n in argument.split("=")[1].split(",")]
    assert numbers == pytest.approx([-1, 0, 0], abs=1e-6)
    point_arrow(ready, np.array([0.0, 1.0, 0.0]))
    assert ready.logic.run is None, "there is nothing to be fitted again"


def test_the_arrow_turns_the_implant_at_its_foot_alone(
    module, scene, two_holes_ct_file, two_holes_result
):
    from SkullImplantPanel import direction, requests, results

    ct = slicer.util.loadVolume(str(two_holes_ct_file))
    nodes = results.addResults(results.readResults(two_holes_result), ct)
    arrow = direction.makeArrow(ct, nodes)
    before = json.loads(nodes.design.GetText())
    second = before["implants"][1]
    foot = FLIP * second["centre_mm_xyz"]
    asked = turned(second["insertion_direction_lps"], 15.0)
    arrow.SetNthControlPointPosition(0, foot)
    arrow.SetNthControlPointPosition(1, foot + 60.0 * FLIP * asked)
    request = requests.refitRequest(nodes, arrow)
    assert not any("insertion-direction" in argument for argument in request.arguments)
    after = json.loads(request.texts["before/design.json"])
    assert np.allclose(after["implants"][1]["insertion_direction_lps"], asked, atol=1e-4)
    assert after["implants"][0] == before["implants"][0]


@pytest.mark.slow
def test_letting_go_fits_again_and_nothing_is_lost_on_the_way_back(
    host, reviewed, scene, wait_until
):
    """The first try along a slanted way cuts much off; the second has it again."""
    ui, parameters = reviewed.ui, reviewed._parameterNode
    ui.automaticDirectionCheckBox.checked = False
    arrow, first = parameters.directionArrow, parameters.resultSegmentation
    own = np.array(told(reviewed)[0]["insertion_direction_lps"])
    volumes = []
    for asked in (turned(own, 5.0), turned(own, 50.0), turned(own, 5.0)):
        point_arrow(reviewed, asked)
        assert reviewed.logic.run is not None and ui.generateButton.text == "Cancel"
        wait_until(lambda: reviewed.logic.run is None)
        assert ui.errorFrame.isHidden(), ui.errorLabel.text
        (implant,) = told(reviewed)
        assert angle_deg(implant["insertion_direction_lps"], asked) < 0.5
        volumes.append(implant["volume_cm3"])
    assert not scene.IsNodePresent(first) and parameters.directionArrow is arrow
    assert len(slicer.util.getNodesByClass("vtkMRMLModelNode")) == 1
    assert volumes[1] < 0.99 * volumes[0]
    assert volumes[2] == pytest.approx(volumes[0], rel=1e-3)
    assert "along the arrow" in ui.progressLabel.text


@pytest.mark.slow
def test_an_end_dragged_with_the_mouse_in_3d_starts_the_fit(window, reviewed_in_window, wait_until):
    """Where the end lies in the view it is taken, moved and let go."""
    panel = reviewed_in_window
    panel.ui.automaticDirectionCheckBox.checked = False
    panel.panel.review.onCenter()
    slicer.app.processEvents()
    view = three_d_view(window)
    view.grab()  # drawn, so that the manager knows where its points are
    arrow = panel._parameterNode.directionArrow
    before = np.array(arrow.GetNthControlPointPositionWorld(1))
    renderer = slicer.app.layoutManager().activeThreeDRenderer()
    renderer.SetWorldPoint(*before, 1.0)
    renderer.WorldToDisplay()
    x, y, _ = renderer.GetDisplayPoint()
    width, height = view.renderWindow().GetSize()
    start = np.array([x / width, 1.0 - y / height])
    drag(view, QtCore.Qt.MouseButton.LeftButton, start, start + [0.1, -0.1])
    after = np.array(arrow.GetNthControlPointPositionWorld(1))
    assert np.linalg.norm(after - before) > 3.0
    assert panel.logic.run is not None
    wait_until(lambda: panel.logic.run is None)
    assert panel.ui.errorFrame.isHidden(), panel.ui.errorLabel.text
    foot = np.array(arrow.GetNthControlPointPositionWorld(0))
    assert angle_deg(told(panel)[0]["insertion_direction_lps"], FLIP * (after - foot)) < 0.5
