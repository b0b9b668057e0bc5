"""Flaws of skull masks: the same seed the same mask, each of its kind and size, the hole kept."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from SkullImplantLib.cases.mask_flaws import (
    NO_FLAWS,
    DegradationOptions,
    degrade,
    smooth_noise,
    thickness_change_mm,
)

SPACING_MM = (1.0, 1.0, 1.0)
RADIUS_MM, THICKNESS_MM = 39.0, 6.0
FLAWS = (
    "healed_rim", "fragments", "metal", "thin_bone", "pores", "thick_slices", "threshold",
    "field_of_view",
)  # fmt: skip


def places(size: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = np.arange(size) - (size - 1) / 2
    return np.ix_(at, at, at)


def head(thickness_mm: float = THICKNESS_MM) -> np.ndarray:
    """A hollow ball that is open below."""
    z, y, x = places()
    radius = np.sqrt(z**2 + y**2 + x**2)
    return (radius <= RADIUS_MM) & (radius > RADIUS_MM - thickness_mm) & (z > -25)


def hole() -> np.ndarray:
    z, y, x = places()
    radius = np.sqrt(z**2 + y**2 + x**2)
    return (np.hypot(z - 10, y) < 16) & (x > 0) & (abs(radius - 36) < 5)


def flawed(flaw: str, seed: int = 0, bone: np.ndarray | None = None) -> np.ndarray:
    whole = head() if bone is None else bone
    options = replace(NO_FLAWS, **{flaw: 1.0})
    return degrade(whole & ~hole(), SPACING_MM, hole(), np.random.default_rng(seed), options)


def test_without_flaws_nothing_changes() -> None:
    bone, rng = head() & ~hole(), np.random.default_rng(0)
    np.testing.assert_array_equal(degrade(bone, SPACING_MM, hole(), rng, NO_FLAWS), bone)
    assert not thickness_change_mm(bone.shape, SPACING_MM, rng, NO_FLAWS).any()


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_shows_and_leaves_most_of_the_skull(flaw: str) -> None:
    bone = head() & ~hole()
    for seed in range(3):
        changed = flawed(flaw, seed)
        assert changed.dtype == bool and changed.shape == bone.shape
        share = (changed != bone).sum() / bone.sum()
        assert (share < 0.35) and (share > 0 or flaw in {"thin_bone", "thick_slices"})
    np.testing.assert_array_equal(changed, flawed(flaw, seed))


def test_all_flaws_together_are_the_same_for_the_same_seed() -> None:
    every = DegradationOptions(**dict.fromkeys(FLAWS, 1.0))
    bone = head() & ~hole()
    one, two, other = (
        degrade(bone, SPACING_MM, hole(), np.random.default_rng(seed), every) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    # A hole stays a hole, whatever lies in it.
    assert one[hole()].mean() < 0.3


def test_a_flaw_less_does_not_disturb_the_others() -> None:
    only = replace(NO_FLAWS, field_of_view=1.0)
    both = replace(only, fragments=1.0)
    bone = head() & ~hole()
    one, two = (
        degrade(bone, SPACING_MM, hole(), np.random.default_rng(5), options)
        for options in (only, both)
    )
    assert one.any(axis=(1, 2)).tolist() == two.any(axis=(1, 2)).tolist()
    assert (two & ~one).any()


def test_all_bone_grows_or_thins_by_no_more_than_asked() -> None:
    options = replace(NO_FLAWS, thickness=1.0)
    moved_mm = [
        thickness_change_mm((40, 50, 60), SPACING_MM, np.random.default_rng(seed), options)
        for seed in range(12)
    ]
    assert all(each.min() >= -0.4 and each.max() <= 0.7 for each in np.round(moved_mm, 4))
    means = [float(each.mean()) for each in moved_mm]
    assert min(means) < -0.1 and max(means) > 0.3 and np.std(moved_mm[0]) > 0.01
    assert max(np.abs(np.diff(each, axis=0)).max() for each in moved_mm) < 0.1


def test_the_rim_is_changed_near_the_hole_only() -> None:
    changed = flawed("healed_rim") != (head() & ~hole())
    away_mm = ndimage.distance_transform_edt(~hole())
    assert away_mm[changed].max() <= DegradationOptions.healed_mm


def test_fragments_are_small_and_lie_in_or_below_the_hole() -> None:
    added = flawed("fragments") & ~head()
    near = ndimage.distance_transform_edt(~hole())
    assert 20 < added.sum() < 4000 and near[added].max() < 20


def test_thin_bone_is_lost_and_thick_bone_is_kept() -> None:
    assert flawed("thin_bone", bone=head(1.0)).sum() < 0.4 * head(1.0).sum()
    thick = head() & ~hole()
    assert (thick & ~flawed("thin_bone")).sum() < 0.01 * thick.sum()


def test_every_pore_is_open() -> None:
    pores = (head() & ~hole()) & ~flawed("pores")
    labels, count = ndimage.label(pores)
    outside = ndimage.binary_dilation(~(head() & ~hole()))
    assert count > 5 and set(np.unique(labels[outside & pores])) == set(range(1, count + 1))


def test_slices_become_thick_and_move_nothing_in_the_mean() -> None:
    shifts, repeated = [], []
    bone = head() & ~hole()
    for seed in range(20):
        thick = flawed("thick_slices", seed)
        weights = [mask.sum(axis=(1, 2)) for mask in (bone, thick)]
        means = [float(w @ np.arange(len(w)) / w.sum()) for w in weights]
        shifts.append(means[1] - means[0])
        assert abs(int(thick.sum()) / int(bone.sum()) - 1) < 0.05
        repeated.append((thick[1:] == thick[:-1]).all(axis=(1, 2))[25:80].mean())
    assert abs(np.mean(shifts)) < 0.15 and max(map(abs, shifts)) < 1.0
    assert max(repeated) > 0.6  # three slices of a millimetre are alike


def test_the_view_never_misses_the_hole() -> None:
    for seed in range(10):
        kept = flawed("field_of_view", seed).any(axis=(1, 2))
        lowest = np.flatnonzero(hole().any(axis=(1, 2)))[0]
        assert kept[lowest - 5]


def test_voxels_of_any_shape_will_do() -> None:
    every = DegradationOptions(**dict.fromkeys(FLAWS, 1.0))
    thin = head()[::2] & ~hole()[::2]
    changed = degrade(thin, (2.0, 1.0, 1.0), hole()[::2], np.random.default_rng(0), every)
    assert changed.shape == thin.shape and 0.5 < changed.sum() / thin.sum() < 1.3


def test_noise_has_the_size_asked_for() -> None:
    for scale_mm in (4.0, 35.0):
        noise = smooth_noise((60, 50, 40), SPACING_MM, scale_mm, np.random.default_rng(0))
        assert noise.shape == (60, 50, 40) and noise.dtype == np.float32
        assert 0.5 < noise.std() < 1.2
        assert np.abs(np.diff(noise, axis=0)).mean() < 3.0 / scale_mm


def test_a_hole_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        degrade(head(), SPACING_MM, hole()[1:], np.random.default_rng(0))
