"""The depth within a registered reference's bone, flush with the bone that is there now.

The reference's own field is brought onto a fine lattice around the hole, where the distance to its
surface is measured between voxels. Its misfit on intact bone around the hole (`misfit.py`) is taken
off. Where the reference has no bone but the hole has, as at a saw's kerf or at a bit that is
missing, another completion stands in, bent by the same means to meet both.
"""

from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.distances import depth_mm, distance_mm
from ..core.images import array_of, crop, image_like, index_to_lps_mm, resample
from ..core.interpolation import values_at
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from ..geometry import radial
from ..geometry.bone_field import SurfacePoints, Vectors, bone_field, surface_points, thinned
from ..geometry.hole import Hole
from ..geometry.prior import Prior
from ..geometry.rigid_registration import Surface
from ..skull import Skull
from .complete import RIM_MM, Completed
from .earlier import FIELD_MM, Earlier, from_hole_mm, hole_box_points
from .misfit import Misfit, Smoothness, misfit_of
from .trust import REFERENCE

FINE_MM = 0.6  # of the lattice: the fit's own is no finer
AROUND_MM = 4.0  # beyond `RIM_MM`
BAND_MM = 3.5  # so near the surface depths are exact; the fit looks no deeper
PLANE_MM = 1.2  # nearer than this the distance is that to the surface's plane
# Intact bone that tells the misfit: so far around the hole, not its cut edge, of one direction and
# near the reference's surface.
RING_MM, RING_POINTS_MM, WALL_MM = 25.0, 2.5, 1.0
SAME_FACING, SAME_WALL_MM = 0.8, 2.0
KNOWN_MM = 5.0  # the misfit is smooth: it is known on a lattice so fine
# Another completion is bent to a flap and to the rim so near it, where it is no farther off.
BESIDE_MM, FLAP_POINTS_MM, OTHERWISE_MM = 8.0, 4.0, 8.0
BENDING = Smoothness(thicker_mm=0.7, shift_mm=1.5, range_mm=15.0, rough_mm=0.15)
EDGE_MM = 4.0  # of a flap: a wall that is slanted by 25 degrees takes so much of its thickness
# The hole: bone of the reference so far from the patient's, as far around the prior's hole.
MISSING_MM, MISSING_AROUND_MM = 1.5, 20.0
# Of the hole's bone so much must be in the reference, so near; if it is not nearly all, that is
# told.
LEAST_THERE, WHOLLY_THERE, THERE_MM = 0.5, 0.97, 4.0


def complete_by_reference(
    earlier: Earlier,
    skull: Skull,
    prior: Prior,
    hole: Hole,
    otherwise: Completed | None,
    progress: Progress = silent,
) -> Completed:
    """Return the skull completed by its own bone of before; its hole is that with all that bone.

    otherwise: another completion, for where a flap has no bone; a whole skull needs none. Raises
    `SkullImplantError` where the reference has no bone in the hole.
    """
    progress(0.0, "Looking at the reference's bone")
    lattice = _lattice(skull.mask, hole, RIM_MM + AROUND_MM)
    wide = _lattice(skull.mask, hole, RING_MM)
    field = _on_lattice(earlier.bone, wide)
    surface = surface_points(field)
    if not len(surface):
        raise SkullImplantError(_NOTHING_THERE)
    ring = hole_box_points(skull, hole, RING_MM, RING_POINTS_MM)
    ring = ring.at(from_hole_mm(ring.places_mm, hole) > WALL_MM)
    progress(0.4, "Making it flush with the bone")
    if otherwise is None:
        depth = depth_within(field, surface, lattice, _misfit_on(ring, surface, earlier.thicker_mm))
    else:
        alone = misfit_of(ring.at(np.zeros(0, int)), np.zeros(0), earlier.thicker_mm)
        depth = depth_within(field, surface, lattice, alone)
        filler = _bent(otherwise, ring, surface, lattice)
        depth = _joined(depth, filler, earlier, prior)
    missing = _missing(depth, skull, hole)
    there = distance_mm(missing)[array_of(hole.on(lattice)) > 0] < THERE_MM
    if not there.size or there.mean() < LEAST_THERE:
        raise SkullImplantError(_NOTHING_THERE)
    progress(1.0, "Completed by the reference")
    device = "cpu" if otherwise is None else otherwise.device
    notes: tuple[str, ...] = ()
    if there.mean() < WHOLLY_THERE:
        notes = (
            f"Look twice: {100.0 * (1.0 - there.mean()):.0f} % of the hole have no bone in the "
            "reference and stay open.",
        )
    return Completed(depth, _widened(hole, missing), REFERENCE, device, notes=notes)


_NOTHING_THERE = (
    "The reference has no bone in the hole; give an image from before the bone was taken out."
)


def _lattice(skull: sitk.Image, hole: Hole, reach_mm: float) -> sitk.Image:
    """Return the empty fine lattice around the hole, along the skull's axes."""
    region = crop(skull, hole.around(skull, reach_mm))
    size = [int(np.ceil(n * s / FINE_MM)) for n, s in zip(region.GetSize(), region.GetSpacing())]
    lattice = sitk.Image(size, sitk.sitkUInt8)
    lattice.SetOrigin(region.GetOrigin())
    lattice.SetDirection(region.GetDirection())
    lattice.SetSpacing([FINE_MM] * 3)
    return lattice


def _on_lattice(bone: Skull, lattice: sitk.Image) -> sitk.Image:
    """Return the field of a bone, whose grid may be turned, on the lattice."""
    box = _box_of(lattice, bone.mask)
    grey = None if bone.grey is None else crop(bone.grey, box)
    field = bone_field(crop(bone.mask, box), grey, bone.bone_threshold_hu)
    outside = float(array_of(field).min(initial=-0.5))
    return resample(field, lattice, outside=min(outside, -0.5))


def _box_of(lattice: sitk.Image, grid: sitk.Image) -> tuple[slice, ...]:
    """Return the box (z, y, x) of `grid` that holds the lattice, as far as it reaches."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in lattice.GetSize()])).reshape(3, -1)
    to_index = np.linalg.inv(index_to_lps_mm(grid)) @ index_to_lps_mm(lattice)
    index = (to_index @ np.vstack([corners, np.ones(8)]))[:3]
    size = np.array(grid.GetSize())
    low = np.clip(np.floor(index.min(axis=1)).astype(int) - 2, 0, size - 1)
    high = np.clip(np.ceil(index.max(axis=1)).astype(int) + 3, low + 1, size)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high))
    return z, y, x


def _misfit_on(ring: SurfacePoints, surface: SurfacePoints, mean_mm: float) -> Misfit:
    """Return the misfit of a reference's surface seen on a ring of intact bone."""
    partner = surface.at(cKDTree(surface.places_mm).query(ring.places_mm, workers=-1)[1])
    residual = ((partner.places_mm - ring.places_mm) * ring.normals).sum(axis=1)
    same = (partner.normals * ring.normals).sum(axis=1) > SAME_FACING
    same &= np.linalg.norm(partner.places_mm - ring.places_mm, axis=1) < SAME_WALL_MM
    return misfit_of(ring.at(same), residual[same], mean_mm)


def depth_within(
    field: sitk.Image, surface: SurfacePoints, lattice: sitk.Image, misfit: Misfit
) -> sitk.Image:
    """Return the depth (float32, mm) on a lattice within the surface where `field` is 0, less the
    misfit; exact within `BAND_MM`.
    """
    inside = array_of(resample(field, lattice, outside=-1.0)) > 0.0
    rough = array_of(depth_mm(image_like(inside, lattice)))
    depth = np.clip(rough, -BAND_MM, BAND_MM).astype(np.float32)
    near = np.argwhere(np.abs(rough) < BAND_MM)
    frame = index_to_lps_mm(lattice)
    places = near[:, ::-1] @ frame[:3, :3].T + frame[:3, 3]
    apart, index = cKDTree(surface.places_mm).query(places, workers=-1)
    partner = surface.at(index)
    plane = ((partner.places_mm - places) * partner.normals).sum(axis=1)
    sign = np.where(inside[tuple(near.T)], 1.0, -1.0)
    exact = np.where(apart < PLANE_MM, plane, sign * apart)
    wrong = _components_at(misfit, lattice, places)
    exact -= wrong[:, 0] + (wrong[:, 1:] * partner.normals).sum(axis=1)
    depth[tuple(near.T)] = np.clip(exact, -BAND_MM, BAND_MM)
    return image_like(depth, lattice)


def _components_at(misfit: Misfit, lattice: sitk.Image, places_mm: Vectors) -> NDArray[np.float32]:
    """Return the misfit's components at places (n, 3) within the lattice, (n, 4), from a coarser
    one.
    """
    size = [int(np.ceil(n * FINE_MM / KNOWN_MM)) + 1 for n in lattice.GetSize()]
    z, y, x = np.indices(size[::-1]).reshape(3, -1)
    axes = np.reshape(lattice.GetDirection(), (3, 3))
    origin = np.array(lattice.GetOrigin())
    known = misfit.components(KNOWN_MM * np.stack([x, y, z], axis=1) @ axes.T + origin)
    index = ((places_mm - origin) @ axes / KNOWN_MM)[:, ::-1]
    layers = known.T.reshape(4, *size[::-1])
    return np.stack([values_at(layer, list(index.T)) for layer in layers], axis=1)


def _bent(
    otherwise: Completed, ring: SurfacePoints, flap: SurfacePoints, lattice: sitk.Image
) -> sitk.Image:
    """Return another completion's depth (float32, mm), bent to go on from a flap's surface into
    that of the bone around it.
    """
    field = resample(otherwise.depth_mm, lattice, outside=-BAND_MM)
    surface = surface_points(field)
    flap = flap.at(thinned(flap.places_mm, FLAP_POINTS_MM))
    beside = cKDTree(flap.places_mm).query(ring.places_mm, workers=-1)[0] < BESIDE_MM
    points = SurfacePoints(
        np.concatenate([ring.places_mm[beside], flap.places_mm]),
        np.concatenate([ring.normals[beside], flap.normals]),
    )
    partner = Surface(surface).partners(points)
    apart = partner.places_mm - points.places_mm
    residual = (apart * points.normals).sum(axis=1)
    same = (partner.normals * points.normals).sum(axis=1) > SAME_FACING
    same &= np.linalg.norm(apart, axis=1) < OTHERWISE_MM
    misfit = misfit_of(points.at(same), residual[same], 0.0, BENDING)
    return depth_within(field, surface, lattice, misfit)


def _joined(depth: sitk.Image, filler: sitk.Image, earlier: Earlier, prior: Prior) -> sitk.Image:
    """Return the depth of a flap with what is missing around and in it taken from `filler`.

    Seen from the middle of the head, the filler counts beside the flap and on its edge, whose wall
    is slanted, and fades within it, where the flap alone knows.
    """
    share = radial.share_of_bone(earlier.bone.mask, FIELD_MM)
    covered = radial.shell_of(share, prior.pose.rotation, prior.pose.centre_mm)[2]
    within_mm = radial.distance_mm(~covered)
    index = np.indices(depth.GetSize()[::-1], np.float32).reshape(3, -1)[::-1].T
    frame = index_to_lps_mm(depth)
    places = index @ frame[:3, :3].T + frame[:3, 3]
    rows, columns, _ = radial.to_map(prior.pose.to_standard(places))
    inner = values_at(within_mm.astype(np.float32), (rows, columns)).reshape(depth.GetSize()[::-1])
    fading = np.clip((inner - EDGE_MM) / EDGE_MM, 0.0, 1.0) * np.float32(2.0 * BAND_MM)
    joined = np.maximum(array_of(depth), array_of(filler) - fading)
    return image_like(joined.astype(np.float32), depth)


def _missing(depth: sitk.Image, skull: Skull, hole: Hole) -> sitk.Image:
    """Return the completed bone that the patient lacks (uint8), on the grid of `depth`."""
    bone = resample(skull.mask, depth, sitk.sitkNearestNeighbor)
    away = distance_mm(bone)
    around = distance_mm(hole.on(depth))
    core = (array_of(depth) > 0.0) & (away > MISSING_MM) & (around < MISSING_AROUND_MM)
    labels, _ = ndimage.label(core)
    touched = np.unique(labels[core & (around <= 0.0)])
    return image_like(core & np.isin(labels, touched[touched > 0]), depth)


def _widened(hole: Hole, missing: sitk.Image) -> Hole:
    """Return the hole with the missing bone in it, which the prior may not have expected."""
    more = array_of(resample(missing, hole.mask, sitk.sitkNearestNeighbor)) > 0
    return replace(hole, mask=image_like((array_of(hole.mask) > 0) | more, hole.mask))
