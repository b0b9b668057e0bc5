"""Whatever memory there is: a whole result, or one sentence that names the need and the ways out.

A process with the imports behind it is forked for every run, and each gets so many megabytes of
addresses more (RLIMIT_AS): from almost none to what a design needs.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import SimpleITK as sitk

from dicom_files import write_series
from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core import memory_need
from SkullImplantLib.core.image_files import read_mask
from SkullImplantLib.core.images import same_grid, write_image
from SkullImplantLib.core.memory_need import Extent
from SkullImplantLib.export.results import NO_PICTURES, RESULT_FILES
from SkullImplantLib.reading.input import Choices, read_input

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of addresses hold on Linux"
)
MB = 2**20
# To the first the libraries' own need is told, then the image's before work, then in its midst; the
# last suffices.
ROOMS_MB = (1, 30, 60, 90, 120, 160, 200, 250, 320, 420, 450, 700)
RUN = """
import json, os, resource, sys
import SkullImplantLib.cli.commands
from SkullImplantLib.cli.main import main
print("ready", flush=True)
for line in sys.stdin:
    room, said, arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        file = os.open(said, os.O_CREAT | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = main(arguments)
        os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample patient's CT, so coarse that a design takes some seconds."""
    path = tmp_path_factory.mktemp("head") / "ct.nrrd"
    options = SampleOptions(spacing_mm=(3.0, 3.0, 3.0))
    write_image(make_sample_patient(3, options).ct, path)
    return path


@pytest.fixture(scope="module")
def runner() -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "ready\n"
    yield process
    process.communicate()


def run(process: "subprocess.Popen[str]", room: int, head: Path, folder: Path) -> tuple[int, str]:
    """Return the exit code of a design with so many bytes of addresses more, and what it said."""
    said = folder / "said.txt"
    arguments = ["design", str(head), "-o", str(folder / "output"), "--threads", "1"]
    assert process.stdin and process.stdout
    asked = [room, str(said), [*arguments, "--progress", "none", "--model", "prior"]]
    print(json.dumps(asked), file=process.stdin, flush=True)
    process.stdout.readline()
    code = int(process.stdout.readline())
    return code, said.read_text()


def no_voxels(*arguments: object) -> None:
    raise AssertionError("voxels were loaded")


def test_what_surely_does_not_fit_is_told_before_any_work(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("SkullImplantLib.reading.input.checked_image", no_voxels)
    monkeypatch.setattr(memory_need, "free_bytes", lambda: 60 * MB)
    monkeypatch.setattr(memory_need, "resident_bytes", lambda: 200 * MB)
    arguments = ["design", str(head), "-o", str(tmp_path / "output"), "--progress", "json"]
    assert main(arguments) == 2
    end = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert end["error"].startswith("This image needs about ")
    assert end["error"].endswith(
        "MB of memory, and 273 MB are free; use --coarser, crop it to the head, or close other "
        "programs."
    )
    assert end["remedy"] == "less-memory" and "--" not in end["message"]
    assert not (tmp_path / "output").exists()


def test_what_headers_say_is_told_before_voxels_are_loaded(head: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(extent: Extent) -> None:
        told.append(extent)
        raise Stopped

    told: list[Extent] = []
    for path in (head, write_series(tmp_path / "series")):
        with pytest.raises(Stopped):
            read_input(path, foresee=stop)
        image = read_input(path).image
        extent = told.pop()
        assert extent.size == image.GetSize() and extent.voxel_bytes == 2
        assert extent.spacing_mm == pytest.approx(image.GetSpacing())


@pytest.mark.slow
def test_coarser_designs_on_its_own_grid_and_writes_the_ct_on_it(tmp_path: Path) -> None:
    options = SampleOptions(spacing_mm=(0.9, 0.9, 1.6))
    path, output = tmp_path / "ct.nrrd", tmp_path / "output"
    write_image(make_sample_patient(3, options).ct, path)
    coarse = read_input(path, choices=Choices(coarser=1))
    assert coarse.image.GetSpacing() == pytest.approx((1.8, 1.8, 1.6)) and coarse.resampled
    arguments = ["design", str(path), "-o", str(output), "--model", "prior", "--no-report"]
    assert main([*arguments, "--coarser", "--progress", "none"]) == 0
    ct = sitk.ReadImage(str(output / "ct.nrrd"))
    assert same_grid(ct, coarse.image)
    for name in ("skull", "implant"):
        assert same_grid(read_mask(output / f"{name}.nrrd"), ct)
    told = json.loads((output / "design.json").read_text())
    assert any("averaged to voxels of 1.8 x 1.8 x 1.6 mm" in note for note in told["notes"])
    # With that CT the result can be updated and shown.
    arguments = ["update", str(output), "-o", str(output), "--input", str(output / "ct.nrrd")]
    assert main([*arguments, "--no-report", "--progress", "none"]) == 0
    assert main(["design", str(path), "-o", str(output), *["--coarser"] * 2]) == 2


@pytest.mark.slow
def test_pictures_without_memory_leave_the_result_and_a_note(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("SkullImplantLib.export.results.compose_preview", hungry)
    output = tmp_path / "output"
    arguments = ["design", str(head), "-o", str(output), "--model", "prior"]
    assert main([*arguments, "--progress", "none"]) == 0
    written = {path.name for path in output.iterdir()}
    assert written == {
        "skull.nrrd", "completed.nrrd", "implant.nrrd", "implant.stl", "implant-maps.vtp",
        "design.json",
    }  # fmt: skip
    assert NO_PICTURES in json.loads((output / "design.json").read_text())["notes"]
    assert {path.name for path in tmp_path.iterdir()} == {"output"}


@pytest.mark.slow
def test_with_any_room_a_design_is_whole_or_one_sentence(
    runner: "subprocess.Popen[str]", head: Path, tmp_path: Path
) -> None:
    ended: Counter[str] = Counter()
    for room_mb in ROOMS_MB:
        folder = tmp_path / str(room_mb)
        folder.mkdir()
        start = time.monotonic()
        code, said = run(runner, room_mb * MB, head, folder)
        print(room_mb, code, f"{time.monotonic() - start:.0f} s", said[-600:])
        assert "Traceback" not in said
        left = {path.name for path in folder.iterdir()} - {"said.txt"}
        if code == 0:
            written = {path.name for path in (folder / "output").iterdir()}
            assert {"implant.stl", "implant.nrrd", "skull.nrrd", "design.json"} <= written
            assert written <= set(RESULT_FILES) and left == {"output"}
            ended["whole" if "left out" not in said else "without pictures"] += 1
        else:
            assert code == 2, said
            lines = said.strip().splitlines()
            assert len(lines) == 1 and lines[0].startswith("skull-implant: "), said
            assert " of memory" in lines[0] and "close other programs" in lines[0]
            assert not left
            ended["one sentence"] += 1
    print(dict(ended))
    assert ended["one sentence"] >= 4 and ended["whole"] >= 1
