"""A skull with a hole in the middle of its forehead, and places in the standard frame."""

import numpy as np
import SimpleITK as sitk

from SkullImplantLib.core.images import array_of, image_like, index_to_lps_mm
from SkullImplantLib.geometry.frame import Pose

WIDE_MM, HIGH_MM = 30.0, 45.0  # half as wide as the hole is, and how high above the vault's middle
LOW_MM, FRONT_MM = -18.0, -40.0  # from where up, and in front of what


def places_mm(image: sitk.Image, pose: Pose) -> np.ndarray:
    """Every voxel's place (z, y, x, 3) in the standard frame."""
    z, y, x = np.indices(image.GetSize()[::-1])
    frame = index_to_lps_mm(image)
    return pose.to_standard(np.stack([x, y, z], -1) @ frame[:3, :3].T + frame[:3, 3])


def with_forehead_hole(skull: sitk.Image, pose: Pose) -> sitk.Image:
    """Return the skull (uint8) without the middle of its forehead and brow."""
    at = places_mm(skull, pose)
    cut = (np.abs(at[..., 0]) < WIDE_MM) & (at[..., 1] < FRONT_MM)
    cut &= (at[..., 2] > LOW_MM) & (at[..., 2] < HIGH_MM)
    return image_like((array_of(skull) * ~cut).astype(np.uint8), skull)
