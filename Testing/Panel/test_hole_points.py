"""Holes chosen by a click into a view."""

import json

import numpy as np
import pytest
import slicer
from PySide6 import QtCore

from phantom_views import drag, ras_of_pixel, slice_view


def place(panel, ras) -> None:
    """Put a point as a click does, where no view is there to be clicked into."""
    panel.ui.placeHoleButton.click()
    panel._parameterNode.holePoints.AddControlPoint(ras)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SwitchToViewTransformMode()


def holes_asked(parameters) -> list[list[float]]:
    from SkullImplantPanel import requests

    arguments = requests.designRequest(parameters).arguments
    return [
        [float(number) for number in argument.removeprefix("--hole=").split(",")]
        for argument in arguments
        if argument.startswith("--hole")
    ]


def test_every_hole_is_designed_unless_one_is_chosen(ready):
    ui, parameters = ready.ui, ready._parameterNode
    assert ui.allHolesCheckBox.checked and holes_asked(parameters) == []
    place(ready, [60.0, -20.0, 10.0])
    assert not ui.allHolesCheckBox.checked
    assert not ui.placeHoleButton.checked, "a click is one point"
    assert ui.placeHoleButton.text == "Click into a hole (1 chosen)"
    assert holes_asked(parameters) == [[-60.0, 20.0, 10.0]], "LPS, as the library takes it"
    place(ready, [-60.0, -20.0, 10.0])
    assert len(holes_asked(parameters)) == 2
    ui.allHolesCheckBox.checked = True
    assert holes_asked(parameters) == []
    assert not parameters.holePoints.GetDisplayNode().GetVisibility()


def test_without_a_point_nothing_can_be_designed(ready):
    ui = ready.ui
    ui.allHolesCheckBox.checked = False
    assert not ui.generateButton.enabled
    assert "Click into each hole" in ui.problemLabel.text and not ui.problemLabel.isHidden()
    place(ready, [60.0, -20.0, 10.0])
    assert ui.generateButton.enabled
    ready._parameterNode.holePoints.RemoveAllControlPoints()
    assert not ui.generateButton.enabled


def test_points_follow_the_frame_of_the_ct(ready, scene):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[0, -1, 0, 12.0], [1, 0, 0, -40.0], [0, 0, 1, 7.0], [0, 0, 0, 1.0]])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    ready._parameterNode.inputVolume.SetAndObserveTransformNodeID(transform.GetID())
    place(ready, matrix[:3, :3] @ [60.0, -20.0, 10.0] + matrix[:3, 3])
    assert holes_asked(ready._parameterNode)[0] == pytest.approx([-60.0, 20.0, 10.0], abs=1e-3)


def test_a_click_into_a_slice_puts_a_point_there(window, panel, small_ct):
    panel._parameterNode.inputVolume = small_ct
    slicer.util.setSliceViewerLayers(background=small_ct, fit=True)
    slicer.app.processEvents()
    view = slice_view(window, "Red")
    panel.ui.placeHoleButton.click()
    assert panel.ui.placeHoleButton.checked
    drag(view, QtCore.Qt.MouseButton.LeftButton, (0.4, 0.6), (0.4, 0.6), steps=1)
    assert not panel.ui.placeHoleButton.checked
    points = slicer.util.arrayFromMarkupsControlPoints(panel._parameterNode.holePoints)
    expected = ras_of_pixel(view, 0.4 * view.width, 0.6 * view.height)
    assert np.abs(points - expected).max() < 1.0
    assert panel.ui.placeHoleButton.text == "Click into a hole (1 chosen)"
    # The button ends the waiting for a click, too.
    panel.ui.placeHoleButton.click()
    panel.ui.placeHoleButton.click()
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert len(holes_asked(panel._parameterNode)) == 1


@pytest.mark.slow
def test_the_chosen_hole_alone_gets_an_implant(
    panel, scene, two_holes_ct_file, two_holes_result, wait_until
):
    panel._parameterNode.inputVolume = slicer.util.loadVolume(str(two_holes_ct_file))
    panel._parameterNode.model = "prior"
    both = json.loads((two_holes_result / "design.json").read_text())["implants"]
    x, y, z = both[1]["centre_mm_xyz"]
    place(panel, [-x, -y, z])
    panel.ui.generateButton.click()
    wait_until(lambda: panel.logic.run is None)
    assert panel.ui.errorFrame.isHidden(), panel.ui.errorLabel.text
    nodes = panel.logic.resultNodes(panel._parameterNode)
    (implant,) = json.loads(nodes.design.GetText())["implants"]
    assert np.allclose(implant["centre_mm_xyz"], both[1]["centre_mm_xyz"], atol=2.0)
    assert implant["volume_cm3"] == pytest.approx(both[1]["volume_cm3"], rel=0.05)
