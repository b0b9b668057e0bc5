"""Is the outer face as smooth as the bone beside it, and like the other side of the head?

Points are (n, 3), LPS mm.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..core.images import array_of, crop, fraction_on, index_to_lps_mm
from ..geometry.frame import Pose
from ..implant.lattice import lattice_over
from ..implant.level_set import surface_at_zero
from ..implant.mesh_distance import MeshDistance
from .check import Check, judged, two_decimals
from .check_options import CheckOptions
from .near_bone import NearBone, bone_beside
from .plate_surface import PlateSurface

Floats = NDArray[np.floating]

# A patch of this radius is compared with the quadric through it.
PATCH_MM, PATCH_POINTS, LEAST_POINTS = 3.0, 48, 16
PATCHES = 1_500
# Bone beside the rim: away from its cut edge, near enough to be like what was cut out.
BESIDE_MM = (3.0, 14.0)
# The other side is looked at on this grid; bone farther from the mirror image is not its own.
MIRROR_GRID_MM, MIRROR_MM, MIRRORED = 1.0, 12.0, 3_000
# Where less of the mirror image than this has bone, the other side has a hole itself.
LEAST_SHARE = 0.5


def roughness_check(plate: PlateSurface, bone: NearBone, options: CheckOptions) -> Check:
    """How rough the implant's outer face is over 6 mm, beside the bone's."""
    outer = plate.outer
    own, places = _roughness_mm(plate.places_mm[outer], plate.normals[outer])
    beside = bone_beside(plate, bone, BESIDE_MM)
    theirs, _ = _roughness_mm(bone.middles_mm[beside], bone.normals[beside])
    value = float(np.percentile(own, 95.0)) if len(own) else 0.0
    bone_value = float(np.percentile(theirs, 95.0)) if len(theirs) else 0.0
    return judged(
        "contour roughness",
        value,
        "mm",
        "<=",
        max(options.roughness_mm, bone_value),
        f"Over {2 * PATCH_MM:.0f} mm the outer face is rough by {two_decimals(value)} mm (the "
        f"bone beside it by {two_decimals(bone_value)} mm).",
        "the neighbouring bone's own, or what can be smoothed by hand (0.15 mm)",
        places[int(np.argmax(own))] if len(own) else None,
        "shape",
    )


def _roughness_mm(places: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Return the root mean square (k,) off quadrics of patches of a face, and their middles."""
    if len(places) < LEAST_POINTS:
        return np.zeros(0), places[:0]
    middles = np.arange(0, len(places), 1 + len(places) // PATCHES)
    count = min(PATCH_POINTS, len(places))
    away, near = cKDTree(places).query(
        places[middles], count, distance_upper_bound=PATCH_MM, workers=-1
    )
    known = np.isfinite(away)
    near = np.where(known, near, 0)
    normal = np.einsum("nkj,nk->nj", normals[near], known.astype(float))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    # Points of another sheet, or round an edge, are none of the patch.
    known &= np.einsum("nkj,nj->nk", normals[near], normal) > 0.5
    aside = np.eye(3)[np.abs(normal).argmin(axis=1)]
    first = np.cross(normal, aside)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(normal, first)
    local = places[near] - places[middles][:, None]
    u, v, height = (np.einsum("nkj,nj->nk", local, axis) for axis in (first, second, normal))
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=2)
    weight = known.astype(float)
    left = np.einsum("nki,nkj,nk->nij", terms, terms, weight) + 1e-6 * np.eye(6)
    right = np.einsum("nki,nk,nk->ni", terms, height, weight)
    fitted = np.linalg.solve(left, right[..., None])[..., 0]
    off = height - np.einsum("nki,ni->nk", terms, fitted)
    number = known.sum(axis=1)
    enough = number >= LEAST_POINTS
    # Six numbers were fitted.
    rough = np.sqrt((off**2 * weight).sum(axis=1) / np.maximum(number - 6, 1))
    return rough[enough], places[middles[enough]]


def symmetry_check(
    plate: PlateSurface, bone: NearBone, skull: sitk.Image, pose: Pose, options: CheckOptions
) -> Check | None:
    """How far the outer face is from the other side's, turned over; None where the other side has
    a hole there or is not in the image.

    skull: uint8 mask of the whole skull. No head is its own mirror image: the bone around the
    implant is compared likewise, and raises the limit.
    """
    outer = plate.places_mm[plate.outer]
    outer = outer[:: 1 + len(outer) // MIRRORED]
    beside = bone.middles_mm[bone_beside(plate, bone, BESIDE_MM)]
    beside = beside[:: 1 + len(beside) // MIRRORED]
    turned = [_turned_over(places, pose) for places in (outer, beside)]
    surface = _outer_surface(skull, np.concatenate(turned), pose)
    if surface is None or len(outer) == 0:
        return None
    own, theirs = (
        surface.unsigned_mm(np.asarray(places, np.float64), MIRROR_MM) for places in turned
    )
    known = np.isfinite(own)
    if known.mean() < LEAST_SHARE:
        return None
    value = float(np.median(own[known]))
    there = theirs[np.isfinite(theirs)]
    asymmetry = float(np.percentile(there, 90.0)) if len(there) else 0.0
    worst = int(np.argmax(np.where(known, own, -1.0)))
    return judged(
        "symmetry",
        value,
        "mm",
        "<=",
        options.symmetry_mm + asymmetry,
        f"The outer face is {value:.1f} mm off the other side's, turned over (the bone around it "
        f"up to {asymmetry:.1f} mm).",
        "the head's own asymmetry around the implant, and 4 mm: true pieces differ as much from "
        "their other side",
        outer[worst],
        "shape",
    )


def _turned_over(places: Floats, pose: Pose) -> NDArray[np.float64]:
    return pose.to_patient(pose.to_standard(places) * (-1.0, 1.0, 1.0))


def _outer_surface(skull: sitk.Image, places: Floats, pose: Pose) -> MeshDistance | None:
    """Return the distance to the outer surface of the skull around places (n, 3)."""
    frame = index_to_lps_mm(skull)
    inverse = np.linalg.inv(frame)
    index = places @ inverse[:3, :3].T + inverse[:3, 3]
    margin = MIRROR_MM / np.array(skull.GetSpacing())
    low = np.maximum(np.floor(index.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + margin), np.array(skull.GetSize())).astype(int)
    if (high - low < 2).any():
        return None
    part = crop(skull, tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1])))
    if not array_of(part).any():
        return None
    grid = lattice_over(part, MIRROR_GRID_MM)
    points, triangles = surface_at_zero(array_of(fraction_on(part, grid)) - np.float32(0.5))
    if len(triangles) == 0:
        return None
    frame = index_to_lps_mm(grid)
    if np.linalg.det(frame[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    points = points @ frame[:3, :3].T + frame[:3, 3]
    a, b, c = (points[triangles[:, k]] for k in range(3))
    outward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - pose.centre_mm) > 0.0
    return MeshDistance(points, triangles[outward]) if outward.any() else None
