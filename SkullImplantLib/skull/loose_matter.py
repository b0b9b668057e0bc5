"""What is as hard as bone near a hole and was not taken for the skull: fragments, hardware."""

import SimpleITK as sitk

from ..core.images import array_of, crop, image_like, resample
from .left_out import LeftOut
from .segmentation import Box, Skull


def loose_matter(
    image: sitk.Image, skull: Skull, box: Box, left_out: LeftOut | None = None
) -> sitk.Image:
    """Return a mask (uint8) of it in a box, slices (z, y, x), of the input's grid.

    image: the input, a CT or a mask. left_out: what lies in its region is known to be taken out.
    """
    region = crop(image if skull.grey is None else skull.grey, box)
    threshold_hu = skull.bone_threshold_hu
    hard = array_of(region) != 0 if threshold_hu is None else array_of(region) > threshold_hu
    loose = hard & (array_of(crop(skull.mask, box)) == 0)
    if left_out is not None:
        loose &= array_of(resample(left_out.region, region, sitk.sitkNearestNeighbor)) == 0
    return image_like(loose, region)
