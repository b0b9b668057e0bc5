"""Voxel rearrangement against brute force, and on shapes whose fine surface is known."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from SkullImplantLib.completion.rearrangement import (
    PUBLISHED,
    RearrangementOptions,
    Rules,
    apply_rules,
    coarsen,
    learn_rules,
    rearrange,
)

factors = st.tuples(*[st.integers(1, 3)] * 3)


def masks(low: int, high: int):
    """Random masks, dense and sparse ones, of any shape."""
    shapes = st.tuples(*[st.integers(low, high)] * 3)
    return shapes.flatmap(lambda shape: arrays(bool, shape))


def ball(shape, centre, radius) -> np.ndarray:
    index = np.indices(shape).transpose(1, 2, 3, 0) + 0.5
    return np.linalg.norm(index - np.asarray(centre), axis=-1) <= radius


def enlarged(coarse, factor) -> np.ndarray:
    return np.kron(coarse, np.ones(factor, bool))


def dice(a, b) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def surface_distance(a, b) -> float:
    """Mean distance in voxels of each surface to the other, both ways."""
    edges = [m ^ ndimage.binary_erosion(m) for m in (a, b)]
    there, back = (ndimage.distance_transform_edt(~e) for e in edges)
    return float((back[edges[0]].mean() + there[edges[1]].mean()) / 2)


def neighbourhood(coarse, voxel) -> tuple:
    return tuple(np.pad(coarse, 1, mode="edge")[tuple(slice(i, i + 3) for i in voxel)].ravel())


def by_hand(coarse, template, factor, max_hamming) -> np.ndarray:
    """The published definition, one voxel after another: the share of votes."""
    shrunk = coarsen(template, factor) >= 0.5
    padded = np.pad(template, [(0, -n % f) for n, f in zip(template.shape, factor)], mode="edge")
    votes: dict[tuple, list] = {}
    for voxel in np.ndindex(*shrunk.shape):
        key = neighbourhood(shrunk, voxel)
        if 0 < sum(key) < 27:
            block = padded[tuple(slice(i * f, i * f + f) for i, f in zip(voxel, factor))]
            votes.setdefault(key, []).append(block)
    result = enlarged(coarse, factor).astype(float)
    for voxel in np.ndindex(*coarse.shape):
        key = neighbourhood(coarse, voxel)
        if not 0 < sum(key) < 27:
            continue
        for distance in range(max_hamming + 1):
            blocks = []
            for flips in combinations(range(27), distance):
                near = tuple(bit ^ (i in flips) for i, bit in enumerate(key))
                blocks += votes.get(near, [])
            if blocks:
                place = tuple(slice(i * f, i * f + f) for i, f in zip(voxel, factor))
                result[place] = np.mean(blocks, axis=0)
                break
    return result


@settings(max_examples=25, deadline=None)
@given(template=masks(2, 7), coarse=masks(1, 4), factor=factors, max_hamming=st.integers(0, 2))
def test_every_vote_is_that_of_the_definition(template, coarse, factor, max_hamming):
    options = replace(PUBLISHED, max_hamming=max_hamming)
    expected = by_hand(coarse, template, factor, max_hamming)
    share = apply_rules(coarse, learn_rules(template, factor, options), options)
    assert share.shape == expected.shape
    np.testing.assert_allclose(share, expected, atol=1e-5)
    decided = np.abs(expected - 0.5) > 1e-4
    expected_mask = np.where(decided, expected > 0.5, enlarged(coarse, factor))
    fine = rearrange(coarse, template, factor, options)
    assert fine.dtype == bool
    np.testing.assert_array_equal(fine, expected_mask)


@settings(max_examples=50, deadline=None)
@given(fine=masks(1, 9), factor=factors)
def test_coarsening_is_the_mean_of_each_block(fine, factor):
    coarse = coarsen(fine, factor)
    assert coarse.dtype == np.float32
    padded = np.pad(fine, [(0, -n % f) for n, f in zip(fine.shape, factor)], mode="edge")
    for voxel in np.ndindex(*coarse.shape):
        block = padded[tuple(slice(i * f, i * f + f) for i, f in zip(voxel, factor))]
        assert coarse[voxel] == pytest.approx(block.mean())


@pytest.mark.parametrize("factor", [(2, 2, 2), (3, 3, 3), (4, 4, 4), (1, 2, 2), (1, 3, 2)])
def test_an_exact_hit_brings_the_fine_surface_back(factor):
    """The published code copies the voxel that is in the key: there an exact hit changes nothing.

    The template is one ball, the target another, of other size and place; nearly every key of
    the target is found as it is, and the surface gets nearer to the fine truth.
    """
    shape = tuple(24 * f for f in factor)
    scaled = np.asarray(factor, float)
    template = ellipsoid(shape, scaled, (12.3, 11.8, 12.1), 9.3)
    truth = ellipsoid(shape, scaled, (11.6, 12.2, 12.4), 8.2)
    coarse = coarsen(truth, factor) >= 0.5
    fine = rearrange(coarse, template, factor)
    stepped = enlarged(coarse, factor)
    assert (fine != stepped).sum() > 0.2 * (truth != stepped).sum()
    assert 1 - dice(fine, truth) < 0.75 * (1 - dice(stepped, truth))
    assert surface_distance(fine, truth) < 0.8 * surface_distance(stepped, truth)


def ellipsoid(shape, scale, centre, radius) -> np.ndarray:
    """A ball measured in coarse voxels, sampled on the fine grid."""
    index = (np.indices(shape).transpose(1, 2, 3, 0) + 0.5) / scale
    return np.linalg.norm(index - np.asarray(centre), axis=-1) <= radius


def test_the_template_itself_is_nearly_restored():
    template = ball((48, 48, 48), (24.2, 23.9, 24.4), 19)
    coarse = coarsen(template, (2, 2, 2)) >= 0.5
    restored = rearrange(coarse, template, (2, 2, 2), PUBLISHED)
    stepped = enlarged(coarse, (2, 2, 2))
    assert (restored != template).sum() < 0.6 * (stepped != template).sum()


@settings(max_examples=20, deadline=None)
@given(coarse=masks(1, 6))
def test_a_factor_of_one_changes_nothing_that_was_seen(coarse):
    np.testing.assert_array_equal(rearrange(coarse, coarse, (1, 1, 1), PUBLISHED), coarse)


@settings(max_examples=20, deadline=None)
@given(coarse=masks(1, 6), factor=factors)
def test_without_a_rule_a_voxel_keeps_its_value(coarse, factor):
    empty = np.zeros((8, 8, 8), bool)
    fine = rearrange(coarse, empty, factor, PUBLISHED)
    np.testing.assert_array_equal(fine, enlarged(coarse, factor))


def test_two_flipped_bits_are_bridged_and_three_are_not():
    plane = np.arange(27).reshape(3, 3, 3) < 9
    key = int((plane.ravel() * (1 << np.arange(27))).sum())
    rules = Rules(
        (2, 2, 2), np.array([key], np.int32), np.array([4]), np.full((1, 2, 2, 2), 3, np.int64)
    )
    for flips, share in [((), 0.75), ((20,), 0.75), ((20, 22), 0.75), ((20, 22, 25), 0.0)]:
        block = plane.copy().ravel()
        block[list(flips)] ^= True
        fine = apply_rules(block.reshape(3, 3, 3), rules, PUBLISHED)
        np.testing.assert_allclose(fine[2:4, 2:4, 2:4], share, atol=1e-6)


def test_cut_edges_that_are_not_valid_teach_nothing():
    template = ball((40, 40, 40), (20, 20, 20), 15)
    spoiled = template.copy()
    spoiled[:, :, 20:] = False
    valid = np.ones_like(template)
    valid[:, :, 12:] = False
    whole = learn_rules(spoiled, (2, 2, 2), PUBLISHED)
    part = learn_rules(spoiled, (2, 2, 2), PUBLISHED, valid)
    assert 0 < part.seen.sum() < whole.seen.sum()
    left = learn_rules(template[:, :, :20], (2, 2, 2), PUBLISHED, valid[:, :, :20])
    np.testing.assert_array_equal(part.keys, left.keys)
    np.testing.assert_array_equal(part.occupied, left.occupied)


@settings(max_examples=15, deadline=None)
@given(template=masks(3, 6), axis=st.integers(0, 2), factor=factors)
def test_a_mirrored_template_teaches_the_same_rules(template, axis, factor):
    # Whole blocks only: a mirrored grid of blocks is then a grid of blocks again.
    template = enlarged(template, factor)
    template[::3] ^= True
    a = learn_rules(template, factor)
    b = learn_rules(np.flip(template, axis), factor)
    assert a.seen.sum() == 8 * learn_rules(template, factor, PUBLISHED).seen.sum()
    np.testing.assert_array_equal(a.keys, b.keys)
    np.testing.assert_array_equal(a.seen, b.seen)
    np.testing.assert_array_equal(a.occupied, b.occupied)


def test_smoothing_evens_out_what_single_voxels_voted():
    truth = ball((48, 48, 48), (24.3, 23.8, 24.1), 17.6)
    template = ball((48, 48, 48), (23.7, 24.2, 23.6), 19)
    template ^= np.random.default_rng(3).random(template.shape) < 0.02
    coarse = coarsen(truth, (3, 3, 3)) >= 0.5
    plain = rearrange(coarse, template, (3, 3, 3), PUBLISHED)
    smoothed = rearrange(coarse, template, (3, 3, 3), replace(PUBLISHED, smoothing=0.4))
    assert dice(smoothed, truth) > dice(plain, truth)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_an_interpolated_mask_is_averaged_with_the_votes(weight):
    template = ball((24, 24, 24), (12, 12, 12), 9)
    coarse = coarsen(template, (2, 2, 2)) >= 0.5
    rules = learn_rules(template, (2, 2, 2), PUBLISHED)
    votes = apply_rules(coarse, rules, PUBLISHED)
    soft = ndimage.gaussian_filter(template.astype(np.float32), 1)
    options = RearrangementOptions(smoothing=0, vote_weight=weight)
    share = apply_rules(coarse, rules, options, soft)
    np.testing.assert_allclose(share, weight * votes + (1 - weight) * soft, atol=1e-6)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="coarsen"):
        coarsen(np.zeros((4, 4), bool), (2, 2, 2))
    with pytest.raises(ValueError, match="valid"):
        learn_rules(np.zeros((4, 4, 4), bool), (2, 2, 2), valid=np.zeros((2, 2, 2), bool))
    rules = learn_rules(np.eye(4, dtype=bool)[None], (1, 2, 2))
    with pytest.raises(ValueError, match="interpolated"):
        apply_rules(np.zeros((4, 4, 4), bool), rules, interpolated=np.zeros((4, 4, 4)))
