"""An image at half its resolution, or a quarter, for computers with little memory."""

import numpy as np
import SimpleITK as sitk

from ..core.blocks import grid_of_blocks, mean_per_block
from ..core.images import array_of, image_like
from ..errors import Remedy, SkullImplantError

# Averaged further, a vault's tables of 1.5 mm can no longer be told from its diploe.
COARSEST_MM = 2.0
# A voxel that is filled with bone so far is bone: the volume stays, and half plates with it.
LEAST_SHARE = 0.5


def blocks_of(spacing_mm: tuple[float, ...], halvings: int) -> tuple[int, ...]:
    """Return how many voxels are averaged along each axis, so that the finest side doubles so many
    times and coarser ones come near it.
    """
    side_mm = min(spacing_mm) * 2**halvings
    return tuple(max(1, round(side_mm / s)) for s in spacing_mm)


def averaged(image: sitk.Image, mask: bool, halvings: int) -> tuple[sitk.Image, str]:
    """Return an image (a mask of 0 and 1, or a CT) averaged in blocks (`blocks_of`), of its own
    type, and a note on it.

    What is left over of whole blocks at the far ends of the axes is left out. Raises
    `SkullImplantError` where voxels would be coarser than `COARSEST_MM`.
    """
    times = blocks_of(image.GetSpacing(), halvings)
    spacing_mm = [s * t for s, t in zip(image.GetSpacing(), times)]
    if max(s for s, t in zip(spacing_mm, times) if t == max(times)) > COARSEST_MM:
        raise SkullImplantError(
            f"At a lower resolution voxels would be {_by(spacing_mm)} mm large, which is too "
            "coarse for an implant.",
            Remedy.LESS_COARSE,
        )
    values = array_of(image)
    block = times[::-1]
    whole = tuple(slice(0, n // b * b) for n, b in zip(values.shape, block))
    mean = mean_per_block(values[whole], block)
    if mask:
        made = (mean >= LEAST_SHARE).astype(values.dtype)
    elif values.dtype.kind == "f":
        made = mean.astype(values.dtype)
    else:
        made = np.rint(mean, out=mean).astype(values.dtype)
    coarse = image_like(made, grid_of_blocks(image, (0, 0, 0), block, made.shape))
    return coarse, (
        f"The image was averaged to voxels of {_by(spacing_mm)} mm to save memory, as you asked: "
        "thin bone and the implant's rim are less exact, and all results lie on that grid."
    )


def _by(spacing_mm: list[float]) -> str:
    return " x ".join(f"{s:.3g}" for s in spacing_mm)
