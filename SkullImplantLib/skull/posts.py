"""Posts on the vault: fiducials and pins, which stand out of it higher than any bone."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.bit_mask import BitMask
from ..core.images import index_to_lps_mm
from .head import Head

HEIGHT_MM, WIDTH_MM = 5.0, 12.0  # what rises higher on a narrower foot is no bone
CELL_MM = 1.5  # of the map of the vault, on a sphere of the radius of a vault
VAULT_RADIUS_MM = 80.0
AROUND_CELLS = 10  # 15 mm: how far around one compares
CELL_RAD = CELL_MM / VAULT_RADIUS_MM
HALF = int(2.0 / CELL_RAD)  # cells from the vertex to the map's edge, below the horizon
SIZE = 2 * HALF + 1

Map = NDArray[np.float32]


def without_posts(mask: BitMask, region: sitk.Image, head: Head) -> BitMask:
    """Return `mask`, on the grid of `region`, less the posts that stick out of the vault.

    The vault's outer surface is mapped as its distance from the cavity's centre over directions.
    What rises above the median of its surroundings on a narrow foot, and higher than any bone does,
    is a post; it is cut off there.
    """
    vault = mask & BitMask.of(head.vault_on(region))
    surface = mask.surface() & vault
    if not surface:
        return mask
    cell, radius_mm = _cells_of(surface.indices_of(surface.positions()), region, head)
    outer_mm = np.zeros((SIZE, SIZE), np.float32)
    np.maximum.at(outer_mm.reshape(-1), cell, radius_mm)
    feet = _feet(outer_mm)
    if not feet.any():
        return mask
    level_mm = np.zeros_like(outer_mm)
    level_mm[feet] = _ranked_around(outer_mm, feet, 1, 2)
    at = vault.positions()
    cell, radius_mm = _cells_of(vault.indices_of(at), region, head)
    post = at[feet.ravel()[cell] & (radius_mm > level_mm.ravel()[cell] + CELL_MM)]
    return mask & ~mask.with_runs(post, post)


def _cells_of(
    indices: NDArray[np.int32], region: sitk.Image, head: Head
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the flat cells of the map (n,) and the distances from the cavity's centre (n,), mm, of
    voxels of `region` with these indices (n, 3), z, y, x.

    The map is the azimuthal equidistant projection around the vertex (Snyder 1987).
    """
    left = np.cross([0.0, 1.0, 0.0], head.up)
    left /= np.linalg.norm(left)
    frame = np.array([left, np.cross(head.up, left), head.up])  # the head's own L, P and S
    matrix = index_to_lps_mm(region)
    turn = (frame @ matrix[:3, :3]).astype(np.float32)
    first_mm = (frame @ (matrix[:3, 3] - head.centre_mm)).astype(np.float32)
    from_centre_mm = indices[:, ::-1].astype(np.float32) @ turn.T + first_mm
    radius_mm = np.linalg.norm(from_centre_mm, axis=1)
    angle = np.arccos(np.clip(from_centre_mm[:, 2] / radius_mm, -1, 1))
    level_mm = np.hypot(from_centre_mm[:, 0], from_centre_mm[:, 1])
    stretch = angle / np.maximum(level_mm, 1e-3) / CELL_RAD
    cells = np.rint(from_centre_mm[:, :2] * stretch[:, None]).astype(np.int32) + HALF
    cells = np.clip(cells, 0, 2 * HALF)
    return cells[:, 0] * SIZE + cells[:, 1], radius_mm


def _feet(outer_mm: Map) -> NDArray[np.bool_]:
    """Return the cells of a map of the outer surface (0 without bone) on which posts stand."""
    rows, columns = outer_mm.shape
    width = 2 * AROUND_CELLS + 1
    bone = outer_mm > 0
    known = bone.astype(np.int32)
    for axis in (0, 1):
        known = ndimage.convolve1d(known, np.ones(width, np.int32), axis, mode="constant")
    raised_mm = np.where(bone, outer_mm, np.float32(np.inf)) + CELL_MM
    raised_mm = np.pad(raised_mm, AROUND_CELLS, constant_values=np.inf)
    lower = np.zeros(outer_mm.shape, np.int32)
    for row in range(width):
        for column in range(width):
            lower += outer_mm > raised_mm[row : row + rows, column : column + columns]
    rises = lower > known * 3 // 4  # by a cell above the upper quartile of its surroundings
    upper_mm = np.zeros_like(outer_mm)
    upper_mm[rises] = _ranked_around(outer_mm, rises, 3, 4)
    feet, _ = ndimage.label(rises, np.ones((3, 3)))
    for foot, place in enumerate(ndimage.find_objects(feet), 1):
        shape = feet[place] == foot
        width_mm = 2 * CELL_MM * ndimage.distance_transform_edt(np.pad(shape, 1)).max()
        height_mm = (outer_mm - upper_mm)[place][shape].max()
        if width_mm > WIDTH_MM or height_mm < HEIGHT_MM:
            feet[place][shape] = 0
    return ndimage.binary_dilation(feet > 0, iterations=2)


def _ranked_around(outer_mm: Map, cells: NDArray[np.bool_], part: int, of: int) -> Map:
    """Return for each of the `cells` (SIZE, SIZE) with bone the value `part` / `of` of the way up
    the sorted ones in the window around it, and 0 for the others.
    """
    seen = np.where(outer_mm > 0, outer_mm, np.float32(np.nan))
    seen = np.pad(seen, AROUND_CELLS, constant_values=np.nan)
    width = 2 * AROUND_CELLS + 1
    windows = np.lib.stride_tricks.sliding_window_view(seen, (width, width))
    around = np.sort(windows[cells].reshape(-1, width * width), axis=1)  # NaN last
    known = np.isfinite(around).sum(axis=1, keepdims=True)
    ranked = np.take_along_axis(around, known * part // of, 1)[:, 0]
    return np.where(outer_mm[cells] > 0, ranked, np.float32(0.0))
