"""The implant seated in the skull, drawn by VTK off screen.

VTK crashes the process where the machine has no OpenGL, so a short child process tries first.
Pictures are drawn at twice their size and averaged down, which smooths edges on every driver.
"""

import atexit
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkLogger, vtkLookupTable
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import (
    vtkClipPolyData,
    vtkImplicitPolyDataDistance,
    vtkPolyDataNormals,
)
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkLight,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkWindowToImageFilter,
)

from .picture_mesh import add_point_array

BONE = np.array([0.97, 0.93, 0.85])
IMPLANT = np.array([0.10, 0.66, 0.72])
# Bone beside an implant that is coloured by distances, and what the implant lacks.
DIM_BONE = np.array([0.60, 0.58, 0.55])
LACKING = np.array([0.16, 0.14, 0.18])
# Signed distances to another surface: within it, on it, outside of it; full colour from here on.
DISTANCE_COLOURS = np.array([[0.12, 0.30, 0.75], [0.93, 0.93, 0.91], [0.80, 0.12, 0.12]])
FULL_DISTANCE_MM = 3.0
BACKGROUND_TOP, BACKGROUND_BOTTOM = (0.97, 0.975, 0.98), (0.86, 0.88, 0.90)
SUPERSAMPLING = 2
VIEW_ANGLE_DEGREES = 22.0
# The head's share of the picture is one over this.
FRAME_MARGIN = 1.05
PROBE_SECONDS = 60
UNAVAILABLE = (
    "Renders were left out because OpenGL is missing on this machine; install libgl1 libegl1 "
    "libegl-mesa0 libgl1-mesa-dri."
)
_PROBE = """
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
import vtkmodules.vtkRenderingOpenGL2
window = vtkRenderWindow()
window.OffScreenRenderingOn()
window.SetSize(16, 16)
window.AddRenderer(vtkRenderer())
window.Render()
"""


class PicturesUnavailable(Exception):
    """This machine cannot draw in three dimensions; the message says what to install."""


@dataclass(frozen=True)
class Viewpoint:
    """Where a picture is taken from: `direction` leads from the head to the eye, in LPS."""

    direction: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)


FRONT = Viewpoint((0.0, -1.0, 0.0))
ABOVE = Viewpoint((0.0, 0.0, 1.0), up=(0.0, -1.0, 0.0))


@cache
def try_rendering() -> "subprocess.Popen[bytes] | None":
    """Let a child process try whether VTK can draw here, which takes about a second, once.

    Begun early it has ended when `rendering_works` asks for its answer. Returns None where it could
    not be started. Where nobody asks, it ends with this process.
    """
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    atexit.register(_end, child)
    return child


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.kill()
        child.wait()


@cache
def rendering_works() -> bool:
    """Say whether VTK can draw here."""
    child = try_rendering()
    if child is None:
        return False
    try:
        return child.wait(PROBE_SECONDS) == 0
    except subprocess.TimeoutExpired:
        _end(child)
        return False


def three_quarter_view(skull: vtkPolyData, implant: vtkPolyData) -> Viewpoint:
    """Return the view of the implant's outside that shows some of the face, superior up."""
    low, high = np.reshape(implant.GetBounds(), (3, 2)).T
    outward = (low + high) / 2.0 - np.array(skull.GetCenter())
    outward /= max(float(np.linalg.norm(outward)), 1e-9)
    side = 1.0 if outward[0] >= 0 else -1.0
    # Towards the face, unless the implant is there already; then towards its own side.
    turned = outward + np.array([0.55 * side * max(0.0, -outward[1]), -0.55, 0.08])
    x, y, z = (float(v) for v in turned / np.linalg.norm(turned))
    return Viewpoint((x, y, z))


def render(
    skull: vtkPolyData,
    implant: vtkPolyData,
    views: Sequence[tuple[Viewpoint, tuple[int, int]]],
    lacking: vtkPolyData | None = None,
    filling: vtkPolyData | None = None,
) -> list[np.ndarray]:
    """Return pictures of the implant in the skull, RGB uint8 of shape (height, width, 3) each.

    `skull` comes from `picture_mesh`, `implant` is the mesh to be printed, both in LPS mm; `views`
    are pairs of a view and its (width, height) in pixels. `lacking` is drawn dark with them;
    `filling` is what fills the picture, the skull if not given. An implant that `with_distances`
    returned has their colours, beside dimmer bone. Raises `PicturesUnavailable` where VTK cannot
    draw.
    """
    if not rendering_works():
        raise PicturesUnavailable(UNAVAILABLE)
    # What draws joins VTK here only: it needs OpenGL, which a machine without a screen may lack.
    import vtkmodules.vtkRenderingOpenGL2  # noqa: F401

    renderer = vtkRenderer()
    renderer.GradientBackgroundOn()
    renderer.SetBackground(*BACKGROUND_BOTTOM)
    renderer.SetBackground2(*BACKGROUND_TOP)
    bone = DIM_BONE if implant.GetPointData().HasArray("distance_mm") else BONE
    renderer.AddActor(_actor(skull, bone, specular=0.06))
    renderer.AddActor(_actor(_with_normals(implant), IMPLANT, specular=0.2))
    if lacking is not None:
        renderer.AddActor(_actor(_with_normals(lacking), LACKING, specular=0.0))
    _light(renderer)
    with _quiet():
        window = vtkRenderWindow()
        window.OffScreenRenderingOn()
        window.SetMultiSamples(0)
        window.AddRenderer(renderer)
        pictures = []
        for view, size in views:
            _aim(renderer, filling or skull, view, size[0] / size[1])
            pictures.append(_picture(window, size))
        window.Finalize()
    return pictures


def with_distances(mesh: vtkPolyData, other: vtkPolyData) -> vtkPolyData:
    """Return a copy of `mesh` with each point's signed distance to the closed mesh `other`, mm.

    `distance_mm` is negative within it.
    """
    copy = vtkPolyData()
    copy.DeepCopy(mesh)
    distance = vtkDoubleArray()
    distance.SetNumberOfTuples(copy.GetNumberOfPoints())
    field = vtkImplicitPolyDataDistance()
    field.SetInput(other)
    field.FunctionValue(copy.GetPoints().GetData(), distance)
    add_point_array(copy, "distance_mm", vtk_to_numpy(distance))
    return copy


def farther_than(mesh: vtkPolyData, distance_mm: float) -> vtkPolyData:
    """Return the part of a mesh with distances that lies farther outside than this."""
    mesh.GetPointData().SetActiveScalars("distance_mm")
    clip = vtkClipPolyData()
    clip.SetInputData(mesh)
    clip.SetValue(distance_mm)
    clip.Update()
    part = clip.GetOutput()
    part.GetPointData().RemoveArray("distance_mm")
    return part


def distance_colours(distance_mm: np.ndarray) -> np.ndarray:
    """Return the colours (n, 3), RGB in 0 to 1, of signed distances (n)."""
    place = np.clip(distance_mm / FULL_DISTANCE_MM, -1.0, 1.0)
    return np.stack([np.interp(place, [-1, 0, 1], ends) for ends in DISTANCE_COLOURS.T], axis=1)


def _picture(window: vtkRenderWindow, size: tuple[int, int]) -> np.ndarray:
    """Return what `window` shows at `size` (width, height), averaged down from a larger picture."""
    width, height = size
    window.SetSize(SUPERSAMPLING * width, SUPERSAMPLING * height)
    window.Render()
    grabber = vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    grabber.ShouldRerenderOff()  # it would draw everything a second time
    grabber.Update()
    pixels = vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
    blocks = pixels.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)[::-1]
    # Whole numbers, rounded by half a step more: a mean of floats takes six times as long.
    total = blocks.sum(axis=1, dtype=np.uint16).sum(axis=2, dtype=np.uint16)
    return np.asarray((total + SUPERSAMPLING**2 // 2) // SUPERSAMPLING**2, np.uint8)


def _with_normals(mesh: vtkPolyData) -> vtkPolyData:
    """Return `mesh` with smooth normals, kept apart at the edges of the rim."""
    normals = vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.SetFeatureAngle(50.0)
    normals.Update()
    return normals.GetOutput()


def _actor(mesh: vtkPolyData, colour: np.ndarray, specular: float) -> vtkActor:
    """Return `mesh` in `colour`, darkened by its `shade` where it has one."""
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(mesh)
    if mesh.GetPointData().HasArray("shade"):
        ramp = vtkLookupTable()
        ramp.SetNumberOfTableValues(256)
        ramp.SetRange(0.0, 1.0)
        for step in range(256):
            share = step / 255.0
            # Shadows on bone are warm, so blue goes first.
            ramp.SetTableValue(step, *(colour * share ** np.array([0.85, 1.0, 1.2])), 1.0)
        mapper.SetLookupTable(ramp)
        mapper.SetUseLookupTableScalarRange(True)
        mapper.SetScalarModeToUsePointFieldData()
        mapper.SelectColorArray("shade")
        mapper.InterpolateScalarsBeforeMappingOn()
    elif mesh.GetPointData().HasArray("distance_mm"):
        distance = np.linspace(-FULL_DISTANCE_MM, FULL_DISTANCE_MM, 256)
        scale = vtkLookupTable()
        scale.SetNumberOfTableValues(len(distance))
        scale.SetRange(distance[0], distance[-1])
        for step, rgb in enumerate(distance_colours(distance)):
            scale.SetTableValue(step, *rgb, 1.0)
        mapper.SetLookupTable(scale)
        mapper.SetUseLookupTableScalarRange(True)
        mapper.SetScalarModeToUsePointFieldData()
        mapper.SelectColorArray("distance_mm")
        mapper.InterpolateScalarsBeforeMappingOn()
    else:
        mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    surface = actor.GetProperty()
    surface.SetColor(*colour)
    surface.SetInterpolationToPhong()
    surface.SetAmbient(0.26)
    surface.SetDiffuse(0.8)
    surface.SetSpecular(specular)
    surface.SetSpecularPower(35.0)
    return actor


def _aim(renderer: vtkRenderer, skull: vtkPolyData, view: Viewpoint, aspect: float) -> None:
    """Place the camera so that the skull fills the picture of this `aspect` (width / height)."""
    direction = np.array(view.direction) / np.linalg.norm(view.direction)
    right = np.cross(view.up, direction)
    right /= np.linalg.norm(right)
    up = np.cross(direction, right)
    points = vtk_to_numpy(skull.GetPoints().GetData())
    centre = np.array(skull.GetCenter())
    for axis in (right, up):  # the middle of what is seen, not of the bounding box
        places = points @ axis
        centre = centre + axis * ((places.min() + places.max()) / 2 - centre @ axis)
    across, along, near = ((points - centre) @ axis for axis in (right, up, direction))
    spread = np.maximum(np.abs(along), np.abs(across) / aspect)
    slope = np.tan(np.radians(VIEW_ANGLE_DEGREES / 2))
    distance = float((spread * FRAME_MARGIN / slope + near).max())
    camera = renderer.GetActiveCamera()
    camera.SetViewAngle(VIEW_ANGLE_DEGREES)
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre + distance * direction))
    camera.SetViewUp(*up)
    renderer.ResetCameraClippingRange()


def _light(renderer: vtkRenderer) -> None:
    """Light from the upper left, a weak one from the right, and a bright edge from behind."""
    renderer.AutomaticLightCreationOff()
    for place, strength, colour in (
        ((-0.5, 0.7, 1.0), 0.75, (1.0, 0.98, 0.95)),
        ((0.9, -0.2, 0.9), 0.40, (0.92, 0.96, 1.0)),
        ((0.2, 0.6, -1.0), 0.35, (1.0, 1.0, 1.0)),
    ):
        light = vtkLight()
        light.SetLightTypeToCameraLight()
        light.SetPosition(*place)
        light.SetFocalPoint(0.0, 0.0, 0.0)
        light.SetIntensity(strength)
        light.SetColor(*colour)
        renderer.AddLight(light)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep VTK's remarks (no X server, for one) off standard error, where progress is written."""
    before = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(before)
