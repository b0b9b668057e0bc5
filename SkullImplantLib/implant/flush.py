"""Flush at the rim: the completion is bent so that it meets the bone's own two tables.

Where the completion leaves a step at the rim, bone in a ring around the hole tells by how much: the
depth of its surface in the completion should be zero. That residual, of the outer table and of the
inner one, is carried into the hole as a Gaussian process (simple kriging: Matheron 1963), whose
value and slope continue those of the ring at the rim and fade inwards within its range.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree

from ..core.images import array_of, image_like
from ..core.interpolation import values_at
from .bone_surface import BoneSurface
from .lattice import lattice_over, places_of, to_index, values_on
from .meshes import facet_middles, facet_vectors
from .openings import SKIN_MM
from .strips import Across

Floats = NDArray[np.float64]
Field = NDArray[np.float32]

# The ring of intact bone that counts, from the rim on: beyond the edge's own rounding, and as far
# as completions are true, which are made and trained for the hole and drift off over intact bone.
RING_MM = (2.0, 4.5)
# Bone so far from the completion's surface is another wall (of a sinus, of the orbit).
FARTHEST_MM = 4.0
# A facet looks outwards, or inwards, by at least this cosine; what is between is an edge.
FACING = 0.5
# The bone's own roughness and the voxels', which a rim need not follow (standard deviation).
ROUGHNESS_MM = 0.3
# How far into the hole a residual at its rim tells something, and how large residuals are.
RANGE_MM, RESIDUAL_MM = 6.0, 1.0
# Points of the ring are averaged in blocks, and the process is known on a lattice so fine; beyond
# so many ranges it is nothing.
BLOCK_MM, KNOWN_MM, FADED_RANGES = 3.0, 2.0, 2.5
# Where outer and inner table meet half way, the correction goes over from one to the other.
BETWEEN_MM = 1.5
# Depths beyond this are cut, so that their jumps do not ring in the cubic interpolation.
DEEP_ENOUGH_MM = 3.0
TOLD_PERCENTILE = 95.0
# Covariances with every place of the ring are held for so many points at once.
POINTS_AT_A_TIME = 1 << 12
# A rim of half a metre has some hundreds of blocks; of more the process would take long.
MOST_BLOCKS = 1200


@dataclass(frozen=True)
class Residual:
    """What one table's ring says: places (n, 3), residuals (n,) in mm, and the weights (n,) of the
    Gaussian process through them.
    """

    places_mm: Floats
    values_mm: Floats
    weights: Floats

    def at(self, points_mm: Floats) -> Floats:
        """Return the residual at points (m, 3), mm."""
        if len(self.places_mm) == 0:
            return np.zeros(len(points_mm))
        parts = range(0, len(points_mm), POINTS_AT_A_TIME)
        return np.concatenate(
            [
                _covariance(points_mm[k : k + POINTS_AT_A_TIME], self.places_mm) @ self.weights
                for k in parts
            ]
            or [np.zeros(0)]
        )


def residual_of(places_mm: Floats, residuals_mm: Floats) -> Residual:
    """Return the process through the residuals (n,), mm, seen at `places_mm` (n, 3)."""
    if len(places_mm) == 0:
        return Residual(np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    block_mm = BLOCK_MM
    blocks = _blocks(places_mm, block_mm)
    while blocks.max() >= MOST_BLOCKS:
        block_mm *= 1.25
        blocks = _blocks(places_mm, block_mm)
    count = np.bincount(blocks).astype(float)
    places = np.column_stack([np.bincount(blocks, axis) / count for axis in places_mm.T])
    values = np.bincount(blocks, residuals_mm) / count
    covariance = _covariance(places, places)
    covariance[np.diag_indices(len(places))] += ROUGHNESS_MM**2
    return Residual(places, values, cho_solve(cho_factor(covariance), values))


def _blocks(places_mm: Floats, block_mm: float) -> NDArray[np.intp]:
    """Return the number of the block of space (n,) that each place lies in."""
    cells = np.floor(places_mm / block_mm)
    return np.unique(cells, axis=0, return_inverse=True)[1].ravel()


def _covariance(one: Floats, other: Floats) -> Floats:
    """Return Matérn's covariance of order 3/2, which has a slope and no more."""
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2.0 * one @ other.T
    apart = np.sqrt(3.0 * np.maximum(squared, 0.0)) / RANGE_MM
    return np.asarray(RESIDUAL_MM**2 * (1.0 + apart) * np.exp(-apart))


def outward_normals(
    depth: NDArray[np.float32], outward: NDArray[np.float32], spacing_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the sheet's outward unit normals (3, z, y, x), and how much a place belongs to the
    outer table (z, y, x; 1 at and above it, 0 at and below the inner one).

    depth: mm, positive in the sheet. outward (3, z, y, x): about the direction out of the head.
    Components are along the axes (z, y, x).
    """
    slope = np.stack([np.gradient(depth, spacing_mm, axis=k) for k in range(3)])
    side = -np.einsum("i...,i...->...", slope, outward)
    sign = np.where(side >= 0.0, np.float32(-1.0), np.float32(1.0))
    sigma = BETWEEN_MM / 2 / spacing_mm
    normals = np.stack([ndimage.gaussian_filter(sign * s, sigma) for s in slope])
    normals /= np.maximum(np.linalg.norm(normals, axis=0), 1e-6)
    return normals, ndimage.gaussian_filter((side >= 0.0).astype(np.float32), sigma)


@dataclass(frozen=True)
class Sheet:
    """The completed sheet around one hole, bent to be flush.

    field: depth, float32 (z, y, x), mm, positive in it, on the fine lattice. normals: float32
    images, components along (z, y, x), of the unit vector out of the head; outer_share: 1 at the
    outer table, 0 at the inner one; both on the coarse lattice. correction_mm: how far it was bent
    (95 % of the rim less).
    """

    field: Field
    normals: tuple[sitk.Image, ...]
    outer_share: sitk.Image
    correction_mm: float

    def across(self, lattice: sitk.Image) -> Across:
        """Return the normals at places of a lattice along the same axes (`strips.py`)."""
        finer = self.outer_share.GetSpacing()[0] / lattice.GetSpacing()[0]
        start = to_index(lattice, np.array([self.outer_share.GetOrigin()]))[0][::-1]

        def normals_at(index: NDArray[Any]) -> NDArray[np.float32]:
            places = list(((index - start) / finer).T)
            return np.stack([values_at(array_of(n), places) for n in self.normals], axis=1)

        return normals_at


def made_flush(
    depth: sitk.Image,
    coarse: sitk.Image,
    fine: sitk.Image,
    surface: BoneSurface,
    from_core: sitk.Image,
    head_centre_mm: Floats,
) -> Sheet:
    """Return the completed sheet on `fine`, bent to be flush with the bone around one hole.

    depth: mm, positive in the completed skull, any grid. coarse: a lattice along the same axes, on
    which the sheet's slow turns are known. from_core: distance to the hole's core, mm, on any grid
    that reaches over the rim. head_centre_mm: LPS, within the head.
    """
    cut = sitk.Clamp(depth, sitk.sitkFloat32, -DEEP_ENOUGH_MM, DEEP_ENOUGH_MM)
    rough = values_on(cut, coarse, -DEEP_ENOUGH_MM, sitk.sitkBSpline3)
    normals, share = outward_normals(rough, _outward(coarse, head_centre_mm), _spacing(coarse))
    middles = facet_middles(surface.points_mm, surface.triangles)
    away = _at(from_core, middles)
    ring = (away > SKIN_MM + RING_MM[0]) & (away < SKIN_MM + RING_MM[1])
    middles = middles[ring]
    components = tuple(image_like(normal, coarse) for normal in normals)
    facing = _facing(surface, ring, components, middles)
    residual = _at(image_like(rough, coarse), middles)
    same_wall = np.abs(residual) < FARTHEST_MM
    moves, sizes = np.zeros((2, *rough.shape), np.float32), []
    sheet = image_like(np.abs(rough) < np.float32(DEEP_ENOUGH_MM - 0.01), coarse)
    for side, move in zip((1.0, -1.0), moves):
        chosen = same_wall & (side * facing > FACING)
        process = residual_of(middles[chosen], residual[chosen].astype(np.float64))
        move[...] = _on_sheet(process, sheet)
        sizes.append(np.abs(process.values_mm))
    moved = np.concatenate(sizes)
    shift = (share * moves[0] - (1.0 - share) * moves[1]) / np.float32(_spacing(coarse))
    start = to_index(coarse, np.array([fine.GetOrigin()]))[0][::-1]
    finer = _spacing(fine) / _spacing(coarse)
    places = [
        (start[axis] + finer * np.arange(n))
        .astype(np.float32)
        .reshape([-1 if k == axis else 1 for k in range(3)])
        + values_on(image_like(shift * normals[axis], coarse), fine, 0.0)
        for axis, n in enumerate(fine.GetSize()[::-1])
    ]
    return Sheet(
        values_at(rough, places),
        components,
        image_like(share, coarse),
        float(np.percentile(moved, TOLD_PERCENTILE)) if moved.size else 0.0,
    )


def _spacing(lattice: sitk.Image) -> float:
    return float(lattice.GetSpacing()[0])


def _outward(lattice: sitk.Image, head_centre_mm: Floats) -> Field:
    """Return the direction from the head's centre, components along the lattice's (z, y, x)."""
    x, y, z = to_index(lattice, head_centre_mm[None])[0]
    shape = lattice.GetSize()[::-1]
    outward = np.empty((3, *shape), np.float32)
    for axis, middle in enumerate((z, y, x)):
        along = np.arange(shape[axis], dtype=np.float32) - np.float32(middle)
        outward[axis] = along.reshape([-1 if k == axis else 1 for k in range(3)])
    return outward


def _at(image: sitk.Image, points_mm: Floats) -> Field:
    """Return the values of an image at LPS points (n, 3)."""
    return values_at(array_of(image), list(to_index(image, points_mm).T[::-1]))


def _facing(
    surface: BoneSurface,
    chosen: NDArray[np.bool_],
    normals: tuple[sitk.Image, ...],
    points_mm: Floats,
) -> Floats:
    """Return the cosine (n,) between the chosen facets' normals and the sheet's at `points_mm`."""
    facets = facet_vectors(surface.points_mm, surface.triangles[chosen])
    facets /= np.maximum(np.linalg.norm(facets, axis=1, keepdims=True), 1e-12)
    direction = np.reshape(normals[0].GetDirection(), (3, 3))
    along_axes = (facets @ direction)[:, ::-1]
    cosine: Floats = np.zeros(len(facets))
    for axis, component in enumerate(normals):
        cosine += along_axes[:, axis] * _at(component, points_mm)
    return cosine


def _on_sheet(process: Residual, sheet: sitk.Image) -> Field:
    """Return the process around a sheet (uint8, where it is), on its lattice, 0 farther off; from a
    lattice of `KNOWN_MM` over which it is smooth.
    """
    coarse = lattice_over(sheet, KNOWN_MM)
    near = values_on(sheet, coarse, 0.0) > 0.0
    values = np.zeros(near.shape, np.float32)
    if len(process.places_mm) and near.any():
        points = places_of(coarse, np.argwhere(near))
        apart, _ = cKDTree(process.places_mm).query(
            points, distance_upper_bound=FADED_RANGES * RANGE_MM
        )
        told = np.isfinite(apart)
        found = np.zeros(len(points), np.float32)
        found[told] = process.at(points[told])
        values[near] = found
    return values_on(image_like(values, coarse), sheet, 0.0)
