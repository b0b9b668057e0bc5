"""The checks, on a vault of known thickness with a hole and implants with one fault each."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.core.images import image_like
from SkullImplantLib.implant.checks import Check, check_implant
from SkullImplantLib.implant.meshes import arrays_of, mesh_of
from SkullImplantLib.implant.surface import surface_of

SPACING_MM = (0.8, 0.8, 0.9)
OUTER_MM, THICKNESS_MM, HOLE_MM, CLEARANCE_MM = 70.0, 6.0, 25.0, 0.5


class Vault:
    """A spherical cap of bone, 6 mm thick, with a round hole of 25 mm radius at its top.

    Lengths along the vault are those on its outside; walls stand upright on it.
    """

    def __init__(self) -> None:
        size = [round(n / s) for n, s in zip((116.0, 116.0, 46.0), SPACING_MM)]
        self.grid = sitk.Image(size, sitk.sitkUInt8)
        self.grid.SetSpacing(SPACING_MM)
        self.grid.SetDirection([0, 1, 0, 1, 0, 0, 0, 0, 1])  # left-handed
        z, y, x = np.meshgrid(*[np.arange(n) for n in size[::-1]], indexing="ij")
        self.x, self.y = (x + 0.5) * SPACING_MM[0] - 58.0, (y + 0.5) * SPACING_MM[1] - 58.0
        self.z = (z + 0.5) * SPACING_MM[2] + 31.0
        self.radius = np.sqrt(self.x**2 + self.y**2 + self.z**2)
        self.from_axis = OUTER_MM * np.arctan2(np.hypot(self.x, self.y), self.z)
        self.complete = self.shell(OUTER_MM - THICKNESS_MM, OUTER_MM)
        self.bone = self.complete & (self.from_axis > HOLE_MM)

    def shell(self, inner_mm: float, outer_mm: float) -> np.ndarray:
        return (self.radius > inner_mm) & (self.radius <= outer_mm)

    def plate(
        self,
        inner_mm: float = OUTER_MM - THICKNESS_MM,
        outer_mm: float = OUTER_MM,
        edge_mm: float = HOLE_MM - CLEARANCE_MM,
    ) -> np.ndarray:
        return self.shell(inner_mm, outer_mm) & (self.from_axis <= edge_mm)

    def checked(self, plate: np.ndarray, mesh=None) -> dict[str, Check]:
        mask = image_like(plate, self.grid)
        found = check_implant(
            mask,
            image_like(self.bone, self.grid),
            surface_of(mask) if mesh is None else mesh,
            image_like(self.complete, self.grid),
        )
        return {check.name: check for check in found}


@pytest.fixture(scope="module")
def vault() -> Vault:
    return Vault()


def failed(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if not check.passed}


def test_a_good_implant_passes_every_check(vault):
    checks = vault.checked(vault.plate())
    assert failed(checks) == set()
    assert checks["rim gap"].value == pytest.approx(CLEARANCE_MM, abs=0.9)  # a voxel
    assert checks["area"].value == pytest.approx(np.pi * 24.5**2 * (67 / 70) ** 2 / 100, rel=0.05)
    assert checks["thickness difference"].value < 10
    assert checks["thinnest part"].value == pytest.approx(THICKNESS_MM, abs=0.8)
    assert checks["defect closed"].value == 100.0
    assert checks["over intact bone"].value < 3


def test_the_thickness_in_words_is_the_thickness(vault):
    sentence = vault.checked(vault.plate())["thickness difference"].sentence
    own, neighbours = (float(word) for word in sentence.split() if word[0].isdigit())
    assert own == pytest.approx(THICKNESS_MM, abs=0.5)
    assert neighbours == pytest.approx(THICKNESS_MM, abs=0.6)


def test_verdicts_are_plain_json(vault):
    found = [dataclasses.asdict(check) for check in vault.checked(vault.plate()).values()]
    again = json.loads(json.dumps(found, allow_nan=False))
    assert {type(check["passed"]) for check in again} == {bool}
    assert all(check["sentence"].endswith(".") for check in again)


def test_a_rim_that_falls_short_is_seen(vault):
    checks = vault.checked(vault.plate(edge_mm=HOLE_MM - 3.0))
    assert "rim gap" in failed(checks)
    assert checks["rim gap"].value == pytest.approx(3.0 * 67 / 70, abs=0.9)


def test_a_hole_left_half_open_is_seen(vault):
    checks = vault.checked(vault.plate() & (vault.x < 5.0))
    assert failed(checks) == {"defect closed"}
    # The chord at 5 mm leaves 37 % of the disc open.
    assert checks["defect closed"].value == pytest.approx(63, abs=6)


def test_overlap_with_bone_is_seen(vault):
    checks = vault.checked(vault.plate(edge_mm=HOLE_MM + 1.0))
    assert "overlap with bone" in failed(checks)
    assert checks["overlap with bone"].value == pytest.approx(np.pi * 51 * 6 / 1000, rel=0.25)


def test_a_plate_that_lies_on_intact_bone_is_seen(vault):
    lid = vault.plate(OUTER_MM + 1.0, OUTER_MM + 6.0, HOLE_MM + 10.0)
    checks = vault.checked(vault.plate() | lid | vault.plate(OUTER_MM - 6.0, OUTER_MM + 3.0))
    assert "over intact bone" in failed(checks)
    assert checks["overlap with bone"].value == 0


def test_a_plate_too_thin_is_seen(vault):
    checks = vault.checked(vault.plate(OUTER_MM - 1.3, OUTER_MM))
    assert {"thinnest part", "thickness difference"} <= failed(checks)


def test_a_plate_too_thick_is_seen(vault):
    checks = vault.checked(vault.plate(OUTER_MM - 11.0, OUTER_MM))
    assert "thickness difference" in failed(checks)
    assert checks["thickness difference"].value == pytest.approx(83, abs=17)  # a voxel


def test_a_button_is_no_implant(vault):
    assert "area" in failed(vault.checked(vault.plate(edge_mm=8.0)))


def test_an_implant_far_from_bone_has_no_rim(vault):
    checks = vault.checked(vault.plate(edge_mm=15.0))
    assert {"rim gap", "defect closed"} <= failed(checks)


def test_faults_of_the_mesh_are_seen(vault):
    plate = vault.plate()
    mesh = surface_of(image_like(plate, vault.grid))
    points, triangles = arrays_of(mesh)
    opened = vault.checked(plate, mesh_of(points, triangles[1:]))
    assert "mesh faults" in failed(opened) and opened["mesh faults"].value == 3
    # Two per cent larger is six per cent more volume.
    larger = mesh_of(points + 0.02 * (points - points.mean(axis=0)), triangles)
    assert failed(vault.checked(plate, larger)) == {"volume difference"}
    doubled = mesh_of(
        np.vstack([points, points + [0, 0, 40.0]]), np.vstack([triangles, triangles + len(points)])
    )
    assert {"pieces", "volume difference"} <= failed(vault.checked(plate, doubled))


def test_masks_on_different_grids_are_refused(vault):
    mask = image_like(vault.plate(), vault.grid)
    other = sitk.Image(mask)
    other.SetOrigin((1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="skull does not lie"):
        check_implant(mask, other, surface_of(mask), mask)


def test_the_sample_patient_s_piece_passes(patient):
    mesh = surface_of(patient.implant)
    found = check_implant(patient.implant, patient.defective, mesh, patient.complete)
    assert [check.sentence for check in found if not check.passed] == []
