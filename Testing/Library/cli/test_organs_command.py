"""`skull-implant organs`, as a person calls it, on chests that no training saw."""

import json
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
import trimesh
from PIL import Image

from SkullImplantLib.cases.thorax_phantom import ORGANS, ThoraxOptions, make_thorax
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.images import array_of, image_like, write_image
from SkullImplantLib.evaluation.organ_scores import score_organs
from SkullImplantLib.organs.coarse_grid import coarse_grid, labels_on

QUIET = ["--progress", "none", "--json"]
SEED = 10_200  # no training and no table has it
CODES = {
    "oesophagus": "32849002",
    "heart": "80891009",
    "trachea": "44567001",
    "aorta": "15825003",
}


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ct.nrrd` and `truth.nrrd`."""
    folder = tmp_path_factory.mktemp("chest")
    made = make_thorax(SEED, ThoraxOptions(size=(256, 256, 112)))
    write_image(made.ct, folder / "ct.nrrd")
    write_image(made.labels, folder / "truth.nrrd")
    return folder


@pytest.fixture(scope="module")
def found(chest: Path) -> Path:
    """The result folder for it."""
    out = chest / "organs"
    assert main(["organs", str(chest / "ct.nrrd"), "-o", str(out), "--progress", "none"]) == 0
    return out


def told_in(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "organs.json").read_text())
    return told


@pytest.mark.slow
def test_all_four_are_found_at_full_resolution(chest: Path, found: Path) -> None:
    assert {path.name for path in found.iterdir()} == {
        "organs.seg.nrrd",
        "organs-coarse.nrrd",
        "organs.json",
        "preview.png",
        *(f"{name}.stl" for name in ORGANS),
    }
    made = sitk.ReadImage(str(found / "organs.seg.nrrd"))
    truth = sitk.ReadImage(str(chest / "truth.nrrd"))
    scores = score_organs(made, truth, ORGANS)
    least = {"oesophagus": 0.5, "heart": 0.92, "trachea": 0.8, "aorta": 0.55}
    for name, score in scores.items():
        assert score.dice > least[name], (name, score)
    for organ in told_in(found)["organs"]:
        voxels = np.count_nonzero(array_of(made) == organ["label"])
        assert organ["occupancy_percent"] == pytest.approx(100 * voxels / array_of(made).size, 1e-2)
        assert organ["label"] == ORGANS[organ["name"]] and 0.5 < organ["sure"] <= 1.0


@pytest.mark.slow
def test_other_programs_read_segments_and_surfaces(found: Path) -> None:
    labels, header = nrrd.read(str(found / "organs.seg.nrrd"))
    for number, organ in enumerate(told_in(found)["organs"]):
        name = organ["name"]
        assert header[f"Segment{number}_Name"] == name
        assert header[f"Segment{number}_LabelValue"] == str(organ["label"])
        assert f"~SCT^{CODES[name]}^" in header[f"Segment{number}_Tags"]
        low_high = np.array(header[f"Segment{number}_Extent"].split(), int).reshape(3, 2)
        where = np.argwhere(labels == organ["label"])
        np.testing.assert_array_equal(low_high.T, [where.min(axis=0), where.max(axis=0)])
        mesh = trimesh.load(found / f"{name}.stl")
        assert mesh.is_watertight and mesh.is_winding_consistent
        assert mesh.volume / 1000 == pytest.approx(organ["volume_cm3"], rel=0.1)
    with Image.open(found / "preview.png") as picture:
        assert picture.size == (3 * 520 + 2 * 8, 2 * 520 + 8)
        assert np.asarray(picture).std() > 20


@pytest.mark.slow
def test_weights_of_formulas_say_so(found: Path) -> None:
    told = told_in(found)
    assert any("made by formulas, not on patients" in note for note in told["notes"])
    assert "review by a qualified person" in told["review"]


@pytest.mark.slow
def test_axes_of_the_file_change_nothing(chest: Path, found: Path, tmp_path: Path) -> None:
    """The same CT stored with other axes: the same labels at the same places, on its grid."""
    ct = sitk.ReadImage(str(chest / "ct.nrrd"))
    other = sitk.DICOMOrient(ct, "PIR")
    write_image(other, tmp_path / "ct.nii.gz")
    out = tmp_path / "organs"
    assert main(["organs", str(tmp_path / "ct.nii.gz"), "-o", str(out), *QUIET]) == 0
    made = sitk.ReadImage(str(out / "organs.seg.nrrd"))
    assert made.GetSize() == other.GetSize()
    np.testing.assert_allclose(made.GetDirection(), other.GetDirection(), atol=1e-6)
    again = sitk.DICOMOrient(made, "LPS")
    first = sitk.ReadImage(str(found / "organs.seg.nrrd"))
    differ = np.count_nonzero(array_of(again) != array_of(first))
    assert differ < 1e-3 * np.count_nonzero(array_of(first))


@pytest.mark.slow
def test_coarse_labels_of_another_program_are_refined(
    chest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = sitk.ReadImage(str(chest / "truth.nrrd"))
    coarse = labels_on(truth, coarse_grid(truth, (64, 64, 64)))
    array = array_of(coarse).copy()
    array[array == ORGANS["heart"]] = 0
    array[:2] = 77  # an organ that is none of these
    write_image(image_like(array, coarse), tmp_path / "coarse.nrrd")
    command = ["organs", str(chest / "ct.nrrd"), "-o", str(tmp_path / "out")]
    assert main([*command, "--coarse", str(tmp_path / "coarse.nrrd"), *QUIET]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {organ["name"] for organ in told["organs"]} == set(ORGANS) - {"heart"}
    assert "The heart was not found." in told["notes"]
    assert set(told["models"]) == {"sparse"}
    made = sitk.ReadImage(str(tmp_path / "out" / "organs.seg.nrrd"))
    scores = score_organs(made, truth, {name: ORGANS[name] for name in ("aorta", "trachea")})
    assert min(score.dice for score in scores.values()) > 0.8


def test_what_shows_no_chest_ends_with_a_sentence(
    chest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).normal(-990, 8, (40, 64, 64)).astype(np.int16)
    air = image_like(noise, sitk.Image(64, 64, 40, sitk.sitkInt16))
    air.SetSpacing((3.0, 3.0, 3.0))
    write_image(air, tmp_path / "air.nrrd")
    command = ["organs", str(tmp_path / "air.nrrd"), "-o", str(tmp_path / "out")]
    assert main([*command, "--progress", "none"]) == 2
    assert "hardly anything but air" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_coarse_labels_along_other_axes_are_refused(
    chest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = sitk.ReadImage(str(chest / "truth.nrrd"))
    coarse = labels_on(truth, coarse_grid(truth, (64, 64, 64)))
    coarse.SetDirection((0.98, -0.199, 0, 0.199, 0.98, 0, 0, 0, 1))
    write_image(coarse, tmp_path / "askew.nrrd")
    command = ["organs", str(chest / "ct.nrrd"), "-o", str(tmp_path / "out")]
    assert main([*command, "--coarse", str(tmp_path / "askew.nrrd"), "--progress", "none"]) == 2
    assert "other axes" in capsys.readouterr().err


def test_weights_of_another_task_are_refused(
    chest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from SkullImplantLib.core.resources import RESOURCES

    command = ["organs", str(chest / "ct.nrrd"), "-o", str(tmp_path / "out"), "--progress", "none"]
    assert main([*command, "--dense", str(RESOURCES / "superres.npz")]) == 2
    assert "do not segment organs" in capsys.readouterr().err
