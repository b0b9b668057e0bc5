"""Holes found before a design are those that it fills; curves limit it and cut holes out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from jsonschema import validate

import SkullImplantLib
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.images import array_of, image_like, write_image
from SkullImplantLib.design import design_implant
from SkullImplantLib.designing.found_holes import FoundHoles, Why, find_holes
from SkullImplantLib.designing.proposal import Design
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.metrics import evaluate_implant
from SkullImplantLib.geometry.curve_region import region_within
from SkullImplantLib.geometry.frame import Pose
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.shape_statistics import shipped_population
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.curve import Curve
from SkullImplantLib.reading.input import Input

PRIOR = DesignOptions(model="prior")
TOP = (0.3, -0.2, 0.9)


def as_input(mask: sitk.Image) -> Input:
    return Input(mask, "skull", "", "the sample patient")


def pose_of(skull: sitk.Image) -> Pose:
    return estimate_pose(skull, shipped_population())


def circle(
    pose: Pose, middle: tuple[float, ...] | np.ndarray, half_deg: float, radius_mm: float = 85.0
) -> np.ndarray:
    """Points (12, 3) of a circle on a sphere around the head's middle, LPS mm."""
    axis = np.asarray(middle, float) / np.linalg.norm(middle)
    aside = np.cross(axis, (0.0, 0.0, 1.0))
    aside /= np.linalg.norm(aside)
    turns = np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False)[:, None]
    half = np.radians(half_deg)
    around = np.cos(turns) * aside + np.sin(turns) * np.cross(axis, aside)
    return pose.to_patient(radius_mm * (np.cos(half) * axis + np.sin(half) * around))


def write_curve(points: np.ndarray, path: Path) -> Path:
    markup = {
        "type": "ClosedCurve",
        "coordinateSystem": "RAS",
        "controlPoints": [{"position": (p * [-1, -1, 1]).tolist()} for p in points],
    }
    path.write_text(json.dumps({"markups": [markup]}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def two_holes(coarse_patient: SamplePatient) -> sitk.Image:
    """The sample patient's skull with a second, small hole in the top."""
    skull = coarse_patient.defective
    region = region_within([circle(pose_of(skull), TOP, 11.0)], pose_of(skull))
    return sitk.And(skull, region.bone_within(skull) == 0)


@pytest.fixture(scope="module")
def found(two_holes: sitk.Image) -> FoundHoles:
    return find_holes(as_input(two_holes), PRIOR)


@pytest.fixture(scope="module")
def whole(two_holes: sitk.Image) -> Design:
    return design_implant(as_input(two_holes), PRIOR)


@pytest.mark.slow
def test_holes_found_are_the_holes_designed(
    found: FoundHoles, whole: Design, two_holes: sitk.Image
) -> None:
    filled = [hole for hole in found.holes if hole.by_default]
    assert [hole.number for hole in filled] == list(range(1, len(whole.implants) + 1)) == [1, 2]
    labels, implants = array_of(found.labels), array_of(whole.implant)
    for hole, implant in zip(filled, whole.implants):
        own, made = labels == hole.number, implants == hole.number
        # The implant lies in its own hole, but for where its rim was made flush with the bone.
        assert (own & made).sum() > 0.8 * made.sum()
        assert not (made & (labels == 3 - hole.number)).any()
        assert np.linalg.norm(np.subtract(hole.centre_mm, implant.centre_mm)) < 5.0
        # Its outer face lacks the clearance all around, of voxels of 2.5 mm.
        assert 0.7 * hole.area_cm2 < implant.as_json("", 1)["area_cm2"] < 1.1 * hole.area_cm2
    assert not (labels.astype(bool) & array_of(two_holes).astype(bool)).any()
    assert filled[0].place.part == "side" and filled[1].place.part == "top"
    assert found.grid == whole.grid


@pytest.mark.slow
def test_number_of_a_hole_is_what_the_design_takes(
    found: FoundHoles, two_holes: sitk.Image
) -> None:
    for choice in (2, found.holes[1].centre_mm):
        (implant,) = design_implant(as_input(two_holes), replace(PRIOR, holes=(choice,))).implants
        assert np.linalg.norm(np.subtract(found.holes[1].centre_mm, implant.centre_mm)) < 5.0


@pytest.mark.slow
def test_limit_leaves_what_is_beyond_open(two_holes: sitk.Image, whole: Design) -> None:
    pose = pose_of(two_holes)
    index = np.argwhere(array_of(whole.implant) == 1)[:, ::-1]
    places = np.array(
        [whole.implant.TransformIndexToPhysicalPoint([int(n) for n in i]) for i in index]
    )
    local = pose.to_standard(places)
    front = local[local[:, 1].argmin()]  # the foremost point of the rim
    curve = Curve(circle(pose, front, 25.0), "1" * 64)
    limited = design_implant(as_input(two_holes), PRIOR, limit_to=[curve])
    assert len(limited.implants) == 1
    within = region_within([curve.points_mm], pose).depth_on(whole.implant)
    made, all_of_it = array_of(limited.implant) > 0, array_of(whole.implant) == 1
    voxel_mm = 2.5
    assert within[made].min() > -voxel_mm
    # Off the curve, by the wall's rounding and a voxel, it is what it would be without.
    off = np.abs(within) > 2.0 * voxel_mm
    assert (made ^ (all_of_it & (within > 0)))[off].sum() < 0.12 * made.sum()
    assert 0.1 * all_of_it.sum() < made.sum() < 0.8 * all_of_it.sum()
    assert any("Limited to the inside of the curve" in note for note in limited.notes)
    told = limited.as_json()["parameters"]["limit_to"]
    assert told["sha256"] == ["1" * 64]
    closed = next(check for check in limited.checks if check.name == "defect closed")
    assert closed.passed, closed.sentence


@pytest.mark.slow
def test_limit_within_the_missing_bone_has_nothing_to_rest_on(
    coarse_patient: SamplePatient,
) -> None:
    skull = coarse_patient.defective
    index = np.argwhere(array_of(coarse_patient.implant))[:, ::-1].mean(axis=0)
    middle = np.array(skull.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    pose = pose_of(skull)
    curve = Curve(circle(pose, pose.to_standard(middle), 10.0))
    with pytest.raises(SkullImplantError, match="across the hole's rim"):
        design_implant(as_input(skull), PRIOR, limit_to=[curve])


@pytest.mark.slow
def test_bone_that_is_cut_out_comes_back_as_the_implant(coarse_patient: SamplePatient) -> None:
    """On a whole skull, where nothing else is to be found; the bone itself is the known answer."""
    skull, pose = coarse_patient.complete, pose_of(coarse_patient.complete)
    curve = Curve(circle(pose, TOP, 20.0), "2" * 64)
    removed = region_within([curve.points_mm], pose).bone_within(skull)
    design = design_implant(as_input(skull), replace(PRIOR, clearance_mm=0.0), cut_out=[curve])
    lost = array_of(skull).astype(bool) & ~array_of(design.skull).astype(bool)
    upper = slice(len(lost) // 2, None)  # below, what hangs on the skull is cleaned away
    np.testing.assert_array_equal(lost[upper], array_of(removed)[upper] > 0)
    metrics = evaluate_implant(design.implant, removed, design.skull)
    assert metrics.dice > 0.75
    told = design.as_json()["parameters"]["cut_out"]
    cap_cm2 = 2.0 * np.pi * 8.5**2 * (1.0 - np.cos(np.radians(20.0)))
    assert told["area_cm2"] == pytest.approx(cap_cm2, rel=0.03)
    volume_cm3 = array_of(removed).sum() * 2.5**3 / 1000.0
    assert told["volume_cm3"] == pytest.approx(volume_cm3, rel=0.01)
    # What is cut out is known to be gone, and does not lie in the implant's way as a fragment.
    assert all(check.passed for check in design.checks if "loose" in check.name)


@pytest.mark.slow
def test_small_hole_is_told_and_filled_once_it_is_drawn_around(
    coarse_patient: SamplePatient,
) -> None:
    skull, pose = coarse_patient.complete, pose_of(coarse_patient.complete)
    burr_hole = region_within([circle(pose, TOP, 6.5)], pose)
    skull = sitk.And(skull, burr_hole.bone_within(skull) == 0)
    found = find_holes(as_input(skull), PRIOR)
    assert not any(hole.fillable for hole in found.holes)
    (small,) = [hole for hole in found.holes if hole.why == (Why.SMALL,)]
    assert small.area_cm2 < 4.0 and small.place.part == "top"
    assert "drawn around" in small.sentences[0]
    near = pose.to_standard(np.array(small.centre_mm))
    assert np.degrees(np.arccos(near @ TOP / np.linalg.norm(near) / np.linalg.norm(TOP))) < 5.0
    curve = Curve(circle(pose, TOP, 8.0))
    asked = find_holes(as_input(skull), PRIOR, cut_out=[curve])
    (hole,) = [hole for hole in asked.holes if hole.fillable]
    assert hole.by_default and Why.ASKED in hole.why


@pytest.mark.slow
def test_command_writes_what_it_says(
    two_holes: sitk.Image, found: FoundHoles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(two_holes, tmp_path / "skull.nrrd")
    pose = pose_of(two_holes)
    curve = write_curve(circle(pose, TOP, 25.0), tmp_path / "limit.mrk.json")
    arguments = ["holes", str(tmp_path / "skull.nrrd"), "-o", str(tmp_path / "found")]
    more = ["--model", "prior", "--limit-to", str(curve), "--json", "--progress", "none"]
    assert main([*arguments, *more]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "found" / "holes.json").read_text())
    schema = Path(SkullImplantLib.__file__).parent / "export" / "holes.schema.json"
    validate(told, json.loads(schema.read_text()))
    validate(found.as_json(), json.loads(schema.read_text()))
    (hole,) = [hole for hole in told["holes"] if hole["fillable"]]
    assert hole["area_cm2"] == pytest.approx(found.holes[1].area_cm2, rel=0.05)
    written = {path.name for path in (tmp_path / "found").iterdir()}
    assert written == {"skull.nrrd", "holes.nrrd", "holes.json"}
    labels = array_of(sitk.ReadImage(str(tmp_path / "found" / "holes.nrrd")))
    assert set(np.unique(labels)) == {0, 1}


def test_curve_beside_the_vault_is_refused(coarse_patient: SamplePatient) -> None:
    pose = Pose(np.eye(3), np.zeros(3), 0.0)
    with pytest.raises(SkullImplantError, match="no part of the vault"):
        region_within([circle(pose, (0.0, -0.3, -1.0), 10.0)], pose)
    del coarse_patient


def test_cone_is_as_wide_as_its_curve() -> None:
    pose = Pose(np.eye(3), np.array([10.0, -20.0, 30.0]), 0.0)
    region = region_within([circle(pose, (0.8, 0.2, 0.3), 15.0)], pose)
    grid = sitk.Image(220, 220, 220, sitk.sitkUInt8)
    grid.SetOrigin((-100.0, -130.0, -80.0))
    depth = region.depth_on(grid)
    z, y, x = np.indices(depth.shape)
    places = pose.to_standard(np.stack([x, y, z], axis=-1) + np.array(grid.GetOrigin()))
    radius = np.linalg.norm(places, axis=-1)
    axis = np.array((0.8, 0.2, 0.3)) / np.linalg.norm((0.8, 0.2, 0.3))
    with np.errstate(invalid="ignore", divide="ignore"):
        angle = np.arccos(np.clip(places @ axis / radius, -1.0, 1.0))
    shell = (radius > 60.0) & (radius < 95.0) & (angle < np.radians(30.0))
    exact = radius * (np.radians(15.0) - angle)
    assert np.abs(depth - exact)[shell & (angle > np.radians(5.0))].max() < 0.3
    assert image_like(depth, grid).GetSize() == grid.GetSize()
