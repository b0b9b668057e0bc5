"""From voxels to a surface between them: voxel rearrangement as this project's smoother.

Every binary shape (an auto-encoder's occupancy, an implant edited by hand, a coarse mask) is turned
into a depth field before the fit: the patient's own skull, whose surface is known between the
voxels, teaches which part of a voxel on the surface is usually filled (`rearrangement.py`).
"""

import numpy as np
import SimpleITK as sitk

from ..core.distances import depth_of_shares
from ..core.images import array_of, bounding_box, crop, image_like, resample
from .rearrangement import apply_rules, learn_rules

# The fine lattice has voxels of about this side: the fit's own is no finer.
FINE_MM = 0.5
# Around the shape: what the smoothing of shares and the fit look at.
AROUND_VOXELS = 4
# A shape's surface is where the shares pass one half, or, to keep its volume, a little beside.
LEVELS = (0.2, 0.8)


def sub_voxel_depth(
    shape: sitk.Image, template: sitk.Image, valid: sitk.Image | None = None
) -> sitk.Image:
    """Return the depth within a binary shape (float32, mm, positive in it) on a finer grid.

    shape: uint8 0/1. template: float32 on any grid, positive within bone, 0 on its surface: what
    teaches. valid: uint8 on the template's grid, where it may teach (a cut edge is no anatomy).
    """
    box = bounding_box(array_of(shape), AROUND_VOXELS)
    coarse = crop(shape, box)
    z, y, x = (max(1, round(s / FINE_MM)) for s in shape.GetSpacing()[::-1])
    factor = (z, y, x)
    target = _fine_grid(coarse, factor)
    lesson = _fine_grid(template, _whole_factor(template, target))
    bone = array_of(resample(template, lesson, sitk.sitkLinear, -1.0)) > 0.0
    may = None if valid is None else array_of(resample(valid, lesson)) > 0
    rules = learn_rules(bone, factor, valid=may)
    share = apply_rules(array_of(coarse) > 0, rules)
    # Shares are no volumes: the surface is where it encloses as much as the voxels did.
    filled = int(np.count_nonzero(array_of(coarse)) * np.prod(factor))
    level = np.partition(share.ravel(), -filled)[-filled]
    level = np.clip(level, *LEVELS)
    return depth_of_shares(image_like(share - (level - np.float32(0.5)), target))


def _fine_grid(image: sitk.Image, factor: tuple[int, int, int]) -> sitk.Image:
    """Return the grid of the parts of each voxel of `image`, `factor` (z, y, x) of them."""
    shape = tuple(n * f for n, f in zip(image.GetSize()[::-1], factor))
    fine = sitk.Image([int(n) for n in shape[::-1]], sitk.sitkUInt8)
    spacing = [s / f for s, f in zip(image.GetSpacing(), factor[::-1])]
    fine.SetSpacing(spacing)
    fine.SetDirection(image.GetDirection())
    first = [(1.0 / f - 1.0) / 2.0 for f in factor[::-1]]
    fine.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first))
    return fine


def _whole_factor(template: sitk.Image, target: sitk.Image) -> tuple[int, int, int]:
    """Return by how much the template's voxels are parted for parts as large as the target's."""
    z, y, x = (
        max(1, round(a / b)) for a, b in zip(template.GetSpacing()[::-1], target.GetSpacing()[::-1])
    )
    return z, y, x
