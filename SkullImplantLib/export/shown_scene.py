"""What the report shows in 3-D: skull and implants as surfaces, and the image around these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core import images
from ..core.blocks import share_per_block
from ..implant.mesh_mask import scanned
from ..implant.meshes import arrays_of
from .map_legends import MapLegend, nowhere
from .packed_scene import PackedScene
from .shown_skull import Simplified, simplified
from .slices import MASK_GREY, WINDOW_HU

# No point of an implant as shown is farther than this from its surface; how far the skull's are is
# measured and told.
IMPLANT_TOLERANCE_MM = 0.05
# An implant of fewer triangles is shown as it is.
FEW_TRIANGLES = 60_000
# The image reaches this far beyond the implants, in voxels of this side; of large holes they are
# coarser, so that there are no more than so many.
AROUND_MM, VOXEL_MM, MOST_VOXELS = 20.0, 1.0, 2_500_000
# Voxels of implant are counted in voxels so many times finer.
FINER = 2
GREYS = 255
# Steps of grey that are told apart: noise takes most of a page's room.
GREY_STEP = 2
SKULL_COLOR, IMPLANT_COLORS = "#f7edd9", ("#1aa8b8", "#7b6fd0", "#4f9d4f", "#c77d2e")
SKULL_KEY = "skull"


@dataclass(frozen=True, eq=False)
class ShownImplant:
    """An implant's mesh (LPS mm), where its hole is, the way out (LPS), and by name the values at
    its points (n,), not a number where there is none.
    """

    mesh: vtkPolyData
    centre_mm: Sequence[float]
    direction: Sequence[float] | NDArray[np.floating]
    maps: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


def shown_scene(
    skull: Simplified,
    implants: Sequence[ShownImplant],
    background: sitk.Image,
    legends: Sequence[MapLegend] = (),
    start_mm: Sequence[float] | None = None,
) -> tuple[dict[str, Any], bytes]:
    """Return a scene's header, to be written as JSON, and its compressed bytes (`packed_scene`).

    skull: its surface, see `ShownSkull.simplified`. background: the CT in HU or the skull's
    mask. legends: how maps are coloured; one without a legend is left out. start_mm: the place
    (LPS) through which slices are shown first; the middle of the first implant where it is None.
    """
    scene = PackedScene()
    parts: list[dict[str, Any]] = [
        _part(scene, SKULL_KEY, "Skull", SKULL_COLOR, skull.mesh, opacity=1.0)
    ]
    furthest_mm = 0.0
    for number, implant in enumerate(implants, 1):
        title = "Implant" if len(implants) == 1 else f"Implant {number}"
        mesh, moved_mm = implant.mesh, 0.0
        # What its points have would have to be carried over; such a mesh is shown as it is.
        if mesh.GetNumberOfPolys() > FEW_TRIANGLES and not implant.maps:
            fewer = simplified(mesh)
            if fewer.off_mm <= IMPLANT_TOLERANCE_MM:
                mesh, moved_mm = fewer.mesh, fewer.off_mm
        furthest_mm = max(furthest_mm, moved_mm)
        color = IMPLANT_COLORS[(number - 1) % len(IMPLANT_COLORS)]
        part = _part(scene, f"implant-{number}", title, color, mesh, opacity=1.0)
        part["maps"] = [
            _map(scene, legend, implant.maps[legend.array])
            for legend in legends
            if legend.array in implant.maps
        ]
        parts.append(part)
    header = {
        "parts": parts,
        "ways_out": [
            {"place_mm": list(map(float, i.centre_mm)), "direction": list(map(float, i.direction))}
            for i in implants
        ],
        "image": _image(scene, background, [implant.mesh for implant in implants]),
        "start_mm": list(map(float, implants[0].centre_mm if start_mm is None else start_mm)),
        "tolerance": _tolerance(skull.off_mm, furthest_mm),
    }
    return header, scene.compressed()


def _tolerance(skull_mm: float, implant_mm: float) -> str:
    skull = f"The skull is shown within {max(skull_mm, 0.01):.2f} mm of its surface on 1 mm voxels"
    implant = (
        "the implant as exported"
        if implant_mm == 0.0
        else f"the implant within {implant_mm:.2f} mm"
    )
    return f"{skull}, {implant}. Measure on the STL, not here."


def _part(
    scene: PackedScene, key: str, title: str, color: str, mesh: vtkPolyData, opacity: float
) -> dict[str, Any]:
    points_mm, triangles = arrays_of(mesh)
    return {
        "key": key,
        "title": title,
        "color": color,
        "opacity": opacity,
        "shown": True,
        "mesh": scene.add_mesh(points_mm, triangles),
        "maps": [],
    }


def _map(scene: PackedScene, legend: MapLegend, values: NDArray[np.floating]) -> dict[str, Any]:
    return {
        "name": legend.array,
        "title": legend.title,
        "unit": legend.unit,
        "low": legend.scale.low_mm,
        "high": legend.scale.high_mm,
        "stops": legend.stops,
        "nowhere": nowhere(),
        "remark": legend.remark,
        **scene.add_values(np.asarray(values, np.float64)),
    }


def _image(
    scene: PackedScene, background: sitk.Image, implants: Sequence[vtkPolyData]
) -> Mapping[str, Any]:
    """Add the image around the implants, on a grid along LPS: grey values, and how much of each
    voxel is implant, by the meshes.
    """
    grid = _grid_around(implants)
    background = _around(grid, background)
    if background.GetPixelID() == sitk.sitkUInt8:
        grey = GREYS * MASK_GREY * images.array_of(images.fraction_on(background, grid))
    else:
        hu = images.resample(background, grid, pixel_type=sitk.sitkFloat32, outside=WINDOW_HU[0])
        share = (images.array_of(hu) - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0])
        grey = GREYS * np.clip(share, 0.0, 1.0)
    filled = sum(_share_within(mesh, grid) for mesh in implants)
    return {
        "size": list(grid.GetSize()),
        "origin_mm": list(grid.GetOrigin()),
        "spacing_mm": grid.GetSpacing()[0],
        "gray": scene.add((np.rint(grey / GREY_STEP) * GREY_STEP).clip(0, GREYS).astype(np.uint8)),
        "implants": scene.add(np.rint(GREYS * np.clip(filled, 0.0, 1.0)).astype(np.uint8)),
    }


def _share_within(mesh: vtkPolyData, grid: sitk.Image) -> NDArray[np.float32]:
    """Return which share (z, y, x) of each voxel of a grid along LPS lies within a closed mesh."""
    spacing_mm = grid.GetSpacing()[0] / FINER
    last = FINER * np.array(grid.GetSize()) - 1
    # The first of the finer voxels lies off the middle of the first of the grid's.
    first = np.array(grid.GetOrigin()) - spacing_mm * (FINER - 1) / 2.0
    voxels = scanned(mesh, np.zeros_like(last), last, first.tolist(), spacing_mm)
    return np.asarray(share_per_block(voxels, (FINER,) * 3, GREYS) / GREYS, np.float32)


def _around(grid: sitk.Image, image: sitk.Image) -> sitk.Image:
    """Return the part of an image that lies in a grid; on the whole of it filters take long."""
    corners = np.array(np.meshgrid(*[(0, n) for n in grid.GetSize()])).reshape(3, -1)
    places_mm = (np.array(grid.GetOrigin()) + corners.T * grid.GetSpacing()).tolist()
    places = np.array([image.TransformPhysicalPointToContinuousIndex(mm) for mm in places_mm])
    size = np.array(image.GetSize())
    # The blocks that a mask is averaged in reach a little farther.
    low = np.clip(np.floor(places.min(axis=0)).astype(int) - 2, 0, size - 1)
    high = np.clip(np.ceil(places.max(axis=0)).astype(int) + 3, low + 1, size)
    return images.crop(image, tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1])))


def _grid_around(meshes: Sequence[vtkPolyData]) -> sitk.Image:
    """Return an empty image along LPS, a cube that covers the meshes, and some way around them."""
    points_mm = np.concatenate([arrays_of(mesh)[0] for mesh in meshes])
    low, high = points_mm.min(axis=0), points_mm.max(axis=0)
    side_mm = float((high - low).max()) + 2.0 * AROUND_MM
    spacing_mm = max(VOXEL_MM, side_mm / np.cbrt(MOST_VOXELS))
    count = int(np.ceil(side_mm / spacing_mm))
    grid = sitk.Image([count] * 3, sitk.sitkUInt8)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetOrigin(((low + high - (count - 1) * spacing_mm) / 2.0).tolist())
    return grid
