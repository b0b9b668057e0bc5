"""From coarse to fine: linear interpolation along axes, and distances between voxels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from SkullImplantLib.core.distances import NOWHERE_MM, between_voxels_mm
from SkullImplantLib.core.interpolation import along_axes

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)


@given(shape=SHAPES, seed=st.integers(0, 1000))
def test_it_is_linear_interpolation_with_the_edge_going_on(
    shape: tuple[int, int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape).astype(np.float32)
    at = [np.sort(rng.uniform(-2.0, n + 1.0, 7)) for n in shape]
    places = np.meshgrid(*at, indexing="ij")
    expected = ndimage.map_coordinates(values, places, order=1, mode="nearest")
    np.testing.assert_allclose(along_axes(values, at), expected, atol=1e-5)


@given(
    axis=st.integers(0, 2),
    spacing_mm=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    first=st.integers(2, 6),
)
def test_the_surface_of_a_half_space_runs_between_voxels_of_any_spacing(
    axis: int, spacing_mm: tuple[float, float, float], first: int
) -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[(slice(None),) * axis + (slice(first, None),)] = True
    depth_mm = np.moveaxis(between_voxels_mm(mask, spacing_mm), axis, 0)
    half = spacing_mm[axis] / 2
    np.testing.assert_allclose(depth_mm[first], half, rtol=1e-5)
    np.testing.assert_allclose(depth_mm[first - 1], -half, rtol=1e-5)
    assert (np.diff(depth_mm, axis=0) > 0.0).all()


@pytest.mark.parametrize("value", [False, True])
def test_what_is_all_one_value_has_no_surface(value: bool) -> None:
    mask = np.full((2, 3, 4), value)
    expected = NOWHERE_MM if value else -NOWHERE_MM
    assert (between_voxels_mm(mask, (1.0, 1.0, 1.0)) == expected).all()
