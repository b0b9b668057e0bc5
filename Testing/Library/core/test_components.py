"""Connected pieces of a mask, held against scipy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from SkullImplantLib.core.bit_mask import BitMask
from SkullImplantLib.core.components import components_of


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 150)),
    share=st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]),
    seed=st.integers(0, 1000),
)
def test_pieces_are_those_that_touch_by_a_face(
    shape: tuple[int, int, int], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < share
    labels, count = ndimage.label(mask)
    bits = BitMask.of(mask)
    pieces = components_of(bits)
    assert pieces.count == count
    found = pieces.at(bits.positions())
    pairs = np.unique(np.stack([labels[mask] - 1, found]), axis=1)
    assert pairs.shape[1] == count  # one label for one piece
    same = np.empty(count, int)
    same[pairs[1]] = pairs[0]
    assert np.array_equal(pieces.sizes(), np.bincount(labels[mask], minlength=count + 1)[1:][same])
    chosen = rng.random(count) < 0.5
    expected = np.zeros(shape, bool)
    expected[mask] = chosen[found]
    assert np.array_equal(pieces.only(chosen).voxels(), expected)
    ends = np.zeros(count + 1, bool)
    for axis in range(3):
        ends[np.take(labels, (0, -1), axis)] = True
    assert np.array_equal(pieces.at_border(), ends[1:][same])
