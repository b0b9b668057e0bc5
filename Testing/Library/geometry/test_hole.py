"""The box in which everything works after the prior: it holds the hole, wherever the hole lies."""

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.images import array_of, bounding_box, crop, same_grid
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry.hole import find_hole
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, complete_by_prior
from SkullImplantLib.geometry.shape_statistics import shipped_population


@pytest.fixture(scope="module")
def prior(patient: SamplePatient) -> Prior:
    return complete_by_prior(
        patient.defective,
        estimate_pose(patient.defective, shipped_population()),
        shipped_population(),
    )


def turned(mask: sitk.Image) -> sitk.Image:
    """The same head, its voxels in another order and left-handed."""
    return sitk.PermuteAxes(sitk.Flip(mask, [True, False, False]), [2, 0, 1])


@pytest.mark.parametrize("reach_mm", [0.0, 5.0, 24.0])
@pytest.mark.parametrize("stored", [lambda mask: mask, turned])
def test_the_box_holds_the_whole_hole_and_what_was_asked_around(
    patient: SamplePatient, prior: Prior, stored, reach_mm: float
) -> None:
    skull = stored(patient.defective)
    hole = find_hole(skull, prior, reach_mm)
    whole = array_of(prior.hole_on(skull))
    inside = np.zeros_like(whole)
    inside[hole.box] = array_of(hole.mask)
    np.testing.assert_array_equal(inside, whole)
    assert same_grid(hole.mask, crop(skull, hole.box))
    tight = bounding_box(whole)
    for part, least, size, spacing in zip(
        hole.box, tight, whole.shape, skull.GetSpacing()[::-1], strict=True
    ):
        voxels = int(np.ceil(reach_mm / spacing))
        assert part == slice(max(least.start - voxels, 0), min(least.stop + voxels, size))


def test_a_smaller_box_within_is_the_hole_s_own(patient: SamplePatient, prior: Prior) -> None:
    hole = find_hole(patient.defective, prior, 24.0)
    near = hole.within(6.0)
    assert array_of(crop(hole.mask, near)).sum() == array_of(hole.mask).sum()
    assert np.prod([part.stop - part.start for part in near]) < array_of(hole.mask).size


def test_a_hole_beside_the_image_is_told(patient: SamplePatient, prior: Prior) -> None:
    middle = patient.defective.GetSize()[0] // 2
    on_the_left = array_of(prior.hole_on(patient.defective))[..., middle:].any()
    half = patient.defective[:middle] if on_the_left else patient.defective[middle:]
    elsewhere = sitk.Image(half)
    elsewhere.SetOrigin([1000.0, 0.0, 0.0])
    with pytest.raises(SkullImplantError, match="lies outside the image"):
        find_hole(elsewhere, prior, 5.0)
