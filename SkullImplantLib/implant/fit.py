"""The implant: what the completed skull has and the defective skull lacks, as one clean solid.

The plain difference of two masks is not an implant. Wherever the completed surface lies a fraction
of a millimetre above the real one it leaves a skin on intact bone, and elsewhere crumbs. A skin is
told from the implant by where it lies, not by how thick it is, so that a thin temple survives:

- The *core* of the difference is what lies farther than `skin_mm` from bone. Skins have none.
- The implant is the core and the rim that joins it to the bone: the voxels on the straight way
  from core to bone, `distance to bone + distance to core <= skin_mm`. On a rim that holds all the
  way to the bone; a skin that runs out over intact bone leads away from the core and fails it.

Distances are Euclidean, in mm, on the image's own spacing. Arrays are (z, y, x).
"""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.spatial import cKDTree

from ..core.distances import distance_mm
from ..core.images import (
    array_of,
    bounding_box,
    crop,
    image_like,
    resample,
    same_grid,
    shares_in_blocks,
    voxel_volume_mm3,
)
from ..core.progress import Progress, silent
from ..core.threads import worker_count
from ..errors import SkullImplantError
from ..options import ImplantOptions

SEARCH_SPACING_MM = 1.0  # the search for holes need not be finer: a hole is centimetres wide
HALF = 100  # the level of a block that is half full
SMALLEST_HOLE_CM3 = 0.1  # less is a pinhole or noise, not a defect that is given an implant
OTHER_HOLE_SHARE = 0.05  # of the largest hole: what is smaller is a flaw of the completion
SMALLEST_SHEET_MM3 = 100.0  # 1 cm² of bone 1 mm thick, as at the temple
EDGE_BLUR_VOXELS = 1.0  # as little as rounds the steps of voxels off (standard deviation)
# The 13 ways from a voxel to its neighbours, either sense (z, y, x).
NEIGHBOUR_STEPS = np.array([s for s in np.ndindex(3, 3, 3) if s > (1, 1, 1)]) - 1


@dataclass(frozen=True)
class Implant:
    """The implant, uint8 0/1 on the grid of the input; `notes` are one-sentence warnings."""

    mask: sitk.Image
    volume_cm3: float
    notes: tuple[str, ...] = ()


def make_implant(
    completed: sitk.Image,
    defective: sitk.Image,
    options: ImplantOptions = ImplantOptions(),
    hole: sitk.Image | None = None,
    progress: Progress = silent,
) -> Implant:
    """Return the solid that fills the largest hole of `defective` up to `completed`.

    completed, defective: uint8 masks on one grid. hole: uint8 mask on that grid; only holes that
    touch it are considered, and the one that fills most of it is taken.
    Raises `SkullImplantError` where there is no hole, or nothing of the implant is left.
    """
    for name, image in (("defective skull", defective), ("hole", hole)):
        if image is not None and not same_grid(completed, image):
            raise ValueError(f"the {name} does not lie on the grid of the completed skull")
    progress(0.0, "looking for the defect")
    found, notes = _find_hole(completed, defective, options, hole)
    box = _box_around(found, completed, 2 * options.skin_mm + options.clearance_mm)
    bone = crop(defective, box) != 0
    difference = _flags(crop(completed, box) != 0) & ~_flags(bone)

    progress(0.2, "separating the implant from intact bone")
    to_bone = distance_mm(bone)
    seed = _flags(resample(found, bone, sitk.sitkNearestNeighbor))
    core = _main_piece(difference & (to_bone > options.skin_mm), bone, seed)
    to_core = distance_mm(image_like(core, bone))
    # The core begins up to a voxel beyond skin_mm.
    longest_way_mm = options.skin_mm + max(bone.GetSpacing()) + options.rim_slack_mm
    on_the_way = to_bone + to_core <= longest_way_mm
    solid = difference & (core | on_the_way)

    progress(0.6, "leaving the clearance and cleaning")
    clear = to_bone > 0
    if options.clearance_mm > 0:
        diagonal_mm = math.hypot(*bone.GetSpacing())
        reach_mm = options.clearance_mm + diagonal_mm
        near = to_core <= longest_way_mm + reach_mm + diagonal_mm
        clear &= ~_near_bone(clear & near & (to_bone <= reach_mm), bone, near, options.clearance_mm)
    solid = _without_spurs(solid & clear, bone, options.spur_mm)
    solid = _main_piece(_without_cavities(solid, bone) & clear, bone)
    if not solid.any():
        raise SkullImplantError(
            "No implant is left after clearance and cleaning; reduce the clearance."
        )
    progress(0.9, "measuring")
    mask = np.zeros(completed.GetSize()[::-1], np.uint8)
    mask[box] = solid
    volume_mm3 = float(solid.sum()) * voxel_volume_mm3(completed)
    progress(1.0, "implant made")
    return Implant(
        mask=image_like(mask, completed),
        volume_cm3=volume_mm3 / 1000,
        notes=notes,
    )


def _find_hole(
    completed: sitk.Image, defective: sitk.Image, options: ImplantOptions, hole: sitk.Image | None
) -> tuple[sitk.Image, tuple[str, ...]]:
    """Return the core of the hole to fill as a mask on a coarse grid, and notes on other holes."""
    bone = _shrunk(defective)
    if not array_of(bone).any():
        raise SkullImplantError("The defective skull is empty; check the file or the threshold.")
    to_bone = distance_mm(bone)
    core = _flags(_shrunk(completed)) & (to_bone > options.skin_mm)
    labels = array_of(sitk.ConnectedComponent(image_like(core, bone)))
    counted = _flags(_shrunk(hole)) if hole is not None else np.ones_like(core)
    voxels = np.bincount(labels[counted], minlength=int(labels.max()) + 1)
    # What hangs nowhere near bone is debris of the completion, however large.
    attached = np.unique(labels[to_bone <= options.skin_mm + 2 * max(bone.GetSpacing())])
    volumes_cm3 = np.zeros(len(voxels))
    volumes_cm3[attached] = voxels[attached] * voxel_volume_mm3(bone) / 1000
    volumes_cm3[0] = 0
    best = int(volumes_cm3.argmax())
    if volumes_cm3[best] < SMALLEST_HOLE_CM3:
        raise SkullImplantError(
            "No defect was found: nowhere does the completed skull fill a hole wider than "
            f"{2 * options.skin_mm:g} mm; check that the skull has one."
        )
    others = np.delete(volumes_cm3, best)
    others = others[others >= max(SMALLEST_HOLE_CM3, OTHER_HOLE_SHARE * volumes_cm3[best])]
    notes: tuple[str, ...] = ()
    if others.size:
        notes = (
            f"Only the largest defect was designed; {others.size} more, about {others.sum():.1f} "
            "cm³ together, stayed open: add this implant to the skull and design again.",
        )
    return image_like(labels == best, bone), notes


def _box_around(found: sitk.Image, grid: sitk.Image, margin_mm: float) -> tuple[slice, ...]:
    """Return the box of `grid`, (z, y, x), around a mask on a coarsened version of it."""
    box = []
    for axis, part in enumerate(bounding_box(array_of(found))):
        spacing, size = grid.GetSpacing()[2 - axis], grid.GetSize()[2 - axis]
        factor = round(found.GetSpacing()[2 - axis] / spacing)
        margin = math.ceil(margin_mm / spacing) + factor
        box.append(
            slice(max(part.start * factor - margin, 0), min(part.stop * factor + margin, size))
        )
    return tuple(box)


def _shrunk(mask: sitk.Image) -> sitk.Image:
    """Return the mask on the coarser grid of the search: set where half of the voxels are."""
    coarse: sitk.Image = shares_in_blocks(mask, SEARCH_SPACING_MM, 2 * HALF) >= HALF
    return coarse


def _flags(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(mask).view(bool)  # a mask holds nothing but 0 and 1


def _near_bone(
    places: np.ndarray, bone: sitk.Image, near: np.ndarray, reach_mm: float
) -> np.ndarray:
    """Mark the voxels of `places` whose centre lies within `reach_mm` of the bone's surface.

    Distances between voxel centres are off by up to a voxel, as much as the clearance itself. The
    surface is therefore sampled within voxels, where the slightly blurred bone passes one half.
    Only the surface in `near` (which should hold what may be within reach) is looked at.
    """
    spacing_mm = np.asarray(bone.GetSpacing())[::-1]
    blurred = array_of(
        sitk.DiscreteGaussian(
            sitk.Cast(bone, sitk.sitkFloat32), ((EDGE_BLUR_VOXELS * spacing_mm[::-1]) ** 2).tolist()
        )
    )
    samples, inside = [], blurred > 0.5
    for step in NEIGHBOUR_STEPS:
        here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, places.shape))
        there = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(step, places.shape))
        crossed = np.argwhere((inside[here] != inside[there]) & near[here])
        a, b = blurred[here][tuple(crossed.T)], blurred[there][tuple(crossed.T)]
        start = [part.start for part in here]
        samples.append((crossed + start + ((0.5 - a) / (b - a))[:, None] * step) * spacing_mm)
    surface = cKDTree(np.concatenate(samples))
    looked_at = np.argwhere(places)
    apart_mm, _ = surface.query(
        looked_at * spacing_mm, distance_upper_bound=reach_mm, workers=worker_count()
    )
    result = np.zeros_like(places)
    result[tuple(looked_at[np.isfinite(apart_mm)].T)] = True
    return result


def _main_piece(mask: np.ndarray, grid: sitk.Image, seed: np.ndarray | None = None) -> np.ndarray:
    """Return the face-connected piece of `mask` that is largest, or has most of `seed`."""
    pieces = array_of(sitk.ConnectedComponent(image_like(mask, grid)))
    sizes = np.bincount(pieces.ravel() if seed is None else pieces[seed], minlength=1)
    sizes[0] = 0
    return pieces == sizes.argmax() if sizes.any() else np.zeros_like(mask)


def _without_spurs(mask: np.ndarray, grid: sitk.Image, width_mm: float) -> np.ndarray:
    """Remove parts thinner than `width_mm` by opening; keep the corners, and thin bone's sheets."""
    # A ball of this radius in voxels passes wherever the part is 2 * radius + 1 voxels thick.
    radius = [max(0, math.floor((width_mm / s - 1) / 2)) for s in grid.GetSpacing()]
    if max(radius) == 0:
        return mask
    opened = sitk.BinaryMorphologicalOpening(image_like(mask, grid), radius, sitk.sitkBall)
    corners = _flags(sitk.BinaryDilate(opened, radius, sitk.sitkBox))
    thin = array_of(sitk.ConnectedComponent(image_like(mask & ~corners, grid)))
    sheets = np.bincount(thin.ravel()) * voxel_volume_mm3(grid) >= SMALLEST_SHEET_MM3
    return np.asarray(mask & (corners | sheets[thin]))


def _without_cavities(mask: np.ndarray, grid: sitk.Image) -> np.ndarray:
    filled = sitk.BinaryFillhole(image_like(mask, grid), fullyConnected=False)
    return _flags(filled)
