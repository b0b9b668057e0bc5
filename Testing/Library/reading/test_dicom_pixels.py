"""The pixels of DICOM files, however they are stored: exact, or refused by their true reason."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from dicom_files import compressed_by_itk, small_head, write_series
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.dicom_pixels import read_file, stored_values
from SkullImplantLib.reading.dicom_series import read_series
from SkullImplantLib.reading.dicom_study import UNREADABLE


def decoded(content: bytes) -> np.ndarray:
    return stored_values(read_file(content), 0, "A slice")


def resaved(folder: Path, syntax: str) -> Path:
    """Write the files of a series anew in another transfer syntax that does not compress pixels."""
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = dataset.pixel_array.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(
            path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian, force_encoding=True,
        )  # fmt: skip
    return folder


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_every_plain_syntax_is_exact(tmp_path, syntax):
    volume = read_series(resaved(write_series(tmp_path / "study"), syntax))
    assert np.array_equal(array_of(volume.image), small_head())


def test_a_deflated_file_cut_short_is_named(tmp_path):
    folder = resaved(write_series(tmp_path / "study"), DeflatedExplicitVRLittleEndian)
    victim = sorted(folder.iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(SkullImplantError, match=victim.name):
        read_series(folder)


@pytest.mark.parametrize(
    ("compressor", "called"), [("JPEG", "JPEG Lossless, Non-Hier"), ("JPEG2000", "JPEG 2000 ")]
)
def test_the_compressions_of_archives_are_exact(tmp_path, compressor, called):
    folder = write_series(
        tmp_path / "study",
        edit=lambda dataset, z: compressed_by_itk(dataset, tmp_path, compressor),
    )
    syntaxes = {pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in folder.iterdir()}
    assert all(syntax.name.startswith(called) for syntax in syntaxes)
    assert np.array_equal(array_of(read_series(folder).image), small_head())


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.8])
def test_a_stream_cut_within_its_fragment_is_damaged(tmp_path, compressor, kept):
    def edit(dataset: Dataset, z: int) -> None:
        compressed_by_itk(dataset, tmp_path, compressor)
        if z == 7:
            (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
            dataset.PixelData = encapsulate([stream[: 2 * int(kept * len(stream) / 2)]])

    folder = write_series(tmp_path / "study", edit=edit)
    with pytest.raises(SkullImplantError, match=r"Slice 8 of 40 .* damaged or cut short"):
        read_series(folder)


def test_a_compression_without_decoder_is_named(tmp_path):
    def edit(dataset: Dataset, z: int) -> None:
        compressed_by_itk(dataset, tmp_path, "JPEG2000")
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML

    folder = write_series(tmp_path / "study", edit=edit)
    with pytest.raises(SkullImplantError, match=r"MPEG2 .*uncompressed"):
        read_series(folder)


def test_lossy_compression_is_told(tmp_path):
    def edit(dataset: Dataset, z: int) -> None:
        dataset.LossyImageCompression = "01"

    (note,) = read_series(write_series(tmp_path / "study", edit=edit)).notes
    assert "compressed with loss" in note


def test_inverted_display_leaves_values_as_they_are(tmp_path):
    def edit(dataset: Dataset, z: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    volume = read_series(write_series(tmp_path / "study", edit=edit))
    assert np.array_equal(array_of(volume.image), small_head())
    assert "MONOCHROME1" in volume.notes[0]


def file_of(stored: np.ndarray, bits_stored: int, high_bit: int, signed: bool) -> Dataset:
    """Return a data set whose pixels (unsigned, as allocated) are these."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored = 8 * stored.dtype.itemsize, bits_stored
    dataset.HighBit, dataset.PixelRepresentation = high_bit, int(signed)
    dataset.PixelData = stored.tobytes()
    return dataset


@settings(max_examples=60, deadline=None)
@given(
    allocated=st.sampled_from([8, 16, 32]),
    used=st.integers(1, 32),
    unused_above=st.integers(0, 8),
    signed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_layout_of_bits_is_exact(allocated, used, unused_above, signed, seed):
    """Whatever lies in the bits that are not used, as overlays do."""
    used = min(used, allocated)
    high = max(used - 1, allocated - 1 - unused_above)
    rng = np.random.default_rng(seed)
    low = -(1 << (used - 1)) if signed else 0
    values = rng.integers(low, low + (1 << used), (5, 7))
    shift = high + 1 - used
    noise = rng.integers(0, 1 << allocated, (5, 7))
    mask = ((1 << used) - 1) << shift
    stored = ((values << shift) & mask) | (noise & ~mask)
    dataset = file_of(stored.astype(f"<u{allocated // 8}"), used, high, signed)
    assert np.array_equal(stored_values(dataset, 0, "A slice"), values)


@pytest.mark.parametrize(("stored", "high"), [(17, 16), (12, 5), (0, 15), (12, 16)])
def test_impossible_bits_are_said(stored, high):
    dataset = file_of(np.zeros((4, 4), "<u2"), 16, 15, False)
    dataset.BitsStored, dataset.HighBit = stored, high
    if stored == 0:
        dataset.BitsAllocated = 12
    with pytest.raises(SkullImplantError, match="impossible"):
        stored_values(dataset, 0, "A slice")


@pytest.mark.parametrize("doubled", [2, 64, 500])
def test_bytes_doubled_within_the_pixels_are_seen(tmp_path, doubled):
    """The element's length still fits; the pixels are shifted, and some lie behind it."""
    folder = write_series(tmp_path / "study")
    victim = sorted(folder.iterdir())[3]
    data = victim.read_bytes()
    at = len(data) - 2000
    victim.write_bytes(data[:at] + data[at - doubled : at] + data[at:])
    with pytest.raises(SkullImplantError, match="damaged or cut short"):
        read_series(folder)


def test_what_may_follow_the_pixels_is_no_damage(tmp_path):
    folder = write_series(tmp_path / "study")
    padding = b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0abcd"
    for path, more in zip(sorted(folder.iterdir()), (padding, bytes(300))):
        path.write_bytes(path.read_bytes() + more)
    assert np.array_equal(array_of(read_series(folder).image), small_head())


def test_no_pixels_at_all_is_damage():
    dataset = file_of(np.zeros((4, 4), "<u2"), 16, 15, False)
    del dataset.PixelData
    with pytest.raises(SkullImplantError, match="A slice is damaged"):
        stored_values(dataset, 0, "A slice")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_cut_of_a_file_passes_for_whole(data, whole_file):
    """Neither plain nor compressed pixels that are not all there are filled up."""
    size = data.draw(st.integers(200, len(whole_file) - 1))
    try:
        values = decoded(whole_file[:size])
    except SkullImplantError as error:
        assert "A slice" in str(error)
    except UNREADABLE:
        pass  # the header is not whole
    else:
        assert np.array_equal(values, decoded(whole_file))


@pytest.fixture(params=[ExplicitVRLittleEndian, RLELossless, "JPEG", "JPEG2000"], scope="module")
def whole_file(request, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    syntax = request.param

    def edit(dataset: Dataset, z: int) -> None:
        if syntax.startswith("JPEG"):
            compressed_by_itk(dataset, folder, syntax)

    plain = ExplicitVRLittleEndian if syntax.startswith("JPEG") else syntax
    noisy = small_head()[19:21] + np.random.default_rng(0).integers(0, 40, (2, 48, 44))
    series = write_series(folder / "study", noisy, syntax=plain, edit=edit)
    return sorted(series.iterdir())[0].read_bytes()
