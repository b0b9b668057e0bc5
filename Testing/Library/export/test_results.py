"""What a design leaves on disk, and that `design.json` is what its schema says."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk

import SkullImplantLib
from SkullImplantLib import (
    Design,
    DesignOptions,
    SkullImplantError,
    design_implant,
    update_design,
    write_design,
)
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.images import array_of, same_grid, write_image
from SkullImplantLib.designing.proposal import SCHEMA_VERSION
from SkullImplantLib.export.results import PICTURE_FILES, RESULT_FILES
from SkullImplantLib.export.stl import read_stl, write_stl
from SkullImplantLib.implant.meshes import arrays_of
from SkullImplantLib.reading.input import Input
from SkullImplantLib.skull.left_out import LeftOut

SCHEMA = json.loads(
    (Path(SkullImplantLib.__file__).parent / "export" / "design.schema.json").read_text()
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def design(patient: SamplePatient) -> Design:
    source = Input(patient.ct, "ct", "0" * 64, "the sample patient")
    left_out = LeftOut(patient.ct > 5000, "1" * 64)
    region = sitk.Image(left_out.region)
    region[0, 0, 0] = 1  # air: nothing of the skull is taken
    options = DesignOptions(model="prior")
    return design_implant(source, options, left_out=replace(left_out, region=region))


@pytest.fixture(scope="module")
def result(design: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "without-pictures"
    write_design(design, folder, pictures=False)
    return folder


def faults(data: object) -> Iterator[str]:
    return (error.message for error in VALIDATOR.iter_errors(data))


def test_the_schema_is_one_and_of_this_version() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


def test_a_design_is_written_as_its_schema_says(design: Design, result: Path) -> None:
    masks = {"skull.nrrd", "completed.nrrd", "implant.nrrd"}
    surfaces = {"implant.stl", "implant-maps.vtp"}
    assert {path.name for path in result.iterdir()} == {*masks, *surfaces, "design.json"}
    assert {*masks, *surfaces, *PICTURE_FILES} < set(RESULT_FILES)
    data = json.loads((result / "design.json").read_text())
    assert not list(faults(data))
    assert data == json.loads(json.dumps(design.as_json()))
    assert [stage["name"] for stage in data["stages"]][-1] == "export"
    assert data["parameters"]["leave_out"] == {"sha256": "1" * 64, "volume_cm3": 0.0}
    for name, mask in (("skull", design.skull), ("implant", design.implant)):
        written = sitk.ReadImage(str(result / f"{name}.nrrd"))
        assert same_grid(written, design.skull)
        np.testing.assert_array_equal(array_of(written), array_of(mask))


def test_the_schema_refuses_what_is_not_of_it(result: Path) -> None:
    data = json.loads((result / "design.json").read_text())
    for key in ("schema_version", "checks", "disclaimer"):
        assert list(faults({k: v for k, v in data.items() if k != key}))
    assert list(faults({**data, "patient": "somebody"}))
    assert list(faults({**data, "schema_version": SCHEMA_VERSION + 1}))


def test_an_update_is_written_as_the_schema_says(result: Path, tmp_path: Path) -> None:
    edited = update_design(result)
    data = write_design(edited, tmp_path / "edited", pictures=False)
    assert not list(faults(json.loads(json.dumps(data))))
    assert data["edited"] is True and "confidence" not in data
    # What is fitted again is the voxels, smoothed; a little is lost, nothing is gained.
    assert edited.confidence is None and edited.volume_cm3 == pytest.approx(
        json.loads((result / "design.json").read_text())["implant"]["volume_cm3"], rel=0.03
    )
    (told,) = data["implants"]
    assert told["rim_correction_mm"] is None or told["rim_correction_mm"] == 0.0


def test_writing_replaces_a_design_whole_or_not_at_all(design: Design, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    write_design(design, folder, pictures=False)
    (folder / "report.html").write_text("of an older design")
    write_design(design, folder, pictures=False)
    assert not (folder / "report.html").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SkullImplantError, match="Cannot make the folder"):
        write_design(design, tmp_path / "file" / "result", pictures=False)


def test_the_masks_of_a_design_lie_in_their_place(design: Design) -> None:
    assert design.implant_part.GetSize() != design.skull.GetSize()
    implant, completed = array_of(design.implant), array_of(design.completed)
    skull = array_of(design.skull)
    assert implant.sum() == array_of(design.implant_part).sum() > 0
    assert not (implant & skull).any() and (completed >= skull).all()
    # Made flush and no thinner than its least wall, the implant leaves the completion a little.
    assert (implant > completed).sum() < 0.05 * implant.sum()
    volume_mm3 = float(implant.sum()) * float(np.prod(design.skull.GetSpacing()))
    assert design.volume_cm3 == pytest.approx(volume_mm3 / 1000.0, rel=0.02)


@pytest.mark.slow
def test_pictures_can_be_drawn_afterwards(
    patient: SamplePatient, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(patient.ct, tmp_path / "ct.nrrd")
    arguments = ["report", str(result), "--input", str(tmp_path / "ct.nrrd")]
    before = (result / "design.json").read_bytes()
    elsewhere = tmp_path / "pictures"
    assert main([*arguments, "-o", str(elsewhere), "--progress", "none", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert not list(faults(data))
    assert {path.name for path in elsewhere.iterdir()} == set(PICTURE_FILES)
    assert (elsewhere / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert data["checks"][0]["sentence"] in (elsewhere / "report.html").read_text()
    assert (result / "design.json").read_bytes() == before


def test_a_report_needs_a_whole_result(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path), "--progress", "none"]) == 2
    assert "holds no whole design.json" in capsys.readouterr().err
    for verb in (["report"], ["export", "-o", str(tmp_path / "out")]):
        for nowhere in (tmp_path / "nowhere", result / "design.json"):
            assert main([*verb, str(nowhere), "--progress", "none"]) == 2
            assert f"There is no folder {nowhere}; give a folder" in capsys.readouterr().err
    for path in result.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    stl = (tmp_path / "implant.stl").read_bytes()
    for damaged in (stl[:-1], b"solid" + stl[5:], b""):
        (tmp_path / "implant.stl").write_bytes(damaged)
        assert main(["report", str(tmp_path), "--progress", "none"]) == 2
        assert "implant.stl is missing, damaged" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_an_stl_is_read_as_it_was_written(design: Design, tmp_path: Path) -> None:
    write_stl(design.mesh, tmp_path / "implant.stl")
    written, read = arrays_of(design.mesh), arrays_of(read_stl(tmp_path / "implant.stl"))
    assert len(read[1]) == len(written[1])
    np.testing.assert_allclose(read[0][read[1]], written[0][written[1]], atol=1e-3)
