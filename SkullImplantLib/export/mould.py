"""A mould of two halves, in which an implant is cast of PMMA in the theatre.

A block is parted through the implant's rim as it is seen along the way in (`parting`), and the
implant, larger by the shrinkage, is cut out of both halves, with what lies under its overhangs:
each then comes off straight. The casting has that more than the implant; on its way in the implant
passes there itself, so that no bone is in the way. Three
pins let the halves meet in one way only; a channel to pour into and vents at the highest points
lead through the upper half, the one on the outer side. Everything is in LPS mm, around the implant
where it lies in the head.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..errors import SkullImplantError
from ..implant.meshes import arrays_of, mesh_health, mesh_of
from ..implant.solids import axes_along, largest_piece, mesh_of_solid, solid_library, solid_of
from .parting import PIXEL_MM, Parting, highest_places, parting_of

Floats = NDArray[np.float64]

# A cylinder of so many sides is round to a hundredth of its radius.
SIDES = 48
# What is undercut is filled. More than this share of the implant would be another implant.
MOST_UNDERCUT = 0.05
# Facets that this moves by no more are merged away; below what is printed.
SLIVER_MM = 0.01
# A channel ends so far within the cavity, below its top: it must meet it.
INTO_CAVITY_MM = 0.6


@dataclass(frozen=True)
class MouldOptions:
    """How a mould is made. The defaults are common design values but where a source is named.

    shrinkage_percent: linear, that the casting loses; 0.3 lies within the 0.2 to 0.5 of PMMA that
    polymerises under pressure (Anusavice, Phillips' Science of Dental Materials, 12th ed., ch. 19).
    wall_mm: block around, over and under the cavity, at least. pin_mm: diameter of the pins at
    their foot. pin_clearance_mm: all around a pin in its hole. pour_mm, vent_mm: diameters of the
    channels. vents: how many at most.
    """

    shrinkage_percent: float = 0.3
    wall_mm: float = 10.0
    pin_mm: float = 7.0
    pin_clearance_mm: float = 0.2
    pour_mm: float = 9.0
    vent_mm: float = 2.5
    vents: int = 4


@dataclass(frozen=True, eq=False)
class Mould:
    """Both halves, closed, LPS mm. direction: unit vector (LPS) along which the upper one comes
    off. scale: of the cavity against the implant. filled_mm3: what the cavity has more than that.
    channels: how many lead to the cavity.
    """

    upper: vtkPolyData
    lower: vtkPolyData
    direction: Floats
    scale: float
    filled_mm3: float
    channels: int


def two_piece_mould(
    implant: vtkPolyData, direction: Floats, options: MouldOptions = MouldOptions()
) -> Mould:
    """Return the mould of an implant (closed mesh, LPS mm) that is parted along a unit vector.

    Raises `SkullImplantError` where manifold3d is not installed, the mesh is no solid, or too much
    of it is undercut along that direction.
    """
    manifold3d = solid_library("A mould needs", "export without it")
    axes = axes_along(np.asarray(direction, np.float64))
    points, triangles = arrays_of(implant)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2.0
    scale = 1.0 / (1.0 - options.shrinkage_percent / 100.0)
    local = (middle + scale * (points - middle)) @ axes
    cavity_mesh = mesh_of(local, triangles)
    cavity = solid_of(cavity_mesh, manifold3d, "The implant")
    margin_mm = options.wall_mm + options.pin_mm
    parting = parting_of(cavity_mesh, margin_mm)
    volume_mm3 = 1000.0 * mesh_health(cavity_mesh).volume_cm3
    if parting.undercut_mm3 > MOST_UNDERCUT * volume_mm3:
        raise SkullImplantError(
            f"A two-piece mould cannot let go of this implant: {parting.undercut_mm3 / 1000:.1f} "
            "cm³ of it are undercut along its way in; give another insertion direction or split it."
        )
    cavity, filled_mm3 = _without_overhangs(cavity, parting, manifold3d)
    top_mm = max(float(local[:, 2].max()), float(parting.height_mm.max())) + options.wall_mm
    bottom_mm = min(float(local[:, 2].min()), float(parting.height_mm.min())) - options.wall_mm
    # Its rows of pixels are flat nearly everywhere: four in five facets go at once.
    below = _now(_under(parting, bottom_mm, manifold3d).simplify(SLIVER_MM))
    size = np.array([*_size_mm(parting), top_mm - bottom_mm])
    block = manifold3d.Manifold.cube(size.tolist()).translate([*parting.start_mm, bottom_mm])
    upper, lower = _now(_now(block - below) - cavity), _now(below - cavity)
    for pin, hole in _pins(parting, options, manifold3d):
        lower, upper = _now(lower + pin), _now(upper - hole)
    channels = _channels(parting, top_mm, options, manifold3d)
    for channel in channels:
        upper = _now(upper - channel)
    halves = []
    for half in (upper, lower):
        turned = half.transform(np.column_stack([axes, np.zeros(3)]))
        # Anew: slivers along seams of the cuts would stay, which are edges of what was cut there.
        halves.append(mesh_of_solid(largest_piece(turned.as_original().simplify(SLIVER_MM))))
    return Mould(
        halves[0],
        halves[1],
        axes[:, 2],
        scale,
        filled_mm3,
        len(channels),
    )


def _without_overhangs(cavity: Any, parting: Parting, manifold3d: Any) -> tuple[Any, float]:
    """Return the cavity with all that lies under its overhangs, and how much (mm³) that is."""
    points, triangles = parting.overhung()
    if len(triangles) == 0:
        return cavity, 0.0
    under = solid_of(mesh_of(points, triangles), manifold3d, "What is undercut")
    whole = _now(cavity + under)
    return whole, float(whole.volume() - cavity.volume())


def _now(solid: Any) -> Any:
    """Return a solid once it is worked out. Put off, all that is to be taken away would be joined
    first, which takes five times as long.
    """
    solid.num_tri()
    return solid


def _size_mm(parting: Parting) -> Floats:
    rows, columns = parting.height_mm.shape
    return np.array([columns - 1, rows - 1]) * PIXEL_MM


def _under(parting: Parting, bottom_mm: float, manifold3d: Any) -> Any:
    """Return the block below the parting surface as a solid."""
    rows, columns = parting.height_mm.shape
    row, column = np.mgrid[:rows, :columns].reshape(2, -1)
    across = np.column_stack([column, row]) * PIXEL_MM + parting.start_mm
    above = np.column_stack([across, parting.height_mm.ravel()])
    under = np.column_stack([across, np.full(rows * columns, bottom_mm)])
    number = np.arange(rows * columns).reshape(rows, columns)
    first, right = number[:-1, :-1].ravel(), number[:-1, 1:].ravel()
    over, both = number[1:, :-1].ravel(), number[1:, 1:].ravel()
    faces = np.concatenate(
        [np.column_stack([first, right, both]), np.column_stack([first, both, over])]
    )
    # Once around, seen from above against the clock.
    around = np.concatenate([number[0, :-1], number[:-1, -1], number[-1, :0:-1], number[:0:-1, 0]])
    beside = np.roll(around, -1)
    count = rows * columns
    sides = np.concatenate(
        [
            np.column_stack([around + count, beside + count, beside]),
            np.column_stack([around + count, beside, around]),
        ]
    )
    triangles = np.concatenate([faces, faces[:, ::-1] + count, sides])
    mesh = mesh_of(np.concatenate([above, under]), triangles)
    return solid_of(mesh, manifold3d, "The parting surface")


def _pins(parting: Parting, options: MouldOptions, manifold3d: Any) -> list[tuple[Any, Any]]:
    """Return three pins, tapered, and the holes that they go into, at three of the four corners."""
    inset = (options.wall_mm + options.pin_mm) / 2.0
    width, depth = _size_mm(parting)
    radius, length = options.pin_mm / 2.0, options.pin_mm
    gap = options.pin_clearance_mm
    found = []
    for across in ((inset, inset), (width - inset, inset), (inset, depth - inset)):
        column, row = (round(float(along) / PIXEL_MM) for along in across)
        foot = parting.height_mm[row, column]
        place = [*(parting.start_mm + across), foot - length]
        pin = manifold3d.Manifold.cylinder(2.0 * length, radius, 0.7 * radius, SIDES)
        hole = manifold3d.Manifold.cylinder(
            2.0 * length + gap, radius + gap, 0.7 * radius + gap, SIDES
        )
        found.append((pin.translate(place), hole.translate(place)))
    return found


def _channels(parting: Parting, top_mm: float, options: MouldOptions, manifold3d: Any) -> list[Any]:
    """Return the channels through the upper half: to pour where the implant is nearest to its
    middle, and vents at its highest points, not beside that; one at least, where air leaves while
    it is poured.
    """
    pour = _nearest_to_the_middle(_free_for(parting, options.pour_mm))
    apart_mm = 2.0 * options.pour_mm
    row, column = np.indices(parting.inside.shape)
    beside = np.hypot(row - pour[0], column - pour[1]) * PIXEL_MM < apart_mm
    free = _free_for(parting, options.vent_mm)
    highest = highest_places(replace(parting, inside=free), apart_mm, options.vents + 1)
    vents = [place for place in highest if not beside[place]][: options.vents]
    if not vents and (free & ~beside).any():
        highest_mm = np.where(free & ~beside, parting.top_mm, -np.inf)
        place = np.unravel_index(np.argmax(highest_mm), highest_mm.shape)
        vents = [(int(place[0]), int(place[1]))]
    return [
        _channel(parting, place, diameter_mm, top_mm, manifold3d)
        for place, diameter_mm in [(pour, options.pour_mm), *((v, options.vent_mm) for v in vents)]
    ]


def _free_for(parting: Parting, diameter_mm: float) -> NDArray[np.bool_]:
    """Return where a channel's whole section lies over the implant's shadow; where the shadow is
    narrower than that everywhere, its middle.
    """
    deep_mm = ndimage.distance_transform_edt(parting.inside) * PIXEL_MM
    return np.asarray(deep_mm >= min(diameter_mm / 2.0 + PIXEL_MM, float(deep_mm.max())))


def _nearest_to_the_middle(free: NDArray[np.bool_]) -> tuple[int, int]:
    rows, columns = np.nonzero(free)
    nearest = int(np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean())))
    return int(rows[nearest]), int(columns[nearest])


def _channel(
    parting: Parting, place: tuple[int, int], diameter_mm: float, top_mm: float, manifold3d: Any
) -> Any:
    """Return a channel over a pixel (row, column), open in its whole section: it goes down to where
    the cavity's top is lowest in it. What lies below the top there is cavity, or the other half.
    """
    row, column = np.indices(parting.inside.shape)
    reach_mm = np.hypot(row - place[0], column - place[1]) * PIXEL_MM
    section = parting.inside & (reach_mm <= diameter_mm / 2.0 + PIXEL_MM)
    foot = float(parting.top_mm[section].min()) - INTO_CAVITY_MM
    across = parting.start_mm + np.array(place[::-1]) * PIXEL_MM
    cylinder = manifold3d.Manifold.cylinder(top_mm - foot + 1.0, diameter_mm / 2.0, -1.0, SIDES)
    return cylinder.translate([*across, foot])
