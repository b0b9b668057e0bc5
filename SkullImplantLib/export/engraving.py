"""A name or number engraved on an implant's inner side, where it is seen before it is put in.

The letters are cut straight along the way in, as deep everywhere, in the middle of the implant's
shadow, to be read from within the head.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkTriangleFilter
from vtkmodules.vtkRenderingFreeType import vtkVectorText

from ..errors import SkullImplantError
from ..implant.meshes import arrays_of, mesh_health, mesh_of
from ..implant.solids import axes_along, largest_piece, mesh_of_solid, solid_library, solid_of
from .parting import PIXEL_MM, Parting, parting_of

Floats = NDArray[np.float64]

# Common design values: legible after sterilising, and a fifth of the least wall.
DEPTH_MM, TALLEST_MM, LEAST_TALL_MM = 0.4, 6.0, 3.0
# Letters stay so far from the rim.
FROM_RIM_MM = 6.0
# So many fit on an implant at the least height.
MOST_LETTERS = 24
# The letters that VTK's font can draw and a person tells apart.
ALLOWED = re.compile(rf"[A-Za-z0-9 ._+/-]{{1,{MOST_LETTERS}}}")
# Strokes are drawn so much thicker on each side: what a mill or a nozzle of 0.4 mm can follow.
THICKER_MM = 0.15
# Facets that this moves by no more, slivers at the letters' edges, are merged away.
SLIVER_MM = 0.005
# Where letters do not fit, smaller ones are tried, by this.
SMALLER = 0.9
# Pixels of a rectangle are counted, which is off by its border.
ALL_OF_IT = 0.97


def checked_label(text: str) -> str:
    """Return a text as it is engraved, without spaces around it.

    Raises `SkullImplantError` where it has other letters than those of a label, too many or none.
    """
    if not ALLOWED.fullmatch(text) or not text.strip():
        raise SkullImplantError(
            "Only up to 24 letters without accents, digits, spaces and . _ + / - can be engraved."
        )
    return text.strip()


def engraved(
    implant: vtkPolyData, text: str, direction: Floats, depth_mm: float = DEPTH_MM
) -> vtkPolyData:
    """Return an implant (closed mesh, LPS mm) with a text cut into its inner side.

    direction: unit vector (LPS) along which it comes out. Raises `SkullImplantError` where the text
    has other letters than those of a label or does not fit, manifold3d is not installed, or the
    implant is no solid.
    """
    label = checked_label(text)
    manifold3d = solid_library("Engraving needs", "export without it")
    axes = axes_along(np.asarray(direction, np.float64))
    points, triangles = arrays_of(implant)
    local = mesh_of(points @ axes, triangles)
    solid = solid_of(local, manifold3d, "The implant")
    outline = _letters(label)
    place, angle, tall = _fitted(parting_of(local, 2.0 * PIXEL_MM), outline)
    low, high = local.GetBounds()[4:]
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Read from within, left is on the other hand.
    flat = outline[0] @ (turned @ np.diag([-tall, tall])).T + place
    letters = _prisms(flat, outline[1], low - 1.0, high + 1.0, manifold3d)
    layer = solid - solid.translate([0.0, 0.0, depth_mm])
    cut = largest_piece((solid - (letters ^ layer)).simplify(SLIVER_MM))
    turned_back = cut.transform(np.column_stack([axes, np.zeros(3)]))
    found = mesh_of_solid(turned_back)
    health = mesh_health(found)
    if not health.watertight or health.genus != mesh_health(implant).genus:
        raise SkullImplantError(
            "The text cannot be engraved here without holes; give a shorter one, or none."
        )
    return found


def _letters(text: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return a text as triangles in a plane, 1 high, its middle at zero: points (n, 2), corners."""
    source = vtkVectorText()
    source.SetText(text)
    triangles = vtkTriangleFilter()
    triangles.SetInputConnection(source.GetOutputPort())
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    points, corners = arrays_of(triangles.GetOutput())
    flat = points[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    return (flat - (low + high) / 2.0) / (high - low)[1], corners


def _prisms(
    points: Floats, corners: NDArray[np.int64], low_mm: float, high_mm: float, manifold3d: Any
) -> Any:
    """Return letters, triangles in a plane, as one solid that stands between two heights."""
    pieces = [points[triangle] for triangle in corners]
    section = manifold3d.CrossSection(pieces, manifold3d.FillRule.NonZero)
    section = section.offset(THICKER_MM, manifold3d.JoinType.Round)
    return section.extrude(high_mm - low_mm).translate([0.0, 0.0, low_mm])


def _fitted(
    shadow: Parting, outline: tuple[Floats, NDArray[np.int64]]
) -> tuple[Floats, float, float]:
    """Return where (2,), at which angle and how tall a text lies in the implant's shadow: in its
    middle, along its longer axis, as tall as fits.
    """
    rows, columns = np.nonzero(shadow.inside)
    places = np.column_stack([columns, rows]) * PIXEL_MM + shadow.start_mm
    middle = places.mean(axis=0)
    along = np.linalg.eigh(np.cov((places - middle).T))[1][:, -1]
    angle = float(np.arctan2(along[1], along[0]))
    # Of two ways round, the one whose top is up on the frame's second axis.
    angle -= np.pi if abs(angle) > np.pi / 2.0 else 0.0
    half = np.abs(outline[0]).max(axis=0)
    tall = TALLEST_MM
    while tall >= LEAST_TALL_MM:
        reach = half * tall + FROM_RIM_MM
        across = (places - middle) @ np.array([[np.cos(angle)], [np.sin(angle)]])
        over = (places - middle) @ np.array([[-np.sin(angle)], [np.cos(angle)]])
        within = np.count_nonzero((np.abs(across) <= reach[0]) & (np.abs(over) <= reach[1]))
        if within * PIXEL_MM**2 >= ALL_OF_IT * 4.0 * reach[0] * reach[1]:
            return middle, angle, tall
        tall *= SMALLER
    raise SkullImplantError("The text is too long for this implant; give a shorter one, or none.")
