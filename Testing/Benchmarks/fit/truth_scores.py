"""Dice and Hausdorff distance between implants and the piece taken out, less its clearance."""

import numpy as np
import SimpleITK as sitk
from bone_facets import Grid, box_around
from facets import Facets, Floats, Mask, inside_lattice
from scipy import ndimage
from scipy.spatial import cKDTree
from way_out import CoarseDistance

INNER_MM = 2.0  # of the comparison away from the rim: further than this beyond the clearance
MARGIN_MM = 4.0


def truth_numbers(
    implants: list[Facets], truth: sitk.Image, bone: CoarseDistance, clearance_mm: float
) -> dict[str, float]:
    """Compare implants with the true piece (a mask) on its grid, both without the clearance.

    The true piece loses everything nearer to bone than the clearance: an implant that keeps what
    was asked loses nothing by it. `dice_inner` leaves out, on both sides, what is nearer to bone
    than the clearance and 2 mm.
    """
    grid = Grid.of(truth)
    places = np.concatenate([each.points for each in implants])
    true = np.argwhere(sitk.GetArrayViewFromImage(truth) != 0)[:, ::-1]
    true_mm = grid.lps_mm(np.array([true.min(0), true.max(0)]))
    places = np.concatenate([places, true_mm])
    box = box_around(truth, places.min(0) - MARGIN_MM, places.max(0) + MARGIN_MM)
    expected = sitk.GetArrayFromImage(truth)[box] != 0
    start = np.array([part.start for part in box[::-1]])
    mine = np.zeros_like(expected)
    for implant in implants:
        mine |= _voxels_in(implant, grid, start, expected.shape)
    either = np.argwhere(mine | expected)
    distance = np.zeros(expected.shape)
    distance[tuple(either.T)] = bone.exact_below(
        clearance_mm + INNER_MM, grid.lps_mm(either[:, ::-1] + start)
    )
    expected &= distance > clearance_mm
    inner = distance > clearance_mm + INNER_MM
    spacing = np.linalg.norm(grid.matrix, axis=0)[::-1]
    return {
        "dice": _dice(mine, expected),
        "dice_inner": _dice(mine & inner, expected & inner),
        "hd95": _hd95(mine, expected, spacing),
    }


def _voxels_in(implant: Facets, grid: Grid, start: Floats, shape: tuple[int, int, int]) -> Mask:
    """The voxels (z, y, x) of a box whose centres lie in an implant."""
    turned = Facets(grid.index(implant.points) - start, implant.triangles)
    return inside_lattice(turned, np.zeros(3), np.array(shape[::-1]), 1.0)


def _dice(first: Mask, second: Mask) -> float:
    total = first.sum() + second.sum()
    return float(2 * (first & second).sum() / total) if total else 1.0


def _hd95(first: Mask, second: Mask, spacing_mm: Floats) -> float:
    """The larger 95th percentile, in mm, of distances between the masks' border voxels."""
    borders = [
        np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing_mm for mask in (first, second)
    ]
    if not (len(borders[0]) and len(borders[1])):
        return float("nan")
    there = cKDTree(borders[1]).query(borders[0])[0]
    back = cKDTree(borders[0]).query(borders[1])[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))
