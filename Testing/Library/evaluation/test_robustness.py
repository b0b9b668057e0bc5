"""Degradations do what they say, the truth stays where it physically is, and falls are told."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.ct_flaws import (
    METAL_HU,
    Degradation,
    Landmarks,
    all_degradations,
    changed_ct,
    changed_mask,
    landmarks_of,
)
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cases.skull_folder import SkullFile
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.images import array_of, image_like, index_to_lps_mm, same_grid
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation import robustness
from SkullImplantLib.evaluation.evaluation_options import SuiteOptions
from SkullImplantLib.evaluation.judging import Trial
from SkullImplantLib.evaluation.robustness import evaluate_robustness
from SkullImplantLib.evaluation.robustness_table import summary_of, table_of
from SkullImplantLib.evaluation.suite_cases import SuiteCase, complete_skull
from SkullImplantLib.options import DesignOptions

DEGRADATIONS = {each.name: each for each in all_degradations()}
CHANGING = [each for each in DEGRADATIONS.values() if each.change]


@pytest.fixture(scope="module")
def landmarks(patient: SamplePatient) -> Landmarks:
    return landmarks_of(patient.complete)


def middle_mm(mask: sitk.Image) -> np.ndarray:
    """The centroid of a mask, LPS mm."""
    frame = index_to_lps_mm(mask)
    return np.argwhere(array_of(mask) > 0).mean(axis=0)[::-1] @ frame[:3, :3].T + frame[:3, 3]


def volume_cm3(mask: sitk.Image) -> float:
    return float(array_of(mask).sum()) * float(np.prod(mask.GetSpacing())) / 1000


def test_names_are_unique_and_the_first_does_nothing() -> None:
    assert len(DEGRADATIONS) == len(all_degradations())
    first = all_degradations()[0]
    assert first == Degradation("none", "none")


def test_landmarks_lie_along_the_head(patient: SamplePatient, landmarks: Landmarks) -> None:
    floor, centre, top = (
        p[2] for p in (landmarks.floor_mm, landmarks.centre_mm, landmarks.vertex_mm)
    )
    frame = index_to_lps_mm(patient.complete)
    highest = frame[2, 3] + frame[2, 2] * np.argwhere(array_of(patient.complete))[:, 0].max()
    assert top == pytest.approx(highest, abs=1e-6)
    assert 40 < centre - floor < 80
    assert 50 < top - centre < 100


@pytest.mark.parametrize("name", [each.name for each in CHANGING])
def test_ct_and_truth_lie_on_one_grid_and_bone_stays_bone(
    patient: SamplePatient, landmarks: Landmarks, name: str
) -> None:
    change = DEGRADATIONS[name].change
    assert change
    ct = changed_ct(patient.ct, change, landmarks)
    implant = changed_mask(patient.implant, change, landmarks)
    defective = changed_mask(patient.defective, change, landmarks)
    if ct is None:
        assert implant is None and defective is None
        return
    assert implant and defective
    assert same_grid(ct, implant) and same_grid(ct, defective)
    assert ct.GetPixelID() == patient.ct.GetPixelID()
    # The CT shows bone where the changed mask has it, and soft tissue where the truth was cut out.
    assert np.median(array_of(ct)[array_of(defective) > 0]) > 450
    assert np.median(array_of(ct)[array_of(implant) > 0]) < 200


@pytest.mark.parametrize("about", [0, 1])
@pytest.mark.parametrize("way", ["axes", "head"])
def test_a_tilted_truth_goes_where_the_head_goes(
    patient: SamplePatient, landmarks: Landmarks, about: int, way: str
) -> None:
    name, degrees = ("tilt-x+20", 20.0) if about == 0 else ("tilt-y+15", 15.0)
    change = DEGRADATIONS[f"{name}-{way}"].change
    assert change
    turn = np.eye(3)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array(
        [[1, 0, 0], [0, c, -s], [0, s, c]] if about == 0 else [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    )
    expected = turn @ (middle_mm(patient.implant) - landmarks.centre_mm) + landmarks.centre_mm
    moved = changed_mask(patient.implant, change, landmarks)
    assert moved
    np.testing.assert_allclose(middle_mm(moved), expected, atol=0.3)
    assert volume_cm3(moved) == pytest.approx(volume_cm3(patient.implant), rel=0.03)
    upright = moved.GetDirection() == patient.implant.GetDirection()
    assert upright == (way == "head")


def test_thick_slices_are_means_and_stay_in_place(landmarks: Landmarks) -> None:
    values = np.arange(12, dtype=np.float32)[:, None, None] * np.ones((12, 2, 3), np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 1.0, 0.5))
    image.SetOrigin((0.0, 0.0, 10.0))
    change = DEGRADATIONS["slices-2mm"].change
    assert change
    thick = change(image, landmarks, 0.0)
    assert thick
    assert array_of(thick)[:, 0, 0].tolist() == [1.5, 5.5, 9.5]
    assert thick.GetSpacing() == (1.0, 1.0, 2.0)
    assert thick.GetOrigin() == pytest.approx((0.0, 0.0, 10.75))
    finer = DEGRADATIONS["slices-0.5mm"].change
    assert finer and finer(image, landmarks, 0.0) is None


def test_thick_slices_go_along_the_head_however_voxels_are_stored(
    patient: SamplePatient, landmarks: Landmarks
) -> None:
    change = DEGRADATIONS["slices-3mm"].change
    assert change
    stored = sitk.DICOMOrient(patient.implant, "SAR")
    thick = changed_mask(stored, change, landmarks)
    assert thick and thick.GetSpacing() == pytest.approx((3.0, 1.2, 1.2))
    np.testing.assert_allclose(middle_mm(thick), middle_mm(patient.implant), atol=0.3)
    assert volume_cm3(thick) == pytest.approx(volume_cm3(patient.implant), rel=0.05)


@pytest.mark.parametrize("code", ["LPS", "LPI", "RSA"])
def test_cut_views_end_where_they_should(
    patient: SamplePatient, landmarks: Landmarks, code: str
) -> None:
    stored = sitk.DICOMOrient(patient.complete, code)
    for name, low, high in (
        ("base-cut-20mm", landmarks.floor_mm[2] + 20, landmarks.vertex_mm[2]),
        ("vertex-cut-8mm", None, landmarks.vertex_mm[2] - 8),
    ):
        change = DEGRADATIONS[name].change
        assert change
        cut = changed_mask(stored, change, landmarks)
        assert cut
        frame = index_to_lps_mm(cut)
        heights = (np.argwhere(array_of(cut) > 0)[:, ::-1] @ frame[:3, :3].T + frame[:3, 3])[:, 2]
        assert heights.max() == pytest.approx(high, abs=1.41)  # a slice
        if low is not None:
            assert heights.min() == pytest.approx(low, abs=1.41)  # a slice


@pytest.mark.slow
def test_metal_lies_on_the_rim_and_streaks_only_its_slices(
    patient: SamplePatient, landmarks: Landmarks
) -> None:
    spoil = DEGRADATIONS["metal"].spoil
    assert spoil

    def made() -> sitk.Image:
        rng = np.random.default_rng(5)
        return spoil(patient.ct, patient.implant, patient.defective, landmarks, rng)

    spoilt = made()
    assert array_of(made()).tobytes() == array_of(spoilt).tobytes()
    metal = array_of(spoilt) >= METAL_HU
    labels = sitk.ConnectedComponent(image_like(metal, patient.ct), True)
    sizes = np.bincount(array_of(labels).ravel())[1:]
    assert (sizes * np.prod(patient.ct.GetSpacing()) > 50).sum() == 2
    assert not (metal & (array_of(patient.defective) > 0)).any()
    assert not (metal & (array_of(patient.implant) > 0)).any()
    to_bone = array_of(sitk.SignedMaurerDistanceMap(patient.defective, False, False, True))
    assert to_bone[metal].max() <= 1.5
    struck = metal.any(axis=(1, 2))
    off = np.abs(array_of(spoilt).astype(float) - array_of(patient.ct))
    assert off[~struck].max() == 0
    tissue = ~metal & (array_of(patient.ct) > -200)
    assert np.percentile(off[struck][tissue[struck]], 99) > 100


def test_noise_has_the_strength_it_says(patient: SamplePatient, landmarks: Landmarks) -> None:
    spoil = DEGRADATIONS["noise-40hu"].spoil
    assert spoil
    rng = np.random.default_rng(1)
    noisy = spoil(patient.ct, patient.implant, patient.defective, landmarks, rng)
    off = array_of(noisy).astype(float) - array_of(patient.ct)
    assert off.std() == pytest.approx(40.0, rel=0.02)


@dataclass(frozen=True)
class FakeConfidence:
    flagged: bool


@dataclass(frozen=True)
class FakeDesign:
    """A design whose implant is the truth, or a shifted one for a named threshold."""

    implant: sitk.Image
    notes: tuple[str, ...] = ()
    confidence: FakeConfidence = FakeConfidence(False)


@pytest.fixture
def suite(tmp_path: Path, patient: SamplePatient) -> Path:
    folder = tmp_path / "suite"
    folder.mkdir()
    sitk.WriteImage(patient.complete, str(folder / "anna.nrrd"))
    return folder


@pytest.mark.slow
def test_rows_are_kept_resumed_and_judged(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    designed = []

    def design(source, options, population) -> FakeDesign:
        designed.append(source.image.GetSize())
        if len(designed) == 2:
            raise SkullImplantError("The view is cut; give more of the head.")
        whole = complete_skull(SkullFile("anna", suite / "anna.nrrd")).mask
        grid = source.image
        bone = sitk.Resample(whole, grid, sitk.Transform(), sitk.sitkNearestNeighbor)
        difference = (array_of(bone) > 0) & (array_of(grid) == 0)
        if len(designed) == 3:  # half of it is gone, and nobody says so
            difference[: len(difference) // 2] = False
            difference[:, :, ::2] = False
        return FakeDesign(image_like(difference, grid))

    monkeypatch.setattr(robustness, "design_implant", design)
    chosen = [
        DEGRADATIONS[n] for n in ("none", "threshold+50", "base-cut-20mm", "tilt-x+10-axes")
    ] + [DEGRADATIONS["slices-0.5mm"]]
    trial, one = Trial(tmp_path / "out"), SuiteOptions(("parietotemporal",), 1)
    data, table = evaluate_robustness(suite, trial, one, chosen)
    # A mask has no threshold; its slices of 1.4 mm are no finer than 0.5 mm.
    assert len(designed) == 3 and len(data["rows"]) == 4
    rows = {row["degradation"]: row for row in data["rows"]}
    assert rows["none"]["dice"] == 1.0 and rows["none"]["fall"] == 0.0
    assert rows["base-cut-20mm"]["error"].startswith("The view is cut")
    assert not rows["base-cut-20mm"]["silent"]
    assert rows["tilt-x+10-axes"]["fall"] > 0.05 and rows["tilt-x+10-axes"]["silent"]
    assert rows["slices-0.5mm"]["as_is"]
    assert "Refused:" in table and "Silent falls:" in table and "| as is |" in table
    assert json.loads((tmp_path / "out" / "robustness-prior.json").read_text()) == data
    again, same = evaluate_robustness(suite, trial, one, chosen)
    assert len(designed) == 3 and (again, same) == (data, table)
    # Made with other options, kept rows would tell of something else.
    trial = Trial(tmp_path / "out", DesignOptions(clearance_mm=0.5, model="prior"))
    evaluate_robustness(suite, trial, one, chosen)
    assert len(designed) == 6


def test_a_flag_or_a_refusal_is_no_silent_fall() -> None:
    row = {"skull": "a", "input": "ct", "kind": "bilateral", "number": 0, "flagged": False}
    rows = robustness._with_falls(
        [
            {**row, "degradation": "none", "title": "none", "dice": 0.9},
            {**row, "degradation": "x", "title": "x", "dice": 0.84},
            {**row, "degradation": "y", "title": "y", "dice": 0.5, "flagged": True},
            {**row, "degradation": "z", "title": "z", "dice": 0.0, "error": "No."},
            {**row, "degradation": "w", "title": "w", "dice": 0.87},
        ]
    )
    assert [r["silent"] for r in rows] == [False, True, False, False, False]
    by_name = {s["degradation"]: s for s in summary_of(rows)}
    assert by_name["y"]["flagged"] == 1 and by_name["y"]["silent"] == 0
    assert by_name["z"]["refused"] == 1 and "dice_mean" not in by_name["z"]
    assert "| ct | x | 1 | 0.840 | 0.840 | 0.060 |" in table_of(rows, "prior")


@pytest.mark.slow
def test_the_truth_of_a_threshold_is_the_bone_that_it_sees(
    patient: SamplePatient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = array_of(patient.ct).copy()
    filled[array_of(patient.implant) > 0] = 900
    folder = tmp_path / "suite"
    folder.mkdir()
    sitk.WriteImage(image_like(filled, patient.ct), str(folder / "anna-ct.nrrd"))
    subject = robustness._Subject(complete_skull(SkullFile("anna-ct", folder / "anna-ct.nrrd")))
    monkeypatch.setattr(robustness, "_Subject", lambda complete: subject)
    seen = []

    def design(source, options, population) -> FakeDesign:
        seen.append(options.bone_threshold_hu)
        whole = subject.complete.mask
        if options.bone_threshold_hu:
            whole = subject.skull_at(options.bone_threshold_hu - subject.threshold_hu)
        case = SuiteCase(folder / "anna-ct.nrrd", "anna-ct", "bilateral", 0, 0)
        _, defect, _ = case.cut()
        region = array_of(defect.region) > 0
        piece = image_like((array_of(whole) > 0) & region, whole)
        return FakeDesign(piece)

    monkeypatch.setattr(robustness, "design_implant", design)
    chosen = [DEGRADATIONS["none"], DEGRADATIONS["threshold+100"]]
    one = SuiteOptions(("bilateral",), 1)
    data, table = evaluate_robustness(folder, Trial(tmp_path / "out"), one, chosen)
    row = data["rows"][1]
    assert row["dice"] == 1.0 and row["fall"] == 0.0
    assert row["dice_as_it_was"] == row["dice_at_best"] < 1.0
    assert seen == [None, subject.threshold_hu + 100.0]
    assert "as it was" in table


def test_a_folder_without_skulls_is_told(tmp_path: Path) -> None:
    with pytest.raises(SkullImplantError, match="no skull in"):
        evaluate_robustness(tmp_path, Trial(tmp_path / "out"))


@pytest.mark.slow
def test_a_defect_without_a_place_is_counted_and_left_out(suite: Path, tmp_path: Path) -> None:
    vast = SuiteOptions(("bilateral",), 1, areas_cm2=(900.0, 900.0))
    data, table = evaluate_robustness(suite, Trial(tmp_path), vast, [DEGRADATIONS["none"]])
    assert data["rows"] == [] and data["not_made"] == ["anna-bilateral-0"]
    assert "1 defects found no place" in table


def test_the_command_needs_a_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "robustness", "--progress", "none"]) == 2
    assert "--suite" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_the_table(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(robustness, "all_degradations", lambda: [DEGRADATIONS["none"]])
    monkeypatch.setattr(robustness, "design_implant", refuse)
    command = ["benchmark", "robustness", "--suite", str(suite), "-o", str(tmp_path / "out")]
    assert main([*command, "--kinds", "random", "--progress", "none", "--model", "prior"]) == 0
    assert "anna, random_1 0, none: No." in capsys.readouterr().out
    assert (tmp_path / "out" / "robustness-prior.md").is_file()


def refuse(source, options, population) -> None:
    raise SkullImplantError("No.")
