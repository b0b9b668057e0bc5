"""The views of CTK: a VTK renderer in a Qt widget.

VTK draws each view into an off-screen window (EGL on Linux), and the widget paints that picture. No
view therefore needs an OpenGL window of its own, and the same pixels come out on a real display,
under Xvfb and on Qt's offscreen platform.

Class and public method names are those of ctkVTKAbstractView and ctkVTKRenderView, read off their
headers. What a real view has not, these have not either.
"""

from __future__ import annotations

import os
import sys

import qt
import slicer
import slicer.util
from PySide6 import QtCore, QtGui
from vtkmodules.vtkCommonCore import vtkCommand, vtkUnsignedCharArray
from vtkmodules.vtkRenderingAnnotation import vtkCornerAnnotation
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

# Renders asked for within one frame are one render.
FRAME_MS = 1000 // 60

# ctkAxesWidget::Axis -> where the camera stands (RAS), and what is up in the picture.
LOOK_FROM = {
    1: ((1, 0, 0), (0, 0, 1)),  # right
    2: ((-1, 0, 0), (0, 0, 1)),  # left
    3: ((0, 0, 1), (0, 1, 0)),  # superior
    4: ((0, 0, -1), (0, 1, 0)),  # inferior
    5: ((0, 1, 0), (0, 0, 1)),  # anterior
    6: ((0, -1, 0), (0, 0, 1)),  # posterior
}

BUTTON_NAMES = {
    QtCore.Qt.MouseButton.LeftButton: "Left",
    QtCore.Qt.MouseButton.MiddleButton: "Middle",
    QtCore.Qt.MouseButton.RightButton: "Right",
}

# Keys without a printable character, by the names that VTK gives them.
KEY_SYMBOLS = {
    QtCore.Qt.Key.Key_Left: "Left",
    QtCore.Qt.Key.Key_Right: "Right",
    QtCore.Qt.Key.Key_Up: "Up",
    QtCore.Qt.Key.Key_Down: "Down",
    QtCore.Qt.Key.Key_PageUp: "Prior",
    QtCore.Qt.Key.Key_PageDown: "Next",
    QtCore.Qt.Key.Key_Home: "Home",
    QtCore.Qt.Key.Key_End: "End",
    QtCore.Qt.Key.Key_Delete: "Delete",
    QtCore.Qt.Key.Key_Backspace: "BackSpace",
    QtCore.Qt.Key.Key_Escape: "Escape",
    QtCore.Qt.Key.Key_Return: "Return",
    QtCore.Qt.Key.Key_Space: "space",
}


def _offscreen_window() -> vtkRenderWindow:
    if sys.platform.startswith("linux"):
        # Without this, VTK tries the X server first, and warns where there is none.
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    window = vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetAlphaBitPlanes(True)  # depth peeling needs it
    window.SetMultiSamples(0)
    return window


class ctkVTKAbstractView(qt.QWidget):
    """A renderer and its displayable managers, painted as a picture; hands VTK the events."""

    _host_class = True
    _picture: QtGui.QImage
    _stale: bool
    _rendering: bool
    _pause_count: int
    _render_timer: qt.QTimer
    _window: vtkRenderWindow
    _renderer: vtkRenderer
    _corner_annotation: vtkCornerAnnotation
    _interactor: vtkGenericRenderWindowInteractor
    _interactor_observer: slicer.vtkMRMLViewInteractorStyle
    _group: slicer.vtkMRMLDisplayableManagerGroup
    _observations: slicer.util.VTKObservationMixin

    def __init__(self, factory, interactor_style, interactor_observer, parent=None):
        super().__init__(parent)
        self.setMouseTracking(True)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.WheelFocus)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._picture = QtGui.QImage()
        self._stale = True
        self._rendering = False
        self._pause_count = 0
        self._render_timer = qt.QTimer(self)
        self._render_timer.setSingleShot(True)
        self._render_timer.setInterval(FRAME_MS)
        self._render_timer.timeout.connect(self._render_if_due)

        self._window = _offscreen_window()
        self._renderer = vtkRenderer()
        self._window.AddRenderer(self._renderer)
        self._corner_annotation = vtkCornerAnnotation()
        self._renderer.AddViewProp(self._corner_annotation)

        self._interactor = vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.EnableRenderOff()  # only scheduleRender renders
        self._interactor.SetInteractorStyle(interactor_style)
        self._interactor.Initialize()

        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.Initialize(factory, self._renderer)
        self._interactor_observer = interactor_observer
        self._interactor_observer.SetInteractor(self._interactor)
        self._interactor_observer.SetDisplayableManagers(self._group)

        self._observations = slicer.util.VTKObservationMixin()
        self._observations.addObserver(self._group, vtkCommand.UpdateEvent, self._on_update)

    # --- rendering --------------------------------------------------------------------------------

    def scheduleRender(self) -> None:
        """Render soon; requests until then are one render."""
        self._stale = True
        if not self._render_timer.isActive() and not self._rendering:
            self._render_timer.start()

    def forceRender(self) -> None:
        """Render now, if the view is visible."""
        self._render_timer.stop()
        if self.isVisible():
            self._render()

    def pauseRender(self) -> int:
        self._pause_count += 1
        return self._pause_count

    def resumeRender(self) -> int:
        self._pause_count = max(0, self._pause_count - 1)
        if self._pause_count == 0 and self._stale:
            self.scheduleRender()
        return self._pause_count

    def setRenderPaused(self, pause: bool) -> int:
        return self.pauseRender() if pause else self.resumeRender()

    def _on_update(self, _caller, _event) -> None:
        self.scheduleRender()

    def _may_render(self) -> bool:
        scene = slicer.mrmlScene
        # Between the start and the end of a batch the scene need not be consistent.
        return self._pause_count == 0 and not scene.IsBatchProcessing()

    def _render_if_due(self) -> None:
        if not self._may_render():
            self._render_timer.start()
        elif self._stale and self.isVisible():
            self._render()

    def _render(self) -> None:
        width, height = self._window.GetSize()
        if self._rendering or width == 0 or height == 0:
            return
        self._rendering = True
        try:
            # Requests made while rendering are answers to this very render.
            self._window.Render()
            self._picture = self._grab_window(width, height)
            self._stale = False
        finally:
            self._rendering = False
        self.update()

    def _grab_window(self, width: int, height: int) -> QtGui.QImage:
        pixels = vtkUnsignedCharArray()
        self._window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, pixels)
        bottom_up = QtGui.QImage(
            memoryview(pixels), width, height, 4 * width, QtGui.QImage.Format.Format_RGBX8888
        )
        picture = bottom_up.flipped(QtCore.Qt.Orientation.Vertical)
        picture.setDevicePixelRatio(self.devicePixelRatioF())
        return picture

    # --- the VTK parts ----------------------------------------------------------------------------

    def renderWindow(self) -> vtkRenderWindow:
        return self._window

    def interactor(self) -> vtkGenericRenderWindowInteractor:
        return self._interactor

    def interactorStyle(self):
        return self._interactor.GetInteractorStyle()

    def interactorObserver(self):
        return self._interactor_observer

    def cornerAnnotation(self) -> vtkCornerAnnotation:
        return self._corner_annotation

    def displayableManagerByClassName(self, class_name: str):
        return self._group.GetDisplayableManagerByClassName(class_name)

    def getDisplayableManagers(self, collection) -> None:
        for index in range(self._group.GetDisplayableManagerCount()):
            collection.AddItem(self._group.GetNthDisplayableManager(index))

    def _finalize(self) -> None:
        """Let go of node and OpenGL; the view shows nothing from here on."""
        self._render_timer.stop()
        self._pause_count += 1
        self._observations.removeObservers()
        self._interactor_observer.SetInteractor(None)
        self._group.SetMRMLDisplayableNode(None)
        self._window.Finalize()

    # --- Qt events --------------------------------------------------------------------------------

    def paintEvent(self, _event) -> None:
        # Qt wants pixels now (exposed, resized, grabbed): they shall be the current ones.
        if self._stale and self._may_render():
            self._render_timer.stop()
            self._render()
        QtGui.QPainter(self).drawImage(self.rect, self._picture)

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self.scheduleRender()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        ratio = self.devicePixelRatioF()
        width, height = round(self.width * ratio), round(self.height * ratio)
        self._window.SetSize(width, height)
        self._interactor.SetSize(width, height)
        self._interactor.ConfigureEvent()
        self.scheduleRender()

    def _tell_interactor(self, event, key: str = "") -> None:
        """Pass on where the pointer is and what is held down, before the event itself."""
        x, y = self._interactor.GetEventPosition()
        if isinstance(event, QtGui.QSinglePointEvent):
            ratio = self.devicePixelRatioF()
            x = round(event.position().x() * ratio)
            y = self._window.GetSize()[1] - 1 - round(event.position().y() * ratio)
        held = event.modifiers()
        control = bool(held & QtCore.Qt.KeyboardModifier.ControlModifier)
        shift = bool(held & QtCore.Qt.KeyboardModifier.ShiftModifier)
        # VTK's last arguments: the key's character, how often it repeats, and the key's name.
        code = key if len(key) == 1 else "\0"
        self._interactor.SetEventInformation(x, y, control, shift, code, 0, key or None)
        self._interactor.SetAltKey(bool(held & QtCore.Qt.KeyboardModifier.AltModifier))

    def _button_event(self, event, happening: str) -> None:
        button = BUTTON_NAMES.get(event.button())
        if button is not None:
            self._tell_interactor(event)
            self._interactor.InvokeEvent(f"{button}Button{happening}Event")

    def mousePressEvent(self, event) -> None:
        self._button_event(event, "Press")

    def mouseReleaseEvent(self, event) -> None:
        self._button_event(event, "Release")

    def mouseDoubleClickEvent(self, event) -> None:
        self._button_event(event, "Press")
        self._button_event(event, "DoubleClick")

    def mouseMoveEvent(self, event) -> None:
        self._tell_interactor(event)
        self._interactor.MouseMoveEvent()

    def wheelEvent(self, event) -> None:
        self._tell_interactor(event)
        if event.angleDelta().y() > 0:
            self._interactor.MouseWheelForwardEvent()
        elif event.angleDelta().y() < 0:
            self._interactor.MouseWheelBackwardEvent()
        event.accept()

    def enterEvent(self, event) -> None:
        self._tell_interactor(event)
        self._interactor.EnterEvent()

    def leaveEvent(self, _event) -> None:
        self._interactor.LeaveEvent()

    def keyPressEvent(self, event) -> None:
        self._tell_interactor(event, KEY_SYMBOLS.get(event.key(), event.text()))
        self._interactor.KeyPressEvent()
        self._interactor.CharEvent()

    def keyReleaseEvent(self, event) -> None:
        self._tell_interactor(event, KEY_SYMBOLS.get(event.key(), event.text()))
        self._interactor.KeyReleaseEvent()


class ctkVTKRenderView(ctkVTKAbstractView):
    """A view of the scene through a camera."""

    _host_class = True

    def setFocalPoint(self, x: float, y: float, z: float) -> None:
        camera = self._renderer.GetActiveCamera()
        camera.SetFocalPoint(x, y, z)
        camera.ComputeViewPlaneNormal()
        camera.OrthogonalizeViewUp()
        self._renderer.ResetCameraClippingRange()
        self._renderer.UpdateLightsGeometryToFollowCamera()
        self.scheduleRender()

    def resetFocalPoint(self) -> None:
        """Look at the middle of what is visible."""
        bounds = [0.0] * 6
        self._renderer.ComputeVisiblePropBounds(bounds)
        self.setFocalPoint(*((bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)))

    def lookFromAxis(self, axis: int) -> None:
        """Look at the focal point from a ctkAxesWidget::Axis, from as far as before."""
        camera = self._renderer.GetActiveCamera()
        side, up = LOOK_FROM[axis]
        distance = camera.GetDistance()
        camera.SetPosition(
            *(focus + distance * step for focus, step in zip(camera.GetFocalPoint(), side))
        )
        camera.SetViewUp(up)
        self._renderer.ResetCameraClippingRange()
        self._renderer.UpdateLightsGeometryToFollowCamera()
        self.scheduleRender()
