"""Filling a skull: diploe between the tables of the vault, and marrow enclosed by bone.

Every rule is local and none can close a hole in the vault or round its rim.
"""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..core.blocks import grid_of_blocks, per_block
from ..core.images import array_of, image_like, index_to_lps_mm
from .head import Head

MAX_DIPLOE_MM = 10.0  # between the tables of a thick vault
MAX_PORE_MM = 3.0  # vessels that open the marrow spaces of the skull base to the outside
MAX_MARROW_RADIUS_MM = 4.5  # an enclosed space wider than twice this is a sinus and stays open
DIRECTION_BLOCK_MM = 4.0  # voxels in such a block share the direction across the vault


def fill_marrow(
    mask: np.ndarray,
    region: sitk.Image,
    head: Head,
    not_air: np.ndarray | None = None,
    trabecular: np.ndarray | None = None,
) -> None:
    """Fill diploe and marrow in `mask`, in place. `not_air`, `trabecular`: as in the CT, if any.

    Three local rules that cannot close a hole in the vault or round its rim. In the vault a voxel
    is filled that lies between the tables, also where diploe lies open at the rim. Anywhere it is
    filled if it is as bright as trabecular bone and has bone on both sides, at most 10 mm apart,
    along two image axes. Last, a space is filled that bone encloses, pores of 3 mm not counted as
    openings, and that is not as wide as a sinus.
    """
    filled = mask | _between_tables(mask, region, head, not_air)
    bridged = filled.copy()
    sides = np.zeros(mask.shape, np.uint8)
    for axis, spacing in enumerate(region.GetSpacing()[::-1]):
        step = tuple(int(k == axis) for k in range(3))
        bridged |= _closed_along(mask, step, int(MAX_PORE_MM / spacing))
        if trabecular is not None:
            sides += _closed_along(mask, step, int(MAX_DIPLOE_MM / spacing))
    if trabecular is not None:
        filled |= (sides >= 2) & trabecular
    del sides
    bridged |= filled
    enclosed = _narrow_enclosed(bridged, region)
    if not_air is not None:
        enclosed &= not_air
    mask |= filled
    mask |= enclosed


def _between_tables(
    mask: np.ndarray, region: sitk.Image, head: Head, not_air: np.ndarray | None
) -> np.ndarray:
    """Return the voxels of the vault with bone on both sides, at most 10 mm apart, across it.

    Across is, of the 26 directions to neighbouring voxels, the one nearest to the normal of the
    cavity's ellipsoid of inertia. Each direction is worked in the box of the voxels it serves.
    """
    spacing = np.array(region.GetSpacing()[::-1])
    steps = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
    steps = steps[np.any(steps != 0, axis=1)]
    block = tuple(max(1, round(DIRECTION_BLOCK_MM / s)) for s in spacing)
    shape = tuple(-(-n // b) for n, b in zip(mask.shape, block))
    grid = grid_of_blocks(region, np.zeros(3), block, shape)
    index = np.indices(shape, np.float32).reshape(3, -1)[::-1]
    matrix = index_to_lps_mm(grid)
    away = matrix[:3, :3] @ index + (matrix[:3, 3] - head.centre_mm)[:, None]
    normals = np.linalg.inv(head.inertia_mm2) @ away
    axes = index_to_lps_mm(region)[:3, :3] @ steps[:, ::-1].T
    lengths = np.linalg.norm(axes, axis=0)
    serves = ((axes / lengths).T @ normals).argmax(axis=0) + 1
    serves = serves.astype(np.uint8).reshape(shape)
    vault = head.vault_on(region)
    if not_air is not None:
        vault &= not_air
    serves[~per_block(vault, block, np.any)] = 0
    between = np.zeros_like(mask)
    for number, cells in enumerate(ndimage.find_objects(serves), 1):
        if cells is None:
            continue
        gap = int(MAX_DIPLOE_MM / lengths[number - 1])
        starts = [c.start * b for c, b in zip(cells, block)]
        stops = [min(c.stop * b, n) for c, b, n in zip(cells, block, mask.shape)]
        wide = tuple(slice(max(a - gap, 0), z + gap) for a, z in zip(starts, stops))
        inner = tuple(slice(a - w.start, z - w.start) for a, z, w in zip(starts, stops, wide))
        closed = _closed_along(mask[wide], tuple(steps[number - 1]), gap)[inner]
        here = serves[cells] == number
        for axis, size in enumerate(block):
            here = np.repeat(here, size, axis)
        between[tuple(slice(a, z) for a, z in zip(starts, stops))] |= (
            closed & here[tuple(slice(0, n) for n in closed.shape)]
        )
    between &= vault
    # Slanted lines slip through a table one voxel thick: fill the pits that this leaves.
    pinned = np.zeros(mask.shape, np.uint8)
    for axis in range(3):
        pinned += _closed_along(mask | between, tuple(int(k == axis) for k in range(3)), 1)
    return between | ((pinned >= 2) & vault)


def _closed_along(mask: np.ndarray, step: tuple[int, ...], gap: int) -> np.ndarray:
    """Return `mask` with gaps of at most `gap` voxels along `step` (z, y, x; -1, 0 or 1) closed."""
    flip = tuple(slice(None, None, -1 if s < 0 else 1) for s in step)
    ahead = np.abs(step)
    lines = mask[flip]
    now = np.pad(lines, [(0, int(a) * gap) for a in ahead])

    def shifted(reach: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        late = tuple(slice(int(a) * reach, None) for a in ahead)
        early = tuple(slice(0, n - int(a) * reach) for a, n in zip(ahead, now.shape))
        return late, early

    reached = 0
    while reached < gap:  # now[k] becomes any of lines[k - gap .. k], doubling the reach
        reach = min(reached + 1, gap - reached)
        late, early = shifted(reach)
        then = now.copy()
        then[late] |= now[early]
        now, reached = then, reached + reach
    reached = 0
    while reached < gap:  # and then all of now[k .. k + gap]
        reach = min(reached + 1, gap - reached)
        late, early = shifted(reach)
        then = now.copy()
        then[early] &= now[late]
        now, reached = then, reached + reach
    return now[tuple(slice(0, n) for n in lines.shape)][flip]


def _narrow_enclosed(mask: np.ndarray, region: sitk.Image) -> np.ndarray:
    """Return the spaces that `mask` encloses and that are too narrow to be a sinus."""
    spaces = array_of(sitk.ConnectedComponent(image_like(~mask, region), False))
    block = tuple(max(1, int(MAX_MARROW_RADIUS_MM / s)) for s in region.GetSpacing()[::-1])
    wide = np.argwhere(per_block(~mask, block, np.min)) * block
    keep_open = np.zeros(int(spaces.max()) + 1, bool)
    keep_open[0] = True
    keep_open[spaces[tuple(wide.T)]] = True
    for axis in range(3):
        keep_open[np.take(spaces, (0, -1), axis)] = True
    return ~keep_open[spaces]
