"""A phantom in the views: its nodes, the window that shows it, and reading what is shown.

The fixtures `window` and `phantom` are every test's of this folder (conftest.py).
"""

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from PySide6 import QtCore, QtGui

WINDOW_SIZE = (1200, 800)
# The phantom: a dark block of water in which one box, one ball and one model are known by colour.
SHAPE_KJI = (80, 70, 60)
SPACING_MM = 2.0
ORIGIN_RAS = (60.0, 70.0, -80.0)  # i runs to the left, j to the back, k up: LPS, as in a CT
WATER, BRIGHT = 40, 1000
BOX_RAS = (30.0, 40.0, 40.0)  # right, in front, above
BOX_HALF_MM = 8.0
BALL_RAS = (-30.0, -30.0, 40.0)  # left, behind, above
BALL_RADIUS_MM = 14.0
BALL_COLOR = (0.0, 1.0, 0.0)
MODEL_RAS = (-40.0, 40.0, 0.0)  # left, in front
MODEL_RADIUS_MM = 10.0
MODEL_COLOR = (1.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def window(host):
    from slicer_host.window import HostWindow

    window = HostWindow(host)
    window.resize(*WINDOW_SIZE)
    window.show()
    host.process_events()
    yield window
    window.close()
    assert slicer.app.layoutManager() is None


@pytest.fixture
def phantom(host, window, empty_scene_and_no_slot_errors):
    """The phantom's nodes in the scene, shown by every view."""
    window.layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    phantom = Phantom()
    slicer.util.setSliceViewerLayers(background=phantom.volume, fit=True)
    slicer.util.resetThreeDViews()
    host.process_events()
    return phantom


class Phantom:
    def __init__(self):
        scene = slicer.mrmlScene
        k, j, i = np.indices(SHAPE_KJI)
        ras = np.stack(
            (
                ORIGIN_RAS[0] - SPACING_MM * i,
                ORIGIN_RAS[1] - SPACING_MM * j,
                ORIGIN_RAS[2] + SPACING_MM * k,
            ),
            axis=-1,
        )
        in_box = (np.abs(ras - BOX_RAS) <= BOX_HALF_MM).all(axis=-1)
        self.volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "phantom")
        self.volume.CreateDefaultDisplayNodes()
        direction = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
        direction[:3, 3] = ORIGIN_RAS
        self.volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(direction))
        array = np.where(in_box, BRIGHT, WATER).astype(np.int16)
        slicer.util.updateVolumeFromArray(self.volume, array)
        display = self.volume.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0, BRIGHT)

        self.segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        self.ball = self.segmentation.GetSegmentation().AddEmptySegment("ball", "ball", BALL_COLOR)
        in_ball = np.linalg.norm(ras - BALL_RAS, axis=-1) <= BALL_RADIUS_MM
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            in_ball.astype(np.uint8), self.segmentation, self.ball, self.volume
        )
        self.segmentation.CreateClosedSurfaceRepresentation()

        sphere = vtk.vtkSphereSource()
        sphere.SetCenter(MODEL_RAS)
        sphere.SetRadius(MODEL_RADIUS_MM)
        sphere.SetThetaResolution(32)
        sphere.SetPhiResolution(32)
        sphere.Update()
        self.model = scene.AddNewNodeByClass("vtkMRMLModelNode", "model")
        self.model.CreateDefaultDisplayNodes()
        self.model.SetAndObservePolyData(sphere.GetOutput())
        self.model.GetDisplayNode().SetColor(MODEL_COLOR)
        self.model.GetDisplayNode().SetVisibility2D(True)


def pixels(widget) -> np.ndarray:
    """What the widget shows: (rows from the top, columns, RGB), 0 to 255."""
    return rgb_of(widget.grab().toImage())


def rgb_of(image) -> np.ndarray:
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def bright(rgb):
    """Pixels of the box: light grey."""
    return (rgb.min(axis=-1) > 200) & (np.ptp(rgb, axis=-1) < 10)


def green(rgb):
    return rgb[..., 1] > np.maximum(rgb[..., 0], rgb[..., 2]) + 60


def magenta(rgb):
    return np.minimum(rgb[..., 0], rgb[..., 2]) > rgb[..., 1] + 60


def middle(mask) -> tuple[float, float]:
    """Centre of the pixels (column, row from the top); fails where there is none."""
    rows, columns = np.nonzero(mask)
    assert rows.size, "nothing of that colour is shown"
    return (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2


def slice_view(window, name):
    return window.layout_manager.sliceWidget(name).sliceView()


def three_d_view(window):
    return window.layout_manager.threeDWidget(0).threeDView()


def jump(ras, centered=True):
    slicer.modules.markups.logic().JumpSlicesToLocation(*ras, centered)


def ras_of_pixel(view, column, row):
    """The point of the patient that a slice view's pixel shows, by the slice node's own matrix."""
    height = view.renderWindow().GetSize()[1]
    matrix = slicer.util.arrayFromVTKMatrix(view.mrmlSliceNode().GetXYToRAS())
    return (matrix @ (column, height - 1 - row, 0, 1))[:3]


def wheel(view, steps):
    """Turn the wheel over the middle of the view, away from the user for positive steps."""
    where = QtCore.QPointF(view.width / 2, view.height / 2)
    event = QtGui.QWheelEvent(
        where,
        view.mapToGlobal(where),
        QtCore.QPoint(),
        QtCore.QPoint(0, 120 * steps),
        QtCore.Qt.MouseButton.NoButton,
        QtCore.Qt.KeyboardModifier.NoModifier,
        QtCore.Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    slicer.app.sendEvent(view, event)


def drag(view, button, start, end, steps=8):
    """Press the button at `start`, move to `end`, release; positions are fractions of the view."""

    def send(kind, where, changed, held):
        point = QtCore.QPointF(where[0] * view.width, where[1] * view.height)
        modifiers = QtCore.Qt.KeyboardModifier.NoModifier
        event = QtGui.QMouseEvent(kind, point, view.mapToGlobal(point), changed, held, modifiers)
        slicer.app.sendEvent(view, event)

    none = QtCore.Qt.MouseButton.NoButton
    send(QtCore.QEvent.Type.MouseMove, start, none, none)
    send(QtCore.QEvent.Type.MouseButtonPress, start, button, button)
    for step in range(1, steps + 1):
        where = np.asarray(start) + (np.asarray(end) - start) * step / steps
        send(QtCore.QEvent.Type.MouseMove, where, none, button)
    send(QtCore.QEvent.Type.MouseButtonRelease, end, button, none)
