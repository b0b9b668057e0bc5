"""Whether masks lie on the bone of a CT: what a design was made for, by place and not by name."""

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from ..core.images import array_of, index_to_lps_mm

# Outside of a CT is air.
AIR_HU = -1000.0
# So many places tell a share to a thousandth.
MOST_PLACES = 200_000


def share_on_bone(skull: sitk.Image, ct: sitk.Image, threshold_hu: float) -> float:
    """Return which part of a skull's outermost voxels, from 0 to 1, is bone in a CT.

    skull: mask (uint8, 0/1) on any grid. ct: in HU, on any grid. Both lie in one frame (LPS, mm),
    if they belong together. Half a voxel's displacement is seen in these voxels, which are thin,
    where the whole of a skull would hardly tell it. 0 of an empty mask.
    """
    places = np.argwhere(array_of(sitk.BinaryContour(skull, False, 0.0, 1.0)))[:, ::-1]
    if not len(places):
        return 0.0
    places = places[:: max(1, len(places) // MOST_PLACES)]
    to_ct = np.linalg.inv(index_to_lps_mm(ct)) @ index_to_lps_mm(skull)
    at = places @ to_ct[:3, :3].T + to_ct[:3, 3]
    values = map_coordinates(array_of(ct), at.T[::-1], np.float32, order=1, cval=AIR_HU)
    return float(np.mean(values >= threshold_hu))
