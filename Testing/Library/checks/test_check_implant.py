"""The checks, on a vault and plates made by formula, each with one fault of known size."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_plate import (
    CLEARANCE_MM,
    HOLE_MM,
    OUTER_MM,
    THICKNESS_MM,
    UP,
    AnalyticPlate,
)

from SkullImplantLib.checks import Check, CheckOptions, check_implant
from SkullImplantLib.checks.check import two_decimals
from SkullImplantLib.checks.interference import bone_on_the_way
from SkullImplantLib.checks.near_bone import near_bone
from SkullImplantLib.checks.plate_surface import plate_surface
from SkullImplantLib.implant.meshes import arrays_of, mesh_of

INNER_MM = OUTER_MM - THICKNESS_MM


@pytest.fixture(scope="module")
def vault() -> AnalyticPlate:
    return AnalyticPlate()


def checks_of(vault: AnalyticPlate, field_or_mesh, **options) -> dict[str, Check]:
    mesh = vault.mesh(field_or_mesh) if isinstance(field_or_mesh, np.ndarray) else field_or_mesh
    found = check_implant(
        mesh, vault.bone, CheckOptions(**options), UP, ct=vault.ct, completed=vault.completed
    )
    return {check.name: check for check in found.checks}


def failed(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if not check.passed}


@pytest.fixture(scope="module")
def good(vault: AnalyticPlate) -> dict[str, Check]:
    return checks_of(vault, vault.plate())


def test_a_good_plate_passes_every_check(good):
    assert failed(good) == set()


def test_the_numbers_are_those_of_the_formula(good):
    for name in ("rim gap 5 %", "rim gap median", "rim gap"):
        assert good[name].value == pytest.approx(CLEARANCE_MM, abs=0.1)
    assert good["outer step median"].value < 0.1 and good["outer step"].value < 0.15
    assert good["inner step"].value < 0.15 and good["thickness at the rim"].value < 0.2
    assert good["overlap with bone"].value == 0.0
    assert good["way in"].value == pytest.approx(CLEARANCE_MM, abs=0.15)
    assert good["least wall"].value == 2.0  # looked for no farther
    assert good["intrusion"].value < 0.8 and good["over intact bone"].value == 0.0
    assert good["thickness difference"].value < 10.0
    area = 2.0 * np.pi * OUTER_MM**2 * (1.0 - np.cos(24.5 / OUTER_MM)) / 100.0
    assert good["area"].value == pytest.approx(area, rel=0.05)
    assert good["defect closed"].value == 100.0
    assert good["contour roughness"].value < 0.05
    assert good["cut edge"].value == 0.0


def test_sentences_tell_the_values_that_are_kept(good):
    """What is shown beside a sentence, the value kept for machines, is rounded as in it."""
    for name in ("rim gap 5 %", "rim gap median", "rim gap", "rim gap maximum", "outer step"):
        assert f" {good[name].value:.2f} mm" in good[name].sentence, good[name].sentence
    assert two_decimals(0.50463) == f"{round(0.50463, 3):.2f}" == "0.51"


def test_a_median_is_not_told_as_a_place(good):
    for name in ("rim gap median", "outer step median", "inner step median"):
        assert good[name].sentence.startswith("Along half of the rim ")
    assert "middle" not in " ".join(check.sentence for check in good.values())


def test_every_check_says_where_its_limit_comes_from_and_is_plain_json(good):
    again = json.loads(json.dumps([check.as_json() for check in good.values()], allow_nan=False))
    assert {type(check["passed"]) for check in again} == {bool}
    assert all(check["sentence"].endswith(".") and check["source"] for check in again)
    assert all(check["place_mm"] is None or len(check["place_mm"]) == 3 for check in again)
    assert len({check["name"] for check in again}) == len(again)


@pytest.mark.parametrize("clearance_mm", [0.2, 1.0, 2.0])
def test_the_gap_is_told_whatever_it_is(vault, clearance_mm):
    checks = checks_of(vault, vault.plate(clearance_mm=clearance_mm), clearance_mm=clearance_mm)
    assert checks["rim gap median"].value == pytest.approx(clearance_mm, abs=0.1)
    assert "rim gap" not in failed(checks) and "rim gap 5 %" not in failed(checks)


def test_contact_is_seen(vault):
    assert {"rim gap 5 %", "rim gap median"} <= failed(
        checks_of(vault, vault.plate(clearance_mm=0.0))
    )


def test_the_volume_in_bone_is_measured(vault):
    checks = checks_of(vault, vault.plate(clearance_mm=-1.0))
    assert {"overlap with bone", "way in", "rim gap 5 %"} <= failed(checks)
    # A ring 1 mm wide along the wall, on the shell between its two radii. The CT rounds the edges
    # of the bone, which takes some of it.
    middle = (OUTER_MM + INNER_MM) / 2.0
    ring = 2.0 * np.pi * middle * np.sin((HOLE_MM + 0.5) / OUTER_MM) * THICKNESS_MM
    assert checks["overlap with bone"].value == pytest.approx(ring, rel=0.08)
    assert checks["rim gap median"].value == pytest.approx(-1.0, abs=0.1)


@pytest.mark.parametrize("step_mm", [-1.5, 1.2, 2.5])
def test_a_step_is_measured(vault, step_mm):
    checks = checks_of(vault, vault.plate(INNER_MM + step_mm, OUTER_MM + step_mm))
    for name in ("outer step median", "outer step", "outer step along 30 mm", "inner step"):
        assert checks[name].value == pytest.approx(abs(step_mm), abs=0.2)
        assert not checks[name].passed
    assert "over intact bone" not in failed(checks)


def test_a_rim_thicker_than_its_neighbours_is_seen(vault):
    checks = checks_of(vault, vault.plate(INNER_MM - 4.0))
    assert checks["thickness at the rim"].value == pytest.approx(4.0, abs=0.2)
    assert {"thickness at the rim", "intrusion", "thickness difference"} <= failed(checks)
    assert checks["intrusion"].value == pytest.approx(4.0, abs=0.3)
    assert "outer step" not in failed(checks)


@pytest.mark.parametrize("wall_mm", [0.8, 1.2])
def test_a_thin_wall_is_measured(vault, wall_mm):
    dented = vault.plate()
    there = vault.around < 10.0 / OUTER_MM
    dented[there] = np.minimum(dented, INNER_MM + wall_mm - vault.radius)[there]
    checks = checks_of(vault, dented)
    assert "least wall" in failed(checks)
    assert checks["least wall"].value == pytest.approx(wall_mm, abs=0.25)
    assert ("thin wall" in failed(checks)) == (wall_mm < 1.0)


def test_holes_and_those_that_were_asked_for(vault):
    plate = vault.plate()
    away = np.hypot(vault.places[..., 0] - 5.0, vault.places[..., 1])
    pierced = np.minimum(plate, away - 2.5).astype(np.float32)
    assert "tunnels" in failed(checks_of(vault, pierced))
    checks = checks_of(vault, pierced, holes=1)
    assert "tunnels" not in failed(checks) and checks["tunnels"].value == 1


def test_a_spur_is_seen_where_it_is(vault):
    away = np.hypot(vault.places[..., 0] - 8.0, vault.places[..., 1])
    spur = np.minimum(0.7 - away, np.minimum(vault.radius - 66.0, OUTER_MM + 3.0 - vault.radius))
    checks = checks_of(vault, np.maximum(vault.plate(), spur).astype(np.float32))
    assert {"spurs", "longest spur"} <= failed(checks)
    assert checks["spurs"].value == 1
    tip = OUTER_MM * np.array([np.sin(8.0 / OUTER_MM), 0.0, np.cos(8.0 / OUTER_MM)])
    assert np.linalg.norm(np.array(checks["spurs"].place_mm) - tip) < 4.0


def test_a_lid_on_intact_bone_is_seen(vault):
    lid = vault.plate(OUTER_MM + 0.5, OUTER_MM + 4.0, HOLE_MM + 8.0)
    checks = checks_of(vault, np.maximum(vault.plate(outer_mm=OUTER_MM + 4.0), lid))
    assert "over intact bone" in failed(checks)
    assert "overlap with bone" not in failed(checks)


def test_an_open_half_is_seen(vault):
    half = np.minimum(vault.plate(), 3.0 - vault.places[..., 0]).astype(np.float32)
    assert "defect closed" in failed(checks_of(vault, half))


def test_a_plate_with_a_rim_under_the_bone_has_no_way_in(vault):
    under = vault.plate(INNER_MM - 4.0, INNER_MM - 1.0, HOLE_MM + 5.0)
    checks = checks_of(vault, np.maximum(vault.plate(INNER_MM - 4.0), under))
    assert {"way in", "over intact bone", "intrusion"} <= failed(checks)
    assert "overlap with bone" not in failed(checks)


def test_the_way_in_is_found(vault):
    found = check_implant(vault.mesh(vault.plate()), vault.bone)
    assert found.direction @ UP > np.cos(np.radians(5.0))
    assert found.checks and np.isclose(np.linalg.norm(found.direction), 1.0)


def test_faults_of_the_mesh_are_seen(vault):
    points, triangles = arrays_of(vault.mesh(vault.plate()))
    assert "mesh faults" in failed(checks_of(vault, mesh_of(points, triangles[1:])))
    turned = triangles.copy()
    turned[10] = turned[10, ::-1]
    assert "mesh faults" in failed(checks_of(vault, mesh_of(points, turned)))
    assert "mesh faults" in failed(checks_of(vault, mesh_of(points, triangles[:, ::-1])))
    twice = mesh_of(
        np.vstack([points, points + [0.0, 0.0, 30.0]]),
        np.vstack([triangles, triangles + len(points)]),
    )
    assert "pieces" in failed(checks_of(vault, twice))
    crossing = mesh_of(
        np.vstack([points, points + [0.0, 0.0, 3.0]]),
        np.vstack([triangles, triangles + len(points)]),
    )
    assert "self-intersections" in failed(checks_of(vault, crossing))


def test_an_implant_far_from_bone_has_no_rim(vault):
    points, triangles = arrays_of(vault.mesh(vault.plate()))
    checks = checks_of(vault, mesh_of(points + [0.0, 0.0, 300.0], triangles))
    assert {"rim gap", "rim gap median", "outer step", "defect closed"} <= failed(checks)
    json.dumps([dataclasses.asdict(check) for check in checks.values()], allow_nan=False)


def test_a_soft_edge_is_told_with_the_gap(vault):
    soft = vault.ct * 0.2 + 240.0  # the same surface at 300 HU, five times as soft
    found = check_implant(vault.mesh(vault.plate()), vault.bone, CheckOptions(), UP, ct=soft)
    checks = {check.name: check for check in found.checks}
    assert "cut edge" in failed(checks)
    assert "not to be trusted" in checks["rim gap"].sentence


def test_loose_bone_in_its_place_is_told(vault):
    """A ball of 3 mm radius in the middle of the plate, and one far beside it."""
    places = np.stack(
        np.meshgrid(*[np.arange(n) for n in vault.ct.GetSize()], indexing="ij"), axis=-1
    )
    places = places * vault.ct.GetSpacing() + vault.ct.GetOrigin()
    middle = np.array([0.0, 0.0, OUTER_MM - THICKNESS_MM / 2.0])
    for at, volume_mm3 in ((middle, 113.0), (middle + [0.0, 0.0, 20.0], 0.0)):
        inside = (np.linalg.norm(places - at, axis=-1) < 3.0).astype(np.uint8)
        loose = sitk.GetImageFromArray(inside.transpose(2, 1, 0))
        loose.CopyInformation(vault.ct)
        mesh = vault.mesh(vault.plate())
        found = check_implant(mesh, vault.bone, CheckOptions(), UP, loose=loose)
        check = {check.name: check for check in found.checks}["loose bone"]
        assert check.value == pytest.approx(volume_mm3, rel=0.1)
        assert check.passed == (volume_mm3 == 0.0)
        if volume_mm3:
            assert np.linalg.norm(np.array(check.place_mm) - middle) < 0.5


def test_the_way_in_knows_bone_from_its_skin_on(vault):
    """Just within the bone's surface the distance on the way is negative, just outside positive."""
    mesh = vault.mesh(vault.plate())
    plate = plate_surface(mesh, np.zeros(3))
    fine, _ = bone_on_the_way(plate, near_bone(vault.bone, plate.inside))
    wall = vault.bone.distance().closest(plate.places_mm, 1.5)
    beside = np.isfinite(wall[0]) & (np.abs(wall[2] @ UP) < 0.3)
    for off_mm in (-0.3, 0.3):
        found = fine.at(wall[1][beside] + off_mm * wall[2][beside])
        assert np.median(found) == pytest.approx(off_mm, abs=0.1)
        assert np.mean(np.sign(found) == np.sign(off_mm)) > 0.95
