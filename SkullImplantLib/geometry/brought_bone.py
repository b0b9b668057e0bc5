"""Bone brought onto the intact bone around a hole, and what it says of that hole.

Whose bone it is, the other side's or another skull's, is the caller's matter. Arrays are (z, y, x)
on the standard grid of `GRID_MM`; points (n, 3) are (x, y, z) in mm of the standard frame.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.distances import away_mm, depth_of_shares
from ..core.images import array_of, bounding_box, fraction_on
from ..core.interpolation import along_axes, values_at
from . import radial
from .brow import BROW_GRID_MM
from .frame import BOX_LOW_MM, standard_grid
from .prior import Prior
from .surface_registration import (
    SIDES,
    DepthMap,
    IntactSurface,
    Points,
    Registration,
    Silent,
    Stiffness,
    registered,
)

Depth = NDArray[np.float32]
Flags = NDArray[np.bool_]
Map = NDArray[np.floating]
Box = tuple[slice, slice, slice]
Heard = Callable[[Points], Map]

GRID_MM = BROW_GRID_MM  # other skulls' foreheads are kept on it
# Bone so far around the missing shell is registered; what is brought is cut a little wider.
RIM_MM, MARGIN_MM = 50.0, 12.0
# Nearer than this to a hole's directions bone may be bevelled, or its surface is the cut's.
SILENT_MM = 4.5
RIM_POINTS, NEARER_MM = 1500, 20.0  # how many points, and likelier within so much of the hole
AROUND_MM = 16.0  # of the shell: where the brought bone is looked up
SURFACE_MM = 0.5  # voxels with the surface nearer than this are points of it
NORMAL_BLUR_MM = 1.0
SEED = 1
# Displacement and agreement are smooth: worked out on lattices so many voxels wide.
DISPLACEMENT_STEPS, AGREEMENT_STEPS = 4, 10
COARSE_STEPS = 3  # of the lattice on which distances to the shell are looked up
# How badly the bones agree is averaged over this around a place. What two sides of any head differ
# by, and the method's own noise, are usual.
AGREEMENT_MM, USUAL_APART_MM = 20.0, 1.2
# Far from any bone that was seen the bones may differ by as much as healthy sides do; this grows
# over so many mm.
UNSEEN_MM2, UNSEEN_REACH_MM = 1.0, 15.0
# A point with no like surface near counts as apart by this, and one that lies on the brought bone
# only because that was bent by more than healthy heads ask for, by the rest.
UNLIKE_MM, USUALLY_BENT_MM = 4.0, 2.5


@dataclass(frozen=True)
class BroughtBone:
    """What bone brought onto this head says around its hole, on a box of the standard grid.

    depth_mm: within the brought bone, positive in it. heard: 0 to 1, how far it says anything.
    apart_mm2: the mean square by which it differs from the intact bone around, beyond what is
    usual. from_shell_mm: to the bone missing in the hole; beyond `AROUND_MM` nothing is known.
    """

    box: Box
    depth_mm: Depth
    heard: Depth
    apart_mm2: Depth
    from_shell_mm: Depth


@dataclass(frozen=True)
class Rim:
    """One hole: the bone missing in it (bool, on the whole standard grid), and points of the intact
    bone's surface around it.
    """

    shell: Flags
    points: IntactSurface


@dataclass(frozen=True)
class Surroundings:
    """The skull around its holes: its share of each voxel of the standard grid, the box of that
    grid on which anything brought is looked at, and the holes that have intact bone around.
    """

    share: Depth
    box: Box
    rims: tuple[Rim, ...]


def surroundings_of(skull: sitk.Image, prior: Prior) -> Surroundings | None:
    """Return the intact bone around the holes of a skull mask (uint8); None without a hole."""
    grid = standard_grid(prior.pose, GRID_MM)
    holes, count = ndimage.label(prior.hole, np.ones((3, 3)))
    shells = [
        array_of(replace(prior, hole=holes == number).hole_on(grid)) > 0
        for number in range(1, count + 1)
    ]
    shells = [shell for shell in shells if shell.any()]
    if not shells:
        return None
    share = array_of(fraction_on(skull, grid))
    from_hole = radial.distance_mm(prior.hole)
    rims = ((shell, rim_points(share, shell, from_hole)) for shell in shells)
    return Surroundings(
        share,
        box_around(np.logical_or.reduce(shells), AROUND_MM),
        tuple(Rim(shell, points) for shell, points in rims if points is not None),
    )


def brought(
    bone: DepthMap,
    rim: Rim,
    is_silent: Silent,
    heard: Heard,
    stiffness: Stiffness = SIDES,
    affine: bool = False,
    reach_mm: float = AROUND_MM,
) -> BroughtBone | None:
    """Return what `bone`, registered to the `points` around a hole, says of it, and so far around;
    None where too little of it agrees.

    is_silent: says of places (n, 3) in the brought bone whether nothing is known there; heard: how
    far, 0 to 1.
    """
    move = registered(rim.points, bone, is_silent, stiffness, affine)
    if move is None:
        return None
    box = box_around(rim.shell, reach_mm)
    from_shell = away_mm(rim.shell[box], GRID_MM)
    inside = from_shell < reach_mm
    at, how_far = _found_at(move, box, inside, heard)
    depth = np.zeros(from_shell.shape, np.float32)
    depth[inside] = bone.at(np.stack([axis[inside] for axis in at], axis=-1))
    return BroughtBone(box, depth, how_far, _apart_mm2(rim.points, move, box), from_shell)


def joined(found: Sequence[BroughtBone], box: Box) -> BroughtBone | None:
    """Return what was found of several holes as one, on a box that holds theirs: at each place the
    nearest hole's. None where nothing was found.
    """
    if not found:
        return None
    shape = tuple(s.stop - s.start for s in box)
    nothing = np.zeros(shape, np.float32)
    far = np.full(shape, np.inf, np.float32)
    whole = BroughtBone(box, nothing, nothing.copy(), nothing.copy(), far)
    for one in found:
        at = tuple(slice(i.start - b.start, i.stop - b.start) for i, b in zip(one.box, box))
        better = one.from_shell_mm < whole.from_shell_mm[at]
        for all_, own in (
            (whole.depth_mm, one.depth_mm),
            (whole.heard, one.heard),
            (whole.apart_mm2, one.apart_mm2),
            (whole.from_shell_mm, one.from_shell_mm),
        ):
            all_[at][better] = own[better]
    return whole


def rim_points(share: Depth, shell: Flags, from_hole: Map) -> IntactSurface | None:
    """Return points of the intact bone's surface around a hole; None where there is none.

    share, shell: of bone, and the bone missing in the hole, on the whole standard grid. from_hole:
    the distance to all holes as a radial map, mm. Points are likelier near the hole.
    """
    box = box_around(shell, RIM_MM)
    field = ndimage.gaussian_filter(share[box], 0.5) - np.float32(0.5)
    surface = (ndimage.maximum_filter(field, 3) > 0) & (ndimage.minimum_filter(field, 3) < 0)
    inner = (slice(2, -2),) * 3  # the box's border is no surface
    index = np.argwhere(surface[inner]) + 2
    if not len(index):
        return None
    steep = np.linalg.norm(_slope(field, index), axis=1)
    off_mm = field[tuple(index.T)] * GRID_MM / np.maximum(steep, 1e-3)
    normals = -_slope(ndimage.gaussian_filter(field, NORMAL_BLUR_MM / GRID_MM), index)[:, ::-1]
    length = np.linalg.norm(normals, axis=1)
    places = (index[:, ::-1] + [s.start + 0.5 for s in box[::-1]]) * GRID_MM + BOX_LOW_MM
    apart_mm = _distance_from(shell[box], index)
    chosen = (np.abs(off_mm) <= SURFACE_MM) & (length > 0) & (apart_mm < RIM_MM)
    chosen &= looked_up(from_hole, places) > SILENT_MM
    if not chosen.any():
        return None
    normals = normals[chosen] / length[chosen, None]
    places = places[chosen] + normals * off_mm[chosen, None]
    weight = 1.0 / (1.0 + apart_mm[chosen] / NEARER_MM)
    drawn = np.random.default_rng(SEED).choice(
        len(places), min(RIM_POINTS, len(places)), replace=False, p=weight / weight.sum()
    )
    return IntactSurface(places[drawn].astype(np.float64), normals[drawn].astype(np.float64))


def depth_map(share: Depth, box: Box) -> DepthMap:
    """Return bone as a depth from its share of each voxel of a box of the standard grid."""
    image = sitk.GetImageFromArray(share)
    image.SetSpacing([GRID_MM] * 3)
    low = np.array([s.start + 0.5 for s in box[::-1]]) * GRID_MM + BOX_LOW_MM
    return DepthMap(array_of(depth_of_shares(image)), low, GRID_MM)


def looked_up(map_mm: Map, points: Points) -> Map:
    """Return the values (n,) of a radial map in the directions of points (n, 3)."""
    rows, columns, _ = radial.to_map(points)
    return radial.look_up(map_mm, rows, columns)


def box_around(shell: Flags, margin_mm: float) -> Box:
    """Return the box of the standard grid that holds the shell and so much around it."""
    z, y, x = bounding_box(shell, math.ceil(margin_mm / GRID_MM))
    return z, y, x


def _found_at(
    move: Registration, box: Box, inside: Flags, heard: Heard
) -> tuple[list[Depth], Depth]:
    """Return for a box where in the brought bone its places are found, x, y and z in mm, and how
    far that is heard; of use where `inside`.
    """
    places, shape = _lattice(box, DISPLACEMENT_STEPS)
    near = ndimage.maximum_filter(inside, 2 * DISPLACEMENT_STEPS + 1)
    at = tuple(
        np.minimum(np.arange(n) * DISPLACEMENT_STEPS, size - 1)
        for n, size in zip(shape, inside.shape)
    )
    chosen = near[np.ix_(*at)].ravel()
    values = np.zeros((4, len(places)))
    moved = move(places[chosen])
    values[:3, chosen], values[3, chosen] = moved.T, heard(moved)
    x, y, z, how_far = (
        _between(v.reshape(shape), DISPLACEMENT_STEPS, inside.shape) for v in values
    )
    return [x, y, z], how_far


def _apart_mm2(points: IntactSurface, move: Registration, box: Box) -> Depth:
    """Return the mean square (mm²) by which the bones differ around each place of a box, beyond
    what is usual.
    """
    bent = np.abs((move.displacement(points.places) * points.normals).sum(axis=1))
    apart = np.abs(move.residual_mm) + np.maximum(bent - USUALLY_BENT_MM, 0.0)
    apart[np.isnan(apart)] = UNLIKE_MM
    square = np.minimum(apart, UNLIKE_MM) ** 2
    places, shape = _lattice(box, AGREEMENT_STEPS)
    squared = ((places[:, None] - points.places[None]) ** 2).sum(axis=-1)
    nearest = squared.min(axis=1)
    squared -= nearest[:, None]  # far from all, the nearest tells
    weight = np.exp(-squared / (2 * AGREEMENT_MM**2))
    mean = (weight @ square) / weight.sum(axis=1)
    beyond = np.maximum(mean - USUAL_APART_MM**2, 0.0)
    beyond += UNSEEN_MM2 * (1.0 - np.exp(-nearest / (2 * UNSEEN_REACH_MM**2)))
    beyond = beyond.reshape(shape)
    return _between(beyond, AGREEMENT_STEPS, tuple(s.stop - s.start for s in box))


def _lattice(box: Box, steps: int) -> tuple[Points, tuple[int, ...]]:
    """Return places (n, 3), mm, every so many voxels over a box and beyond its end, and how many
    there are along (z, y, x).
    """
    axes = [np.arange(s.start, s.stop - 1 + steps, steps) for s in box]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    places = (np.stack([x, y, z], axis=-1).reshape(-1, 3) + 0.5) * GRID_MM + BOX_LOW_MM
    return places, z.shape


def _between(values: Map, steps: int, shape: tuple[int, ...]) -> Depth:
    """Return what is known every so many voxels, on all of them (z, y, x), linearly."""
    return along_axes(values, [(np.arange(n) / steps).astype(np.float32) for n in shape])


def _slope(values: Depth, index: NDArray[np.intp]) -> Depth:
    """Return the gradient (n, 3), a voxel, along (z, y, x) at voxels (n, 3) off the border."""
    z, y, x = index.T
    pairs = [
        (values[z + 1, y, x], values[z - 1, y, x]),
        (values[z, y + 1, x], values[z, y - 1, x]),
        (values[z, y, x + 1], values[z, y, x - 1]),
    ]
    return np.stack([(after - before) / 2 for after, before in pairs], axis=1)


def _distance_from(shell: Flags, index: NDArray[np.intp]) -> Depth:
    """Return the distance (n,), mm, of voxels (n, 3) to the shell, from a coarse lattice."""
    coarse = away_mm(shell[(slice(None, None, COARSE_STEPS),) * 3], COARSE_STEPS * GRID_MM)
    return values_at(coarse, list((index / COARSE_STEPS).astype(np.float32).T))
