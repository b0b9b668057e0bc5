"""Thin plates of bone in simulated CTs are kept, and nothing is made of what is none."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SkullImplantLib.core.bit_mask import BitMask
from SkullImplantLib.core.images import array_of
from SkullImplantLib.skull.thin_bone import REACH_MM, faint_level, thin_plates
from SkullImplantLib.skull.thresholds import Levels, bone_in

LEVELS = Levels(noise=15.0, air=-500.0, soft=40.0, thin=190.0, bone=300.0, metal=2800.0)
BONE_HU, BRAIN_HU, FAT_HU, AIR_HU = 1000.0, 40.0, -80.0, -1000.0
FINE_MM, WIDE_MM, DEEP_MM = 0.25, 36.0, 16.0
THICK_MM, WINDOW_MM, BLUR_MM = 5.0, 9.0, 0.4
SLOPE = 0.3  # of the plate across the slices, as an orbital roof's
SPACINGS = [(0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (1.0, 1.0, 2.0)]


def scan(
    spacing_mm: tuple[float, float, float],
    plate_mm: float = 0.0,
    plate_hu: float = BONE_HU,
    window_mm: float = WINDOW_MM,
    below_hu: float = BRAIN_HU,
    noise_hu: float = 15.0,
) -> tuple[sitk.Image, np.ndarray]:
    """Return the CT of thick bone with a round window, in which is a plate, and the distance of
    each of its voxels (z, y, x), mm, from the middle of that plate within the window, else inf.
    """
    size = [round(n / FINE_MM) for n in (DEEP_MM, WIDE_MM, WIDE_MM)]
    z, y, x = (
        (FINE_MM * (np.arange(n, dtype=np.float32) - (n - 1) / 2)).reshape(
            [-1 if k == axis else 1 for k in range(3)]
        )
        for axis, n in enumerate(size)
    )
    from_middle = np.abs(z - SLOPE * x) / np.hypot(1.0, SLOPE)
    radius = np.hypot(x, y) + 0.0 * z
    hu = np.where(z > SLOPE * x + 0.0 * y, BRAIN_HU, below_hu).astype(np.float32)
    hu[(from_middle < THICK_MM / 2) & (radius >= window_mm)] = BONE_HU
    hu[(from_middle < plate_mm / 2) & (radius < window_mm)] = plate_hu
    hu = ndimage.gaussian_filter(hu, [0.0, BLUR_MM / FINE_MM, BLUR_MM / FINE_MM])
    steps = [round(s / FINE_MM) for s in spacing_mm[::-1]]
    for axis, step in enumerate(steps):
        hu = ndimage.uniform_filter1d(hu, step, axis)
    sampled = tuple(slice(step // 2, None, step) for step in steps)
    hu = hu[sampled] + np.random.default_rng(3).normal(0.0, noise_hu, hu[sampled].shape)
    ct = sitk.GetImageFromArray(np.rint(hu).astype(np.int16))
    ct.SetSpacing(spacing_mm)
    away = np.where(radius < window_mm - 1.0, from_middle + 0.0 * y, np.inf)
    return ct, away[sampled]


def found_in(ct: sitk.Image, levels: Levels = LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Return bone by its threshold, and the thin plates beside it, bool (z, y, x)."""
    bone = bone_in(ct, levels)
    mask = BitMask.of(bone)
    around = np.ones((4, 4, 4), bool)
    return bone, thin_plates(ct, mask, mask, around, levels).voxels()


def share_kept(found: np.ndarray, away: np.ndarray, ct: sitk.Image) -> float:
    """Return the share of the columns through the window in which the plate was found."""
    window = np.isfinite(away).any(axis=0)
    near = found & (away <= max(ct.GetSpacing()))
    return float(near.any(axis=0)[window].mean())


@pytest.mark.parametrize("spacing_mm", SPACINGS, ids=str)
@pytest.mark.parametrize(("plate_mm", "plate_hu"), [(0.6, 800.0), (0.6, 1000.0), (1.5, 1000.0)])
def test_a_plate_is_kept(
    spacing_mm: tuple[float, float, float], plate_mm: float, plate_hu: float
) -> None:
    ct, away = scan(spacing_mm, plate_mm, plate_hu, below_hu=FAT_HU)
    bone, plates = found_in(ct)
    assert share_kept(bone | plates, away, ct) > 0.9
    assert not (plates & (away > 1.5 * max(spacing_mm)) & np.isfinite(away)).any()


def test_a_plate_below_the_threshold_is_kept() -> None:
    ct, away = scan((1.0, 1.0, 2.0), 0.4, 900.0)
    bone, plates = found_in(ct)
    assert share_kept(bone, away, ct) < 0.6
    assert share_kept(bone | plates, away, ct) > 0.9


@pytest.mark.parametrize("spacing_mm", SPACINGS, ids=str)
@pytest.mark.parametrize(
    ("membrane_mm", "membrane_hu", "below_hu", "noise_hu"),
    [
        (0.0, 0.0, BRAIN_HU, 15.0),  # brain
        (2.0, 100.0, FAT_HU, 15.0),  # scar, dura
        (2.0, 60.0, AIR_HU, 15.0),  # skin
    ],
)
def test_a_hole_stays_open(
    spacing_mm: tuple[float, float, float],
    membrane_mm: float,
    membrane_hu: float,
    below_hu: float,
    noise_hu: float,
) -> None:
    ct, away = scan(spacing_mm, membrane_mm, membrane_hu, below_hu=below_hu, noise_hu=noise_hu)
    _, plates = found_in(ct)
    # At the rim a voxel or two may be bone's own blur.
    assert plates[np.isfinite(away)].mean() < 2e-4


@pytest.mark.parametrize("noise_hu", [15.0, 30.0, 60.0])
def test_noise_makes_no_bone(noise_hu: float) -> None:
    ct, _ = scan((0.5, 0.5, 1.0), window_mm=60.0, noise_hu=noise_hu)
    levels = Levels(noise_hu, -500.0, 40.0, max(190.0, 40.0 + 4 * noise_hu), 350.0, 2800.0)
    skull = np.zeros(array_of(ct).shape, bool)
    skull[:3] = True
    mask = BitMask.of(skull)
    plates = thin_plates(ct, mask, mask, np.ones((2, 2, 2), bool), levels).voxels()
    assert plates.mean() < 1e-4


def test_a_wide_hole_cannot_close() -> None:
    """Not even by a membrane as bright as bone in part, calcified dura for one."""
    ct, _ = scan((1.0, 1.0, 1.0), 1.0, 200.0, window_mm=14.0)
    bone, plates = found_in(ct)
    from_bone = ndimage.distance_transform_edt(~bone)
    assert plates.any() and from_bone[plates].max() <= REACH_MM


def test_what_is_no_skull_is_no_plate_of_it() -> None:
    """What was removed as bright as bone, a wire or a streak, and its halo, is not taken again."""
    ct, away = scan((1.0, 1.0, 1.0), 1.0)
    bone = bone_in(ct, LEVELS)
    skull = BitMask.of(bone & ~np.isfinite(away))
    around = np.ones((2, 2, 2), bool)
    again = thin_plates(ct, skull, BitMask.of(bone), around, LEVELS).voxels()
    never = thin_plates(ct, skull, skull, around, LEVELS).voxels()
    assert share_kept(again, away, ct) > 0.5
    assert share_kept(never, away, ct) < 0.1
    assert not thin_plates(ct, skull, BitMask.of(bone), ~around, LEVELS)


def test_where_no_plates_are_looked_for() -> None:
    assert faint_level(LEVELS) == pytest.approx(130.0)
    given = Levels(15.0, -500.0, 40.0, 300.0, 300.0, 2800.0)
    unknown = Levels(0.0, -500.0, 40.0, 190.0, 300.0, 2800.0)
    assert faint_level(given) is None and faint_level(unknown) is None
