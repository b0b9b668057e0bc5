"""The mean skull, vault, base and face: how likely bone is near each place of the standard frame.

Read from `resources/mean-skull.npz`, which `python -m SkullImplantLib.training.mean_skull` makes.
`orientation.py` compares heads with it.
"""

import zipfile
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.blocks import FULL
from ..core.images import array_of, bounding_box, crop, index_to_lps_mm, resample, shares_in_blocks
from ..core.resources import RESOURCES
from ..errors import SkullImplantError

MEAN_SKULL_FILE = RESOURCES / "mean-skull.npz"
GRID_MM = 6.0  # enough to tell a brow from an occiput, and quick
# The box of the mean skull in the standard frame, mm, as x, y, z: with neck and mandible.
LOW_MM, SIZE_XYZ = np.array([-102.0, -132.0, -132.0]), (34, 44, 40)
SHARE_MM = 2.0  # bone is first counted in blocks of this side
BLUR_MM = 4.0  # about how far one skull's bone lies from another's
# A blurred vault of 5 mm has this share of bone; more, as in the base, says no more than "bone".
FULL_SHARE = 0.15
NEAR_BONE, NEAR_STEPS = 0.1, 3  # the surroundings that count: of where bone is so likely, in voxels
SURE = 0.02  # no place has always bone, or never
LEAST_VOTE = 0.3  # smaller ones only cost time
STEPS = 255  # of the shares in the file


@dataclass(frozen=True, eq=False)
class MeanSkull:
    """How likely bone is: float (z, y, x) on `GRID_MM` from `LOW_MM` on, mirror-symmetric."""

    likely: NDArray[np.float64]

    def votes(self) -> NDArray[np.float32]:
        """Return what bone in each voxel (z, y, x) says for a skull that lies so; 0 far from it."""
        near = ndimage.binary_dilation(self.likely > NEAR_BONE, iterations=NEAR_STEPS)
        votes = np.where(near, _log_odds(self.likely) - _log_odds(self.likely[near].mean()), 0.0)
        return np.where(np.abs(votes) > LEAST_VOTE, votes, 0.0).astype(np.float32)


def _log_odds(share: NDArray[np.floating] | float) -> NDArray[np.float64]:
    return np.log((np.asarray(share) + SURE) / (1 + SURE - np.asarray(share)))


def blurred_bone(bone: sitk.Image) -> sitk.Image:
    """Return where a mask (uint8 0/1) has bone near, 0 to 1, float32 on a grid of `GRID_MM` along
    L, P and S that holds all of it with a margin.

    Raises `SkullImplantError` where the mask is empty.
    """
    shares = shares_in_blocks(bone, SHARE_MM)
    values = array_of(shares)
    if not values.any():
        raise SkullImplantError("There is no bone in the image; check that it is a head.")
    shares = crop(shares, bounding_box(values > 0))
    margin = [int(np.ceil(2 * GRID_MM / s)) for s in shares.GetSpacing()]
    shares = sitk.Cast(sitk.ConstantPad(shares, margin, margin, 0), sitk.sitkFloat32)
    smooth = sitk.SmoothingRecursiveGaussian(shares, BLUR_MM)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in smooth.GetSize()])).reshape(3, -1)
    corners = (index_to_lps_mm(smooth) @ np.vstack([corners, np.ones(8)]))[:3]
    low, high = corners.min(axis=1), corners.max(axis=1)
    grid = sitk.Image([int(n) for n in np.ceil((high - low) / GRID_MM) + 1], sitk.sitkUInt8)
    grid.SetSpacing([GRID_MM] * 3)
    grid.SetOrigin(low.tolist())
    level = resample(smooth, grid, pixel_type=sitk.sitkFloat32) / (FULL * FULL_SHARE)
    return sitk.Clamp(level, lowerBound=0.0, upperBound=1.0)


@lru_cache(maxsize=1)
def shipped_mean_skull() -> MeanSkull:
    """Return the mean skull in `resources/mean-skull.npz`.

    Raises `SkullImplantError` where the file is missing or of another make.
    """
    try:
        with np.load(MEAN_SKULL_FILE, allow_pickle=False) as stored:
            likely = stored["likely"]
        if likely.shape != SIZE_XYZ[::-1] or likely.dtype != np.uint8:
            raise ValueError("another grid")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise SkullImplantError(
            f"The mean skull {MEAN_SKULL_FILE.name} is missing or damaged; install the program "
            "again."
        ) from error
    return MeanSkull(likely / STEPS)
