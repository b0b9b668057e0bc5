"""The slice view and the 3D view: the scene drawn by MRML's own displayable managers.

Class and public method names are those of qMRMLSliceView and qMRMLThreeDView, read off their
headers. What a real view has not, these have not either.
"""

from __future__ import annotations

import slicer
import slicer.util
from PySide6 import QtCore
from vtkmodules.vtkCommonCore import vtkCommand
from vtkmodules.vtkInteractionStyle import vtkInteractorStyleUser
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkImageMapper, vtkInteractorStyle3D

from .vtk_views import ctkVTKAbstractView, ctkVTKRenderView

# Slice images are 8-bit colours already: this window and level leave them as they are.
COLOR_WINDOW = 255.0
COLOR_LEVEL = 127.5

# The camera node's directions in the order of rotateToViewAxis: -X, +X, -Y, +Y, -Z, +Z.
VIEW_AXIS_DIRECTIONS = ("Left", "Right", "Posterior", "Anterior", "Inferior", "Superior")


class qMRMLSliceView(ctkVTKAbstractView):
    """One slice: the blended volumes behind, models, segments and markups of the plane before."""

    _host_class = True
    _slice_node: slicer.vtkMRMLSliceNode | None
    _image_mapper: vtkImageMapper
    _image_actor: vtkActor2D

    resized = QtCore.Signal(QtCore.QSize)

    def __init__(self, parent=None):
        super().__init__(
            slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(),
            vtkInteractorStyleUser(),
            slicer.vtkMRMLSliceViewInteractorStyle(),
            parent,
        )
        self._slice_node = None
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._image_mapper = vtkImageMapper()
        self._image_mapper.SetColorWindow(COLOR_WINDOW)
        self._image_mapper.SetColorLevel(COLOR_LEVEL)
        self._image_actor = vtkActor2D()
        self._image_actor.SetMapper(self._image_mapper)
        self._image_actor.GetProperty().SetDisplayLocationToBackground()
        self._image_actor.VisibilityOff()
        self._renderer.AddViewProp(self._image_actor)

    def mrmlSliceNode(self):
        return self._slice_node

    def setMRMLSliceNode(self, slice_node) -> None:
        self._slice_node = slice_node
        self._group.SetMRMLDisplayableNode(slice_node)

    def setImageDataConnection(self, connection) -> None:
        """Show this output of the slice logic; None for nothing."""
        self._image_mapper.SetInputConnection(connection)
        self._image_actor.SetVisibility(connection is not None)
        self.scheduleRender()

    def convertDeviceToXYZ(self, xy) -> list[float]:
        xyz = [0.0, 0.0, 0.0]
        self._crosshair_manager().ConvertDeviceToXYZ(xy[0], xy[1], xyz)
        return xyz

    def convertRASToXYZ(self, ras) -> list[float]:
        xyz = [0.0, 0.0, 0.0]
        self._crosshair_manager().ConvertRASToXYZ(ras, xyz)
        return xyz

    def convertXYZToRAS(self, xyz) -> list[float]:
        ras = [0.0, 0.0, 0.0]
        self._crosshair_manager().ConvertXYZToRAS(xyz, ras)
        return ras

    def _crosshair_manager(self):
        return self.displayableManagerByClassName("vtkMRMLCrosshairDisplayableManager")

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self.resized.emit(event.size())


class qMRMLThreeDView(ctkVTKRenderView):
    """The 3D view of one vtkMRMLViewNode and of the camera node that belongs to it."""

    _host_class = True
    _view_node: slicer.vtkMRMLViewNode | None

    def __init__(self, parent=None):
        super().__init__(
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(),
            vtkInteractorStyle3D(),
            slicer.vtkMRMLThreeDViewInteractorStyle(),
            parent,
        )
        self._view_node = None
        self._renderer.UseFXAAOn()  # smooth edges: depth peeling allows no multisampling
        for event in (
            vtkCommand.MouseWheelForwardEvent,
            vtkCommand.MouseWheelBackwardEvent,
            vtkCommand.InteractionEvent,
            vtkCommand.KeyPressEvent,
        ):
            self._observations.addObserver(self._interactor, event, self._on_interaction)

    def mrmlViewNode(self):
        return self._view_node

    def setMRMLViewNode(self, view_node) -> None:
        if self._view_node is not None:
            self._observations.removeObserver(
                self._view_node, vtkCommand.ModifiedEvent, self._on_view_node_modified
            )
        self._view_node = view_node
        self._group.SetMRMLDisplayableNode(view_node)
        if view_node is not None:
            self._observations.addObserver(
                view_node, vtkCommand.ModifiedEvent, self._on_view_node_modified
            )
            self._on_view_node_modified()

    def cameraNode(self):
        manager = self.displayableManagerByClassName("vtkMRMLCameraDisplayableManager")
        return manager.GetCameraNode()

    def rotateToViewAxis(self, axis: int | str) -> None:
        """Look from an axis: 0 to 5 for -X, +X, -Y, +Y, -Z, +Z, or the axis's label in the view."""
        if isinstance(axis, str):
            labels = [self._view_node.GetAxisLabel(i) for i in range(len(VIEW_AXIS_DIRECTIONS))]
            axis = labels.index(axis)
        camera_node = self.cameraNode()
        camera_node.RotateTo(getattr(camera_node, VIEW_AXIS_DIRECTIONS[axis]))

    def resetCamera(
        self, rotation: bool = True, translation: bool = True, distance: bool = True
    ) -> None:
        """Look from the front at everything, from as far as it takes."""
        self.cameraNode().Reset(rotation, translation, distance, self._renderer)

    def resetFocalPoint(self) -> None:
        """Look at the middle of what is visible, not counting box, axis labels and crosshair."""
        node = self._view_node
        box_visible, labels_visible = node.GetBoxVisible(), node.GetAxisLabelsVisible()
        crosshair = slicer.vtkMRMLCrosshairDisplayableManager.FindCrosshairNode(slicer.mrmlScene)
        crosshair_mode = crosshair.GetCrosshairMode() if crosshair else None
        with slicer.util.NodeModify(node):
            node.SetBoxVisible(False)
            node.SetAxisLabelsVisible(False)
        if crosshair:
            crosshair.SetCrosshairMode(crosshair.NoCrosshair)
        super().resetFocalPoint()
        with slicer.util.NodeModify(node):
            node.SetBoxVisible(box_visible)
            node.SetAxisLabelsVisible(labels_visible)
        node.InvokeEvent(node.ResetFocalPointRequestedEvent)
        if crosshair:
            crosshair.SetCrosshairMode(crosshair_mode)
        self._renderer.ResetCameraClippingRange()

    def _on_view_node_modified(self, _caller=None, _event=None) -> None:
        self._renderer.SetUseDepthPeeling(self._view_node.GetUseDepthPeeling())
        self.scheduleRender()

    def _on_interaction(self, _caller, _event) -> None:
        camera_node = self.cameraNode()
        if camera_node is not None:
            camera_node.InvokeCustomModifiedEvent(camera_node.CameraInteractionEvent)
