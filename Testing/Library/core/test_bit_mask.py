"""Masks in bits: the same as with a byte a voxel."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from SkullImplantLib.core.bit_mask import BitMask, at_least_two
from SkullImplantLib.core.blocks import per_block

STEPS = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Return a mask whose rows may fill a word, end within one, or go on over several."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 150)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return rng.random(shape) < draw(st.sampled_from([0.03, 0.3, 0.7]))


def closed_along(mask: NDArray[np.bool_], step: tuple[int, ...], gap: int) -> NDArray[np.bool_]:
    """Return the closing of a mask with a line of gap + 1 voxels, by definition."""
    padded = np.pad(mask, gap + 1)
    line = np.zeros((2 * gap + 1,) * 3, bool)
    for reach in range(gap + 1):
        line[tuple(gap + reach * s for s in step)] = True
    inner = tuple(slice(gap + 1, gap + 1 + n) for n in mask.shape)
    grown = ndimage.binary_dilation(padded, line)
    return ndimage.binary_erosion(grown, line)[inner]


@given(mask=masks(), other=st.integers(0, 1000))
def test_logic_on_bits_is_logic_on_voxels(mask: NDArray[np.bool_], other: int) -> None:
    second = np.random.default_rng(other).random(mask.shape) < 0.5
    third = np.random.default_rng(other + 1).random(mask.shape) < 0.5
    a, b, c = (BitMask.of(m) for m in (mask, second, third))
    assert np.array_equal(a.voxels(), mask)
    assert np.array_equal((~a).voxels(), ~mask)
    assert np.array_equal((a & b).voxels(), mask & second)
    assert np.array_equal((a | ~b).voxels(), mask | ~second)
    assert bool(a) == mask.any() and not (a & ~a)
    two = mask.astype(int) + second + third >= 2
    assert np.array_equal(at_least_two(a, b, c).voxels(), two)


@given(mask=masks())
def test_positions_are_those_of_the_voxels(mask: NDArray[np.bool_]) -> None:
    bits = BitMask.of(mask)
    indices = np.argwhere(mask)
    assert np.array_equal(bits.indices_of(bits.positions()), indices)
    assert np.array_equal(bits.positions_of(indices), bits.positions())
    assert np.array_equal(bits.with_runs(*bits.run_ends()).voxels(), mask)
    assert np.array_equal(bits.surface().voxels(), mask & ~ndimage.binary_erosion(mask))


@given(mask=masks(), step=st.sampled_from(STEPS), gap=st.integers(0, 6))
def test_gaps_are_closed_along_any_direction(
    mask: NDArray[np.bool_], step: tuple[int, int, int], gap: int
) -> None:
    closed = BitMask.of(mask).closed_along(step, gap).voxels()
    assert np.array_equal(closed, closed_along(mask, step, gap))


@pytest.mark.parametrize("gap", [62, 63, 64, 65, 130])
def test_gaps_wider_than_a_word_are_closed_along_a_row(gap: int) -> None:
    mask = np.zeros((1, 1, 400), bool)
    mask[..., [30, 31 + gap, 35 + 2 * gap]] = True
    expected = mask.copy()
    expected[..., 30 : 31 + gap] = True
    assert np.array_equal(BitMask.of(mask).closed_along((0, 0, 1), gap).voxels(), expected)


@given(mask=masks(), block=st.tuples(*[st.integers(1, 5)] * 3))
def test_blocks_of_bits_are_blocks_of_voxels(
    mask: NDArray[np.bool_], block: tuple[int, int, int]
) -> None:
    bits = BitMask.of(mask)
    for of_bits, of_voxels in (
        (np.bitwise_or, np.logical_or),
        (np.bitwise_and, np.logical_and),
    ):
        assert np.array_equal(bits.per_block(block, of_bits), per_block(mask, block, of_voxels))
