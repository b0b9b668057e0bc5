"""Whoever completes the skull, the answer is one: a depth around the hole, and facts on it."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import SimpleITK as sitk

from forehead import with_forehead_hole
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.completion import trust
from SkullImplantLib.completion.complete import Choice, Completed, complete, rearranged
from SkullImplantLib.completion.features import doubt_of
from SkullImplantLib.completion.trust import GEOMETRY, MIRRORED, NETWORK
from SkullImplantLib.core.images import array_of, crop, fraction_on, resample, same_grid
from SkullImplantLib.geometry.frame import standard_grid
from SkullImplantLib.geometry.hole import Hole, find_hole
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, complete_by_prior
from SkullImplantLib.geometry.shape_statistics import shipped_population
from SkullImplantLib.models import MIRROR, PRIOR
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.inputs import CHANNELS
from SkullImplantLib.networks.refiner import RefinerConfiguration, SparseRefiner
from SkullImplantLib.networks.weights import Weights

AROUND_MM = 24.0


@pytest.fixture(scope="module")
def prior(patient: SamplePatient) -> Prior:
    return complete_by_prior(
        patient.defective,
        estimate_pose(patient.defective, shipped_population()),
        shipped_population(),
    )


@pytest.fixture(scope="module")
def hole(patient: SamplePatient, prior: Prior) -> Hole:
    return find_hole(patient.defective, prior, AROUND_MM)


@pytest.fixture(scope="module")
def by_prior(patient: SamplePatient, prior: Prior, hole: Hole) -> Completed:
    return complete(patient.defective, prior, hole, Choice(PRIOR))


def fine(offset_mm: float) -> Weights:
    """A fine stage that has learnt nothing but to move the surface of the prior outward."""
    configuration = RefinerConfiguration(sum(CHANNELS.values()), (4, 6))
    state = SparseRefiner(**asdict(configuration)).state_dict()
    state["final.bias"] = state["final.bias"] + offset_mm
    return Weights(configuration, state, {"spacing_mm": 1.5, "channels": list(CHANNELS)}, "")


def autoencoder() -> Weights:
    """An auto-encoder that has learnt nothing: what it starts from, the prior, is what it says."""
    configuration = Configuration((2, 3), in_channels=sum(CHANNELS.values()))
    state = SparseAutoEncoder(**asdict(configuration)).state_dict()
    for name in state:
        if "classify" in name:
            state[name] = state[name] * 0.0
    metadata = {"spacing_mm": 2.0, "channels": list(CHANNELS), "residual": True}
    return Weights(configuration, state, metadata, "")


def dice(filled: sitk.Image, truth: sitk.Image, hole: Hole) -> float:
    """Return how well a completed skull in the hole's box fills the sample patient's hole."""
    made, wanted = array_of(filled) > 0, array_of(crop(truth, hole.box)) > 0
    missing = array_of(hole.mask) > 0
    both = (made & wanted & missing).sum()
    return 2.0 * both / ((made & missing).sum() + (wanted & missing).sum())


def test_the_answer_holds_the_skull_and_fills_its_hole(
    patient: SamplePatient, hole: Hole, by_prior: Completed
) -> None:
    filled = by_prior.filled(patient.defective)
    region = crop(patient.defective, hole.box)
    assert same_grid(filled, region) and filled.GetPixelID() == sitk.sitkUInt8
    assert (array_of(filled) >= array_of(region)).all()
    assert dice(filled, patient.complete, hole) > 0.9
    assert by_prior.depth_mm.GetPixelID() == sitk.sitkFloat32
    assert (by_prior.source, by_prior.device, by_prior.departure) == (GEOMETRY, "cpu", None)


def test_the_other_side_turned_over_answers_likewise(
    patient: SamplePatient, prior: Prior, hole: Hole
) -> None:
    found = complete(patient.defective, prior, hole, Choice(MIRROR))
    assert found.source == MIRRORED and found.departure is None
    assert found.depth_mm.GetPixelID() == sitk.sitkFloat32
    assert dice(found.filled(patient.defective), patient.complete, hole) > 0.7


def test_a_network_that_has_learnt_nothing_answers_as_the_prior(
    patient: SamplePatient, prior: Prior, hole: Hole, by_prior: Completed
) -> None:
    found = complete(patient.defective, prior, hole, Choice("fine", fine(0.0), "cpu"))
    assert found.source == NETWORK and found.departure is not None
    assert found.departure.mean_mm < 0.5
    on_prior_s = array_of(resample(found.depth_mm, by_prior.depth_mm, outside=-1.0))
    depth, near = array_of(by_prior.depth_mm), array_of(resample(hole.mask, by_prior.depth_mm)) > 0
    # The network's grid is coarser than the prior's here.
    assert np.percentile(np.abs(on_prior_s - depth)[near], 99.0) < 0.3


def test_a_network_that_strays_is_not_trusted(
    patient: SamplePatient, prior: Prior, hole: Hole, by_prior: Completed, monkeypatch
) -> None:
    # Trials in which networks farther than three deviations from the prior were wrong.
    wary = replace(trust.shipped_trials(networked=True), most_departure=3.0)
    monkeypatch.setattr(trust, "shipped_trials", lambda networked: wary)
    found = complete(patient.defective, prior, hole, Choice("fine", fine(6.0), "cpu"))
    assert found.source == GEOMETRY
    assert found.departure is not None and found.departure.most_mm > 4.0
    np.testing.assert_array_equal(array_of(found.depth_mm), array_of(by_prior.depth_mm))


def test_an_auto_encoder_s_occupancy_becomes_as_fine_as_the_patient_s_grid(
    patient: SamplePatient, prior: Prior, hole: Hole
) -> None:
    found = complete(patient.defective, prior, hole, Choice("ch", autoencoder(), "cpu"))
    assert found.source == NETWORK
    assert found.depth_mm.GetSpacing() == patient.defective.GetSpacing()
    assert dice(found.filled(patient.defective), patient.complete, hole) > 0.85


def test_rearrangement_refines_the_true_occupancy(
    patient: SamplePatient, prior: Prior, hole: Hole
) -> None:
    occupancy = fraction_on(patient.complete, standard_grid(prior.pose, 2.0))
    fine_bone = rearranged(occupancy, patient.defective, hole)
    made = array_of(fine_bone) > 0.5
    start = patient.complete.TransformPhysicalPointToIndex(fine_bone.GetOrigin())
    box = tuple(slice(a, a + n) for a, n in zip(start[::-1], made.shape, strict=True))
    true = array_of(crop(patient.complete, box)) > 0
    assert 2.0 * (made & true).sum() / (made.sum() + true.sum()) > 0.9


def test_what_is_heard_of_the_other_side_leaves_less_doubt(
    prior: Prior, by_prior: Completed
) -> None:
    alone, left = doubt_of(prior), by_prior.doubt
    assert left is not None
    assert 0.0 < left.mean_mm < alone.mean_mm and left.most_mm < alone.most_mm + 0.1
    assert left.unsupported_share < 0.02
    assert not any("brow" in note for note in by_prior.notes)


def test_a_brow_without_another_side_is_told(patient: SamplePatient) -> None:
    shapes = shipped_population()
    holed = with_forehead_hole(patient.complete, estimate_pose(patient.complete, shapes))
    prior = complete_by_prior(holed, estimate_pose(holed, shapes), shapes)
    where = find_hole(holed, prior, AROUND_MM)
    found = complete(holed, prior, where, Choice(PRIOR), brows=shapes.brows)
    assert found.doubt is not None and found.doubt.unsupported_share > 0.1
    told = [note for note in found.notes if "brow" in note]
    assert len(told) == 1 and "without this head's other side" in told[0]
    features = trust.features_of(prior, shapes, doubt=found.doubt)
    assert features["doubt_mm"] == found.doubt.mean_mm
    # Beside the prior alone the other skulls' bone still takes some of the doubt away.
    assert found.doubt.mean_mm < doubt_of(prior).mean_mm
