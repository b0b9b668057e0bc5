"""What a threshold takes for skull and is none: streaks around metal, and loose pieces."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.bit_mask import BitMask
from ..core.blocks import grid_of_blocks
from ..core.components import components_of
from ..core.images import voxel_volume_mm3
from ..errors import Remedy, SkullImplantError
from .head import Head

MIN_PART_OF_SKULL = 0.08  # a separate piece with so much of the bone around the cavity stays
MIN_FRAGMENT_MM3 = 500.0  # smaller specks are not worth a note
# Samples of the bone tell which piece is the skull: one in a mm, from so far within the cavity's
# wall to so far beyond. The coarse model of the wall is off by up to two of its 3 mm voxels, and
# the vault is at most 10 mm thick.
SAMPLE_MM = 1.0
WALL_WITHIN_MM, WALL_BEYOND_MM = -8, 12
AT_VAULT_PART = 0.5  # a loose piece of which so much lies there is told of
JAW_FROM_CAVITY_MM = 15  # metal and streaks are dealt with beyond; nearer, every voxel counts
STREAK_METAL_MM2 = 10.0  # of metal in a slice: a filling, no speck of noise
STREAK_REACH_MM = 3.0  # bone among streaks goes on within this of bone in a clean slice

Flags = NDArray[np.bool_]


def remove_streaks(mask: Flags, metal: Flags, region: sitk.Image, head: Head) -> None:
    """Take the streaks around dental `metal` (z, y, x) out of `mask`, both on the grid of `region`,
    in place.

    Streaks stay within the slices of the metal that cast them. So in a run of such slices bone is
    believed where the clean slice above or below has bone within 3 mm, and near the cavity, where
    nothing is taken away.
    """
    axis = 2 - int(np.abs(np.reshape(region.GetDirection(), (3, 3))[2]).argmax())
    near = head.distance_on(region) < JAW_FROM_CAVITY_MM
    spacing_mm = np.delete(region.GetSpacing()[::-1], axis)
    layers, nearby = np.moveaxis(mask, axis, 0), np.moveaxis(near, axis, 0)
    metal_mm2 = (np.moveaxis(metal, axis, 0) & ~nearby).sum(axis=(1, 2)) * np.prod(spacing_mm)
    struck = ndimage.binary_dilation(metal_mm2 > STREAK_METAL_MM2, iterations=1)
    runs, count = ndimage.label(struck)
    for run in range(1, count + 1):
        first, last = np.flatnonzero(runs == run)[[0, -1]]
        clean = np.zeros(layers.shape[1:], bool)
        for neighbour in (first - 1, last + 1):
            if 0 <= neighbour < len(layers):
                clean |= layers[neighbour]
        if not clean.any():
            continue
        reached = ndimage.distance_transform_edt(~clean, spacing_mm) <= STREAK_REACH_MM
        layers[first : last + 1] &= reached | nearby[first : last + 1]


def samples_at_cavity(region: sitk.Image, head: Head) -> Flags:
    """Return which samples of `region` lie at the cavity's wall, where the skull is (z, y, x).

    There is about one sample in a mm along each axis: see `_sample_step`.
    """
    step = _sample_step(region)
    # As many as `mask[z // 2 :: z, ...]` has.
    shape = tuple(-(-(n - k // 2) // k) for n, k in zip(region.GetSize()[::-1], step))
    distance_mm = head.distance_on(grid_of_blocks(region, (0, 0, 0), step, shape))
    return (distance_mm > WALL_WITHIN_MM) & (distance_mm < WALL_BEYOND_MM)


def _sample_step(region: sitk.Image) -> tuple[int, int, int]:
    """Return how many voxels (z, y, x) lie between samples; each is the middle of such a block."""
    z, y, x = (max(1, round(SAMPLE_MM / s)) for s in region.GetSpacing()[::-1])
    return z, y, x


def pieces_of_skull(
    mask: BitMask, region: sitk.Image, at_cavity: Flags
) -> tuple[BitMask, tuple[str, ...]]:
    """Return the pieces of `mask`, on the grid of `region`, that are the skull, and a note on
    loose ones. `at_cavity`: `samples_at_cavity` of the region.

    The skull is the piece with the most bone around the cavity, with any other that has much: a
    wide defect can part the vault in two.
    """
    pieces = components_of(mask)
    z, y, x = step = np.array(_sample_step(region))
    rows = mask.rows(slice(z // 2, None, z), slice(y // 2, None, y))
    bone = np.flatnonzero(rows.voxels()[..., x // 2 :: x] & at_cavity)
    indices = np.stack(np.unravel_index(bone, at_cavity.shape), axis=1) * step + step // 2
    voxel_mm3 = voxel_volume_mm3(region)
    beside = np.bincount(pieces.at(mask.positions_of(indices)), minlength=pieces.count)
    beside_mm3 = beside * (voxel_mm3 * step.prod())
    if not beside.any():
        raise SkullImplantError(
            "No bone was left around the cranial cavity.", Remedy.LOWER_THRESHOLD
        )
    keep = beside_mm3 >= MIN_PART_OF_SKULL * beside_mm3.max()
    sizes_mm3 = pieces.sizes() * voxel_mm3
    at_vault = (beside_mm3 > AT_VAULT_PART * sizes_mm3) & (sizes_mm3 > MIN_FRAGMENT_MM3)
    loose_cm3 = sizes_mm3[~keep & at_vault].sum() / 1000
    notes = (f"Loose pieces of bone ({loose_cm3:.1f} cm³) at the vault were left out.",)
    return pieces.only(keep), notes if loose_cm3 else ()
