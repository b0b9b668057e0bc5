"""The completion and bone that was brought onto the head, made one where each knows more.

Seen from the middle of the vault the prior's bone is two surfaces: it is sure where bone around
foretells them, says how sure it is, and knows nothing of what lies off them, as the air of a
sinus between and the roof of an orbit below. The other side, registered to the bone around the
hole, shows such things, but no head is symmetric: on the vault the prior is better. Where the other
side has a hole of its own, or is none (at the midline), other people's skulls tell, less well.

Depths are cut to a few mm before they are averaged, which is a vote where they are far apart and a
mean of surfaces where they are close. The values were set on cuts in training skulls (two from CT,
three from MRI), each left out of the population.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, image_like, resample
from ..geometry import radial
from ..geometry.brought_bone import GRID_MM, Box, BroughtBone
from ..geometry.frame import BOX_LOW_MM, standard_grid
from ..geometry.hole import Hole
from ..geometry.other_skulls import VOTE_MM
from ..geometry.prior import DEEPEST_MM, Prior
from .features import BROW, Doubt, doubt_of, quantile

Depth = NDArray[np.float32]

# How the variance of what is brought grows up the vault and backwards from the brow, where heads
# differ more than the prior errs: height above the vault's middle and place behind it, mm.
LOW_END_MM, RISE_MM = -15.0, 25.0
BROW_END_MM, BACK_MM = -40.0, 40.0
# Farther off the prior's surfaces than this it knows less and less, and nothing from there on.
KNOWN_MM, UNKNOWN_MM = 2.0, 4.0
AGREED_MM2 = 2.0  # there, bone in so much doubt tells half as much
SUPPORTED = 0.5  # by the other side, where it counts so much
# Bone in the hole's directions may stand off the prior's shell so far: brow and roof of the orbit.
OFF_SHELL_MM = 14.0


@dataclass(frozen=True)
class Faith:
    """How far a source is believed: its variance (mm²) at the brow and below it, and the most it
    counts where the prior knows nothing.
    """

    low_mm2: float
    most: float


MIRROR_FAITH, OTHERS_FAITH = Faith(0.2, 1.0), Faith(2.0, 0.7)


@dataclass(frozen=True)
class Blended:
    """The completion with what was brought in it: the depth (float32, mm) on a box of the standard
    grid, the hole with the bone that stands off the prior's shell, and the doubt that is left, as
    numbers and as the standard deviation (float32, mm) of the surface at each voxel of that box;
    None where nothing was brought.
    """

    depth_mm: sitk.Image
    hole: Hole
    doubt: Doubt
    deviation_mm: sitk.Image | None = None


def blended(
    depth: sitk.Image,
    prior: Prior,
    hole: Hole,
    mirrored: BroughtBone | None,
    others: BroughtBone | None = None,
) -> Blended:
    """Return the completed skull's `depth` (mm, any grid) with the other side's and other skulls'
    bone where the prior is unsure or knows nothing. Both lie on one box where both are given.
    """
    known = mirrored or others
    if known is None:
        return Blended(depth, hole, doubt_of(prior))
    z, y, x = known.box
    grid = standard_grid(prior.pose, GRID_MM)[x, y, z]
    _, missing, _, deviation_mm = prior.fields_on(grid)
    own = array_of(resample(depth, grid, outside=-DEEPEST_MM))
    values, variance = own, deviation_mm[0] ** 2
    if others is not None:
        weight = weight_of(others, own, deviation_mm[0], OTHERS_FAITH)
        if mirrored is not None:
            weight *= 1.0 - mirrored.heard
        values = mixed(values, others.depth_mm, weight)
        variance = (1.0 - weight) * variance
    if mirrored is not None:
        weight = weight_of(mirrored, own, deviation_mm[0], MIRROR_FAITH)
        values = mixed(values, mirrored.depth_mm, weight)
        variance = (1.0 - weight) * variance
    in_hole = missing & (known.from_shell_mm < OFF_SHELL_MM)
    grown = (values > 0.0) & in_hole
    surface = (np.abs(values) < GRID_MM) & in_hole
    doubt = _doubt_on(surface, variance, mirrored, known.box) or doubt_of(prior)
    depth, left = (image_like(of.astype(np.float32), grid) for of in (values, np.sqrt(variance)))
    return Blended(depth, _with(hole, grown, grid), doubt, left)


def _doubt_on(
    surface: NDArray[np.bool_], variance: Depth, mirrored: BroughtBone | None, box: Box
) -> Doubt | None:
    """Return the doubt that is left on the completed surface, bool (z, y, x) on a box of the
    standard grid; None where there is none.

    variance: of the surface, mm². The other side's bone that is unlike this side's supports little.
    """
    index = np.argwhere(surface)
    if len(index) == 0:
        return None
    deviation_mm = np.sqrt(variance[surface])
    supported = np.zeros(len(index), bool)
    if mirrored is not None:
        likeness = AGREED_MM2 / (AGREED_MM2 + mirrored.apart_mm2[surface])
        supported = mirrored.heard[surface] * likeness >= SUPPORTED
    places = (index[:, ::-1] + [s.start + 0.5 for s in box[::-1]]) * GRID_MM + BOX_LOW_MM
    rows, columns, _ = radial.to_map(places)
    is_brow = radial.look_up(BROW.astype(float), rows, columns) > 0.5
    return Doubt(
        mean_mm=float(deviation_mm.mean()),
        most_mm=quantile(deviation_mm, np.ones(len(index))),
        unsupported_share=float((is_brow & ~supported).mean()),
    )


def mixed(own_mm: Depth, brought_mm: Depth, weight: Depth) -> Depth:
    """Return two depths as one, mm; `weight` is that of what was brought, 0 to 1."""
    one, other = (np.clip(depth, -VOTE_MM, VOTE_MM) for depth in (own_mm, brought_mm))
    values = weight * other + (1.0 - weight) * one
    # Where both are deep, or far off, so is the completion: no more than either.
    deeper = np.minimum(np.abs(own_mm), np.abs(brought_mm)) - VOTE_MM
    alike = np.sign(one) == np.sign(other)
    result: Depth = (values + np.sign(one) * np.maximum(deeper, 0.0) * alike).astype(np.float32)
    # What is not asked at all changes nothing.
    return np.where(weight > 0.0, result, own_mm)


def weight_of(
    bone: BroughtBone, own_mm: Depth, deviation_mm: Depth, faith: Faith = MIRROR_FAITH
) -> Depth:
    """Return what the brought bone counts, 0 to 1, (z, y, x).

    own_mm: the depth in the completion. deviation_mm: the standard deviation of its outer radius.
    """
    _, y_mm, z_mm = (
        low + (np.arange(s.start, s.stop) + 0.5) * GRID_MM
        for s, low in zip(bone.box[::-1], BOX_LOW_MM)
    )
    rise = np.maximum(0.0, z_mm - LOW_END_MM)[:, None, None] / RISE_MM
    back = np.maximum(0.0, y_mm - BROW_END_MM)[None, :, None] / BACK_MM
    doubt = (faith.low_mm2 + rise**2 + back**2).astype(np.float32) + bone.apart_mm2
    variance = deviation_mm**2
    unsure = variance / (variance + doubt)
    off = np.clip((np.abs(own_mm) - KNOWN_MM) / (UNKNOWN_MM - KNOWN_MM), 0.0, faith.most)
    off *= AGREED_MM2 / (AGREED_MM2 + np.maximum(doubt - faith.low_mm2, 0.0))
    weight: Depth = (bone.heard * np.maximum(unsure, off)).astype(np.float32)
    return weight


def _with(hole: Hole, grown: NDArray[np.bool_], grid: sitk.Image) -> Hole:
    """Return the hole with more missing bone, bool (z, y, x) on `grid`."""
    more = resample(image_like(grown.astype(np.uint8), grid), hole.mask, sitk.sitkNearestNeighbor)
    return Hole(hole.box, sitk.Or(hole.mask, more))
