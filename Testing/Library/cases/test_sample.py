"""The sample patient: plausible HU, a defect with the known answer, the same bytes for a seed."""

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.sample import SampleOptions, SamplePatient, make_sample_patient
from SkullImplantLib.core.images import array_of

COARSE = SampleOptions(spacing_mm=(2.0, 2.0, 2.5))


def test_complete_is_defective_and_implant(patient: SamplePatient) -> None:
    complete, defective = array_of(patient.complete), array_of(patient.defective)
    implant = array_of(patient.implant)
    assert implant.any()
    assert not (implant & defective).any()
    np.testing.assert_array_equal(implant | defective, complete)


def test_tissues_have_their_hounsfield_units(patient: SamplePatient) -> None:
    hu = array_of(patient.ct)
    bone = array_of(sitk.BinaryErode(patient.defective, [1, 1, 1])).astype(bool)
    assert 400 < np.median(hu[bone]) < 1500
    gone = array_of(sitk.BinaryErode(patient.implant, [1, 1, 1])).astype(bool)
    assert -60 < np.median(hu[gone]) < 120  # soft tissue where the bone was taken out
    inside = hu[
        hu.shape[0] // 2, hu.shape[1] // 2 - 20, hu.shape[2] // 2 - 5 : hu.shape[2] // 2 + 5
    ]
    assert 0 < np.median(inside) < 80  # brain
    assert np.median(hu[:, :5, :5]) < -900  # air


@pytest.mark.slow
def test_same_seed_same_bytes_and_other_seed_other_head() -> None:
    one, same, other = (make_sample_patient(seed, COARSE) for seed in (5, 5, 6))
    assert array_of(one.ct).tobytes() == array_of(same.ct).tobytes()
    assert array_of(one.complete).tobytes() != array_of(other.complete).tobytes()


@pytest.mark.parametrize("kind", ["bilateral", "random_1"])
def test_every_kind_of_defect_is_cut(kind: str) -> None:
    options = SampleOptions(spacing_mm=(2.0, 2.0, 2.5), defect_kind=kind, defect_area_cm2=50.0)
    assert array_of(make_sample_patient(1, options).implant).any()
