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

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .errors import SkullImplantError
from .images import bounding_box, crop, image_like, same_grid, voxel_volume_mm3
from .progress import Progress, silent

SEARCH_SPACING_MM = 1.0  # the search for holes need not be finer: a hole is centimetres wide
SMALLEST_HOLE_CM3 = 0.1  # less is a pinhole or noise, not a defect that is given an implant
OTHER_HOLE_SHARE = 0.05  # of the largest hole: what is smaller is a flaw of the completion


@dataclass(frozen=True)
class ImplantOptions:
    """What is taken off the difference of the two skulls.

    clearance_mm: gap left between implant and bone; 0 gives the exact complement.
    skin_mm: how far the completed surface may stray from intact bone without becoming implant.
    rim_slack_mm: how far over the edge of the bone the rim may reach, to fill sharp corners.
    minimum_thickness_mm: sheets and spurs thinner than this are removed.
    """

    clearance_mm: float = 0.5
    skin_mm: float = 2.0
    rim_slack_mm: float = 0.5
    minimum_thickness_mm: float = 1.0


@dataclass(frozen=True)
class Implant:
    """The implant and its size; `notes` are one-sentence warnings for the user.

    mask: uint8 0/1, on the grid of the input. thickness_mm is the mean over the plate, area_cm2
    the volume over that thickness.
    """

    mask: sitk.Image
    volume_cm3: float
    thickness_mm: float
    area_cm2: float
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
    box, notes = _find_hole(completed, defective, options, hole)
    bone = crop(defective, box) != 0
    difference = _flags(crop(completed, box) != 0) & ~_flags(bone)

    progress(0.2, "separating the implant from intact bone")
    to_bone = _distance_mm(bone)
    core = _main_piece(difference & (to_bone > options.skin_mm), bone)
    to_core = _distance_mm(image_like(core, bone))
    solid = difference & (to_bone + to_core <= options.skin_mm + options.rim_slack_mm) | core

    progress(0.6, "leaving the clearance and cleaning")
    if options.clearance_mm > 0:
        solid &= _distance_to_bone_surface_mm(to_bone, bone.GetSpacing()) > options.clearance_mm
    solid = _without_thin_parts(solid, bone, options.minimum_thickness_mm)
    solid = _main_piece(_without_cavities(solid, bone), bone)
    if not solid.any():
        raise SkullImplantError(
            "No implant is left after clearance and cleaning; reduce the clearance or the "
            "minimum thickness."
        )
    progress(0.9, "measuring")
    mask = np.zeros(completed.GetSize()[::-1], np.uint8)
    mask[box] = solid
    volume_mm3 = float(solid.sum()) * voxel_volume_mm3(completed)
    thickness_mm = _mean_thickness_mm(solid, bone)
    progress(1.0, "implant made")
    return Implant(
        mask=image_like(mask, completed),
        volume_cm3=volume_mm3 / 1000,
        thickness_mm=thickness_mm,
        area_cm2=volume_mm3 / thickness_mm / 100,
        notes=notes,
    )


def _find_hole(
    completed: sitk.Image, defective: sitk.Image, options: ImplantOptions, hole: sitk.Image | None
) -> tuple[tuple[slice, ...], tuple[str, ...]]:
    """Find the hole to fill on a coarse grid; return its box, widened, and notes on the others."""
    factor = [max(1, round(SEARCH_SPACING_MM / s)) for s in completed.GetSpacing()]
    bone = _shrunk(defective, factor)
    core = sitk.And(
        sitk.And(_shrunk(completed, factor), bone == 0), _far_from(bone, options.skin_mm)
    )
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(core))
    volumes_cm3 = np.bincount(labels.ravel()) * voxel_volume_mm3(core) / 1000
    if hole is not None:
        inside = _flags(_shrunk(hole, factor))
        volumes_cm3 = (
            np.bincount(labels[inside], minlength=len(volumes_cm3)) * voxel_volume_mm3(core) / 1000
        )
    volumes_cm3[0] = 0
    best = int(volumes_cm3.argmax())
    if volumes_cm3[best] < SMALLEST_HOLE_CM3:
        raise SkullImplantError(
            "No defect was found: the completed skull does not differ from the given one by more "
            f"than {options.skin_mm:g} mm anywhere; check that the skull has a hole."
        )
    others = np.delete(volumes_cm3, best)
    others = others[others >= max(SMALLEST_HOLE_CM3, OTHER_HOLE_SHARE * volumes_cm3[best])]
    notes = ()
    if others.size:
        notes = (
            f"Only the largest defect was designed; {others.size} more, about {others.sum():.1f} cm³ "
            "together, stayed open: add this implant to the skull and design again for the next.",
        )
    coarse = bounding_box(labels == best)
    reach_mm = 2 * options.skin_mm + options.clearance_mm + SEARCH_SPACING_MM
    box = []
    for axis in range(3):
        f, s = factor[2 - axis], completed.GetSpacing()[2 - axis]
        size = completed.GetSize()[2 - axis]
        margin = int(np.ceil(reach_mm / s)) + f
        box.append(
            slice(
                max(coarse[axis].start * f - margin, 0), min(coarse[axis].stop * f + margin, size)
            )
        )
    return tuple(box), notes


def _shrunk(mask: sitk.Image, factor: list[int]) -> sitk.Image:
    """Return the mask on a coarser grid: set where at least half of the fine voxels are."""
    return sitk.BinShrink(sitk.Cast(mask != 0, sitk.sitkUInt8) * 200, factor) >= 100


def _far_from(mask: sitk.Image, distance_mm: float) -> sitk.Image:
    return _distance_image(mask) > distance_mm


def _flags(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(mask).view(bool)  # a mask holds nothing but 0 and 1


def _distance_image(mask: sitk.Image) -> sitk.Image:
    """Return the distance to the nearest voxel centre of `mask` in mm, float32; 0 inside."""
    distance = sitk.SignedMaurerDistanceMap(
        mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return sitk.Maximum(distance, 0.0)


def _distance_mm(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(_distance_image(mask))


def _distance_to_bone_surface_mm(
    to_centre_mm: np.ndarray, spacing_mm: tuple[float, float, float]
) -> np.ndarray:
    """Return the distance to the surface of the bone from that to its outermost voxel centres.

    The surface lies half a voxel above the centres, measured along the way to the bone: with unit
    normal n that is half the largest of |n_i| * spacing_i, exact along axes and diagonals.
    """
    half = np.zeros_like(to_centre_mm)
    for axis in range(3):
        spacing = spacing_mm[2 - axis]
        slope = np.abs(np.gradient(to_centre_mm, spacing, axis=axis))
        np.maximum(half, np.minimum(slope, 1) * np.float32(spacing / 2), out=half)
    return to_centre_mm - half


def _main_piece(mask: np.ndarray, grid: sitk.Image) -> np.ndarray:
    """Return the largest piece of `mask` connected through faces."""
    pieces = sitk.GetArrayFromImage(sitk.ConnectedComponent(image_like(mask, grid)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces == sizes.argmax() if sizes.any() else np.zeros_like(mask)


def _without_thin_parts(mask: np.ndarray, grid: sitk.Image, thickness_mm: float) -> np.ndarray:
    """Remove sheets and spurs thinner than `thickness_mm`; restore the corners of the rest."""
    radius = [round(thickness_mm / 2 / s) for s in grid.GetSpacing()]
    if max(radius) == 0:
        return mask
    padded = sitk.ConstantPad(image_like(mask, grid), radius, radius)
    opened = sitk.BinaryMorphologicalOpening(padded, radius, sitk.sitkBall)
    grown = sitk.BinaryDilate(opened, [1, 1, 1], sitk.sitkBox)
    size = [int(n) for n in grid.GetSize()]
    return mask & _flags(sitk.RegionOfInterest(grown, size, radius))


def _without_cavities(mask: np.ndarray, grid: sitk.Image) -> np.ndarray:
    filled = sitk.BinaryFillhole(image_like(mask, grid), fullyConnected=False)
    return _flags(filled)


def _mean_thickness_mm(solid: np.ndarray, grid: sitk.Image) -> float:
    """Return the mean thickness of a plate: four times the mean depth below its surface."""
    outside = image_like(~np.pad(solid, 1), sitk.ConstantPad(grid, [1] * 3, [1] * 3))
    to_outside = _distance_mm(outside)[1:-1, 1:-1, 1:-1]
    half_voxel_mm = min(grid.GetSpacing()) / 2
    return 4 * float((to_outside[solid] - half_voxel_mm).mean())
