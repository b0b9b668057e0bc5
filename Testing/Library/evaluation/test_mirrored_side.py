"""The other side beside an implant: the truth on a symmetric head, and a sentence where there is
none.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from forehead import places_mm
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.images import array_of, image_like, write_image
from SkullImplantLib.evaluation.mirrored_side import (
    AROUND_HOLE_MM,
    MirroredSide,
    mirrored_side,
    within_image,
)
from SkullImplantLib.evaluation.suite_cases import SuiteCase
from SkullImplantLib.export.results import MIRROR_FILES, RESULT_FILES
from SkullImplantLib.export.stl import read_stl, write_stl
from SkullImplantLib.geometry.frame import Pose
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, complete_by_prior
from SkullImplantLib.geometry.shape_statistics import read_population, shipped_population
from SkullImplantLib.implant.bone_surface import bone_surface
from SkullImplantLib.implant.mesh_distance import MeshDistance
from SkullImplantLib.implant.meshes import arrays_of, mesh_of

TABLES = Path(__file__).resolve().parents[2] / "Benchmarks" / "accuracy"
TOP_RADIUS_MM = 32.0


@dataclass(frozen=True)
class Head:
    """A skull with a hole, what is known of it, and the surface of the piece that was taken out."""

    skull: sitk.Image
    prior: Prior
    piece: vtkPolyData

    def side(self) -> MirroredSide:
        return mirrored_side(self.skull, self.prior, [self.piece])


def head_of(complete: np.ndarray, piece: np.ndarray, grid: sitk.Image) -> Head:
    skull = image_like((complete & ~piece).astype(np.uint8), grid)
    shapes = shipped_population()
    prior = complete_by_prior(skull, estimate_pose(skull, shapes), shapes)
    surface = bone_surface(image_like(piece.astype(np.uint8), grid))
    return Head(skull, prior, mesh_of(surface.points_mm, surface.triangles))


def symmetric_bone(patient: SamplePatient) -> tuple[np.ndarray, np.ndarray]:
    """The patient's skull, the side without the hole made the image of that with it; the piece."""
    complete, piece = (array_of(image) > 0 for image in (patient.complete, patient.implant))
    columns = np.arange(complete.shape[2])
    middle = (complete.shape[2] - 1) / 2
    own = (columns < middle) == (np.argwhere(piece)[:, 2].mean() < middle)
    return np.where(own, complete, complete[..., ::-1]), piece & own


@pytest.fixture(scope="module")
def symmetric(patient: SamplePatient) -> Head:
    return head_of(*symmetric_bone(patient), patient.complete)


@pytest.fixture(scope="module")
def side(symmetric: Head) -> MirroredSide:
    return symmetric.side()


def test_on_a_symmetric_head_it_is_the_missing_bone(symmetric, side):
    assert side.sentence == "" and side.mesh is not None
    assert side.together.shown_share > 0.95
    assert side.together.mean_mm < 0.2
    assert side.together.most95_mm < 0.5
    assert abs(side.together.mean_out_mm) < 0.1
    assert side.off_bone_mm < 0.5
    assert [one.label for one in side.implants] == [1]


def test_it_reaches_so_far_around_the_hole_and_no_farther(symmetric, side):
    points, _ = arrays_of(side.mesh)
    away = MeshDistance(*arrays_of(symmetric.piece)).unsigned_mm(points)
    # The hole's missing bone, around which it is measured, is the prior's.
    assert AROUND_HOLE_MM - 5.0 < away.max() < AROUND_HOLE_MM + 5.0


@pytest.mark.parametrize("shift_mm", [-2.0, 2.0])
def test_an_implant_that_stands_out_or_in_is_told_so(symmetric, shift_mm):
    points, triangles = arrays_of(symmetric.piece)
    outward = points.mean(axis=0) - symmetric.prior.pose.centre_mm
    outward /= np.linalg.norm(outward)
    moved = mesh_of(points + shift_mm * outward, triangles)
    found = mirrored_side(symmetric.skull, symmetric.prior, [moved]).together
    assert found.mean_out_mm == pytest.approx(shift_mm, abs=0.35)
    assert found.mean_mm == pytest.approx(2.0, abs=0.35)
    assert found.mean_mm <= found.most95_mm <= found.most_mm


def test_hole_opposite_a_hole_has_no_other_side(patient):
    complete, piece = symmetric_bone(patient)
    head = head_of(complete & ~piece[..., ::-1], piece, patient.complete)
    side = head.side()
    assert side.mesh is None and side.together.mean_mm is None
    assert side.sentence == (
        "There is no other side to compare with: the other side has a hole there, too."
    )


def test_hole_across_the_midline_has_no_other_side(patient):
    complete, _ = symmetric_bone(patient)
    grid = patient.complete
    pose = estimate_pose(image_like(complete.astype(np.uint8), grid), shipped_population())
    at = places_mm(grid, pose)
    top = (np.hypot(at[..., 0], at[..., 1]) < TOP_RADIUS_MM) & (at[..., 2] > 20.0)
    side = head_of(complete, complete & top, grid).side()
    assert side.mesh is None
    assert side.sentence == (
        "There is no other side to compare with: the hole lies across the midline."
    )


def test_other_side_beyond_the_image_is_not_there(symmetric):
    """The image ends before the other side, as where a head lies aside of the field of view."""
    size = symmetric.skull.GetSize()
    x_mm = arrays_of(symmetric.piece)[0][:, 0].mean()
    first, _, _ = symmetric.skull.TransformPhysicalPointToIndex(
        (x_mm, *symmetric.prior.pose.centre_mm[1:])
    )
    share = int(0.6 * size[0])
    start = 0 if first < size[0] / 2 else size[0] - share
    cut = sitk.RegionOfInterest(symmetric.skull, [share, *size[1:]], [start, 0, 0])
    side = mirrored_side(cut, symmetric.prior, [symmetric.piece])
    assert side.mesh is None
    assert side.sentence.endswith("the image ends before it on the other side.")


def test_what_lies_in_an_image_is_told():
    image = sitk.Image([10, 12, 14], sitk.sitkUInt8)
    image.SetSpacing([2.0, 1.0, 1.0])
    image.SetOrigin([-5.0, 0.0, 0.0])
    places = np.array([[1.0, 5.0, 5.0], [-5.0, 5.0, 5.0], [1.0, 11.0, 5.0], [1.0, 5.0, 30.0]])
    assert within_image(image, places).tolist() == [True, False, False, False]


@pytest.fixture(scope="module")
def folder(symmetric: Head, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `mirror` needs of a result folder."""
    folder = tmp_path_factory.mktemp("result")
    write_image(symmetric.skull, folder / "skull.nrrd")
    write_stl(symmetric.piece, folder / "implant.stl")
    (folder / "design.json").write_text(json.dumps({"schema_version": 2, "implants": [{}]}))
    return folder


def test_the_verb_writes_it_beside_the_design(folder, side, capsys):
    assert set(MIRROR_FILES) < set(RESULT_FILES), "of another design, it goes"
    assert main(["mirror", str(folder), "--json", "--progress", "none"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((folder / "mirror.json").read_text())
    assert told["mean_mm"] == pytest.approx(side.together.mean_mm, abs=0.01)
    assert read_stl(folder / "mirror.stl").GetNumberOfPolys() == told["triangles"]
    assert {"shown_share", "most95_mm", "most_mm", "mean_out_mm", "off_bone_mm"} <= set(told)


def test_people_are_told_in_sentences(folder, tmp_path, capsys):
    assert main(["mirror", str(folder), "-o", str(tmp_path), "--progress", "none"]) == 0
    told = capsys.readouterr().out
    assert "mm from the other side on average" in told and "no head is symmetric" in told
    assert (tmp_path / "mirror.stl").exists()


def test_a_folder_that_is_no_result_is_refused(tmp_path, capsys):
    assert main(["mirror", str(tmp_path), "--progress", "none"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.slow
def test_on_a_real_head_it_lies_near_the_bone_that_was_taken_out(shared_data):
    """No head is symmetric; what two sides of this one differ by is known from its own CT."""
    head, population = shared_data / "test" / "unc-cthead-ct.nii.gz", TABLES / "population.npz"
    case = SuiteCase(head, "unc-cthead-ct", "parietotemporal", 0, 0, population).load()
    shapes = read_population(population)
    pose: Pose = estimate_pose(case.defective, shapes)
    prior = complete_by_prior(case.defective, pose, shapes)
    surface = bone_surface(case.truth)
    truth = mesh_of(surface.points_mm, surface.triangles)
    side = mirrored_side(case.defective, prior, [truth])
    print(side.as_json())
    assert side.sentence == "" and side.together.shown_share > 0.95
    assert side.together.mean_mm < 1.0 and side.together.most95_mm < 2.0
