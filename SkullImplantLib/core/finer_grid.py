"""The finer grid that a coarse image is brought to: the same box and axes, smaller voxels."""

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import SkullImplantError

Singles = NDArray[np.float32]

# A grid that differs by less is the same one.
SAME_SPACING = 1.01
# A head at 0.25 mm, as for inputs (`reading/input.py`).
MOST_VOXELS = 2**30


def finer_grid(image: sitk.Image, to_mm: float) -> sitk.Image:
    """Return the grid over the same box whose voxels are `to_mm` wide, or as fine as they came.

    Raises `SkullImplantError` where no axis is coarser than that, or there would be too many.
    """
    spacing = np.array(image.GetSpacing())
    if not to_mm > 0.0 or (spacing <= SAME_SPACING * to_mm).all():
        raise SkullImplantError(
            f"The voxels are {by(spacing)} mm and no coarser than {to_mm:g} mm; ask for a "
            "finer spacing."
        )
    fine = np.where(spacing > SAME_SPACING * to_mm, to_mm, spacing)
    size = np.ceil(spacing * image.GetSize() / fine - 1e-3).astype(int)
    if np.prod(size.astype(float)) > MOST_VOXELS:
        raise SkullImplantError(
            f"A grid of {by(size)} voxels is too large; ask for a coarser spacing."
        )
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing(fine.tolist())
    grid.SetDirection(image.GetDirection())
    first = (fine / spacing - 1.0) / 2.0
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first.tolist()))
    return grid


def places_of(fine: sitk.Image, coarse: sitk.Image) -> tuple[Singles, Singles, Singles]:
    """Return for (z, y, x) the places of the voxels of `fine` as indices of `coarse`.

    Both lie along the same axes.
    """
    first = coarse.TransformPhysicalPointToContinuousIndex(fine.GetOrigin())
    steps = np.divide(fine.GetSpacing(), coarse.GetSpacing())
    x, y, z = (
        (f + s * np.arange(n)).astype(np.float32) for f, s, n in zip(first, steps, fine.GetSize())
    )
    return z, y, x


def by(numbers: Iterable[float]) -> str:
    """Return sizes along the axes in words: `0.5 x 0.5 x 4`."""
    return " x ".join(f"{number:g}" for number in numbers)
