"""Bone that the user leaves out of the skull: hardware, loose fragments, bone to be resected."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..core.checksums import sha256_of
from ..core.images import array_of, image_like, read_mask, resample, voxel_volume_mm3
from ..errors import SkullImplantError


@dataclass(frozen=True)
class LeftOut:
    """A region (uint8 0/1, on any grid) whose bone counts as removed, and its file's SHA-256."""

    region: sitk.Image
    sha256: str = ""


def read_left_out(path: Path | str) -> LeftOut:
    """Read the region from a mask file; every non-zero voxel is in it."""
    path = Path(path)
    return LeftOut(read_mask(path), sha256_of(path))


def leave_out(skull: sitk.Image, left_out: LeftOut) -> tuple[sitk.Image, float]:
    """Return the skull mask without the bone in the region, and that bone's volume in cm³.

    Raises `SkullImplantError` where the region is empty, lies beside the image, or holds the whole
    skull.
    """
    if not array_of(left_out.region).any():
        raise SkullImplantError("The region to leave out is empty; draw it, or leave it away.")
    region = array_of(resample(left_out.region, skull, sitk.sitkNearestNeighbor)) > 0
    if not region.any():
        raise SkullImplantError(
            "The region to leave out does not lie in the image; check that it was drawn on this "
            "patient's CT."
        )
    bone = array_of(skull) > 0
    rest = bone & ~region
    if not rest.any():
        raise SkullImplantError(
            "The region to leave out holds the whole skull; draw it around what is to be removed."
        )
    removed = np.count_nonzero(bone) - np.count_nonzero(rest)
    return image_like(rest, skull), removed * voxel_volume_mm3(skull) / 1000.0
