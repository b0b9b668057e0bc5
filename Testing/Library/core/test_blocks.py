"""Volumes in blocks of voxels."""

import numpy as np
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.core.blocks import mean_per_block, per_block, share_per_block
from SkullImplantLib.core.images import array_of, shares_in_blocks

SHAPES = st.tuples(*[st.integers(3, 20)] * 3)
BLOCKS = st.tuples(*[st.integers(1, 3)] * 3)


def blocks_of(
    array: np.ndarray, block: tuple[int, ...]
) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Return the index and the voxels of every block, those cut off at the ends included."""
    counts = tuple(-(-n // b) for n, b in zip(array.shape, block))
    return [
        (index, array[tuple(slice(i * b, (i + 1) * b) for i, b in zip(index, block))])
        for index in np.ndindex(counts)
    ]


@given(shape=SHAPES, block=BLOCKS, seed=st.integers(0, 1000))
def test_every_block_is_reduced_to_one_value(
    shape: tuple[int, int, int], block: tuple[int, int, int], seed: int
) -> None:
    array = np.random.default_rng(seed).integers(-1000, 3000, shape).astype(np.int16)
    highest, mean = per_block(array, block, np.maximum), mean_per_block(array, block)
    assert highest.dtype == np.int16 and mean.dtype == np.float32
    for index, voxels in blocks_of(array, block):
        assert highest[index] == voxels.max()
        assert abs(mean[index] - voxels.mean()) < 1e-3


@given(shape=SHAPES, block=BLOCKS, seed=st.integers(0, 1000), full=st.sampled_from([100, 255]))
def test_shares_are_those_of_itk(
    shape: tuple[int, int, int], block: tuple[int, int, int], seed: int, full: int
) -> None:
    mask = (np.random.default_rng(seed).random(shape) < 0.5).astype(np.uint8)
    expected = sitk.BinShrink(sitk.GetImageFromArray(mask * np.uint8(full)), block[::-1])
    assert np.array_equal(share_per_block(mask, block, full), sitk.GetArrayFromImage(expected))
    assert np.array_equal(share_per_block(mask > 0, block, full), array_of(expected))


def test_blocks_larger_than_a_byte_can_count() -> None:
    mask = np.ones((8, 8, 16), bool)
    mask[..., 8:] = np.arange(8)[:, None, None] < 2
    assert share_per_block(mask, (8, 8, 8)).tolist() == [[[255, 64]]]


def test_shares_lie_where_itk_puts_them() -> None:
    mask = sitk.Image([21, 22, 9], sitk.sitkUInt8)
    mask.SetSpacing((0.4, 0.5, 2.0))
    mask.SetDirection((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    mask.SetOrigin((3.0, -4.0, 5.0))
    shares, expected = shares_in_blocks(mask, 1.2), sitk.BinShrink(mask, [3, 2, 1])
    assert shares.GetSize() == expected.GetSize() and shares.GetSpacing() == expected.GetSpacing()
    assert shares.GetOrigin() == expected.GetOrigin()
    assert shares.GetDirection() == expected.GetDirection()
