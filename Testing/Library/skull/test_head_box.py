"""All work is done in the head's box: whatever air lies around it, the implant is the same."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.core.images import array_of, same_grid
from SkullImplantLib.design import Design, design_implant
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.input import Input, Kind
from SkullImplantLib.skull.head_box import REACH_MM, head_box, head_in

SPACING_MM = 2.5
AIR = {"ct": -1000, "skull": 0}
paddings = st.tuples(*[st.integers(0, 24)] * 6)


def padded(image: sitk.Image, by: tuple[int, ...], kind: Kind = "ct") -> sitk.Image:
    """Return an image with so many voxels of air before (x, y, z) and behind it."""
    return sitk.ConstantPad(image, by[:3], by[3:], AIR[kind])


def whole(kind: Kind) -> sitk.Image:
    """Return the sample patient with all of the box around it: CT or skull."""
    options = SampleOptions(spacing_mm=(SPACING_MM,) * 3)
    patient = make_sample_patient(3, options)
    image = patient.ct if kind == "ct" else patient.defective
    reach = [int(np.ceil(REACH_MM / SPACING_MM))] * 6
    return head_in(padded(image, tuple(reach), kind), kind)


@pytest.fixture(scope="module")
def heads() -> dict[Kind, sitk.Image]:
    return {"ct": whole("ct"), "skull": whole("skull")}


@given(by=paddings, kind=st.sampled_from(["ct", "skull"]))
@settings(max_examples=30)
def test_the_box_is_the_same_whatever_air_is_around(
    heads: dict[Kind, sitk.Image], by: tuple[int, ...], kind: Kind
) -> None:
    head = heads[kind]
    found = head_in(padded(head, by, kind), kind)
    assert same_grid(found, head)
    assert np.array_equal(array_of(found), array_of(head))
    assert head_in(head, kind) is head  # and a tight image stays what it is


def test_a_table_and_bright_specks_far_away_are_left_outside(
    heads: dict[Kind, sitk.Image],
) -> None:
    head = heads["ct"]
    wide = padded(head, (30,) * 6)
    values = sitk.GetArrayFromImage(wide)
    values[2:4, 3, 5] = 1500  # a screw of the headrest
    values[:, -3:-1, :] = 200  # the table
    beside = sitk.GetImageFromArray(values)
    beside.CopyInformation(wide)
    assert same_grid(head_in(beside, "ct"), head)


def test_what_is_no_ct_in_hu_and_what_has_no_bone_is_not_cut(heads: dict[Kind, sitk.Image]) -> None:
    wide = padded(heads["ct"], (9,) * 6)
    everything = tuple(slice(0, n) for n in wide.GetSize()[::-1])
    assert head_box(wide + 1024, "ct") == everything
    assert head_box(sitk.Clamp(wide, upperBound=400), "ct") == everything
    assert head_box(wide * 0, "skull") == everything


def design_of(image: sitk.Image, kind: Kind) -> Design:
    return design_implant(Input(image, kind, "", ""), DesignOptions(model="prior"))


@pytest.mark.slow
def test_padding_with_air_gives_the_same_implant(heads: dict[Kind, sitk.Image]) -> None:
    """One design of each kind is compared with one of a head in more air, drawn at random."""
    rng = np.random.default_rng(5)
    for kind, head in heads.items():
        by = tuple(int(n) for n in rng.integers(0, 30, 6))
        wide = padded(head, by, kind)
        one, other = design_of(head, kind), design_of(wide, kind)
        for name in ("skull", "completed", "implant"):
            mask = getattr(other, name)
            assert same_grid(mask, wide)  # on the input's own grid
            inner = sitk.RegionOfInterest(mask, head.GetSize(), by[:3])
            assert np.array_equal(array_of(inner), array_of(getattr(one, name)))
            assert array_of(mask).sum() == array_of(inner).sum()
        assert one.checks == other.checks
