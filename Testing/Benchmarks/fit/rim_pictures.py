"""Pictures of an implant: outside and inside with the bone around, and its rim seen edge-on."""

from io import BytesIO
from pathlib import Path

import numpy as np
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  # VTK draws with it
from facets import Facets, Floats
from PIL import Image
from scipy.spatial import cKDTree
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkLogger
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkWindowToImageFilter,
)

FACE_PIXELS, EDGE_PIXELS = (300, 300), (300, 160)  # of a view: width, height
FINER = 2  # drawn at so many times the size, then averaged
BONE_RGB, IMPLANT_RGB, PAPER_RGB = (0.93, 0.88, 0.77), (0.30, 0.60, 0.80), (1.0, 1.0, 1.0)
AROUND_MM = 10.0  # bone this near to the implant is drawn
EDGE_ON = 3  # views of the rim, a third of a turn apart
COLOURS = (96, 64, 40, 24, 16)  # as many as make a file small enough
MOST_BYTES = 60_000


def draw_case(implants: list[Facets], bone: Facets, outward: Floats, path: Path) -> None:
    """Write a PNG of six views: outside, inside, outside without bone; three of the rim, edge-on.

    `outward` is the unit vector out of the head. The triangles are drawn flat, as they are.
    """
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)  # it tells that there is no display
    points = np.concatenate([implant.points for implant in implants])
    near = cKDTree(points).query(bone.corners.mean(1), distance_upper_bound=AROUND_MM)[0]
    around = Facets(bone.points, bone.triangles[np.isfinite(near)])
    both = [(implant, IMPLANT_RGB) for implant in implants] + [(around, BONE_RGB)]
    alone = both[:-1]
    across = np.cross(outward, np.eye(3)[np.argmin(np.abs(outward))])
    across /= np.linalg.norm(across)
    other = np.cross(outward, across)
    turns = 2 * np.pi * np.arange(EDGE_ON) / EDGE_ON
    sides = [np.cos(turn) * across + np.sin(turn) * other for turn in turns]
    tiles = [_view(both, outward, across, FACE_PIXELS), _view(both, -outward, across, FACE_PIXELS)]
    tiles.append(_view(alone, outward, across, FACE_PIXELS))
    tiles += [_view(alone, side, outward, EDGE_PIXELS) for side in sides]
    (wide, high), rim = FACE_PIXELS, EDGE_PIXELS[1]
    sheet = Image.new("RGB", (3 * wide, high + rim))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % 3 * wide, number // 3 * high))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_small(sheet))


def _view(
    parts: list[tuple[Facets, tuple]], towards: Floats, up: Floats, size: tuple[int, int]
) -> Image.Image:
    """What is seen from the side of `towards`, without perspective, filling a tile."""
    renderer = vtkRenderer()
    renderer.SetBackground(*PAPER_RGB)
    for surface, colour in parts:
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(surface.polydata)
        actor = vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*colour)
        actor.GetProperty().SetInterpolationToFlat()
        actor.GetProperty().SetAmbient(0.15)
        renderer.AddActor(actor)
    # The implants fill the tile: what is first in `parts`, and the bone as far as it fits.
    places = parts[0][0].points
    basis = np.stack([np.cross(up, towards), up, towards])
    seen = places @ basis.T
    middle = (seen.min(0) + seen.max(0)) / 2 @ basis
    wide, high = np.ptp(seen[:, :2], axis=0)
    extent = max(high, wide * size[1] / size[0])
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(*(middle + 300.0 * towards))
    camera.SetViewUp(*up)
    camera.SetParallelScale(extent / 2 * (1.15 if len(parts) > 1 else 1.04))
    renderer.ResetCameraClippingRange()
    window = vtkRenderWindow()
    window.OffScreenRenderingOn()
    window.SetMultiSamples(0)
    window.SetSize(FINER * size[0], FINER * size[1])
    window.AddRenderer(renderer)
    window.Render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    values = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    window.Finalize()
    picture = Image.fromarray(values.reshape(FINER * size[1], FINER * size[0], 3)[::-1].copy())
    return picture.resize(size, Image.Resampling.BOX)


def _small(picture: Image.Image) -> bytes:
    """A PNG of few colours, under `MOST_BYTES` if it can be."""
    data = b""
    for colours in COLOURS:
        kept = BytesIO()
        reduced = picture.quantize(colours, dither=Image.Dither.NONE)
        reduced.save(kept, "PNG", optimize=True)
        data = kept.getvalue()
        if len(data) <= MOST_BYTES:
            break
    return data
