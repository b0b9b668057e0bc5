"""An implant edited by hand is meshed and checked anew, with what is known of its design."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.images import array_of, image_like, write_image
from SkullImplantLib.designing.proposal import SCHEMA_VERSION
from SkullImplantLib.designing.update import EDITED_NOTE, update_design
from SkullImplantLib.export.results import write_design
from SkullImplantLib.implant.meshes import mesh_health
from stl_files import read

QUIET = ["--progress", "none", "--json"]
# Directions are unit vectors told in five decimals: read, made unit and told again, the last moves.
ROUNDING = 1.5e-5


@pytest.fixture(scope="module")
def designed(coarse_patient: SamplePatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A design as the command line leaves it, without pictures, and the CT beside it."""
    folder = tmp_path_factory.mktemp("designed")
    write_image(coarse_patient.ct, folder / "ct.nrrd")
    arguments = ["design", str(folder / "ct.nrrd"), "-o", str(folder / "result"), "--no-report"]
    assert main([*arguments, "--clearance-mm", "0.8", "--progress", "none"]) == 0
    return folder


@pytest.fixture
def result(designed: Path, tmp_path: Path) -> Path:
    """A copy of the design, to be edited."""
    return Path(shutil.copytree(designed / "result", tmp_path / "result"))


def edit(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> float:
    """Change a mask on disk, and return its volume in cm³."""
    image = sitk.ReadImage(str(path))
    changed = change(sitk.GetArrayFromImage(image).astype(bool))
    write_image(image_like(changed, image), path)
    return float(changed.sum() * np.prod(image.GetSpacing()) / 1000.0)


def grown(mask: np.ndarray) -> np.ndarray:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    return array_of(sitk.BinaryDilate(image, [1, 1, 1])) > 0


def lower_half(mask: np.ndarray) -> np.ndarray:
    planes = np.flatnonzero(mask.any(axis=(1, 2)))
    mask[int(planes.mean()) :] = False
    return mask


def with_a_crumb(mask: np.ndarray) -> np.ndarray:
    """A cube of three voxels outside of the head, to the left of the implant."""
    z, y = (int(along) for along in np.argwhere(mask)[:, :2].mean(axis=0))
    x = int(np.argwhere(mask)[:, 2].max())
    mask[z - 1 : z + 2, y - 1 : y + 2, x + 4 : x + 7] = True
    return mask


def update(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    assert main(["update", *map(str, arguments), *QUIET]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_an_edit_gets_its_own_mesh_and_checks(
    designed: Path, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = ["report", str(result), "--input", str(designed / "ct.nrrd")]
    assert main([*report, "--progress", "none"]) == 0
    capsys.readouterr()
    old = json.loads((result / "design.json").read_text())
    volume_cm3 = edit(result / "implant.nrrd", lower_half)
    new = tmp_path / "new"
    data = update(capsys, result, "-o", new, "--input", designed / "ct.nrrd")
    assert {p.name for p in new.iterdir()} == {p.name for p in result.iterdir()}
    assert data == json.loads((new / "design.json").read_text())
    assert data["edited"] is True and data["notes"] == [*old["notes"], EDITED_NOTE]
    for key in ("input", "model", "parameters", "device"):
        assert data[key] == old[key]
    assert data["parameters"]["clearance_mm"] == 0.8
    # Voxels of 2.5 mm, smoothed: rearrangement makes a plate of 2 to 3 voxels a little thicker.
    fitted_cm3 = data["implant"]["volume_cm3"]
    assert fitted_cm3 == pytest.approx(volume_cm3, rel=0.1)
    told, before = data["implants"][0], old["implants"][0]
    way_before = pytest.approx(before["insertion_direction_lps"], abs=ROUNDING)
    assert told["insertion_direction_lps"] == way_before
    assert data["implant"]["hole_area_cm2"] == old["implant"]["hole_area_cm2"]
    checks = {check["name"]: check for check in data["checks"]}
    # The head's pose, without which there is no other side, and its CT are not known any more.
    names = [check["name"] for check in old["checks"]]
    assert list(checks) == [n for n in names if n not in ("symmetry", "loose bone")]
    assert not checks["defect closed"]["passed"]
    assert mesh_health(read(new / "implant.stl")).volume_cm3 == pytest.approx(fitted_cm3, rel=1e-3)
    assert (new / "preview.png").read_bytes() != (result / "preview.png").read_bytes()
    assert EDITED_NOTE in (new / "report.html").read_text()


def test_what_was_grown_into_bone_is_fitted_again_and_crumbs_are_seen(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(result / "implant.nrrd", grown)
    edit(result / "implant.nrrd", with_a_crumb)
    for name in ("preview.png", "report.html"):
        (result / name).write_text("of the design")
    data = update(capsys, result, "-o", result, "--no-report", "--clearance-mm", "0.2")
    checks = {check["name"]: check for check in data["checks"]}
    assert checks["pieces"]["value"] >= 2 and not checks["pieces"]["passed"]
    assert checks["rim gap median"]["value"] == pytest.approx(0.2, abs=0.1)
    assert not data["passed"]
    assert data["parameters"]["clearance_mm"] == 0.2
    # In place, and nothing of the design's own pictures stays beside the edited implant.
    assert not (result / "preview.png").exists() and not (result / "report.html").exists()
    assert data["edited"] and EDITED_NOTE in data["notes"]
    again = update(capsys, result, "-o", result, "--no-report")
    assert again["notes"].count(EDITED_NOTE) == 1
    assert again["parameters"]["clearance_mm"] == 0.2


def test_each_label_is_an_implant_with_its_own_way_in(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = result / "design.json"
    data = json.loads(path.read_text())
    ways = [[0.6, 0.0, 0.8], [0.8, 0.0, 0.6]]
    data["implants"] = [{"insertion_direction_lps": way} for way in ways]
    path.write_text(json.dumps(data))
    halves = sitk.ReadImage(str(result / "implant.nrrd"))
    labels = array_of(halves).copy()
    middle = int(np.flatnonzero(labels.any(axis=(1, 2))).mean())
    labels[middle : middle + 2] = 0
    labels[middle + 2 :][labels[middle + 2 :] > 0] = 2
    write_image(image_like(labels, halves), result / "implant.nrrd")
    data = update(capsys, result, "-o", result, "--no-report")
    assert [told["file"] for told in data["implants"]] == ["implant-1.stl", "implant-2.stl"]
    for told, way in zip(data["implants"], ways, strict=True):
        assert told["insertion_direction_lps"] == pytest.approx(way, abs=ROUNDING)
    assert not (result / "implant.stl").exists()
    assert {check["implant"] for check in data["checks"]} == {1, 2}
    assert set(np.unique(array_of(sitk.ReadImage(str(result / "implant.nrrd"))))) == {0, 1, 2}
    assert main(["report", str(result), "--progress", "none"]) == 0
    capsys.readouterr()
    asked = update(capsys, result, "-o", result, "--no-report", "--insertion-direction", "1,0,0")
    assert [told["insertion_direction_lps"] for told in asked["implants"]] == [[1.0, 0.0, 0.0]] * 2
    assert asked["parameters"]["insertion_direction"] == [1.0, 0.0, 0.0]


def test_a_folder_of_the_first_version_is_read(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = result / "design.json"
    data = json.loads(path.read_text())
    del data["implants"]
    data["schema_version"] = 1
    for name in ("thickness_mm", "least_wall_mm", "insertion_direction", "holes", "smoother"):
        del data["parameters"][name]
    data["parameters"] |= {"rim_slack_mm": 0.25, "spur_mm": 2.5}
    path.write_text(json.dumps(data))
    assert main(["report", str(result), "--progress", "none"]) == 0
    capsys.readouterr()
    assert (result / "report.html").exists()
    told = update(capsys, result, "-o", result, "--no-report")
    assert told["schema_version"] == SCHEMA_VERSION and len(told["implants"]) == 1
    assert told["parameters"]["clearance_mm"] == 0.8
    assert "spur_mm" not in told["parameters"] and told["parameters"]["least_wall_mm"] == 2.0


@pytest.mark.slow
def test_it_works_without_the_designs_account(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (result / "design.json").unlink()
    data = update(capsys, result, "-o", tmp_path / "new")
    assert data["parameters"]["clearance_mm"] == 0.5
    assert set(data["model"].values()) == {None} and data["input"]["sha256"] is None
    assert data["notes"] == [EDITED_NOTE]


def _no_implant(result: Path) -> None:
    (result / "implant.nrrd").unlink()


def _no_result(result: Path) -> None:
    shutil.rmtree(result)


def _everything_erased(result: Path) -> None:
    edit(result / "implant.nrrd", np.zeros_like)


def _other_grid(result: Path) -> None:
    image = sitk.ReadImage(str(result / "implant.nrrd"))
    write_image(sitk.RegionOfInterest(image, [n - 1 for n in image.GetSize()]), result / "i.nrrd")
    (result / "i.nrrd").replace(result / "implant.nrrd")


def _no_image(result: Path) -> None:
    (result / "skull.nrrd").write_text("not an image")


def _damaged_account(result: Path) -> None:
    (result / "design.json").write_text('{"parameters":')


def _other_account(result: Path) -> None:
    (result / "design.json").write_text('{"parameters": 3}')


def _odd_clearance(result: Path) -> None:
    (result / "design.json").write_text('{"parameters": {"clearance_mm": "wide"}}')


FAULTS = {
    _no_implant: "implant.nrrd does not exist",
    _no_result: "There is no folder",
    _everything_erased: "implant.nrrd is empty",
    _other_grid: "does not lie on the grid",
    _no_image: "skull.nrrd is not the NRRD file that its name says",
    _damaged_account: "design.json is damaged",
    _other_account: "design.json is not one of this program",
    _odd_clearance: "no usable clearance",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_updated_is_one_sentence(
    fault: Callable[[Path], None],
    result: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fault(result)
    assert main(["update", str(result), "-o", str(tmp_path / "new"), "--progress", "none"]) == 2
    said = capsys.readouterr().err
    assert FAULTS[fault] in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_mistyped_clearance_is_named(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["update", str(result), "-o", str(result), "--clearance-mm", "80"]
    assert main([*arguments, "--progress", "none"]) == 2
    assert "80 mm makes no implant" in capsys.readouterr().err


def _almost_erased(mask: np.ndarray, size: int) -> np.ndarray:
    """What is left of an implant: a cube of so many voxels around its deepest one."""
    inside = sitk.SignedMaurerDistanceMap(sitk.GetImageFromArray(mask.astype(np.uint8)))
    z, y, x = np.unravel_index(array_of(inside).argmin(), mask.shape)
    rest = np.zeros_like(mask)
    rest[z : z + size, y : y + size, x : x + size] = True
    return rest


def test_a_tiny_rest_of_an_implant_is_judged_too(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(result / "implant.nrrd", lambda mask: _almost_erased(mask, 2))
    data = update(capsys, result, "-o", result, "--no-report")
    assert not data["passed"] and data["implant"]["volume_cm3"] < 1.0


def test_a_rest_that_makes_no_implant_is_one_sentence(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(result / "implant.nrrd", lambda mask: _almost_erased(mask, 1))
    assert main(["update", str(result), "-o", str(result), "--progress", "none"]) == 2
    assert "undo the edit" in capsys.readouterr().err


def test_a_design_of_another_version_is_refused(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = result / "design.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    for verb in (["update", str(result), "-o", str(result)], ["report", str(result)]):
        assert main([*verb, "--progress", "none"]) == 2
        assert "another version" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_what_json_does_not_know_is_damage(
    result: Path, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = result / "design.json"
    text = json.dumps({**json.loads(path.read_text()), "parameters": {"least_wall_mm": 12345.5}})
    path.write_text(text.replace("12345.5", number))
    assert main(["update", str(result), "-o", str(result), "--progress", "none"]) == 2
    assert "design.json is damaged" in capsys.readouterr().err


def test_what_is_no_number_or_device_is_not_taken_over(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = result / "design.json"
    data = json.loads(path.read_text())
    nonsense = {
        "least_wall_mm": "thick", "thickness_mm": True, "device": "a toaster",
        "smoother": "iron", "insertion_direction": [1, "up", 0], "holes": [1, "all", [1, 2, 3]],
    }  # fmt: skip
    data["parameters"] |= nonsense
    path.write_text(json.dumps(data))
    parameters = update(capsys, result, "-o", result, "--no-report")["parameters"]
    assert (parameters["least_wall_mm"], parameters["thickness_mm"]) == (2.0, None)
    assert (parameters["device"], parameters["smoother"]) == ("auto", "field")
    assert parameters["insertion_direction"] is None
    assert parameters["holes"] == [1, [1, 2, 3]]


def test_folders_may_be_named_by_text(result: Path) -> None:
    edited = update_design(str(result))
    assert write_design(edited, str(result / "again"), pictures=False)["edited"]
    again = write_design(edited, str(result / "again"), pictures=False)
    assert [stage["name"] for stage in again["stages"]] == [
        "implant",
        "surface",
        "checks",
        "export",
    ]
