"""The pixels of a DICOM file's frames, as they are stored, or a named reason why there are none.

Pixels that are not compressed are taken from the file's bytes here. Of compressed ones ITK (GDCM)
sees a bare file of one frame that is written for it, and so neither names nor headers of the
user's, in a process of its own; compressions that it does not know are left, there too, to what
pydicom finds installed.
"""

import io
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

from ..core.decoding import Decoder, DecodingError
from ..errors import SkullImplantError
from .dicom_study import UNREADABLE, frames_in

# Transfer syntaxes (PS3.5 A) that leave pixels as they are: implicit and explicit little endian,
# deflated, explicit big endian.
PLAIN = tuple("1.2.840.10008.1.2" + end for end in ("", ".1", ".1.99", ".2"))
_JPEG = "1.2.840.10008.1.2.4."
# What GDCM decodes voxel by voxel right: JPEG baseline, extended, lossless (57, 70), JPEG-LS
# (80, 81), JPEG 2000 (90, 91), and run lengths.
GDCM = {_JPEG + end for end in ("50", "51", "57", "70", "80", "81", "90", "91")}
# Those of which pydicom does not know the names.
_NAMES = {
    _JPEG + "110": "JPEG XL lossless",
    _JPEG + "111": "JPEG XL of JPEG",
    _JPEG + "112": "JPEG XL",
}
RUN_LENGTH = "1.2.840.10008.1.2.5"
# The two bytes with which each stream of the JPEG family begins, and those it ends with.
_STREAM_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\xff\x4f": b"\xff\xd9"}
# The tags that may follow them, (FFFC,FFFC) and (FFFA,FFFA), in either byte order.
AFTER_PIXELS = (b"\xfc\xff\xfc\xff", b"\xff\xfc\xff\xfc", b"\xfa\xff\xfa\xff", b"\xff\xfa\xff\xfa")
# Pixels have an even number of bytes; more than one of padding is another image than described.
PADDING_BYTES = 1


def read_file(data: bytes) -> Dataset:
    """Return the data set of a DICOM file's bytes, pixels included; raises `UNREADABLE`.

    That is also for what follows the pixels and is neither padding nor a signature: bytes were
    lost or doubled before it.
    """
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    deflated = dataset.file_meta.get("TransferSyntaxUID") == PLAIN[2]
    if "PixelData" in dataset and not deflated:
        pixels = dataset["PixelData"]
        rest = data[int(pixels.file_tell or 0) + len(pixels.value) :]
        # Compressed ones lie in fragments, each of which says its length.
        plain = not pixels.is_undefined_length
        if plain and rest.strip(b"\0") and rest[:4] not in AFTER_PIXELS:
            raise ValueError("the pixels end elsewhere than their header says")
    return dataset


def stored_values(
    dataset: Dataset, index: int, name: str, codecs: Callable[[], Decoder]
) -> NDArray[Any]:
    """Return the stored values (rows, columns; an integer type) of a frame of a file.

    name: what the slice is called in an error; codecs: the process that decodes, begun where
    something is compressed. Raises `SkullImplantError` where pixels are absent,
    fewer or more than the header says, damaged, or compressed in a way that cannot be decoded.
    """
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise SkullImplantError(
                f"{name} holds floating-point pixels, which no CT has; export the series again."
            )
        raise _damaged(name)
    try:
        layout = _Layout(dataset)
    except UNREADABLE as error:
        raise SkullImplantError(
            f"{name} does not say how its pixels are stored; export the series again."
        ) from error
    if not layout.possible:
        raise SkullImplantError(
            f"{name} says impossible things of how its pixels are stored ({layout.allocated} bits, "
            f"{layout.stored} of them used); export the series again."
        )
    if layout.syntax in PLAIN:
        values = _plain(dataset, index, layout, name)
    elif layout.syntax in GDCM or layout.syntax == RUN_LENGTH:
        values = _decompressed(dataset, index, layout, name, codecs, "GDCMImageIO")
    else:
        _check_known(UID(layout.syntax))
        values = _decompressed(dataset, index, layout, name, codecs, "pydicom")
    if values.shape != (layout.rows, layout.columns):
        raise SkullImplantError(
            f"{name} does not hold one grey image of {layout.columns} x {layout.rows} pixels as "
            "its header says; export the series again."
        )
    return values


def shifted_bits(dataset: Dataset) -> int:
    """Return how many unused bits lie below a file's pixels: none since ACR-NEMA (PS3.5, 8.1.1)."""
    try:
        layout = _Layout(dataset)
    except UNREADABLE:
        return 0
    return layout.high + 1 - layout.stored


class _Layout:
    """How the pixels of a file are stored (PS3.3 C.7.6.3); raises `UNREADABLE`."""

    def __init__(self, dataset: Dataset) -> None:
        self.rows, self.columns = int(dataset.Rows), int(dataset.Columns)
        self.frames = frames_in(dataset)
        self.allocated = int(dataset.BitsAllocated)
        self.stored = int(dataset.get("BitsStored") or self.allocated)
        high = dataset.get("HighBit")
        self.high = self.stored - 1 if high is None else int(high)
        self.signed = int(dataset.get("PixelRepresentation") or 0) == 1
        self.syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
        if not self.syntax:  # an old file without the group that says it
            implicit, little = dataset.original_encoding
            self.syntax = PLAIN[0] if implicit else PLAIN[1] if little else PLAIN[3]

    @property
    def possible(self) -> bool:
        return (
            self.allocated in (8, 16, 32)
            and 1 <= self.stored <= self.allocated
            and self.stored - 1 <= self.high < self.allocated
        )


def _plain(dataset: Dataset, index: int, layout: _Layout, name: str) -> NDArray[Any]:
    """Return a frame that is not compressed."""
    frame_bytes = layout.rows * layout.columns * layout.allocated // 8
    due, found = frame_bytes * layout.frames, len(dataset.PixelData)
    if found < due:
        raise SkullImplantError(
            f"{name} is cut short: {found} of the {due} bytes of pixels that its header says are "
            "there; copy the series again."
        )
    if found > due + PADDING_BYTES:
        raise SkullImplantError(
            f"{name} holds {found} bytes of pixels where its header says {due}; export the series "
            "again from the scanner or archive."
        )
    order = ">" if layout.syntax == PLAIN[3] else "<"
    kind = np.dtype(f"{order}u{layout.allocated // 8}")
    stored = np.frombuffer(
        dataset.PixelData, kind, layout.rows * layout.columns, index * frame_bytes
    ).reshape(layout.rows, layout.columns)
    # Unused bits may hold anything, as overlays in old files.
    values = (stored.astype(np.int64) >> (layout.high + 1 - layout.stored)) & (
        (1 << layout.stored) - 1
    )
    if layout.signed:
        values[values >= 1 << (layout.stored - 1)] -= 1 << layout.stored
    return values


def _decompressed(
    dataset: Dataset,
    index: int,
    layout: _Layout,
    name: str,
    codecs: Callable[[], Decoder],
    image_io: str,
) -> NDArray[Any]:
    """Return a frame as it is decompressed from a file that holds nothing but it."""
    try:
        stream = get_frame(dataset.PixelData, index, number_of_frames=layout.frames)
    except (*UNREADABLE, struct.error) as error:
        raise _damaged(name) from error
    end = _STREAM_ENDS.get(stream[:2])
    checked = layout.syntax in GDCM or end is not None  # others may hold any stream
    if checked and (end is None or not stream.rstrip(b"\0").endswith(end)):
        raise _damaged(name)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = UID(layout.syntax)
    bare = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bare.SOPClassUID, bare.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    bare.Rows, bare.Columns = layout.rows, layout.columns
    bare.BitsAllocated, bare.BitsStored = layout.allocated, layout.stored
    bare.HighBit, bare.PixelRepresentation = layout.high, int(layout.signed)
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.PixelData = encapsulate([stream])
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        bare.save_as(path, enforce_file_format=True)
        try:
            frame_bytes = layout.rows * layout.columns * layout.allocated // 8
            return codecs().plane(path, image_io, frame_bytes)
        except DecodingError as error:
            raise _damaged(name) from error


def _check_known(syntax: UID) -> None:
    """Raise `SkullImplantError` where no decoder is installed for a compression."""
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        called = _NAMES.get(syntax, syntax.name)
        called = "unknown" if called == syntax else called[:80]
        raise SkullImplantError(
            f"The CT series is compressed in a way that is not read here ({called}, transfer "
            f"syntax {syntax[:64]}); export it uncompressed."
        )


def _damaged(name: str) -> SkullImplantError:
    return SkullImplantError(f"{name} is damaged or cut short; copy the series again.")
