"""A bone flap in an image of its own."""

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.images import array_of, bounding_box, crop, image_like
from SkullImplantLib.errors import Remedy, SkullImplantError
from SkullImplantLib.skull import find_flap, rough_bone, shows_flap


def test_skulls_and_flaps_are_told_apart(patient: SamplePatient) -> None:
    assert not shows_flap(patient.complete) and not shows_flap(patient.defective)
    assert not shows_flap(rough_bone(patient.ct, "ct"))
    assert shows_flap(patient.implant)


def test_what_could_be_either_is_asked_for() -> None:
    """A shell of 68 mm: too bowed for a flap, too small for a skull."""
    z, y, x = np.indices((80, 80, 80)) - 39.5
    radius = np.sqrt(z * z + y * y + x * x)
    shell = sitk.GetImageFromArray(((radius < 34.0) & (radius > 28.0)).astype(np.uint8))
    with pytest.raises(SkullImplantError) as caught:
        shows_flap(shell)
    assert caught.value.remedy is Remedy.SAY_WHAT_REFERENCE_IS


@pytest.mark.parametrize("around_hu", [-1000.0, 40.0])
def test_a_flap_keeps_its_size_whatever_lies_around_it(
    around_hu: float, patient: SamplePatient
) -> None:
    box = bounding_box(array_of(patient.implant), 6)
    true = crop(patient.implant, box)
    bone = array_of(true) > 0
    blurred = sitk.SmoothingRecursiveGaussian(
        image_like(np.where(bone, np.float32(1200.0), np.float32(around_hu)), true), 0.6
    )
    flap = find_flap(blurred, "ct")
    assert flap.grey is not None and flap.bone_threshold_hu is not None
    found = array_of(flap.mask) > 0
    assert 2.0 * (found & bone).sum() / (found.sum() + bone.sum()) > 0.93


def test_loose_bits_beside_a_flap_do_not_count(patient: SamplePatient) -> None:
    box = bounding_box(array_of(patient.implant), 6)
    mask = np.array(array_of(crop(patient.implant, box)))
    mask[:2, :2, :2] = 1
    assert not array_of(find_flap(image_like(mask, crop(patient.implant, box)), "skull").mask)[
        0, 0, 0
    ]
