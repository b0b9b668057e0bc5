"""What the axes of an image are called, and images whose axes are called otherwise."""

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.core.axes import axes_of, checked_code, code_of, directions_of, rename_axes
from SkullImplantLib.core.images import index_to_lps_mm
from SkullImplantLib.errors import SkullImplantError

CODES = ["".join(c) for ways in permutations(("LR", "PA", "SI")) for c in product(*ways)]


def test_every_code_names_its_directions() -> None:
    assert len(set(CODES)) == 48
    assert [code_of(directions_of(code)) for code in CODES] == CODES


@given(st.sampled_from(CODES), st.sampled_from(CODES))
def test_renamed_axes_keep_the_middle_and_can_be_named_back(first: str, second: str) -> None:
    image = sitk.Image([5, 6, 7], sitk.sitkUInt8)
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    rename_axes(image, first)
    before = index_to_lps_mm(image)
    rename_axes(image, second)
    assert axes_of(image) == second
    middle = np.array([2.0, 2.5, 3.0, 1.0])
    np.testing.assert_allclose(index_to_lps_mm(image) @ middle, before @ middle, atol=1e-9)
    rename_axes(image, first)
    np.testing.assert_allclose(index_to_lps_mm(image), before, atol=1e-9)


@pytest.mark.parametrize("code", ["", "RA", "RLS", "RASS", "XYZ", "RRS"])
def test_what_names_no_axes_is_refused(code: str) -> None:
    with pytest.raises(SkullImplantError, match="names no three axes"):
        checked_code(code)
    assert checked_code(" ras ") == "RAS"
