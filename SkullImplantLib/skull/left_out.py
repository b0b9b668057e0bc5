"""Bone that the user leaves out of the skull: hardware, loose fragments, bone to be resected."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..core.checksums import sha256_of
from ..core.image_files import read_mask
from ..core.images import array_of, bounding_box, crop, image_like, resample, voxel_volume_mm3
from ..errors import SkullImplantError
from .segmentation import Skull


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
    region = array_of(_region_on(skull, left_out)) > 0
    bone = array_of(skull) > 0
    rest = bone & ~region
    if not rest.any():
        raise SkullImplantError(
            "The region to leave out holds the whole skull; draw it around what is to be removed."
        )
    removed = np.count_nonzero(bone) - np.count_nonzero(rest)
    return image_like(rest, skull), removed * voxel_volume_mm3(skull) / 1000.0


def with_metal(skull: Skull, left_out: LeftOut | None) -> tuple[Skull, LeftOut | None]:
    """Return the skull with a note on the metal on its vault, and what is left out with that metal
    in it: one region, on the skull's grid where it has both.

    Raises `SkullImplantError` where the region to leave out is empty or lies beside the image.
    """
    metal = skull.metal
    if metal is None:
        note = "There is no metal on the vault that could be left out."
        return replace(skull, notes=(*skull.notes, note)), left_out
    note = f"{metal_cm3(skull):.1f} cm³ of metal on the vault were left out, as you asked."
    told = replace(skull, notes=(*skull.notes, note))
    if left_out is None:
        return told, LeftOut(crop(metal, bounding_box(array_of(metal))))
    region = _region_on(metal, left_out)
    return told, LeftOut((region != 0) | metal, left_out.sha256)


def metal_cm3(skull: Skull) -> float:
    """Return how much metal lies on a skull's vault."""
    if skull.metal is None:
        return 0.0
    return float(np.count_nonzero(array_of(skull.metal))) * voxel_volume_mm3(skull.metal) / 1000.0


def _region_on(grid: sitk.Image, left_out: LeftOut) -> sitk.Image:
    """Return the region on a grid; raises where it is empty or lies beside it."""
    if not array_of(left_out.region).any():
        raise SkullImplantError("The region to leave out is empty; draw it, or leave it away.")
    region = resample(left_out.region, grid, sitk.sitkNearestNeighbor)
    if not array_of(region).any():
        raise SkullImplantError(
            "The region to leave out does not lie in the image; check that it was drawn on this "
            "patient's CT."
        )
    return region
