"""A decoder that ends, hangs or wants too much ends its own process, and the program says so."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.core import decoding
from SkullImplantLib.core.decoding import DecodingError, decoder
from SkullImplantLib.core.image_files import read_mask
from SkullImplantLib.core.images import array_of, index_to_lps_mm
from SkullImplantLib.errors import SkullImplantError

ENDS_ITK = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 4 4\nx: " + b"x" * 1500 + b"\n\n"


def written(path: Path, pixel: type = np.int16) -> sitk.Image:
    values = np.random.default_rng(0).integers(0, 100, (7, 8, 9)).astype(pixel)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([0.5, 0.75, 1.5])
    image.SetOrigin([3.0, -4.0, 5.0])
    image.SetDirection([0, 1, 0, -1, 0, 0, 0, 0, 1])
    sitk.WriteImage(image, str(path))
    return image


@pytest.mark.parametrize("pixel", [np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64])
def test_an_image_comes_as_itk_reads_it(tmp_path: Path, pixel: type) -> None:
    image = written(tmp_path / "a.nrrd", pixel)
    with decoder() as process:
        found = process.image(tmp_path / "a.nrrd", "NrrdImageIO", 7 * 8 * 9 * 8)
    np.testing.assert_array_equal(array_of(found), array_of(image))
    np.testing.assert_array_equal(index_to_lps_mm(found), index_to_lps_mm(image))
    assert found.GetPixelID() == image.GetPixelID()


def test_colours_and_axes_more_than_three_come_too(tmp_path: Path) -> None:
    colours = sitk.GetImageFromArray(np.arange(120).reshape(2, 4, 5, 3), isVector=True)
    times = sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5))
    for image, name in ((colours, "a.nrrd"), (times, "b.nrrd")):
        sitk.WriteImage(image, str(tmp_path / name))
        with decoder() as process:
            found = process.image(tmp_path / name, "NrrdImageIO", 1000)
        assert found.GetSize() == image.GetSize()
        np.testing.assert_array_equal(array_of(found), array_of(image))


def test_its_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(ENDS_ITK + bytes(64))
    with decoder() as process, pytest.raises(DecodingError):
        process.image(tmp_path / "a.nrrd", "NrrdImageIO", 64)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes with names of files")
def test_what_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BASE_S", 2.0)
    os.mkfifo(tmp_path / "a.mha")
    with decoder() as process, pytest.raises(DecodingError):
        process.image(tmp_path / "a.mha", "MetaImageIO", 64)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_more_memory_than_an_image_needs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "BASE_BYTES", 1 << 28)
    sitk.WriteImage(sitk.Image([1024, 1024, 512], sitk.sitkUInt8), str(tmp_path / "a.nrrd"), True)
    with decoder() as process, pytest.raises((MemoryError, DecodingError)):
        process.image(tmp_path / "a.nrrd", "NrrdImageIO", 1000)


def test_no_process_stays(tmp_path: Path) -> None:
    written(tmp_path / "a.nrrd")
    with decoder() as process:
        process.image(tmp_path / "a.nrrd", "NrrdImageIO", 1000)
        pid = process._process.pid
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_it_ends_where_the_program_is_killed(tmp_path: Path) -> None:
    code = (
        "import time; from SkullImplantLib.core.decoding import decoder\n"
        "with decoder() as d: print(d._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    give_up = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < give_up, "the decoder outlives the program"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Say whether a process runs; one that ended and that nobody collected does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def test_a_reader_says_in_one_sentence_what_ended_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "a.nrrd", np.uint8)
    monkeypatch.setattr(decoding, "SCRIPT", Path(os.devnull))  # a process that ends at once
    with pytest.raises(SkullImplantError, match="cannot be decoded as NRRD"):
        read_mask(tmp_path / "a.nrrd")
