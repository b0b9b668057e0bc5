"""Head CTs whose thin bone is known: simulated from a fine skull mask, then scanned more coarsely.

Grey levels are given to the voxels of a mask of 0.5 mm, which are blurred as a scanner does,
averaged over a slice and drawn on the coarser grid, with noise. Arrays are (z, y, x).
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from SkullImplantLib.core.distances import distance_mm
from SkullImplantLib.core.images import array_of, bounding_box, crop, image_like, resample
from SkullImplantLib.skull.head import Head, find_head
from SkullImplantLib.skull.segmentation import clean_skull

THIN_MM = 1.5  # a ball of this diameter does not fit in thin bone
CRANIUM_MM = 6.0  # bone so near the cavity is the cranium's: roofs, squama, wings, cribriform plate
MARGIN_VOXELS = 24
# HU as in clinical CTs. Thin lamellae are cortical bone, of uneven density.
CORTICAL_HU, DIPLOE_HU, PORE_HU, AIR_HU = 1300.0, 500.0, 150.0, -1000.0
THIN_HU = (600.0, 1200.0)
TABLE_MM = 1.5
SOFT_HU, FAT_HU, FAT_PART = 40.0, -80.0, 0.35
UNEVEN_MM, FAT_LUMP_MM = 4.0, 3.0
SCALP_MM = 6.0
# What is air: narrow spaces and the middle of the face, before and below the cavity.
NARROW_MM, MIDDLE_MM, BEHIND_MM, OUTSIDE_CAVITY_MM = 6.0, 16.0, -10.0, 4.0
COARSE_BLOCK_MM = 2.0


@dataclass(frozen=True)
class FineHead:
    """hu: float32 image. Bool (z, y, x) on its grid: any_bone, spine and posts too; bone, that of
    the skull; thin, the thin part of it; cranium, what lies at the cranial cavity.
    """

    hu: sitk.Image
    any_bone: NDArray[np.bool_]
    bone: NDArray[np.bool_]
    thin: NDArray[np.bool_]
    cranium: NDArray[np.bool_]


@dataclass(frozen=True)
class Scan:
    """spacing_mm (x, y, z); blur_mm: in the slice, full width at half maximum; noise_hu: standard
    deviation.
    """

    name: str
    spacing_mm: tuple[float, float, float]
    blur_mm: float
    noise_hu: float


SCANS = (
    Scan("0.5x0.5x1", (0.5, 0.5, 1.0), 0.8, 25.0),
    Scan("1x1x1", (1.0, 1.0, 1.0), 1.0, 15.0),
    Scan("1x1x2", (1.0, 1.0, 2.0), 1.0, 12.0),
    Scan("0.5x0.5x3", (0.5, 0.5, 3.0), 0.8, 15.0),
)
WIDTHS_PER_SIGMA = 2.355


def thin_part(bone: NDArray[np.bool_], grid: sitk.Image) -> NDArray[np.bool_]:
    """Return the bone in no ball of `THIN_MM` within it, more than 1 mm from any such ball.

    The strip beside thick bone is left out: edges and corners of thick bone are not thin plates.
    """
    voxel_mm = min(grid.GetSpacing())
    # To the nearest voxel centre that is no bone; a plate of n voxels holds a ball of n voxels.
    deep = distance_mm(image_like(~bone, grid)) > (THIN_MM - 0.5 * voxel_mm) / 2 + voxel_mm / 4
    from_thick = distance_mm(image_like(deep, grid))
    thick_mm = THIN_MM / 2 + voxel_mm / 2
    thin: NDArray[np.bool_] = bone & (from_thick > thick_mm + 1.0)
    return thin


def fine_head(mask: sitk.Image, rng: np.random.Generator) -> FineHead:
    """Return a simulated fine CT of the skull in `mask` (uint8, about 0.5 mm), with its truth."""
    cleaned = clean_skull(mask).mask
    box = bounding_box(array_of(cleaned), MARGIN_VOXELS)
    head = find_head(mask)
    raw, grid = array_of(crop(mask, box)) != 0, crop(cleaned, box)
    bone = array_of(grid) != 0
    thin = thin_part(bone, grid)
    spacing_mm = np.array(grid.GetSpacing()[::-1])
    to_cavity_mm = head.distance_on(grid)
    hu = _tissue(grid, head, to_cavity_mm, rng)
    hu[bone | raw] = CORTICAL_HU
    hu[distance_mm(image_like(~bone, grid)) > TABLE_MM] = DIPLOE_HU
    hu[bone & ~raw] = PORE_HU
    thin_hu = np.interp(_lumps(hu.shape, UNEVEN_MM / spacing_mm, rng), (-1, 1), THIN_HU)
    hu[thin] = thin_hu[thin]
    return FineHead(image_like(hu, grid), bone | raw, bone, thin, to_cavity_mm < CRANIUM_MM)


def _lumps(
    shape: tuple[int, ...], size: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a smooth random field (z, y, x) of lumps of `size` voxels, standard deviation 0.5."""
    coarse = [int(np.ceil(n / s)) + 2 for n, s in zip(shape, size)]
    noise = rng.standard_normal(coarse, dtype=np.float32)
    zoomed = ndimage.zoom(noise, [(n + 1) / c for n, c in zip(shape, coarse)], order=1)
    zoomed = zoomed[tuple(slice(0, n) for n in shape)]
    return zoomed * np.float32(0.5 / zoomed.std())


def _tissue(
    grid: sitk.Image, head: Head, to_cavity_mm: NDArray[np.int8], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the head without its bone, float32 HU (z, y, x): brain, muscle, fat, air."""
    spacing_mm = np.array(grid.GetSpacing()[::-1])
    factors = [max(1, round(COARSE_BLOCK_MM / s)) for s in grid.GetSpacing()]
    coarse = sitk.BinShrink(sitk.Cast(grid, sitk.sitkFloat32), factors) > 0.1
    bone = array_of(coarse) != 0
    away = distance_mm(coarse)
    reach = NARROW_MM
    closed = distance_mm(image_like(away > reach, coarse)) > reach
    wide = distance_mm(image_like(away > 4 * reach, coarse)) > 4 * reach
    index = np.indices(bone.shape, np.float32)[::-1]
    place = [
        o + s * i - c
        for o, s, i, c in zip(coarse.GetOrigin(), coarse.GetSpacing(), index, head.centre_mm)
    ]
    before = place[1] < BEHIND_MM
    air = closed | (wide & (np.abs(place[0]) < MIDDLE_MM) & (place[2] < 0))
    air &= before & ~bone
    inside = wide | (away < SCALP_MM)
    before_in_row, behind_in_row = inside, np.flip(inside, 2)
    inside = np.logical_or.accumulate(before_in_row, 2) & np.flip(
        np.logical_or.accumulate(behind_in_row, 2), 2
    )
    air_here = array_of(resample(image_like(air, coarse), grid, sitk.sitkNearestNeighbor)) != 0
    inside_here = (
        array_of(resample(image_like(inside, coarse), grid, sitk.sitkNearestNeighbor)) != 0
    )
    in_cavity = to_cavity_mm < OUTSIDE_CAVITY_MM
    hu = np.full(to_cavity_mm.shape, AIR_HU, np.float32)
    hu[inside_here | in_cavity] = SOFT_HU
    fat = _lumps(hu.shape, FAT_LUMP_MM / spacing_mm, rng) > np.quantile([-0.5, 0.5], 1 - FAT_PART)
    hu[fat & inside_here & ~in_cavity] = FAT_HU
    hu[air_here & ~in_cavity] = AIR_HU
    return hu


def scanned(hu: sitk.Image, scan: Scan, rng: np.random.Generator) -> sitk.Image:
    """Return the fine CT as the scan sees it, int16 HU on the grid of the scan."""
    fine_mm = np.array(hu.GetSpacing()[::-1])
    sigma = scan.blur_mm / WIDTHS_PER_SIGMA / fine_mm
    values = array_of(hu).astype(np.float32)
    # A slice is as thick as slices are apart; what the fine mask's own voxels blur is small.
    values = ndimage.gaussian_filter(values, [0.0, sigma[1], sigma[2]])
    values = ndimage.uniform_filter1d(values, max(1, round(scan.spacing_mm[2] / fine_mm[0])), 0)
    size = [int(n * s / t) for n, s, t in zip(hu.GetSize(), hu.GetSpacing(), scan.spacing_mm)]
    grid = sitk.Image(size, sitk.sitkInt16)
    grid.SetSpacing(scan.spacing_mm)
    grid.SetDirection(hu.GetDirection())
    shift = [0.3 * t for t in scan.spacing_mm]
    grid.SetOrigin([o + d for o, d in zip(hu.GetOrigin(), shift)])
    image = array_of(resample(image_like(values, hu), grid, outside=AIR_HU))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    # As a soft kernel leaves it: related to its neighbours in the slice.
    noise = ndimage.gaussian_filter(noise, [0.0, 0.5, 0.5])
    noisy = image + noise * (scan.noise_hu / noise.std())
    return image_like(np.clip(np.rint(noisy), -1024, 3071).astype(np.int16), grid)
