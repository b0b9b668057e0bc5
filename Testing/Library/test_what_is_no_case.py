"""What is no head with a hole to be filled is refused by its true reason: two heads, a cavity that
is no head's, a hole too small for an implant.
"""

import re

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.design import design_implant
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.models import PRIOR
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.input import Input
from SkullImplantLib.skull.segmentation import clean_skull, segment_skull


def beside_itself(image: sitk.Image, outside: float) -> sitk.Image:
    """The image with a copy beside it, 20 mm of nothing between them."""
    values = sitk.GetArrayFromImage(image)
    between = np.full((*values.shape[:2], round(20 / image.GetSpacing()[0])), outside, values.dtype)
    two = sitk.GetImageFromArray(np.concatenate([values, between, values], axis=2))
    two.SetSpacing(image.GetSpacing())
    return two


def test_two_heads(coarse_patient: SamplePatient) -> None:
    with pytest.raises(SkullImplantError, match="two heads in the image; crop it"):
        clean_skull(beside_itself(coarse_patient.defective, 0))
    with pytest.raises(SkullImplantError, match="two heads in the image; crop it"):
        segment_skull(beside_itself(coarse_patient.ct, -1000))


@settings(max_examples=4)
@given(st.sampled_from((0.45, 0.5, 1.5, 1.6)))
def test_a_cavity_that_is_no_head_s(coarse_patient: SamplePatient, scale: float) -> None:
    """Its volume is told, by the image's own spacing, and what a head has."""
    right = sitk.Image(coarse_patient.complete)
    wrong = sitk.Image(right)
    wrong.SetSpacing([scale * s for s in right.GetSpacing()])
    with pytest.raises(SkullImplantError, match="and a head's has 200 to 3500") as caught:
        clean_skull(wrong)
    assert "check the image's spacing" in str(caught.value)
    told = float(re.search(r"has (\d+) cm³", str(caught.value))[1])  # type: ignore[index]
    assert not 200 <= told <= 3500


@pytest.mark.slow
@pytest.mark.parametrize("radius_mm", [7.0, 9.0])
def test_a_hole_too_small_for_an_implant(coarse_patient: SamplePatient, radius_mm: float) -> None:
    skull = coarse_patient.complete
    bone = sitk.GetArrayFromImage(skull)
    places = np.argwhere(bone)[:, ::-1] * np.array(skull.GetSpacing())
    middle = places.mean(axis=0)
    # On the top, to one side.
    way = (places - middle) @ np.array([0.6, 0.2, 0.77])
    near = np.linalg.norm(places - places[way.argmax()], axis=1) < radius_mm
    index = np.argwhere(bone)[near]
    bone[tuple(index.T)] = 0
    holed = sitk.GetImageFromArray(bone)
    holed.CopyInformation(skull)
    with pytest.raises(SkullImplantError, match="No defect was found in the vault: its") as caught:
        design_implant(Input(holed, "skull", "", "a burr hole"), DesignOptions(model=PRIOR))
    told = float(re.search(r"hole has ([\d.]+) cm²", str(caught.value))[1])  # type: ignore[index]
    # Voxels whose centres lie within were taken away; they are 2.5 mm wide.
    assert 0.8 * np.pi * radius_mm**2 < 100 * told < np.pi * (radius_mm + 2.5) ** 2
    assert "one of 4 cm² or less gets no implant" in str(caught.value)
