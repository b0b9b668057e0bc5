"""Pictures drawn by VTK off screen, in a process of their own: `python -c` calls `serve`.

VTK and the driver below it end the process where memory or OpenGL fail them; so the process holds
nothing but the pictures, and imports nothing but numpy and VTK.
Pictures are drawn at twice their size and averaged down, which smooths edges on every driver.
"""

import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkLogger, vtkLookupTable, vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkAppendPolyData, vtkPolyDataNormals
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkLight,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkWindowToImageFilter,
)

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


@dataclass(frozen=True)
class Viewpoint:
    """Where a picture is taken from: `direction` leads from the head to the eye, in LPS."""

    direction: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Packed:
    """A mesh of triangles as arrays, to be sent: `points` (n, 3), `corners` (3 m), and by name what
    each point has; `normals`: the name of those to be lit by.
    """

    points: np.ndarray
    corners: np.ndarray
    of_points: dict[str, np.ndarray]
    normals: str | None

    @classmethod
    def of(cls, mesh: vtkPolyData) -> "Packed":
        """Return a mesh as arrays."""
        data = mesh.GetPointData()
        arrays = [data.GetArray(k) for k in range(data.GetNumberOfArrays())]
        normals = data.GetNormals()
        return cls(
            vtk_to_numpy(mesh.GetPoints().GetData()),
            vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()),
            {array.GetName(): vtk_to_numpy(array) for array in arrays},
            None if normals is None else normals.GetName(),
        )

    def mesh(self) -> vtkPolyData:
        """Return the mesh again."""
        mesh, points, cells = vtkPolyData(), vtkPoints(), vtkCellArray()
        points.SetData(numpy_to_vtk(self.points, deep=True))
        offsets = np.arange(0, self.corners.size + 1, 3, dtype=self.corners.dtype)
        cells.SetData(numpy_to_vtk(offsets, deep=True), numpy_to_vtk(self.corners, deep=True))
        mesh.SetPoints(points)
        mesh.SetPolys(cells)
        for name, values in self.of_points.items():
            array = numpy_to_vtk(values, deep=True)
            array.SetName(name)
            mesh.GetPointData().AddArray(array)
        if self.normals is not None:
            mesh.GetPointData().SetActiveNormals(self.normals)
        return mesh


@dataclass(frozen=True)
class Scene:
    """What is drawn, from where and how large (width, height): as `renders.render` takes it."""

    skull: Packed
    implant: Packed
    views: Sequence[tuple[Viewpoint, tuple[int, int]]]
    lacking: Packed | None = None
    filling: Packed | None = None


@dataclass(frozen=True)
class Parts:
    """Meshes in colours of their own (RGB in 0 to 1), and views as in `Scene`."""

    meshes: Sequence[tuple[Packed, tuple[float, float, float]]]
    views: Sequence[tuple[Viewpoint, tuple[int, int]]]


def serve() -> None:
    """Draw the scene that comes on standard input, and write its pictures to standard output."""
    scene: Scene | Parts = pickle.load(sys.stdin.buffer)
    pickle.dump(draw(scene), sys.stdout.buffer)
    sys.stdout.buffer.flush()


def draw(scene: Scene | Parts) -> list[np.ndarray]:
    """Return the pictures of a scene, RGB uint8 of shape (height, width, 3) each."""
    # What draws joins VTK here only: it needs OpenGL, which a machine without a screen may lack.
    import vtkmodules.vtkRenderingOpenGL2  # noqa: F401

    renderer = vtkRenderer()
    renderer.GradientBackgroundOn()
    renderer.SetBackground(*BACKGROUND_BOTTOM)
    renderer.SetBackground2(*BACKGROUND_TOP)
    actors, filling = _parts(scene) if isinstance(scene, Parts) else _seated(scene)
    for actor in actors:
        renderer.AddActor(actor)
    _light(renderer)
    with _quiet():
        window = vtkRenderWindow()
        window.OffScreenRenderingOn()
        window.SetMultiSamples(0)
        window.AddRenderer(renderer)
        pictures = []
        for view, size in scene.views:
            _aim(renderer, filling, view, size[0] / size[1])
            pictures.append(_picture(window, size))
        window.Finalize()
    return pictures


def _seated(scene: Scene) -> tuple[list[vtkActor], vtkPolyData]:
    """Return the skull with its implant, and what fills the picture."""
    skull, implant = scene.skull.mesh(), scene.implant.mesh()
    bone = DIM_BONE if implant.GetPointData().HasArray("distance_mm") else BONE
    actors = [
        _actor(skull, bone, specular=0.06),
        _actor(_with_normals(implant), IMPLANT, specular=0.2),
    ]
    if scene.lacking is not None:
        actors.append(_actor(_with_normals(scene.lacking.mesh()), LACKING, specular=0.0))
    return actors, skull if scene.filling is None else scene.filling.mesh()


def _parts(scene: Parts) -> tuple[list[vtkActor], vtkPolyData]:
    """Return each mesh in its colour, and all together, which fill the picture."""
    meshes, all_of_them = [packed.mesh() for packed, _ in scene.meshes], vtkAppendPolyData()
    for mesh in meshes:
        all_of_them.AddInputData(mesh)
    all_of_them.Update()
    colours = [np.array(colour) for _, colour in scene.meshes]
    actors = [
        _actor(_with_normals(mesh), colour, specular=0.15) for mesh, colour in zip(meshes, colours)
    ]
    return actors, all_of_them.GetOutput()


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
