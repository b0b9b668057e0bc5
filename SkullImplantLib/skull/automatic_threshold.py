"""The bone threshold that a design takes where none is given, for who shows it before."""

import SimpleITK as sitk

from .head_box import head_in
from .thresholds import without_noise


def automatic_threshold_hu(ct: sitk.Image) -> float:
    """Return the bone threshold that a design takes where none is given, in the CT's units.

    Quick, because some millions of voxels tell it; only a noisy CT is smoothed first, as a whole.
    Other threads run meanwhile. Raises `SkullImplantError` as `levels_of` does.
    """
    return without_noise(head_in(ct, "ct"))[1].bone
