"""Shapes of a body as depths in mm: tubes along curves and ellipsoids, on a coarse lattice.

Depths are smooth, so that they are worked out on a lattice and read linearly on any grid: a tube of
radius r is then off by h^2 / 8 r at most, 0.2 mm for the thinnest artery. Points are (x, y, z) in
mm, LPS; arrays of the lattice are (z, y, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..core.distances import NOWHERE_MM
from ..core.interpolation import along_axes

Floats = NDArray[np.floating]
Singles = NDArray[np.float32]

STEP_MM = 2.5  # of the lattice
# Depths are known so far outside a shape; no voxel of a CT is as wide.
REACH_MM = 8.0
ALONG_MM = 0.5  # of the points of a curve
# A depth along a ray from the middle is undefined at the middle itself.
LEAST_MM = 1e-3


@dataclass(frozen=True)
class Tube:
    """A tube: points (n, 3) of its middle line, close to one another, and its radius (n) in mm.

    flat: its radius from front to back (along y) as a share of that to the sides.
    """

    middle_mm: Floats
    radius_mm: Floats
    flat: float = 1.0


@dataclass(frozen=True)
class Ellipsoid:
    """Middle and half axes (x, y, z) in mm, turned by `turn_deg` about x, then y, then z."""

    middle_mm: Floats
    half_mm: Floats
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ShapeField:
    """A shape's depth in mm, positive in it, float32, on the part `box` of the lattice; elsewhere
    it is at most -`REACH_MM`.
    """

    box: tuple[slice, slice, slice]
    depth_mm: Singles


@dataclass(frozen=True)
class BodyLattice:
    """Places (mm) of the points along (z, y, x), and where in the unwarped body each is: float32
    (z, y, x, 3) as (x, y, z).
    """

    axes_mm: tuple[Floats, Floats, Floats]
    places_mm: Singles
    warp_mm: float = 0.0  # the most that a place was moved along an axis

    @property
    def shape(self) -> tuple[int, int, int]:
        """Points along (z, y, x)."""
        z, y, x = map(len, self.axes_mm)
        return z, y, x

    def whole(self, depth_mm: Floats) -> ShapeField:
        """Return a depth known everywhere, (z, y, x), as a field."""
        z, y, x = self.shape
        return ShapeField((slice(0, z), slice(0, y), slice(0, x)), depth_mm.astype(np.float32))

    def around(self, low_mm: Floats, high_mm: Floats) -> tuple[slice, slice, slice]:
        """Return the box of the points that lie between two corners (x, y, z) of the body."""
        z, y, x = (
            slice(*np.searchsorted(axis, [low - self.warp_mm, high + self.warp_mm]).tolist())
            for axis, low, high in zip(self.axes_mm, low_mm[::-1], high_mm[::-1])
        )
        return z, y, x


def lattice_over(extent_mm: Sequence[float], warp_mm: Singles | None = None) -> BodyLattice:
    """Return the lattice over a box of that extent (x, y, z) around the origin.

    warp_mm: float32 (z, y, x, 3), how far each point was moved, as `lattice_shape` has it.
    """
    x, y, z = (
        np.linspace(-side / 2, side / 2, n)
        for side, n in zip(extent_mm, lattice_shape(extent_mm)[::-1])
    )
    places = np.stack(np.broadcast_arrays(x, y[:, None], z[:, None, None]), axis=-1)
    places = places.astype(np.float32)
    if warp_mm is None:
        return BodyLattice((z, y, x), places)
    return BodyLattice((z, y, x), places - warp_mm, float(np.abs(warp_mm).max()))


def lattice_shape(extent_mm: Sequence[float]) -> tuple[int, int, int]:
    """Return the lattice's points along (z, y, x) for an extent (x, y, z)."""
    x, y, z = (int(np.ceil(side / STEP_MM)) + 1 for side in extent_mm)
    return z, y, x


def tube(
    points_mm: Sequence[Sequence[float]] | Floats, radius_mm: Sequence[float], flat: float = 1.0
) -> Tube:
    """Return a tube along a smooth curve through a few points (x, y, z), its radius at each."""
    points = np.asarray(points_mm, float)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], max(2, round(along[-1] / ALONG_MM)))
    middle = make_interp_spline(along, points, k=min(3, len(points) - 1))(at)
    return Tube(middle, np.interp(at, along, radius_mm), flat)


def tube_field(lattice: BodyLattice, of: Tube) -> ShapeField:
    """Return the depth in a tube, of the nearest point of its middle line."""
    reach = of.radius_mm.max() + REACH_MM
    box = lattice.around(of.middle_mm.min(0) - reach, of.middle_mm.max(0) + reach)
    places = lattice.places_mm[box]
    scale = np.array([1.0, 1.0 / of.flat, 1.0])
    tree = cKDTree(of.middle_mm * scale)
    away, nearest = tree.query(places * scale, distance_upper_bound=reach / of.flat)
    nearest = np.minimum(nearest, len(of.middle_mm) - 1)
    if of.flat == 1.0:
        depth = of.radius_mm[nearest] - away
    else:  # along the ray from the middle line the ellipse's surface is this far
        beyond = of.radius_mm[nearest] / np.maximum(away, LEAST_MM) - 1.0
        offset_mm = np.linalg.norm(places - of.middle_mm[nearest], axis=-1)
        most_mm = of.radius_mm[nearest] * of.flat
        depth = np.where(away < LEAST_MM, most_mm, np.minimum(beyond * offset_mm, most_mm))
    return ShapeField(box, np.maximum(depth, -REACH_MM).astype(np.float32))


def ellipsoid_field(lattice: BodyLattice, of: Ellipsoid, reach_mm: float = REACH_MM) -> ShapeField:
    """Return the depth in an ellipsoid, along the rays from its middle; so far outside it."""
    reach = float(of.half_mm.max()) + reach_mm
    box = lattice.around(of.middle_mm - reach, of.middle_mm + reach)
    offset = lattice.places_mm[box] - of.middle_mm
    turned = offset @ Rotation.from_euler("xyz", of.turn_deg, degrees=True).as_matrix()
    away = np.linalg.norm(turned / of.half_mm, axis=-1)
    depth = (1.0 / np.maximum(away, LEAST_MM) - 1.0) * np.linalg.norm(offset, axis=-1)
    depth = np.where(away < LEAST_MM, np.inf, depth)
    depth = np.minimum(depth, of.half_mm.min())
    return ShapeField(box, np.maximum(depth, -reach_mm).astype(np.float32))


def union(lattice: BodyLattice, fields: Sequence[ShapeField], soft_mm: float = 0.0) -> ShapeField:
    """Return the union of shapes; `soft_mm` fills the grooves between them, so wide about."""
    box = tuple(
        slice(min(f.box[k].start for f in fields), max(f.box[k].stop for f in fields))
        for k in range(3)
    )
    z, y, x = box
    result = np.full([s.stop - s.start for s in box], np.float32(-NOWHERE_MM))
    for field in fields:
        inner = tuple(
            slice(own.start - whole.start, own.stop - whole.start)
            for own, whole in zip(field.box, box)
        )
        before = result[inner]
        larger = np.maximum(before, field.depth_mm)
        if soft_mm:  # a polynomial smooth maximum (Quilez 2013)
            near = np.maximum(soft_mm - np.abs(before - field.depth_mm), 0.0) / soft_mm
            larger = larger + near * near * np.float32(soft_mm / 4)
        result[inner] = larger
    return ShapeField((z, y, x), np.maximum(result, np.float32(-REACH_MM)))


def of_volume(lattice: BodyLattice, field: ShapeField, volume_mm3: float) -> ShapeField:
    """Return a shape grown or shrunk evenly, so that it holds the volume (mm^3)."""
    cell_mm3 = np.prod([axis[1] - axis[0] for axis in lattice.axes_mm])
    count = round(float(volume_mm3 / cell_mm3))
    flat = field.depth_mm.ravel()
    level = np.partition(flat, len(flat) - count)[len(flat) - count]
    return ShapeField(field.box, field.depth_mm - level)


def depth_on(
    lattice: BodyLattice, field: ShapeField, axes_mm: Sequence[Floats]
) -> tuple[tuple[slice, slice, slice], Singles] | None:
    """Return a field on the part of a grid where it is known: that part's box, and the depth.

    axes_mm: places of the grid's voxels along (z, y, x), rising. None where it is known nowhere.
    """
    box, at = [], []
    for own, places, wanted in zip(field.box, lattice.axes_mm, axes_mm):
        first, last = places[own.start], places[own.stop - 1]
        start, stop = np.searchsorted(wanted, [first, last + LEAST_MM])
        if start == stop:
            return None
        box.append(slice(int(start), int(stop)))
        at.append((wanted[start:stop] - first) / (places[1] - places[0]))
    z, y, x = box
    return (z, y, x), along_axes(field.depth_mm, at)
