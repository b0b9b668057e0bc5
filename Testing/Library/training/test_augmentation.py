"""One deformation for all channels: shared, smooth, deterministic, of the promised size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.training.augmentation import AugmentationOptions, augment

NOTHING = AugmentationOptions(
    rotation_deg=0, scale=0, shear=0, translation_mm=0, elastic_mm=0, asymmetry_mm=0, mirror=False
)
SHAPE = (24, 30, 26)
seeds = st.integers(0, 2**32 - 1)


def only(**amounts) -> AugmentationOptions:
    return AugmentationOptions(**{**vars(NOTHING), **amounts})


def places(shape=SHAPE, spacing_mm=4.0) -> list[np.ndarray]:
    """Coordinates x, y, z (mm from the middle): deformed, they say where each voxel was read."""
    z, y, x = np.meshgrid(
        *[(np.arange(n) - (n - 1) / 2) * spacing_mm for n in shape], indexing="ij"
    )
    return [a.astype(np.float32) for a in (x, y, z)]


def inner(array: np.ndarray) -> np.ndarray:
    """Voxels that read inside the grid whatever the deformation."""
    return array[6:-6, 6:-6, 6:-6]


def test_no_amount_is_no_change():
    arrays = [*places(), places()[0] > 0]
    for old, new in zip(arrays, augment(arrays, 4.0, np.random.default_rng(0), NOTHING)):
        np.testing.assert_allclose(new, old, atol=1e-4)
        assert new.dtype == old.dtype


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_channels_share_one_deformation_and_keep_their_types(seed):
    x, y, _ = places()
    mask = (x + y > 7).astype(np.uint8)
    arrays = [x + y - 7, mask, mask.astype(bool), np.float64(2) * (x + y - 7)]
    a, b, c, d = augment(arrays, 4.0, np.random.default_rng(seed))
    assert [k.dtype for k in (a, b, c, d)] == [np.float32, np.uint8, np.bool_, np.float32]
    np.testing.assert_allclose(d, 2 * a, rtol=1e-4, atol=1e-3)
    assert set(np.unique(b)) <= {0, 1}
    np.testing.assert_array_equal(b.astype(bool), c)
    # The border of a mask is read between voxels, so it may differ there and nowhere else.
    sure = np.abs(a) > 2 * 4.0 * 1.5
    np.testing.assert_array_equal(c[sure], a[sure] > 0)


@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_same_seed_same_bytes_whatever_the_threads(seed):
    threads = torch.get_num_threads()
    try:
        made = []
        for count in (1, 3):
            torch.set_num_threads(count)
            made.append(augment(places(), 4.0, np.random.default_rng(seed)))
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(*made):
        assert a.tobytes() == b.tobytes()


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_never_folds(seed):
    """The Jacobian of the map keeps one sign: minus where it mirrors."""
    read = np.stack(augment(places(), 4.0, np.random.default_rng(seed)))
    slopes = np.stack([np.gradient(inner(k), 4.0)[::-1] for k in read])  # (from xyz, along xyz)
    jacobian = np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1)))
    assert (jacobian > 0.2).all() or (jacobian < -0.2).all()


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_affine_part_keeps_to_its_limits(seed):
    x, y, z = places()
    options = only(rotation_deg=10, scale=0.1, shear=0.05, translation_mm=4)
    read = np.stack(
        [inner(k).ravel() for k in augment([x, y, z], 4.0, np.random.default_rng(seed), options)]
    )
    new = np.stack([inner(k).ravel() for k in (x, y, z)] + [np.ones_like(inner(x).ravel())])
    fit, *_ = np.linalg.lstsq(new.T, read.T, rcond=None)
    np.testing.assert_allclose(new.T @ fit, read.T, atol=1e-2)  # straight lines stay straight
    matrix, shift = fit[:3].T, fit[3]
    assert np.abs(shift).max() <= 4.01
    sizes = np.linalg.svd(matrix, compute_uv=False)
    assert sizes.min() > 0.82 and sizes.max() < 1.18
    assert 0.72 < np.linalg.det(matrix) < 1.34


def test_elastic_displacement_has_the_size_asked_for():
    options = only(elastic_mm=3.0, elastic_knots_mm=30.0)
    shape = (40, 40, 40)
    old = places(shape)
    moved = [
        np.stack(augment(old, 4.0, np.random.default_rng(seed), options)) - np.stack(old)
        for seed in range(12)
    ]
    moved = np.stack(moved)[..., 6:-6, 6:-6, 6:-6]
    assert moved.std() == pytest.approx(3.0, rel=0.1)
    assert np.abs(np.diff(moved, axis=-1)).max() < 4.0  # smooth: less than a voxel per voxel


def test_the_two_sides_move_apart_and_the_mirrored_one_on_its_own():
    options = only(elastic_mm=2.0, asymmetry_mm=1.5)
    x, y, z = places((30, 30, 41))
    moved, apart = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        read = augment([x, y, z], 4.0, rng, options, mirrored=[x, y, z])
        own, other = np.stack(read[:3]), np.stack(read[3:])
        moved.append((own - np.stack([x, y, z]))[:, 6:-6, 6:-6, 6:-6])
        apart.append((other - own)[:, 6:-6, 6:-6, 6:-6])
    assert np.std(apart) == pytest.approx(1.5, rel=0.15)
    left, right = np.stack(moved)[..., :6].ravel(), np.stack(moved)[..., ::-1][..., :6].ravel()
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.4


def test_mirrored_arrays_do_not_change_what_the_others_become():
    arrays = places()
    alone = augment(arrays, 4.0, np.random.default_rng(1))
    with_more = augment(arrays, 4.0, np.random.default_rng(1), mirrored=[arrays[0]])
    for a, b in zip(alone, with_more):
        np.testing.assert_array_equal(a, b)
    assert len(with_more) == 4 and (with_more[3] != with_more[0]).any()


def test_mirror_turns_left_and_right_over_half_the_time():
    x, y, z = places()
    turned = 0
    for seed in range(60):
        a, b, c = augment([x, y, z], 4.0, np.random.default_rng(seed), only(mirror=True))
        np.testing.assert_allclose(b, y, atol=1e-3)
        np.testing.assert_allclose(c, z, atol=1e-3)
        turned += bool(np.allclose(a, -x, atol=1e-3))
        assert np.allclose(np.abs(a), np.abs(x), atol=1e-3)
    assert 15 < turned < 45


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        augment([np.zeros((4, 4, 4)), np.zeros((4, 4, 5))], 2.0, np.random.default_rng(0))
