"""The command line as other programs call it: files, JSON, exit codes, and nothing left behind."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from bad_series import BAD_INPUTS
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import VERBS, main
from SkullImplantLib.core.images import write_image
from SkullImplantLib.core.staging import staged_folder
from SkullImplantLib.export.results import RESULT_FILES
from SkullImplantLib.implant.meshes import mesh_health
from SkullImplantLib.job.protocol import JobProgress
from stl_files import assert_admesh_finds_no_fault, read

RESULTS = {
    "skull.nrrd", "completed.nrrd", "implant.nrrd", "implant.stl", "implant-maps.vtp",
    "preview.png", "report.html", "design.json",
}  # fmt: skip
FITTED = ["--least-wall-mm", "1.5", "--insertion-direction", "-0.2,0.1,1", "--hole", "1"]
COMMAND = [sys.executable, "-m", "SkullImplantLib"]


@pytest.fixture(scope="module")
def case(coarse_patient: SamplePatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample patient's files."""
    folder = tmp_path_factory.mktemp("case")
    for name in ("ct", "complete", "defective", "implant"):
        write_image(getattr(coarse_patient, name), folder / f"{name}.nrrd")
    return folder


def test_design_writes_what_the_contract_names(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "folder"
    arguments = ["design", str(case / "ct.nrrd"), "-o", str(output), "--json"]
    assert main([*arguments, "--model", "fine", "--progress", "json", *FITTED]) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert {path.name for path in output.iterdir()} == RESULTS
    assert data == json.loads((output / "design.json").read_text())
    assert len(data["input"]["sha256"]) == 64 and len(data["model"]["sha256"]) == 64
    parameters = data["parameters"]
    assert (parameters["least_wall_mm"], parameters["thickness_mm"]) == (1.5, None)
    assert parameters["insertion_direction"] == [-0.2, 0.1, 1.0] and parameters["holes"] == [1]
    assert parameters["leave_out"] is None and data["device"] == "cpu"
    for stage in data["stages"]:
        assert stage["seconds"] >= 0.0 and stage["peak_memory_gib"] > 0.0
    for check in data["checks"]:
        assert {"name", "value", "limit", "passed"} <= set(check)
    lines = [json.loads(line) for line in printed.err.splitlines()]
    assert lines[0] == {"pid": os.getpid()} and lines[-1] == {"done": True}
    steps = lines[1:-1]
    assert all(set(line) - {"device"} == {"stage", "fraction", "message"} for line in steps)
    assert {line["stage"] for line in steps if line.get("device") == "cpu"} == {"completion"}
    assert {"reading", "skull", "completion", "export"} <= {line["stage"] for line in steps}
    ended = [line["stage"] for line in steps if line["fraction"] == 1.0]
    assert len(ended) == len(set(ended)), "a stage ended twice"
    _assert_sound(output / "implant.stl", data["implant"]["volume_cm3"])
    report = (output / "report.html").read_text()
    assert "proposal" in report and 'src="http' not in report


@pytest.mark.slow
def test_defect_design_evaluate_by_hand(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = ["--progress", "none", "--json"]
    cut, made = tmp_path / "cut", tmp_path / "made"
    arguments = ["defect", str(case / "complete.nrrd"), "-o", str(cut), "--kind", "bilateral"]
    assert main([*arguments, "--seed", "2", *quiet]) == 0
    assert json.loads(capsys.readouterr().out)["area_cm2"] > 15.0
    whole, rest, piece = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(cut / name)))
        for name in ("complete.nrrd", "defective.nrrd", "implant.nrrd")
    )
    np.testing.assert_array_equal(rest | piece, whole)
    arguments = ["design", str(cut / "defective.nrrd"), "-o", str(made), "--no-report"]
    assert main([*arguments, "--clearance-mm", "0", "--model", "prior", *quiet]) == 0
    capsys.readouterr()
    assert {path.name for path in made.iterdir()} == RESULTS - {"preview.png", "report.html"}
    arguments = ["evaluate", "--implant", str(made / "implant.nrrd"), "--truth"]
    arguments += [str(cut / "implant.nrrd"), "--defective", str(cut / "defective.nrrd")]
    assert main([*arguments, *quiet]) == 0
    keys = ["dice", "border_dice_10mm", "border_dice_10vox", "hd95_mm", "hd_mm", "volume_ratio"]
    metrics = json.loads(capsys.readouterr().out)
    assert list(metrics)[: len(keys)] == keys
    assert metrics["dice"] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unc-cthead-ct", "visible-human-female-ct"])
def test_a_real_ct_goes_all_the_way_to_a_sound_stl(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet, cut, made = ["--progress", "none", "--json"], tmp_path / "cut", tmp_path / "made"
    ct = str(shared_data / "test" / f"{name}.nii.gz")
    assert main(["defect", ct, "-o", str(cut), "--kind", "parietotemporal", *quiet]) == 0
    assert (
        main(["design", str(cut / "defective.nrrd"), "-o", str(made), "--no-report", *quiet]) == 0
    )
    implant = made / "implant.nrrd"
    arguments = ["--implant", str(implant), "--truth", str(cut / "implant.nrrd")]
    capsys.readouterr()
    assert main(["evaluate", *arguments, "--defective", str(made / "skull.nrrd"), *quiet]) == 0
    assert json.loads(capsys.readouterr().out)["dice"] > 0.7
    volume_cm3 = sitk.GetArrayFromImage(sitk.ReadImage(str(implant))).sum() / 1000.0
    volume_cm3 *= np.prod(sitk.ReadImage(str(implant)).GetSpacing())
    _assert_sound(made / "implant.stl", volume_cm3)


def _assert_sound(stl: Path, volume_cm3: float) -> None:
    health = mesh_health(read(stl))
    assert health.watertight and health.outward and health.pieces == 1
    assert health.volume_cm3 == pytest.approx(volume_cm3, rel=0.02)
    if shutil.which("admesh"):
        assert_admesh_finds_no_fault(stl, health.volume_cm3)


def test_defect_of_a_ct_is_a_ct_with_the_bone_gone(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["defect", str(case / "ct.nrrd"), "-o", str(tmp_path), "--progress", "none"]
    assert main([*arguments, "--kind", "random", "--area-cm2", "25"]) == 0
    ct, cut = (sitk.ReadImage(str(p)) for p in (case / "ct.nrrd", tmp_path / "defective.nrrd"))
    assert ct.GetPixelID() == cut.GetPixelID()
    gone = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "implant.nrrd"))) > 0
    assert np.median(sitk.GetArrayFromImage(ct)[gone]) > 300
    assert np.median(sitk.GetArrayFromImage(cut)[gone]) < 150


@pytest.mark.slow
def test_a_verbose_run_tells_what_it_found(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["defect", str(case / "complete.nrrd"), "-o", str(tmp_path / "cut"), "--seed", "2"]
    assert main([*arguments, "--progress", "json", "--verbose"]) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if not line.startswith("{")]
    assert told and all(line.startswith("INFO SkullImplantLib.") for line in told)
    for words in ("defect of version", "read as skull: NRRD file", "skull: ", "with seed 2"):
        assert any(words in line for line in told), words
    assert not any("complete" in line or str(tmp_path) in line for line in told)
    progress = JobProgress("defect")
    for line in lines:
        progress.feed(line)
    assert progress.done and [line for line in progress.log if line in told] == told
    assert main([*arguments, "--progress", "none"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_one_seed_is_another_defect_of_each_kind(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(kind: str) -> tuple[float, bytes]:
        output = tmp_path / kind
        arguments = ["defect", str(case / "complete.nrrd"), "-o", str(output), "--kind", kind]
        assert main([*arguments, "--seed", "4", "--json", "--progress", "none"]) == 0
        area_cm2 = json.loads(capsys.readouterr().out)["area_cm2"]
        piece = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "implant.nrrd")))
        return area_cm2, piece.tobytes()

    first, second = cut("random_1"), cut("random_2")
    assert cut("random") == first
    assert first[0] != second[0] and first[1] != second[1]


@pytest.mark.parametrize("verb", ["demo", "defect", "sample", "evaluate", "train"])
def test_a_seed_below_nothing_is_refused(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--seed", "-1"])
    assert end.value.code == 2 and "must be 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(BAD_INPUTS))
def test_bad_input_gets_one_line_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, output = tmp_path / "given", tmp_path / "output"
    given.mkdir()
    bad = BAD_INPUTS[name](given)
    assert main(["design", str(bad), "-o", str(output), "--progress", "none"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("skull-implant: ") and lines[0].endswith(".")
    assert len(lines[0]) > 40  # it says what to do
    assert not output.exists()


def _no_defect(case: Path) -> list[str]:
    return [str(case / "complete.nrrd")]


def _wrong_device(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--device", "cuda", "--model", "fine"]


def _unknown_model(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--model", "ch99"]


def _missing_weights(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--model", "nowhere/weights.npz"]


def _huge_clearance(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--clearance-mm", "80", "--model", "prior"]


def _huge_wall(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--least-wall-mm", "30"]


def _thinner_than_its_wall(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--thickness-mm", "1.5"]


def _no_direction(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--insertion-direction", "0,0,0"]


def _no_such_hole(case: Path) -> list[str]:
    return [str(case / "defective.nrrd"), "--hole", "9", "--model", "prior"]


def _threshold_above_all_bone(case: Path) -> list[str]:
    return [str(case / "ct.nrrd"), "--bone-threshold", "3000"]


def _ct_given_as_skull(case: Path) -> list[str]:
    return [str(case / "ct.nrrd"), "--input", "skull"]


@pytest.mark.parametrize(
    "arguments",
    [
        _no_defect, _wrong_device, _unknown_model, _missing_weights, _huge_clearance,
        _huge_wall, _thinner_than_its_wall, _no_direction, _no_such_hole,
        _threshold_above_all_bone, _ct_given_as_skull,
    ],
)  # fmt: skip
def test_bad_options_get_one_line_and_leave_nothing(
    arguments: Callable[[Path], list[str]],
    case: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    output = tmp_path / "output"
    assert main(["design", *arguments(case), "-o", str(output), "--progress", "none"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("skull-implant: ")
    assert not output.exists()


def test_errors_are_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["design", str(tmp_path / "nothing.nrrd"), "-o", str(tmp_path), "--json"]) == 2
    assert "nothing.nrrd" in json.loads(capsys.readouterr().out)["error"]


def test_masks_on_different_grids_are_not_compared(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = sitk.ReadImage(str(case / "implant.nrrd"))
    other.SetOrigin([5.0, 0.0, 0.0])
    write_image(other, tmp_path / "moved.nrrd")
    arguments = ["--truth", str(tmp_path / "moved.nrrd"), "--defective"]
    arguments += [str(case / "defective.nrrd"), "--progress", "none"]
    assert main(["evaluate", "--implant", str(case / "implant.nrrd"), *arguments]) == 2
    assert "grid" in capsys.readouterr().err


def test_an_output_that_is_a_file_is_refused(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("mine")
    arguments = ["design", str(case / "defective.nrrd"), "-o", str(tmp_path / "taken")]
    assert main([*arguments, "--progress", "none"]) == 2
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of file size are POSIX's")
def test_a_full_disk_is_named_and_leaves_nothing(case: Path, tmp_path: Path) -> None:
    def small_files_only() -> None:
        import resource  # there is none on Windows

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    output = tmp_path / "output"
    arguments = ["design", str(case / "defective.nrrd"), "-o", str(output), "--model", "prior"]
    run = subprocess.run(
        [*COMMAND, *arguments, "--progress", "none"],
        preexec_fn=small_files_only, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 2, run.stderr
    assert "space" in run.stderr and len(run.stderr.strip().splitlines()) == 1
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 130), ("SIGKILL", -9)])
@pytest.mark.skipif(os.name != "posix", reason="signals are sent on POSIX")
def test_stopping_in_the_middle_leaves_no_result(
    name: str, code: int, case: Path, tmp_path: Path
) -> None:
    number = getattr(signal, name)
    output = tmp_path / "output"
    arguments = ["design", str(case / "ct.nrrd"), "-o", str(output), "--progress", "json"]
    run = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    for line in run.stderr:
        if json.loads(line).get("stage") == "prior":
            break
    run.send_signal(number)
    start = time.monotonic()
    rest = run.stderr.read()
    assert run.wait(timeout=30) == code
    assert time.monotonic() - start < 20
    if name == "SIGKILL":
        assert [p for p in output.rglob("*") if not p.name.startswith(".")] == []
    else:
        end = json.loads(rest.strip().splitlines()[-1])
        assert end == {
            "error": "Cancelled.", "code": 130, "message": "Cancelled.", "remedy": None,
        }  # fmt: skip
        assert not output.exists()


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in VERBS:
        with pytest.raises(SystemExit) as end:
            main([verb, "--help"])
        assert end.value.code == 0
        assert "examples:" in capsys.readouterr().out


def test_a_bug_is_told_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise KeyError("no\nsuch key")

    monkeypatch.setattr("SkullImplantLib.cli.commands.find_devices", broken)
    assert main(["devices", "--progress", "json"]) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert json.loads(lines[0]) == {"pid": os.getpid()}
    assert "Traceback" in lines[1] and printed.err.isascii()
    end = json.loads(lines[-1])
    assert end["code"] == 1 and end["error"].startswith("Internal error: KeyError:")
    assert main(["devices", "--progress", "none"]) == 1
    assert "skull-implant: Internal error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "Not enough memory"),
        (RuntimeError("ITK: Failed to allocate memory for image."), "Not enough memory"),
        (ImportError("libvtkCommonCore.so: failed to map segment"), "Not enough memory"),
        (ImportError("DLL load failed: The paging file is too small"), "Not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "There is no space left on the disk"),
    ],
)
def test_too_little_memory_or_disk_is_no_bug(
    error: Exception, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry() -> None:
        raise error

    monkeypatch.setattr("SkullImplantLib.cli.commands.find_devices", hungry)
    assert main(["devices", "--progress", "json"]) == 2
    end = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert end["code"] == 2 and end["error"].startswith(says)


def test_an_error_is_the_last_json_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["design", str(tmp_path / "größe.nrrd"), "-o", str(tmp_path / "output")]
    assert main([*arguments, "--progress", "json"]) == 2
    printed = capsys.readouterr()
    assert printed.err.isascii() and printed.out == ""
    first, *_, last = map(json.loads, printed.err.splitlines())
    assert first == {"pid": os.getpid()}
    assert last["code"] == 2 and "größe.nrrd does not exist" in last["error"]
    assert last["message"] == last["error"] and last["remedy"] is None


def test_a_remedy_is_told_as_a_value_and_in_words(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["design", str(case / "ct.nrrd"), "-o", str(tmp_path / "output"), "--json"]
    assert main([*arguments, "--series", "1.2.3", "--progress", "json"]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.err.splitlines()[-1]) == {
        "error": "ct.nrrd is not a DICOM folder; leave out --series.",
        "code": 2,
        "message": "ct.nrrd is not a DICOM folder.",
        "remedy": "no-series",
    }
    said = "ct.nrrd is not a DICOM folder; leave out --series."
    assert json.loads(printed.out) == {"error": said}


def test_devices_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json", "--progress", "none"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"torch", "torch_ok", "devices"} and found["torch_ok"] is True
    cpu = found["devices"][0]
    assert cpu["id"] == "cpu" and cpu["name"] and 1 <= cpu["threads"] <= (os.cpu_count() or 1)
    assert all(gpu["id"] == "cuda" and gpu["memory_gib"] > 0 for gpu in found["devices"][1:])
    assert main(["devices", "--progress", "none"]) == 0
    assert found["torch"] in capsys.readouterr().out


def test_a_result_keeps_no_file_of_an_older_one(tmp_path: Path) -> None:
    """A report of the last design beside the masks of this one would lie."""
    for name in (*RESULTS, "mine.txt"):
        (tmp_path / name).write_text("old")
    with staged_folder(tmp_path, RESULT_FILES) as folder:
        for name in RESULTS - {"preview.png", "report.html"}:
            (folder / name).write_text("new")
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left.pop("mine.txt") == "old"
    assert left == dict.fromkeys(RESULTS - {"preview.png", "report.html"}, "new")


def test_a_reference_completes_and_another_head_is_refused(
    case: Path, two_skulls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["design", str(case / "ct.nrrd"), "--model", "prior", "--no-report", "--json"]
    earlier = ["--reference", str(case / "complete.nrrd"), "-o", str(tmp_path / "done")]
    assert main([*arguments, *earlier]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["model"]["source"] == data["model"]["name"] == "reference"
    assert data["reference"]["shows"] == "skull" and data["reference"]["agreeing_share"] > 0.8
    assert data["reference"]["sha256"] == data["model"]["sha256"] != ""
    assert any("earlier skull was registered" in note for note in data["notes"])
    assert "reference" in {stage["name"] for stage in data["stages"]}
    # The folder of that design is a reference as well, and an update keeps what was told.
    again = ["--reference", str(tmp_path / "done"), "-o", str(tmp_path / "again")]
    assert main([*arguments, *again]) == 0
    assert json.loads(capsys.readouterr().out)["reference"]["shows"] == "skull"
    update = [
        "update",
        str(tmp_path / "done"),
        "-o",
        str(tmp_path / "new"),
        "--no-report",
        "--json",
    ]
    assert main(update) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == data["reference"]
    other = ["--reference", str(two_skulls / "head-0.nrrd"), "-o", str(tmp_path / "refused")]
    assert main([*arguments, *other]) == 2
    assert "this patient" in capsys.readouterr().err and not (tmp_path / "refused").exists()
