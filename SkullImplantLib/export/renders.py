"""The implant seated in the skull, drawn by VTK off screen in a process of its own (`drawn.py`).

VTK crashes the process where the machine has no OpenGL or too little memory; so a short child
process tries first, and another draws.
"""

import atexit
import pickle
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkDoubleArray
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkClipPolyData, vtkImplicitPolyDataDistance

from .drawn import Packed, Parts, Scene, Viewpoint
from .picture_mesh import add_point_array

PROBE_SECONDS, DRAWING_SECONDS = 60, 300
UNAVAILABLE = (
    "Renders were left out because OpenGL is missing on this machine; install libgl1 libegl1 "
    "libegl-mesa0 libgl1-mesa-dri."
)
FAILED = "Renders were left out because they could not be drawn, most likely for want of memory."
# Nothing of the library is loaded with it but that file.
_DRAW = f"""
import sys
sys.path.insert(0, {str(Path(__file__).absolute().parents[2])!r})
from {__package__}.drawn import serve
serve()
"""
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
    """This machine cannot draw in three dimensions; the message says why."""


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
    draw, or ends for want of memory.
    """
    lacks, fills = (None if mesh is None else Packed.of(mesh) for mesh in (lacking, filling))
    return _drawn(Scene(Packed.of(skull), Packed.of(implant), views, lacks, fills))


def render_parts(
    meshes: Sequence[tuple[vtkPolyData, tuple[float, float, float]]],
    views: Sequence[tuple[Viewpoint, tuple[int, int]]],
) -> list[np.ndarray]:
    """Return pictures as `render` does, of meshes (LPS mm) in colours of their own (RGB in 0 to 1),
    which fill them.
    """
    return _drawn(Parts([(Packed.of(mesh), colour) for mesh, colour in meshes], views))


def _drawn(scene: Scene | Parts) -> list[np.ndarray]:
    """Return the pictures that the child process draws."""
    if not rendering_works():
        raise PicturesUnavailable(UNAVAILABLE)
    try:
        drawing = subprocess.run(
            [sys.executable, "-c", _DRAW],
            input=pickle.dumps(scene),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=DRAWING_SECONDS,
        )
        pictures: list[np.ndarray] = pickle.loads(drawing.stdout)
    except (OSError, subprocess.SubprocessError, EOFError, pickle.UnpicklingError) as error:
        raise PicturesUnavailable(FAILED) from error
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
