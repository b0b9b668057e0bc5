"""Compressed pixels of every kind and writer: exact, or refused by their true reason."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    HTJ2K,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from test_multi_frame import write_enhanced

from code_streams import (
    COLUMNS,
    EXACT,
    LAYOUTS,
    LOSSY,
    NEAR,
    ROWS,
    Layout,
    compressed,
    dataset_of,
    kinds,
    pixels,
    streams,
)
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading import dicom_pixels
from SkullImplantLib.reading.dicom_frames import WITH_LOSS
from SkullImplantLib.reading.dicom_pixels import read_file, stored_values, with_loss
from SkullImplantLib.reading.dicom_series import read_series

WRITERS = sorted(EXACT)


def frames_of(dataset: Dataset, count: int) -> list[np.ndarray]:
    return [stored_values(dataset, index, "A slice") for index in range(count)]


def run_lengths(layout: Layout, values: np.ndarray) -> bytes:
    """Return a frame in run lengths without a run: each byte of the words by itself."""
    words = values.ravel() & ((1 << layout.stored) - 1)
    segments = []
    for shift in range(layout.allocated - 8, -1, -8):
        plane = (words >> shift & 0xFF).astype(np.uint8).tobytes()
        chunks = [plane[at : at + 128] for at in range(0, len(plane), 128)]
        segment = b"".join(bytes([len(chunk) - 1]) + chunk for chunk in chunks)
        segments.append(segment + b"\0" * (len(segment) % 2))
    starts = np.cumsum([64, *(len(segment) for segment in segments)])[:-1].tolist()
    header = struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


@pytest.mark.parametrize(("writer", "layout"), list(kinds(EXACT)))
def test_what_was_compressed_without_loss_is_exact(writer, layout):
    dataset = compressed(writer, layout, (1, 0))
    first, second = frames_of(dataset, 2)
    assert np.array_equal(first, pixels(LAYOUTS[layout], 1))
    assert np.array_equal(second, pixels(LAYOUTS[layout], 0))
    assert not with_loss(dataset, 0, "A slice")


@pytest.mark.parametrize(("writer", "layout"), list(kinds(LOSSY)))
def test_what_was_compressed_with_loss_is_near_and_told(writer, layout):
    dataset = compressed(writer, layout)
    loss = max(NEAR, LOSSY[writer][1] * (1 << LAYOUTS[layout].stored))
    (values,) = frames_of(dataset, 1)
    assert 0 < np.abs(values - pixels(LAYOUTS[layout], 0)).max() <= loss
    assert with_loss(dataset, 0, "A slice")


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_run_lengths_are_exact(layout):
    kind = LAYOUTS[layout]
    data = encapsulate([run_lengths(kind, pixels(kind, frame)) for frame in (0, 1)])
    for frame, values in enumerate(frames_of(dataset_of(kind, RLELossless, data, 2), 2)):
        assert np.array_equal(values, pixels(kind, frame))


@pytest.mark.parametrize(
    "kind", ["RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "expb", "implicit"]
)
def test_a_scan_that_others_compressed_is_exact(kind):
    """Files that come with pydicom: one MR slice, by several writers."""
    files = [get_testdata_file(f"MR_small{end}.dcm", download=False) for end in ("", f"_{kind}")]
    if None in files:
        pytest.skip("this pydicom comes without them")
    plain, other = (stored_values(read_file(Path(str(f)).read_bytes()), 0, "A") for f in files)
    assert np.array_equal(plain, other)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_odd_ends_of_streams_are_read(name):
    """The stream is filled up with FF, and its scan says odd things of its coefficients."""
    file = get_testdata_file(name, download=False)
    if file is None:
        pytest.skip("this pydicom comes without it")
    dataset = read_file(Path(str(file)).read_bytes())
    assert stored_values(dataset, 0, "A slice").shape == (1024, 256)
    assert with_loss(dataset, 0, "A slice")


def no_table(frames: list[bytes], parts: int, dataset: Dataset) -> None:
    dataset.PixelData = encapsulate(frames, fragments_per_frame=parts, has_bot=False)


def basic_table(frames: list[bytes], parts: int, dataset: Dataset) -> None:
    dataset.PixelData = encapsulate(frames, fragments_per_frame=parts, has_bot=True)


def extended_table(frames: list[bytes], parts: int, dataset: Dataset) -> None:
    data, offsets, lengths = encapsulate_extended(frames)
    dataset.PixelData = data
    dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths


def wrong_table(frames: list[bytes], parts: int, dataset: Dataset) -> None:
    data = encapsulate(frames, fragments_per_frame=parts, has_bot=True)
    dataset.PixelData = data[:8] + struct.pack("<2I", 0, 2) + data[16:]


@pytest.mark.parametrize("table", [no_table, basic_table, extended_table, wrong_table])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("writer", ["dcmtk-sv1", "charls", "openjpeg", "openjph-rpcl"])
def test_frames_are_found_whatever_the_tables_say(table, parts, writer):
    dataset = compressed(writer, "s16", (0, 1))
    table([streams()[writer, "s16", frame] for frame in (0, 1)], parts, dataset)
    for frame, values in enumerate(frames_of(dataset, 2)):
        assert np.array_equal(values, pixels(LAYOUTS["s16"], frame))


def boxed(stream: bytes) -> bytes:
    """Return a JPEG 2000 file of a stream."""
    kind = struct.pack(">I4s4sI4s", 20, b"ftyp", b"jp2 ", 0, b"jp2 ")
    head = b"\0\0\0\x0cjP  \r\n\x87\n" + kind
    return head + struct.pack(">I4s", 8 + len(stream), b"jp2c") + stream


@pytest.mark.parametrize(
    ("writer", "syntax", "change"),
    [
        ("dcmtk-sv1", JPEGBaseline8Bit, bytes),
        ("openjpeg", JPEGLosslessSV1, bytes),
        ("charls", JPEG2000Lossless, bytes),
        ("openjpeg", HTJ2KLossless, bytes),
        ("openjph-rpcl", JPEG2000Lossless, bytes),
        ("openjpeg", JPEG2000Lossless, boxed),
        ("openjph-rpcl", HTJ2K, boxed),
    ],
)
def test_a_stream_is_what_it_says_itself(writer, syntax, change):
    dataset = compressed(writer, "u12")
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([change(streams()[writer, "u12", 0])])
    assert np.array_equal(frames_of(dataset, 1)[0], pixels(LAYOUTS["u12"], 0))


def refused(dataset: Dataset, says: str, index: int = 0) -> None:
    with pytest.raises(SkullImplantError, match=says):
        stored_values(dataset, index, "A slice")


@pytest.mark.parametrize("writer", ["lj92", "charls", "openjpeg", "openjph-rpcl"])
@pytest.mark.parametrize(("said", "held"), [(1, 2), (3, 2), (2, 1), (2, 4)])
def test_other_frames_than_the_header_says_are_refused(writer, said, held):
    frames = [streams()[writer, "u16", number % 2] for number in range(held)]
    for parts in (1, 2):
        data = encapsulate(frames, fragments_per_frame=parts)
        dataset = dataset_of(LAYOUTS["u16"], EXACT[writer], data, said)
        refused(dataset, f"holds {held} compressed picture.* where its header says {said}")


def test_other_run_lengths_than_the_header_says_are_refused():
    frame = run_lengths(LAYOUTS["u16"], pixels(LAYOUTS["u16"], 0))
    dataset = dataset_of(LAYOUTS["u16"], RLELossless, encapsulate([frame] * 3), 2)
    refused(dataset, "holds 3 compressed picture.* where its header says 2")


@pytest.mark.parametrize(
    ("writer", "layout", "header"),
    [
        ("openjpeg", "u12", "s12"),
        ("openjpeg", "s12", "u12"),
        ("openjph-rpcl", "u16", "s16"),
        ("openjph-rpcl", "s16", "u16"),
        ("lj92", "u12", "s16"),  # of 12 bits with or without a sign
        ("dcmtk-jpeg-ls", "u16", "u12"),
        ("dcmtk-jpeg-ls", "u16", "s12"),
        ("openjpeg", "s16", "s12"),
    ],
)
def test_a_header_that_contradicts_its_stream_is_refused(writer, layout, header):
    dataset = dataset_of(LAYOUTS[header], EXACT[writer], compressed(writer, layout).PixelData)
    refused(dataset, r"A slice is compressed as.* pixels of \d+ bits.* says .*signed ones of \d+")


@pytest.mark.parametrize(
    ("writer", "layout", "header"), [("lj92", "u12", "u16"), ("openjpeg", "s12", "s16")]
)
def test_fewer_bits_than_the_header_says_are_exact_where_they_mean_the_same(writer, layout, header):
    dataset = dataset_of(LAYOUTS[header], EXACT[writer], compressed(writer, layout).PixelData)
    assert np.array_equal(frames_of(dataset, 1)[0], pixels(LAYOUTS[layout], 0))


@pytest.mark.parametrize("writer", ["dcmtk-sv1", "charls", "openjpeg", "openjph-rpcl"])
def test_an_image_of_another_size_is_refused(writer):
    dataset = compressed(writer, "u16")
    dataset.Rows, dataset.Columns = COLUMNS, ROWS
    refused(dataset, "does not hold one grey image of 17 x 21 pixels")


LOST = {
    "end": lambda stream, at: stream[:at],
    "middle": lambda stream, at: stream[:at] + stream[at + 60 :],
    "end but for its marker": lambda stream, at: stream[:at] + stream[-2:],
}


@pytest.mark.parametrize("lost", list(LOST))
@pytest.mark.parametrize("writer", [*WRITERS, "dcmtk-baseline", "dcmtk-extended"])
def test_a_stream_without_all_its_pixels_is_damaged(lost, writer):
    """Decoders fill what is not there, and say nothing."""
    layout = next(layout for one, layout in kinds({writer: None}) if one == writer)
    dataset = compressed(writer, layout)
    stream = streams()[writer, layout, 0].rstrip(b"\0")
    for share in (0.6, 0.7, 0.75):
        dataset.PixelData = encapsulate([LOST[lost](stream, int(share * len(stream)))])
        refused(dataset, "A slice is damaged or cut short")


def test_a_last_fragment_cut_short_is_damaged():
    whole = compressed("dcmtk-sv1", "u16").PixelData
    for size in range(len(whole) - 1, 8, -37):
        dataset = dataset_of(LAYOUTS["u16"], JPEGLosslessSV1, whole[:size])
        refused(dataset, "A slice is damaged or cut short")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_run_lengths_are_never_read_beyond(data):
    """Segments that begin anywhere, and any bytes in them: refused, or as many pixels."""
    kind = LAYOUTS["u16"]
    frame = bytearray(run_lengths(kind, pixels(kind, 0)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 16), st.integers(0, len(frame) - 1)))
        frame[at] = data.draw(st.integers(0, 255))
    frame = frame[: data.draw(st.integers(len(frame) - 60, len(frame)))]
    dataset = dataset_of(kind, RLELossless, encapsulate([bytes(frame)]))
    try:
        values = stored_values(dataset, 0, "A slice")
    except SkullImplantError as error:
        assert "damaged" in str(error)
    else:
        assert values.shape == (ROWS, COLUMNS)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_header_of_a_stream_is_read_or_refused(data):
    """Bytes altered before the coded data, where sizes, tables and lengths are."""
    writer = data.draw(st.sampled_from(["dcmtk-sv1", "lj92", "charls", "openjpeg", "openjph-rpcl"]))
    stream = bytearray(streams()[writer, "u12", 0])
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(2, 120))] = data.draw(st.integers(0, 255))
    dataset = dataset_of(LAYOUTS["u12"], EXACT[writer], encapsulate([bytes(stream)]))
    try:
        values = stored_values(dataset, 0, "A slice")
    except SkullImplantError:
        pass
    else:
        assert values.shape == (ROWS, COLUMNS)


def test_jpeg_of_another_process_is_named():
    stream = streams()["dcmtk-baseline", "u8", 0].replace(b"\xff\xc0", b"\xff\xc2", 1)
    dataset = dataset_of(LAYOUTS["u8"], JPEGBaseline8Bit, encapsulate([stream]))
    refused(dataset, r"not read here \(JPEG of another process \(progressive\).*uncompressed")


@pytest.mark.parametrize("layout", ["u12", "s16"])
def test_high_throughput_that_itk_does_not_know_is_left_to_others(monkeypatch, layout):
    """As before SimpleITK 2.5."""
    dataset = compressed("openjph-rpcl", layout)
    monkeypatch.setattr(dicom_pixels, "gdcm_has_high_throughput", lambda: False)
    if dicom_pixels.get_decoder(HTJ2K).is_available:
        assert np.array_equal(frames_of(dataset, 1)[0], pixels(LAYOUTS[layout], 0))
        return
    refused(dataset, "High-Throughput JPEG 2000.* pylibjpeg-openjpeg .*export it uncompressed")


def test_words_of_two_pixels_in_big_endian_are_turned():
    kind = LAYOUTS["u8"]
    values = np.stack([pixels(kind, 0), pixels(kind, 1)])
    data = values.astype(np.uint8).tobytes()
    for vr, stored in (("OW", np.frombuffer(data, "<u2").astype(">u2").tobytes()), ("OB", data)):
        dataset = dataset_of(kind, ExplicitVRBigEndian, stored, 2)
        dataset["PixelData"].VR = vr
        assert np.array_equal(frames_of(dataset, 2), values)


def of_streams(writer: str, layout: str) -> Callable[[Dataset], None]:
    """Return what puts a writer's frames into an enhanced file."""

    def edit(dataset: Dataset) -> None:
        source = compressed(writer, layout, (0, 1, 0, 1))
        for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
            setattr(dataset, keyword, getattr(source, keyword))
        dataset.file_meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
        dataset.PixelData = source.PixelData
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True

    return edit


@pytest.mark.parametrize("writer", ["dcmtk-sv1", "charls", "openjpeg", "openjph-rpcl"])
@pytest.mark.parametrize("layout", ["u12", "s12"])
def test_compressed_frames_of_an_enhanced_file_are_exact(tmp_path, writer, layout):
    empty = np.zeros((4, ROWS, COLUMNS))
    path = write_enhanced(tmp_path / "a" / "b", empty, edit_file=of_streams(writer, layout))
    volume = read_series(path.parent)
    due = [pixels(LAYOUTS[layout], z % 2) - 1024 - z for z in range(4)]
    assert np.array_equal(array_of(volume.image), np.maximum(due, -1024))
    assert volume.notes == ()


def test_loss_that_only_the_stream_tells_is_a_note(tmp_path):
    edit = of_streams("dcmtk-jpeg-ls-near", "u12")
    path = write_enhanced(tmp_path / "a" / "b", np.zeros((4, ROWS, COLUMNS)), edit_file=edit)
    assert read_series(path.parent).notes == (WITH_LOSS,)


def test_the_writers_are_those_of_the_table():
    assert {writer for writer, _, _ in streams()} == {*EXACT, *LOSSY}
    assert JPEGLSLossless in EXACT.values()
