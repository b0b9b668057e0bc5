"""What a design says of its own error: features, reasons, the fit, and which source is trusted."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.completion.features import Departure, departure_of, features_of
from SkullImplantLib.completion.trust import (
    CONDITIONS,
    LIMITED,
    MIRRORED,
    NEVER_TRIED,
    OFF_MM,
    Trials,
    assess,
    between_slices,
    is_trusted,
    judged_by,
    lying_unsurely,
    read_trials,
    shipped_trials,
)
from SkullImplantLib.core.images import image_like
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry import radial
from SkullImplantLib.geometry.frame import Pose
from SkullImplantLib.geometry.prior import Prior
from SkullImplantLib.geometry.shape_statistics import Population, shipped_population
from SkullImplantLib.training.confidence import (
    FEATURES,
    farthest_good_departure,
    fit,
    judged_rows,
    main,
    read_rows,
)

RADIUS_MM, THICK_MM = 85.0, 6.0
VERTEX = radial.POLAR_RAD < 0.3
AHEAD = np.array([0.0, -np.sin(1.75), np.cos(1.75)])  # 100 degrees from the vertex
TOWARDS_BROW = np.cos(0.28) < radial.DIRECTIONS @ AHEAD


def prior_with(hole: np.ndarray, deviation_mm: float = 0.5) -> Prior:
    outer = np.full(hole.shape, RADIUS_MM)
    return Prior(
        pose=Pose(np.eye(3), np.zeros(3), 0.7),
        outer_mm=outer,
        inner_mm=outer - THICK_MM,
        covered=np.deg2rad(112) > radial.POLAR_RAD,
        hole=hole,
        seen=np.ones(hole.shape, bool),
        deviation_mm=np.stack([deviation_mm * hole] * 2),
        hole_area_cm2=float((radial.STERADIANS * RADIUS_MM**2)[hole].sum()) / 100,
    )


@pytest.fixture(scope="module")
def people() -> Population:
    size = np.array([0.95, 1.0, 1.05])
    outer = size[:, None, None] * np.full(radial.DISC.shape, RADIUS_MM)
    maps = np.stack([outer, np.full(outer.shape, THICK_MM)], axis=1).astype(np.float32)
    return Population(("a", "b", "c"), maps, np.repeat(radial.DISC[None], 3, axis=0))


@pytest.fixture
def trials() -> Trials:
    ranges = dict.fromkeys(FEATURES, (0.0, 2.0))
    ranges |= {"area_cm2": (15.0, 120.0), "pose_fit_mm": (0.5, 1.5)}
    return Trials(
        intercept=0.3,
        weights={"ring_error_mm": 0.2, "doubt_mm": 0.8, "departure_most_mm": 0.3},
        ranges=ranges,
        threshold_mm=3.0,
        counts={
            "all": (100, 10),
            "flagged": (20, 10),
            "orbit": (16, 8),
            "base": (10, 0),
            "unsupported": (10, 0),
        },
        most_departure=4.0,
    )


def test_features_say_where_the_hole_lies_and_what_surrounds_it(people):
    above = features_of(prior_with(VERTEX), people)
    ahead = features_of(prior_with(TOWARDS_BROW), people)
    assert above["brow_share"] == above["open_border"] == above["cut_share"] == 0.0
    assert ahead["brow_share"] > 0.8 and ahead["open_border"] > 0.0
    assert above["deviation_mm"] == pytest.approx(0.5) and above["asymmetry_mm"] == 0.0
    assert above["departure_mm"] == 0.0 and all(map(math.isfinite, ahead.values()))


def test_the_fit_knows_only_features_that_there_are(people):
    features = features_of(prior_with(VERTEX), people)
    named = {condition.feature for condition in CONDITIONS.values()}
    assert {*FEATURES, *LIMITED, *named} <= set(features)


def test_a_good_design_is_not_flagged_and_says_nothing(people, trials):
    found = assess(prior_with(VERTEX), people, trials=trials)
    assert not found.flagged and found.reasons == () and found.warning == ()
    assert found.source == "prior" and found.expected_hd95_mm < trials.threshold_mm
    assert json.loads(json.dumps(found.as_json()))["features"]["deviation_mm"] == 0.5


def test_slices_far_apart_at_the_hole_flag_it_and_raise_the_error(people, trials):
    good = assess(prior_with(VERTEX), people, trials=trials)
    assert between_slices(good, 3.0) == good
    found = between_slices(good, 5.0)
    assert found.flagged
    assert found.warning[0].startswith("Look twice, the error may be about ")
    assert "the slices at the defect are 5.0 mm apart" in found.warning[0]
    # An edge that may lie anywhere within 5 mm, beside what is not known otherwise.
    assert found.expected_hd95_mm**2 - good.expected_hd95_mm**2 == pytest.approx(25 / 12)
    assert between_slices(good, 6.0).expected_hd95_mm > found.expected_hd95_mm
    assert json.loads(json.dumps(found.as_json()))["features"]["gap_mm"] == 5.0


def test_slices_far_apart_are_told_beside_other_reasons(people, trials):
    mirrored = assess(prior_with(VERTEX), people, source=MIRRORED, trials=trials)
    reasons = between_slices(mirrored, 5.0).reasons
    assert reasons[0] == NEVER_TRIED and "5.0 mm apart" in reasons[-1]


@pytest.mark.parametrize("source", ["prior", MIRRORED])
def test_a_head_that_may_lie_otherwise_flags_it_before_all_else(people, trials, source):
    design = between_slices(assess(prior_with(VERTEX), people, source=source, trials=trials), 5.0)
    assert lying_unsurely(design, ()) == design
    found = lying_unsurely(design, ("The head is turned.",))
    assert found.flagged and found.warning == ("Look twice: the head is turned.",)
    assert found.reasons == ("The head is turned.", *design.reasons)
    # Rows of a table are judged anew from what they keep.
    again = judged_by(found.features, source, trials)
    assert again.flagged and "lies could not be told" in again.reasons[0]
    assert any("5.0 mm apart" in reason for reason in again.reasons)


def test_a_reason_tells_what_the_trials_counted(people, trials):
    found = assess(prior_with(TOWARDS_BROW, 1.2), people, trials=trials)
    assert found.flagged and found.expected_hd95_mm > trials.threshold_mm
    assert found.reasons[0] == (
        "The defect reaches the orbit or the brow, where designs were off by more than 4 mm in "
        "50 % of 16 trials; compare the brow with the other side before use."
    )
    assert len(found.warning) == 1 and found.reasons[0][1:] in found.warning[0]
    assert all(reason.count(".") == 1 for reason in found.reasons)


def test_without_a_circumstance_the_flagged_trials_are_told(people, trials):
    found = assess(prior_with(VERTEX, 2.0), people, trials=trials)
    assert found.flagged and "50 % of 20 trials" in found.reasons[0]


def test_a_hole_at_the_edge_of_the_image_is_flagged(people, trials):
    prior = replace(prior_with(VERTEX), seen=radial.DIRECTIONS[..., 0] < 0.1)
    cut = assess(prior, people, trials=trials)
    assert cut.flagged and "edge of the image, which no trial did" in cut.reasons[0]


def test_a_hole_larger_than_any_tried_is_flagged(people, trials):
    prior = replace(prior_with(VERTEX), hole_area_cm2=170.0)
    found = assess(prior, people, trials=trials)
    assert found.flagged and "170 cm² is larger" in found.reasons[0]


def test_the_expected_error_never_falls_with_uncertainty_and_keeps_to_the_range(people, trials):
    usual = features_of(prior_with(VERTEX), people)
    for name in trials.weights:
        levels = [{**usual, name: value} for value in (0.0, 0.5, 1.0, 2.0, 50.0, 500.0)]
        errors = [trials.expected_hd95_mm(features) for features in levels]
        assert errors == sorted(errors) and errors[-1] == errors[-2]


@pytest.mark.parametrize("shift_mm", [-1.0, 0.0, 1.5])
def test_a_departure_is_the_shift_of_the_surface(shift_mm):
    grid = sitk.Image(60, 60, 60, sitk.sitkUInt8)
    grid.SetSpacing((4.0, 4.0, 4.0))
    x = np.indices(grid.GetSize()[::-1])[2] * 4.0 - 120.0
    depth = np.clip(10.3 - x, -8.0, 8.0).astype(np.float32)
    before = image_like(depth, grid)
    found = departure_of(before, image_like(depth + np.float32(shift_mm), grid))
    assert found.mean_mm == pytest.approx(abs(shift_mm), abs=1e-5)
    assert found.most_mm == pytest.approx(abs(shift_mm), abs=1e-5)


def test_a_network_far_from_a_sure_prior_is_not_trusted(trials):
    prior = prior_with(VERTEX, 0.5)
    assert is_trusted(Departure(0.5, 1.9), prior, trials)
    assert not is_trusted(Departure(0.5, 2.1), prior, trials)
    assert is_trusted(Departure(0.5, 2.1), prior_with(VERTEX, 1.0), trials)
    assert is_trusted(Departure(9.0, 9.0), prior, replace(trials, most_departure=None))


@pytest.mark.parametrize("networked", [True, False])
def test_the_shipped_trials_can_be_read(networked: bool):
    trials = shipped_trials(networked)
    assert 1.0 < trials.threshold_mm <= OFF_MM
    assert all(weight >= 0.0 for weight in trials.weights.values())


def test_a_design_is_judged_by_the_trials_of_what_made_it():
    network, prior = shipped_trials(networked=True), shipped_trials(networked=False)
    features = features_of(prior_with(VERTEX, 0.9), shipped_population())
    assert judged_by(features) == judged_by(features, "prior", prior)
    assert judged_by(features, "network") == judged_by(features, "network", network)
    # A network ran, and the prior was trusted in the end.
    departed = {**features, "departure_mm": 1.0, "departure_most_mm": 3.0}
    assert judged_by(departed, "prior") == judged_by(departed, "prior", network)
    farther = judged_by(departed, "network").expected_hd95_mm
    assert farther > judged_by(features, "network").expected_hd95_mm


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"intercept": 1}'])
def test_a_damaged_record_is_told(tmp_path: Path, content: str):
    path = tmp_path / "confidence.json"
    path.write_text(content)
    with pytest.raises(SkullImplantError, match="missing or damaged"):
        read_trials(path)


def write_suite(folder: Path, model: str = "prior", far: float = 0.0, skulls: int = 6) -> Path:
    """Write a suite in which deviation and the ring's misfit make the error, some noise aside;
    where the network departs by more than `far`, it is the worse for it.
    """
    (folder / "cases").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for skull in range(skulls):
        for number in range(12):
            features = dict.fromkeys([*FEATURES, *(c.feature for c in CONDITIONS.values())], 0.0)
            features |= {"area_cm2": float(rng.uniform(20, 110)), "pose_fit_mm": 0.8}
            features["doubt_mm"] = features["deviation_mm"] = float(rng.uniform(0.4, 1.0))
            brow = float(number % 4 == 0) * float(rng.uniform(2, 7))
            features["ring_thickness_error_mm"] = brow
            features["brow_share"] = brow / 10
            error = math.exp(0.1 + 0.6 * features["doubt_mm"] + 0.25 * brow)
            error *= float(rng.normal(1.0, 0.05))
            if model != "prior":
                departure = 0.5 + number / 4
                features["departure_most_mm"] = departure
                error += 3.0 if departure > far else -0.3
            row: dict[str, Any] = {
                "skull": f"skull-{skull}", "kind": "random_1", "number": number,
                "hd95_mm": round(error, 3), "dice": 0.9, "model_source": model,
                "features": features,
            }  # fmt: skip
            path = folder / "cases" / f"skull-{skull}-random_1-{number}-{model}.json"
            path.write_text(json.dumps({"made_with": {}, "row": row}))
    return folder


def test_the_fit_finds_the_bad_cases_of_skulls_left_out(tmp_path: Path):
    rows = read_rows([write_suite(tmp_path / "suite")])
    trials, left_out = fit(rows)
    assert left_out.sensitivity >= 0.9 and left_out.false_alarms <= 0.05
    assert trials.weights["ring_thickness_error_mm"] == pytest.approx(0.25, rel=0.3)
    assert trials.weights["departure_mm"] == 0.0
    assert trials.counts["orbit"][0] == sum(row.features["brow_share"] > 0.15 for row in rows)
    assert trials.counts["all"] == (len(rows), sum(row.off for row in rows))
    assert trials.threshold_mm <= OFF_MM


def test_the_record_is_written_as_it_is_read_twice_the_same(tmp_path: Path, capsys):
    suite, path = write_suite(tmp_path / "suite"), tmp_path / "confidence.json"
    assert main([str(suite), "-o", str(path)]) == 0
    first, told = path.read_bytes(), capsys.readouterr().out
    assert "Skulls left out: sensitivity" in told and "skull-5" in told
    assert main([str(suite), "-o", str(path)]) == 0
    assert path.read_bytes() == first
    trials, _ = fit(read_rows([suite]))
    assert read_trials(path) == trials


def test_refusals_are_no_trials_and_few_skulls_no_fit(tmp_path: Path, capsys):
    suite = write_suite(tmp_path / "suite", skulls=2)
    refused = {"row": {"skull": "skull-9", "error": "No defect was found.", "dice": 0.0}}
    (suite / "cases" / "refused.json").write_text(json.dumps(refused))
    assert len(read_rows([suite])) == 24
    assert main([str(suite), "-o", str(tmp_path / "out.json")]) == 2
    assert "2 skulls" in capsys.readouterr().err
    with pytest.raises(SkullImplantError, match="no cases with features"):
        read_rows([tmp_path])


def test_the_network_is_trusted_as_far_as_it_did_better(tmp_path: Path):
    network = read_rows([write_suite(tmp_path / "network", "network", far=2.6)])
    prior = read_rows([write_suite(tmp_path / "prior")])
    most = farthest_good_departure([*network, *prior])
    assert most is not None and 2.6 / 1.0 <= most <= 2.6 / 0.25
    never = read_rows([write_suite(tmp_path / "good", "network", far=9.0)])
    assert farthest_good_departure([*never, *prior]) is None
    assert judged_rows([*network, *prior]) == network
