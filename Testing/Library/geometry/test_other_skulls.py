"""Other skulls are asked where a low frontal hole has no other side, and only there."""

import numpy as np
import pytest
import SimpleITK as sitk

from forehead import with_forehead_hole
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.geometry.brought_bone import Surroundings, surroundings_of
from SkullImplantLib.geometry.brow import BROW_LEVELS, Brow, front_box
from SkullImplantLib.geometry.frame import Pose
from SkullImplantLib.geometry.mirrored_bone import mirrored_bone
from SkullImplantLib.geometry.other_skulls import others_bone
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, complete_by_prior
from SkullImplantLib.geometry.shape_statistics import Population, shipped_population
from SkullImplantLib.training.population import brows_of


@pytest.fixture(scope="module")
def pose(patient: SamplePatient) -> Pose:
    return estimate_pose(patient.complete, shipped_population())


@pytest.fixture(scope="module")
def holed(patient: SamplePatient, pose: Pose) -> sitk.Image:
    return with_forehead_hole(patient.complete, pose)


@pytest.fixture(scope="module")
def prior(holed: sitk.Image) -> Prior:
    shapes = shipped_population()
    return complete_by_prior(holed, estimate_pose(holed, shapes), shapes)


@pytest.fixture(scope="module")
def around(holed: sitk.Image, prior: Prior) -> Surroundings:
    found = surroundings_of(holed, prior)
    assert found is not None
    return found


def test_a_brow_like_the_patient_s_shows_what_is_missing(patient, pose, prior, around) -> None:
    mirrored = mirrored_bone(around, prior)
    brow = brows_of({"twin": patient.complete}, {"twin": pose})
    found = others_bone(around, mirrored, brow)
    assert found is not None
    missing = np.logical_or.reduce([rim.shell for rim in around.rims])[around.box]
    assert ((found.depth_mm > 0.0) & missing & (found.heard > 0.5)).sum() > 0.75 * missing.sum()


def test_a_hole_of_one_side_asks_nobody(patient: SamplePatient, pose: Pose) -> None:
    shapes = shipped_population()
    prior = complete_by_prior(patient.defective, pose, shapes)
    around = surroundings_of(patient.defective, prior)
    assert around is not None
    brows = brows_of({"twin": patient.complete}, {"twin": pose})
    assert others_bone(around, mirrored_bone(around, prior), brows) is None


def test_without_brows_or_with_one_unlike_any_there_is_no_answer(prior, around) -> None:
    mirrored = mirrored_bone(around, prior)
    assert others_bone(around, mirrored, ()) is None
    empty = np.zeros([s.stop - s.start for s in front_box()], np.uint8)
    assert others_bone(around, mirrored, (Brow("nobody", empty),)) is None


def test_a_brow_is_kept_with_its_skull_and_left_out_with_it() -> None:
    shipped: Population = shipped_population()
    assert {brow.name for brow in shipped.brows} < set(shipped.names)
    levels = shipped.brows[0].levels
    assert levels.shape == tuple(s.stop - s.start for s in front_box())
    assert levels.max() == BROW_LEVELS
    first = shipped.brows[0].name
    assert first not in {brow.name for brow in shipped.without([first]).brows}
