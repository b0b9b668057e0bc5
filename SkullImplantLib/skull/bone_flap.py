"""A bone flap in an image of its own, and how it is told from a whole skull."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import distance_mm
from ..core.images import (
    array_of,
    bounding_box,
    crop,
    image_like,
    index_to_lps_mm,
    shares_in_blocks,
    voxel_volume_mm3,
)
from ..errors import Remedy, SkullImplantError
from .segmentation import Skull
from .thresholds import BONE_PART, CERTAIN_BONE_HU, without_noise

# Good enough to tell where a head lies, whatever the scanner; the skull itself is segmented.
ROUGH_HU = 300.0
COARSE_MM, COARSE_LEVEL = 3.0, 0.4  # the bone's size is looked at in such blocks, filled so far
# Across its thinnest extent a flap of 120 cm², which is bowed, has 50 mm; the lowest vault of a
# head CT that shows no more has 80.
FLAP_MM, SKULL_MM = 60.0, 75.0
LEAST_SKULL_CM3 = 120.0  # of bone: a vault alone has twice as much
LEAST_FLAP_CM3 = 2.0
EXTENT_PERCENTILES = (1.0, 99.0)
# Diploe that lies open at the saw's cut, and pores: closed by a ball of this radius.
DIPLOE_MM = 2.5
AROUND_MM = (2.0, 5.0)  # from the flap: beyond its blurred edge
MARGIN_MM = 8.0  # around the flap: beyond what is closed


def rough_bone(image: sitk.Image, kind: str) -> sitk.Image:
    """Return about where bone is (uint8 0/1): a mask as it is, a CT (HU) at a fixed threshold."""
    return image if kind == "skull" else image > ROUGH_HU


def shows_flap(rough: sitk.Image) -> bool:
    """Say whether the bone (`rough_bone`) is a flap, told from a skull by its thinnest extent and
    its volume.

    Raises `SkullImplantError` where it could be either, or there is no bone.
    """
    shares = shares_in_blocks(rough, COARSE_MM)
    bone = _largest(image_like(array_of(shares) >= COARSE_LEVEL * array_of(shares).max(), shares))
    if not bone.any() or not array_of(shares).any():
        raise SkullImplantError("There is no bone in the reference; check which image was given.")
    places = np.argwhere(bone)[:, ::-1] @ index_to_lps_mm(shares)[:3, :3].T
    axes = np.linalg.eigh(np.cov(places.T))[1]
    low, high = np.percentile(places @ axes, EXTENT_PERCENTILES, axis=0)
    thinnest_mm = float((high - low).min())
    volume_cm3 = len(places) * voxel_volume_mm3(shares) / 1000.0
    if thinnest_mm < FLAP_MM:
        return True
    if thinnest_mm > SKULL_MM and volume_cm3 > LEAST_SKULL_CM3:
        return False
    raise SkullImplantError(
        "The reference could be a skull or a bone flap.", Remedy.SAY_WHAT_REFERENCE_IS
    )


def find_flap(image: sitk.Image, kind: str) -> Skull:
    """Return the flap in a CT (HU) or mask of it: the largest piece, with its diploe filled.

    Raises `SkullImplantError` where there is next to no bone.
    """
    grey: sitk.Image | None = None
    threshold: float | None = None
    notes: tuple[str, ...] = ()
    bone = image != 0
    if kind == "ct":
        grey, levels, notes = without_noise(image)
        threshold = _level_against_surroundings(grey, _largest(grey > levels.bone), levels.bone)
        bone = grey > threshold
    flap = _largest(bone)
    if np.count_nonzero(flap) * voxel_volume_mm3(image) < LEAST_FLAP_CM3 * 1000.0:
        raise SkullImplantError("There is hardly any bone in the image of the flap; check it.")
    margin = [int(np.ceil(MARGIN_MM / s)) for s in image.GetSpacing()[::-1]]
    box = bounding_box(flap, (margin[0], margin[1], margin[2]))
    part = crop(image_like(flap, image), box)
    padded = sitk.ConstantPad(part, margin[::-1], margin[::-1])
    radius = [max(1, round(DIPLOE_MM / s)) for s in image.GetSpacing()]
    closed = sitk.BinaryMorphologicalClosing(padded, radius, sitk.sitkBall)
    closed = sitk.Crop(sitk.BinaryFillhole(closed), margin[::-1], margin[::-1])
    whole = np.zeros(flap.shape, bool)
    whole[box] = array_of(closed) > 0
    return Skull(image_like(whole, image), threshold, notes, grey)


def _level_against_surroundings(
    grey: sitk.Image, flap: NDArray[np.bool_], usual_hu: float
) -> float:
    """Return the threshold that finds a flap's surface where a skull's is found in its head.

    A blurred edge is cut at one part of the way from what lies around to cortical bone; around a
    flap there may be air, which is far below soft tissue.
    """
    values = array_of(grey)
    certain = values[flap & (values > CERTAIN_BONE_HU)]
    if not certain.size:
        return usual_hu
    away = distance_mm(image_like(flap, grey))
    around = values[(away > AROUND_MM[0]) & (away < AROUND_MM[1])]
    if not around.size:
        return usual_hu
    level = float(np.median(around))
    return min(level + BONE_PART * (float(np.median(certain)) - level), usual_hu)


def _largest(mask: sitk.Image) -> NDArray[np.bool_]:
    """Return the largest piece (z, y, x) of a mask, whose voxels touch by a face or corner."""
    labels = array_of(sitk.ConnectedComponent(mask, True))
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    piece: NDArray[np.bool_] = (labels == counts.argmax()) & (labels > 0)
    return piece
