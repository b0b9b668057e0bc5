"""A patient's own earlier bone: laid onto the skull from any pose, another person's refused."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from SkullImplantLib.cases.sample import SampleOptions, SamplePatient, make_sample_patient
from SkullImplantLib.completion import (
    Choice,
    assess_reference,
    complete,
    complete_by_reference,
    find_earlier,
)
from SkullImplantLib.completion.trust import REFERENCE
from SkullImplantLib.core.distances import distance_mm
from SkullImplantLib.core.images import array_of, crop, image_like
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry.hole import Hole, find_hole
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, complete_by_prior
from SkullImplantLib.geometry.rigid_registration import Motion, moved_image
from SkullImplantLib.geometry.shape_statistics import shipped_population
from SkullImplantLib.models import PRIOR
from SkullImplantLib.reading.reference import Reference
from SkullImplantLib.skull import Skull

AROUND_MM, KERF_MM = 24.0, 1.5
ELSEWHERE = Motion(
    Rotation.from_euler("zyx", [25.0, -18.0, 29.0], degrees=True).as_matrix(),
    np.array([40.0, -25.0, 110.0]),
)


@pytest.fixture(scope="module")
def skull(patient: SamplePatient) -> Skull:
    return Skull(patient.defective, None, ())


@pytest.fixture(scope="module")
def prior(patient: SamplePatient) -> Prior:
    shapes = shipped_population()
    return complete_by_prior(
        patient.defective, estimate_pose(patient.defective, shapes), shapes
    )  # fmt: skip


@pytest.fixture(scope="module")
def hole(patient: SamplePatient, prior: Prior) -> Hole:
    return find_hole(patient.defective, prior, AROUND_MM)


def dice(depth: sitk.Image, patient: SamplePatient, hole: Hole, skull: Skull) -> float:
    """How well the completed bone fills the hole, voxels of the intact skull not counted."""
    region = crop(skull.mask, hole.box)
    true = array_of(crop(patient.implant, hole.box)) > 0
    near = distance_mm(image_like(true, region)) < 5.0
    inside = array_of(sitk.Resample(depth, region, sitk.Transform(), sitk.sitkLinear, -1.0)) > 0.0
    made = inside & near & (array_of(region) == 0)
    return float(2.0 * (made & true).sum() / (made.sum() + true.sum()))


def scaled(image: sitk.Image, by: float) -> sitk.Image:
    wrong = sitk.Image(image)
    wrong.SetSpacing([by * s for s in image.GetSpacing()])
    return wrong


def test_an_earlier_skull_in_another_pose_completes(
    patient: SamplePatient, skull: Skull, prior: Prior, hole: Hole
) -> None:
    reference = Reference(moved_image(patient.complete, ELSEWHERE), "skull")
    earlier = find_earlier(reference, skull, prior, hole)
    assert earlier.shows == "skull" and earlier.kerf_mm is None and not earlier.scale_off
    assert earlier.residual_mm < 0.1 and earlier.agreeing > 0.98
    assert abs(earlier.thicker_mm) < 0.1
    completed = complete_by_reference(earlier, skull, prior, hole, None)
    assert completed.source == REFERENCE
    assert (array_of(completed.hole.mask) >= array_of(hole.mask)).all()
    assert dice(completed.depth_mm, patient, completed.hole, skull) > 0.96
    confidence = assess_reference(earlier, 1.4)
    assert not confidence.flagged and 0.7 < confidence.expected_hd95_mm < 1.4


def test_bone_that_is_thicker_everywhere_is_made_flush(
    patient: SamplePatient, skull: Skull, prior: Prior, hole: Hole
) -> None:
    """As a lower threshold makes it: the completion is as thick as without that."""
    grown = array_of(distance_image(patient.complete)) < 0.5
    reference = Reference(image_like(grown, patient.complete), "skull", "skull")
    earlier = find_earlier(reference, skull, prior, hole)
    completed = complete_by_reference(earlier, skull, prior, hole, None)
    assert dice(completed.depth_mm, patient, hole, skull) > 0.93


def distance_image(mask: sitk.Image) -> sitk.Image:
    """The distance to a mask's surface between its voxels, smoothed as a scanner does."""
    signed = sitk.SignedMaurerDistanceMap(mask, False, False, True)
    return sitk.DiscreteGaussian(signed, 0.5)


def test_a_flap_with_kerf_and_a_missing_bit_completes(
    patient: SamplePatient, skull: Skull, prior: Prior, hole: Hole
) -> None:
    to_bone = distance_mm(patient.defective)
    piece = (array_of(patient.implant) > 0) & (to_bone > KERF_MM)
    places = np.argwhere(piece)
    edge = places[to_bone[tuple(places.T)].argmin()]
    spacing = np.array(patient.implant.GetSpacing()[::-1])
    bitten = places[np.linalg.norm((places - edge) * spacing, axis=1) < 8.0]
    piece[tuple(bitten.T)] = False
    flap = moved_image(image_like(piece, patient.implant), ELSEWHERE)
    earlier = find_earlier(Reference(flap, "skull"), skull, prior, hole)
    assert earlier.shows == "flap" and earlier.residual_mm < 0.5
    assert earlier.kerf_mm is not None and abs(earlier.kerf_mm - KERF_MM) < 1.0
    base = complete(skull.mask, prior, hole, Choice(PRIOR))
    completed = complete_by_reference(earlier, skull, prior, hole, base)
    found = dice(completed.depth_mm, patient, hole, skull)
    assert found > 0.93 and found > dice(base.depth_mm, patient, hole, skull)


@pytest.mark.parametrize("by", [0.9, 0.95, 1.05])
def test_a_wrong_scale_is_refused(
    by: float, patient: SamplePatient, skull: Skull, prior: Prior, hole: Hole
) -> None:
    reference = Reference(scaled(patient.complete, by), "skull")
    with pytest.raises(SkullImplantError, match=r"larger|smaller"):
        find_earlier(reference, skull, prior, hole)


def test_a_small_mismatch_of_scale_is_mended_and_told(
    patient: SamplePatient, skull: Skull, prior: Prior, hole: Hole
) -> None:
    reference = Reference(scaled(moved_image(patient.complete, ELSEWHERE), 1.02), "skull")
    earlier = find_earlier(reference, skull, prior, hole)
    assert earlier.scale_off == pytest.approx(0.02, abs=0.002) and earlier.agreeing > 0.98
    completed = complete_by_reference(earlier, skull, prior, hole, None)
    assert dice(completed.depth_mm, patient, completed.hole, skull) > 0.95
    confidence = assess_reference(earlier, 1.4)
    assert confidence.flagged and "2.0 % larger" in confidence.reasons[0]


def test_another_head_is_refused(skull: Skull, prior: Prior, hole: Hole) -> None:
    other = make_sample_patient(4, SampleOptions(spacing_mm=(2.0, 2.0, 2.0))).complete
    with pytest.raises(SkullImplantError, match=r"not this patient|of this patient"):
        find_earlier(Reference(other, "skull"), skull, prior, hole)


def test_a_skull_with_the_same_hole_is_refused(
    patient: SamplePatient, skull: Skull, prior: Prior, hole: Hole
) -> None:
    earlier = find_earlier(Reference(patient.defective, "skull"), skull, prior, hole)
    with pytest.raises(SkullImplantError, match="no bone in the hole"):
        complete_by_reference(earlier, skull, prior, hole, None)


def test_an_image_without_bone_is_refused(skull: Skull, prior: Prior, hole: Hole) -> None:
    empty = sitk.Image([40, 40, 40], sitk.sitkInt16) - 1000
    with pytest.raises(SkullImplantError, match="no bone"):
        find_earlier(Reference(empty, "ct"), skull, prior, hole)
