"""What is bone in a CT: thresholds from its own histogram, and a local rule for thin plates."""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.blocks import mean_per_block, per_block
from ..core.images import array_of
from ..errors import SkullImplantError

AIR_HU = -500.0  # below: air; half-way between air (-1000) and water
SOFT_RANGE_HU = (-200.0, 300.0)  # fat, brain, muscle and blood, on a scale that may be off a little
CERTAIN_BONE_HU = 500.0  # above: never soft tissue, also on a scale off by a third
BONE_RANGE_HU = (150.0, 500.0)  # the automatic threshold stays in here
METAL_HU = 2800.0  # enamel ends near 2500; 12-bit scanners saturate at 3071
# Where the thresholds lie on the way from soft tissue to cortical bone. A quarter comes to about
# 300 HU, in common use for skull models; an eighth still finds bone a third of a voxel thick.
BONE_PART, THIN_PART = 0.25, 0.13
NOISY_HU, SMOOTHING_MM = 60.0, 0.5  # above, as with a sharp kernel, thin bone drowns in it
NOISE_SIGMAS = 4.0  # by so much bone has to stand out of the noise
BLOCK_MM = 2.0  # the neighbourhood for the local threshold is three such blocks wide


@dataclass(frozen=True)
class Levels:
    """Grey levels in the CT's units.

    `noise`: the standard deviation in soft tissue, 0 where unknown. Air is below `air`; `soft` is
    the level of soft tissue; bone is above `bone`, or above `thin` in thin plates; metal is at
    `metal` and above.
    """

    noise: float
    air: float
    soft: float
    thin: float
    bone: float
    metal: float


def without_noise(
    ct: sitk.Image, fixed: float | None = None
) -> tuple[sitk.Image, Levels, tuple[str, ...]]:
    """Return the CT, smoothed where it is noisy, its levels as `levels_of` does, and notes."""
    levels, notes = levels_of(ct, fixed)
    if levels.noise <= NOISY_HU:
        return ct, levels, notes
    sigmas = [max(SMOOTHING_MM, s / 2) for s in ct.GetSpacing()]
    ct = sitk.Cast(sitk.SmoothingRecursiveGaussian(ct, sigmas), ct.GetPixelID())
    levels, notes = levels_of(ct, fixed)
    return ct, levels, (*notes, "The CT is noisy and was smoothed: check the rim of the hole.")


def levels_of(ct: sitk.Image, fixed: float | None = None) -> tuple[Levels, tuple[str, ...]]:
    """Return the grey levels of `ct`, from some millions of its voxels, and a note on them.

    `fixed` takes the place of the automatic threshold, in the CT's units.
    In HU: soft tissue is the mode between fat and blood, noise the width of that mode, cortical
    bone the median of what is certainly bone; a threshold at a fixed part of the way between them
    does not mind a scale that is off. Not in HU (nothing near -1000): the same from the medians of
    soft tissue and bone as two Otsu thresholds (1979) part them from air, on any scale.

    Raises `SkullImplantError` where `ct` is not a volume of numbers.
    """
    if ct.GetDimension() != 3 or ct.GetNumberOfComponentsPerPixel() != 1:
        raise SkullImplantError("The CT is not a 3-D grey-level image; give a whole volume.")
    if min(ct.GetSize()) < 8:
        raise SkullImplantError("The CT has fewer than 8 slices; give the whole head.")
    grey = array_of(ct)
    step = max(1, round((grey.size / 4e6) ** (1 / 3)))
    sample = grey[::step, ::step, ::step].ravel().astype(np.float32)
    if grey.dtype.kind == "f" and not np.isfinite(grey.sum(dtype=np.float64)):
        raise SkullImplantError("The CT holds values that are not numbers; export it again.")
    if sample.min() == sample.max():
        raise SkullImplantError("The CT has the same value everywhere; check the file.")
    notes: tuple[str, ...] = ()
    if sample.min() > AIR_HU:
        notes = ("The grey levels are not HU: check the skull and the bone threshold.",)
        levels = _levels_by_otsu(sample)
    else:
        levels = _levels_in_hu(sample)
    if fixed is not None:
        levels = replace(levels, air=min(levels.air, fixed), thin=fixed, bone=fixed)
    return levels, notes


def _levels_in_hu(sample: NDArray[np.float32]) -> Levels:
    """Return levels on the HU scale; where many voxels share the highest value, that is metal."""
    soft_values = sample[(sample > SOFT_RANGE_HU[0]) & (sample < SOFT_RANGE_HU[1])]
    certain = sample[(sample > CERTAIN_BONE_HU) & (sample < METAL_HU)]
    soft, noise = _mode_and_width(soft_values) if soft_values.size > 1000 else (40.0, 10.0)
    cortical = float(np.median(certain)) if certain.size > 100 else 1000.0
    bone = soft + max(BONE_PART * (cortical - soft), NOISE_SIGMAS * noise)
    bone = float(np.clip(bone, *BONE_RANGE_HU))
    thin = soft + max(THIN_PART * (cortical - soft), NOISE_SIGMAS * noise)
    top = float(sample.max())
    below_top = np.count_nonzero((sample < top) & (sample > top - 100))
    saturated = top > cortical and np.count_nonzero(sample == top) > below_top
    metal = min(METAL_HU, top) if saturated else METAL_HU
    return Levels(noise, AIR_HU, soft, min(thin, bone), bone, metal)


def _mode_and_width(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the mode of `values` and the standard deviation of the peak around it."""
    counts, edges = np.histogram(values, bins=np.arange(*SOFT_RANGE_HU, 5.0))
    counts = ndimage.gaussian_filter1d(counts.astype(float), 2.0)
    top = int(counts.argmax())
    low = high = top
    while low > 0 and counts[low] > counts[top] / 2:
        low -= 1
    while high < counts.size - 1 and counts[high] > counts[top] / 2:
        high += 1
    return float(edges[top] + 2.5), float((high - low - 1) * 5.0 / 2.355)


def _levels_by_otsu(sample: NDArray[np.float32]) -> Levels:
    """Return levels for any scale; less soft tissue than twice the bone is a dry skull in air."""
    otsu = sitk.OtsuMultipleThresholdsImageFilter()
    otsu.SetNumberOfThresholds(2)
    otsu.Execute(sitk.GetImageFromArray(sample[None]))
    low, high = otsu.GetThresholds()
    middle, upper = sample[(sample > low) & (sample <= high)], sample[sample > high]
    if middle.size < 2 * upper.size:
        air = float(np.median(sample[sample <= low]))
        return Levels(0.0, -np.inf, air, low, high, np.inf)
    soft, cortical = float(np.median(middle)), float(np.median(upper))
    thin = soft + THIN_PART * (cortical - soft)
    return Levels(0.0, low, soft, thin, soft + BONE_PART * (cortical - soft), np.inf)


def bone_in(region: sitk.Image, levels: Levels) -> NDArray[np.bool_]:
    """Return bone in `region` (z, y, x): above half of the way to the highest level within 3 mm.

    The limit runs between the thresholds of thin bone and of other bone, so that partial volume
    hollows out no thin plate and yet fattens no thick one. Below the threshold of other bone only
    plates count, not what is as thick as a vessel full of contrast.
    """
    grey = array_of(region)
    mask = grey > levels.bone
    if levels.thin >= levels.bone:
        return mask
    block = tuple(max(1, round(BLOCK_MM / s)) for s in region.GetSpacing()[::-1])
    highest = ndimage.maximum_filter(per_block(grey, block, np.maximum), 3).astype(np.float32)
    at = np.argwhere((grey > levels.thin) & ~mask).astype(np.int32)
    local = ndimage.map_coordinates(highest, ((at + 0.5) / block - 0.5).T, order=1, mode="nearest")
    at = at[grey[tuple(at.T)] > np.minimum((local + levels.soft) / 2, levels.bone)]
    plates = np.zeros_like(mask)
    plates[tuple(at.T)] = True
    full = mean_per_block(plates, block) > 0.9
    # Five solid blocks in a row, about 10 mm, are no plate; the rest of such a body goes with it.
    thick = ndimage.binary_dilation(ndimage.binary_erosion(full, None, 2), np.ones((3, 3, 3)), 3)
    at = at[~thick[tuple((at // block).T)]]
    mask[tuple(at.T)] = True
    return mask
