"""The uncertainty of a completed surface: larger where it is farther from the truth."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.completion import Choice, complete, uncertainty_of
from SkullImplantLib.completion.complete import Completed
from SkullImplantLib.completion.trust import MIRRORED, REFERENCE
from SkullImplantLib.completion.uncertainty import SEEN_MM, Uncertainty
from SkullImplantLib.core.images import array_of, crop, image_like, index_to_lps_mm
from SkullImplantLib.geometry import complete_by_prior, estimate_pose, find_hole
from SkullImplantLib.geometry.prior import Prior
from SkullImplantLib.geometry.shape_statistics import shipped_population
from SkullImplantLib.implant.bone_surface import bone_surface
from SkullImplantLib.implant.level_set import surface_at_zero
from SkullImplantLib.implant.mesh_distance import MeshDistance


@pytest.fixture(scope="module")
def known(patient: SamplePatient) -> tuple[Prior, Completed]:
    shapes, skull = shipped_population(), patient.complete - patient.implant
    prior = complete_by_prior(skull, estimate_pose(skull, shapes), shapes)
    hole = find_hole(skull, prior, 24.0)
    return prior, complete(skull, prior, hole, Choice("prior"), brows=shapes.brows)


def surface_of(known: tuple[Prior, Completed]) -> tuple[np.ndarray, np.ndarray]:
    """The completed surface in the hole, and how far out of the head it looks."""
    prior, completed = known
    index, triangles = surface_at_zero(array_of(completed.depth_mm))
    to_lps = index_to_lps_mm(completed.depth_mm)
    points = index @ to_lps[:3, :3].T + to_lps[:3, 3]
    a, b, c = (points[triangles[:, k]] for k in range(3))
    middles = (a + b + c) / 3.0
    outward = middles - prior.pose.centre_mm
    normals = np.cross(b - a, c - a)
    up = np.einsum("ij,ij->i", normals, outward)
    up /= np.maximum(np.linalg.norm(normals, axis=1) * np.linalg.norm(outward, axis=1), 1e-12)
    sure = Uncertainty(prior).at(middles, np.zeros(len(middles), bool))
    return middles[sure > 1.05 * SEEN_MM], up[sure > 1.05 * SEEN_MM]


def test_where_it_is_unsure_it_is_farther_from_the_truth(known, patient: SamplePatient) -> None:
    prior, completed = known
    points, up = surface_of(known)
    truth = bone_surface(crop(patient.complete, completed.hole.box))
    away = MeshDistance(truth.points_mm, truth.triangles).unsigned_mm(points)
    uncertainty = uncertainty_of(prior, completed)
    assert uncertainty is not None
    faces = np.abs(up) > 0.7
    unsure = uncertainty.at(points, up < 0.0)
    assert spearmanr(unsure[faces], away[faces])[0] > 0.15
    assert np.mean(away[faces] < 2.0 * unsure[faces]) > 0.85


def test_the_inner_face_is_less_sure_than_the_outer(known) -> None:
    uncertainty = uncertainty_of(*known)
    points, _ = surface_of(known)
    outer = uncertainty.at(points, np.zeros(len(points), bool))
    inner = uncertainty.at(points, np.ones(len(points), bool))
    assert (inner >= outer).all() and inner.mean() > 1.1 * outer.mean()
    assert outer.dtype == np.float32 and outer.min() >= SEEN_MM


def test_what_was_heard_elsewhere_makes_it_surer(known) -> None:
    prior, completed = known
    points, _ = surface_of(known)
    outer = np.zeros(len(points), bool)
    alone = Uncertainty(prior).at(points, outer)
    assert completed.deviation_mm is not None
    assert (uncertainty_of(prior, completed).at(points, outer) <= alone + 0.15).all()
    nothing_left = image_like(0.0 * array_of(completed.deviation_mm), completed.deviation_mm)
    sure = Uncertainty(prior, nothing_left)
    assert sure.at(points, ~outer) == pytest.approx(SEEN_MM)
    far = points + 500.0  # beyond the box the prior alone is asked
    assert np.isfinite(sure.at(far, outer)).all()


@pytest.mark.parametrize("source", [MIRRORED, REFERENCE])
def test_of_a_skull_turned_over_or_a_reference_nobody_knows_it(known, source: str) -> None:
    prior, completed = known
    assert uncertainty_of(prior, Completed(completed.depth_mm, completed.hole, source)) is None
