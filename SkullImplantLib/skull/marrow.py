"""Filling a skull: diploe between the tables of the vault, and marrow enclosed by bone.

Every rule is local and none can close a hole in the vault or round its rim.
"""

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.bit_mask import BitMask, at_least_two
from ..core.blocks import grid_of_blocks
from ..core.components import components_of
from ..core.images import index_to_lps_mm
from .head import Head

MAX_DIPLOE_MM = 10.0  # between the tables of a thick vault
MAX_PORE_MM = 3.0  # vessels that open the marrow spaces of the skull base to the outside
MAX_MARROW_RADIUS_MM = 4.5  # an enclosed space wider than twice this is a sinus and stays open
DIRECTION_BLOCK_MM = 4.0  # voxels in such a block share the direction across the vault

AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))  # z, y, x

Block = tuple[int, int, int]


def with_marrow(
    mask: BitMask,
    region: sitk.Image,
    head: Head,
    not_air: BitMask | None = None,
    trabecular: BitMask | None = None,
) -> BitMask:
    """Return `mask`, on the grid of `region`, with diploe and marrow filled.

    `not_air`, `trabecular`: where the CT, if there is one, is no air, and as bright as trabecular
    bone. Three local rules that cannot close a hole in the vault or round its rim. In the vault a
    voxel is filled that lies between the tables, also where diploe lies open at the rim. Anywhere
    it is filled if it is as bright as trabecular bone and has bone on both sides, at most 10 mm
    apart, along two image axes. Last, a space is filled that bone encloses, pores of 3 mm not
    counted as openings, and that is not as wide as a sinus.
    """
    spacing_mm = region.GetSpacing()[::-1]
    filled = mask | _between_tables(mask, region, head, not_air)
    bridged = filled
    for axis, s in zip(AXES, spacing_mm):
        bridged |= mask.closed_along(axis, int(MAX_PORE_MM / s))
    if trabecular is not None:
        z, y, x = (
            mask.closed_along(axis, int(MAX_DIPLOE_MM / s)) for axis, s in zip(AXES, spacing_mm)
        )
        filled |= at_least_two(z, y, x) & trabecular
    enclosed = _narrow_enclosed(bridged | filled, spacing_mm)
    return filled | (enclosed if not_air is None else enclosed & not_air)


def _between_tables(
    mask: BitMask, region: sitk.Image, head: Head, not_air: BitMask | None
) -> BitMask:
    """Return the voxels of the vault with bone on both sides, at most 10 mm apart, across it.

    Across is, of the 26 directions to neighbouring voxels, the one nearest to the normal of the
    cavity's ellipsoid of inertia. Each direction is worked in the rows of the voxels it serves.
    """
    vault = BitMask.of(head.vault_on(region))
    if not_air is not None:
        vault &= not_air
    steps = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
    steps = steps[np.any(steps != 0, axis=1)]
    across_mm = index_to_lps_mm(region)[:3, :3] @ steps[:, ::-1].T
    lengths_mm = np.linalg.norm(across_mm, axis=0)
    z, y, x = (max(1, round(DIRECTION_BLOCK_MM / s)) for s in region.GetSpacing()[::-1])
    block = z, y, x
    serves = _nearest_normal(across_mm / lengths_mm, region, block, head)
    serves[~vault.per_block(block, np.bitwise_or)] = 0
    serves[~_near_bone(mask, region, block)] = 0
    between = np.zeros_like(mask.words)
    for number, cells in enumerate(ndimage.find_objects(serves), 1):
        if cells is None:
            continue
        gap = int(MAX_DIPLOE_MM / lengths_mm[number - 1])
        ends = zip(cells[:2], block[:2], mask.shape[:2])
        rows = [(c.start * b, min(c.stop * b, n)) for c, b, n in ends]
        wide = [slice(max(start - gap, 0), stop + gap) for start, stop in rows]
        inner = tuple(slice(a - w.start, e - w.start) for (a, e), w in zip(rows, wide))
        dz, dy, dx = (int(s) for s in steps[number - 1])
        closed = mask.rows(wide[0], wide[1]).closed_along((dz, dy, dx), gap).words[inner]
        served = _voxels_of(serves[cells[:2]] == number, block, closed.shape[:2], mask.width)
        between[tuple(slice(a, e) for a, e in rows)] |= closed & served.words
    found = BitMask(between, mask.width) & vault
    # Slanted lines slip through a table one voxel thick: fill the pits that this leaves.
    pinned = at_least_two(*((mask | found).closed_along(axis, 1) for axis in AXES))
    return found | (pinned & vault)


def _nearest_normal(
    across: NDArray[np.floating], region: sitk.Image, block: Block, head: Head
) -> NDArray[np.uint8]:
    """Return for each block of voxels (z, y, x) which of the unit vectors `across` (3, n), in LPS,
    is nearest to the normal of the cavity's ellipsoid of inertia; the first is 1.
    """
    shape = tuple(-(-n // b) for n, b in zip(region.GetSize()[::-1], block))
    index = np.indices(shape, np.float32).reshape(3, -1)[::-1]
    matrix = index_to_lps_mm(grid_of_blocks(region, (0, 0, 0), block, shape))
    from_centre_mm = matrix[:3, :3] @ index + (matrix[:3, 3] - head.centre_mm)[:, None]
    normals = np.linalg.inv(head.inertia_mm2) @ from_centre_mm
    nearest = (across.T @ normals).argmax(axis=0) + 1
    return nearest.astype(np.uint8).reshape(shape)


def _near_bone(mask: BitMask, region: sitk.Image, block: Block) -> NDArray[np.bool_]:
    """Return the blocks (z, y, x) that a line of 10 mm between two voxels of bone may cross."""
    # From any voxel on such a line the nearer end is at most half of it away.
    reach = [
        math.ceil((MAX_DIPLOE_MM / s + 1) / 2 / b) for s, b in zip(region.GetSpacing()[::-1], block)
    ]
    bone = mask.per_block(block, np.bitwise_or)
    return ndimage.maximum_filter(bone, [2 * r + 1 for r in reach], mode="constant")


def _voxels_of(
    blocks: NDArray[np.bool_], block: Block, rows: tuple[int, ...], width: int
) -> BitMask:
    """Return the voxels of `blocks` (z, y, x), cut off to `rows` (z, y) and `width` voxels."""
    z, y, x = block
    lines = BitMask.of(np.repeat(blocks, x, axis=2)[..., :width])
    words = np.repeat(np.repeat(lines.words, z, axis=0), y, axis=1)
    return BitMask(words[: rows[0], : rows[1]], width)


def _narrow_enclosed(mask: BitMask, spacing_mm: tuple[float, ...]) -> BitMask:
    """Return the spaces that `mask` encloses and that are too narrow to be a sinus."""
    spaces = components_of(~mask)
    z, y, x = (max(1, int(MAX_MARROW_RADIUS_MM / s)) for s in spacing_mm)
    wide = np.argwhere(spaces.mask.per_block((z, y, x), np.bitwise_and)) * (z, y, x)
    stay_open = spaces.at_border()
    stay_open[spaces.at(mask.positions_of(wide))] = True
    return spaces.only(~stay_open)
