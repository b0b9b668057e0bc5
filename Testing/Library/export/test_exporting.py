"""A result folder exported: what is asked for, under the case's name, all of it or nothing."""

import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk

from SkullImplantLib import DesignOptions, SkullImplantError, design_implant, write_design
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import build_parser, main
from SkullImplantLib.export.exporting import (
    PlannedExport,
    export_result,
    formats_of,
    planned_export,
)
from SkullImplantLib.export.formats import BY_NAME, FORMATS
from SkullImplantLib.export.stl import read_stl
from SkullImplantLib.implant.meshes import mesh_health
from SkullImplantLib.reading.input import Input

# What needs a DICOM series is tested with one, in `test_exports_made.py`.
QUICK = [
    format.name
    for format in FORMATS
    if format.name not in ("report", "picture") and not format.needs_series
]


@pytest.fixture(scope="module")
def result(coarse_patient: SamplePatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Input(coarse_patient.ct, "ct", "ab" * 32, "the sample patient")
    folder = tmp_path_factory.mktemp("export") / "result"
    write_design(design_implant(source, DesignOptions(model="prior")), folder, pictures=False)
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_format_writes_the_files_that_the_table_says(result: Path, tmp_path: Path) -> None:
    for name in QUICK:
        found = export_result(result, [name], tmp_path / name)
        assert found.case == "case-" + found.case[5:] and len(found.case) == 13
        assert names_in(tmp_path / name) == sorted(found.files[name])
        assert found.files[name] == BY_NAME[name].files(found.case, 1)
    skull = read_stl(tmp_path / "skull-stl" / f"{found.case}-skull.stl")
    health = mesh_health(skull)
    assert health.watertight
    mask = sitk.ReadImage(str(result / "skull.nrrd"))
    bone_cm3 = sitk.GetArrayViewFromImage(mask).sum() * 1e-3
    for spacing in mask.GetSpacing():
        bone_cm3 *= spacing
    assert health.volume_cm3 == pytest.approx(bone_cm3, rel=0.05)


def test_a_format_reads_no_more_than_the_table_says(result: Path, tmp_path: Path) -> None:
    """Whoever asks for one format has to provide these files alone."""
    for name in QUICK:
        part = tmp_path / name
        part.mkdir()
        for file in {"design.json", "implant.stl", *BY_NAME[name].reads(1)}:
            shutil.copy(result / file, part)
        assert export_result(part, [name], tmp_path / f"{name}-out").files[name]


def test_the_account_names_the_files_as_they_are_called_there(result: Path, tmp_path: Path) -> None:
    export_result(result, ["json", "stl"], tmp_path, "left")
    assert names_in(tmp_path) == ["left-design.json", "left-implant.stl"]
    told = json.loads((tmp_path / "left-design.json").read_text())
    before = json.loads((result / "design.json").read_text())
    assert told["implants"][0].pop("file") == "left-implant.stl"
    assert before["implants"][0].pop("file") == "implant.stl"
    assert told == before


def test_masks_are_the_same_voxels(result: Path, tmp_path: Path) -> None:
    export_result(result, ["masks"], tmp_path, "x")
    for name in ("skull", "completed", "implant"):
        one, other = (sitk.ReadImage(str(p)) for p in
                      (result / f"{name}.nrrd", tmp_path / f"x-{name}.nrrd"))  # fmt: skip
        assert sitk.Hash(one) == sitk.Hash(other) and one.GetSpacing() == other.GetSpacing()


def test_a_report_that_is_missing_is_made_and_one_that_is_there_is_taken(
    result: Path, tmp_path: Path
) -> None:
    before = names_in(result)
    export_result(result, ["report", "picture"], tmp_path / "a", "x")
    assert names_in(tmp_path / "a") == ["x-preview.png", "x-report.html"]
    assert names_in(result) == before, "the result is read, not written"
    copy = tmp_path / "copy"
    shutil.copytree(result, copy)
    shutil.copy(tmp_path / "a" / "x-report.html", copy / "report.html")
    export_result(copy, ["report", "picture"], tmp_path / "b", "x")
    for name in names_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_cannot_be_is_one_sentence_and_writes_nothing(result: Path, tmp_path: Path) -> None:
    for formats, source, name, words in (
        (["stl", "hologram"], result, None, "no export as hologram"),
        (["stl"], tmp_path, None, "no design.json"),
        (["stl"], result, " / ", "name of the files"),
    ):
        with pytest.raises(SkullImplantError, match=words):
            export_result(source, formats, tmp_path / "out", name)
    damaged = tmp_path / "damaged"
    shutil.copytree(result, damaged)
    (damaged / "skull.nrrd").write_bytes((damaged / "skull.nrrd").read_bytes()[:400])
    with pytest.raises(SkullImplantError):
        export_result(damaged, ["stl", "skull-stl"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_format_says_which_module_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setitem(BY_NAME, "stl", replace(BY_NAME["stl"], needs=("no_such_module",)))
    with pytest.raises(SkullImplantError, match="as stl needs no_such_module"):
        formats_of(["stl"])


def test_other_files_in_the_folder_stay(result: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    export_result(result, ["stl"], tmp_path, "a")
    export_result(result, ["stl"], tmp_path, "b")
    assert names_in(tmp_path) == ["a-implant.stl", "b-implant.stl", "letter.txt"]


def test_the_verb_tells_files_and_print_size(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(result), "-o", str(tmp_path), "--as", "stl,json", "--json"]
    assert main([*arguments, "--progress", "none"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(name for names in told["files"].values() for name in names) == names_in(tmp_path)
    size = told["implants"][0]
    assert size["least_box_mm"] == sorted(size["least_box_mm"], reverse=True)
    assert main(["export", str(result), "-o", str(tmp_path), "--as", "vinyl"]) == 2
    assert "no export as vinyl" in capsys.readouterr().err


def test_what_goes_out_is_listed_and_nothing_is_written(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = ",".join(BY_NAME)
    command = ["export", str(result), "-o", str(out), "--as", asked, "--progress", "none"]
    assert main([*command, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [file["name"] for file in told["outgoing"]] == [
        name for format in FORMATS for name in format.files(told["name"], 1)
    ]
    tells = {file["name"].rpartition(".")[2]: file["tells"] for file in told["outgoing"]}
    assert tells.pop("dcm") == "patient" and set(tells.values()) == {"nothing"}
    assert main([*command, "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert text.count("carries the patient's identity") == 2 and "Nothing was written" in text
    assert not out.exists()


def test_the_list_comes_before_the_files_and_names_them(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    plans = []

    def tell(plan: PlannedExport) -> None:
        assert not out.exists(), "it is listed before it goes out"
        plans.append(plan)

    export_result(result, ["stl", "json"], out, "left", tell=tell)
    assert sorted(file.name for file in plans[0].files) == names_in(out)
    assert {file.tells for file in plans[0].files} == {"name"}
    damaged = tmp_path / "damaged"
    shutil.copytree(result, damaged)
    (damaged / "skull.nrrd").write_bytes(b"NRRD0004\n")
    command = ["export", str(damaged), "--as", "skull-stl", "-o", str(tmp_path / "no")]
    assert main([*command, "--progress", "none"]) == 2
    assert "-skull.stl" in capsys.readouterr().out, "the list, of what then could not be written"


def test_a_label_is_checked_before_anything_is_made(result: Path, tmp_path: Path) -> None:
    for formats, label, words in (
        (["stl"], "Müller", "Only up to 24 letters"),
        (["stl"], "x" * 25, "Only up to 24 letters"),
        (["ply", "json"], "A 7", "would have the label; export as stl, 3mf, mould, dicom"),
    ):
        with pytest.raises(SkullImplantError, match=words):
            export_result(result, formats, tmp_path / "out", engraving=label)
    plan = planned_export(result, ["stl", "json"], engraving="A 7")
    assert [file.tells for file in plan.files] == ["label", "nothing"]
    assert not (tmp_path / "out").exists()


def test_help_lists_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["export", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(f"{f.name} {f.sentence}".split()) in text for f in FORMATS)
