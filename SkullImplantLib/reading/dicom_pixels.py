"""The pixels of a DICOM file's frames, as they are stored, or a named reason why there are none.

Pixels that are not compressed, or by run lengths, are taken from the file's bytes here. Of other
ones ITK (GDCM) sees a bare file of one frame that is written for it, with what the stream says of
itself, and so neither names nor headers of the user's; what the bits of its pixels mean is decided
here, as of plain ones (`dicom_codecs`).
"""

import io
import struct
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from ..core.decoding import DecodingError
from ..errors import SkullImplantError
from .code_streams import (
    HTJ2K,
    CodeStream,
    UnreadStream,
    code_stream,
)
from .dicom_codecs import HIGH_THROUGHPUT, Codecs, bare, codecs, gdcm_has_high_throughput
from .dicom_fragments import frame_of_fragments
from .dicom_study import UNREADABLE, frames_in
from .run_lengths import from_run_lengths

# Transfer syntaxes (PS3.5 A) that leave pixels as they are: implicit and explicit little endian,
# deflated, explicit big endian.
PLAIN = tuple("1.2.840.10008.1.2" + end for end in ("", ".1", ".1.99", ".2"))
_JPEG = "1.2.840.10008.1.2.4."
# Streams that say themselves what they are: JPEG baseline, extended, lossless (57, 70), JPEG-LS
# (80, 81), JPEG 2000 (90, 91), high-throughput JPEG 2000 (201 to 203).
STREAMS = {
    _JPEG + end for end in ("50", "51", "57", "70", "80", "81", "90", "91", "201", "202", "203")
}
# Of these the ones whose streams need not be exact although their own header cannot tell.
_PERHAPS_WITH_LOSS = {_JPEG + "91", _JPEG + "203"}
# Those of which pydicom does not know the names.
_NAMES = {
    _JPEG + "110": "JPEG XL lossless",
    _JPEG + "111": "JPEG XL of JPEG",
    _JPEG + "112": "JPEG XL",
}
RUN_LENGTH = "1.2.840.10008.1.2.5"
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
    dataset: Dataset, index: int, name: str, decoding: Codecs | None = None
) -> NDArray[Any]:
    """Return the stored values (rows, columns; an integer type) of a frame of a file.

    name: what the slice is called in an error; decoding: what decodes compressed ones, where it is
    kept for several. Raises `SkullImplantError` where pixels are absent,
    fewer or more than the header says, damaged, or compressed in a way that cannot be decoded.
    """
    if decoding is None:
        with codecs() as decoding:
            return stored_values(dataset, index, name, decoding)
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
    elif layout.syntax == RUN_LENGTH:
        values = _run_lengths(dataset, index, layout, name)
    elif layout.syntax in STREAMS:
        values = _decompressed(dataset, index, layout, name, decoding)
    else:
        _check_known(UID(layout.syntax))
        frame = frame_of_fragments(dataset.PixelData, index, layout.frames, name)
        try:
            values = decoding.by_plugin(_described(frame, layout))
        except DecodingError as error:
            raise _damaged(name) from error
    if values.shape != (layout.rows, layout.columns):
        raise _other_image(layout, name)
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
        representation = int(dataset.get("PixelRepresentation") or 0)
        if representation not in (0, 1):
            raise ValueError("neither with a sign nor without")
        self.signed = representation == 1
        self.syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
        if not self.syntax:  # an old file without the group that says it
            implicit, little = dataset.original_encoding
            self.syntax = PLAIN[0] if implicit else PLAIN[1] if little else PLAIN[3]

    def values(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what words mean; unused bits may hold anything, as overlays in old files."""
        values = (words >> (self.high + 1 - self.stored)) & ((1 << self.stored) - 1)
        if self.signed:
            values[values >= 1 << (self.stored - 1)] -= 1 << self.stored
        return values

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
    big = layout.syntax == PLAIN[3]
    kind = np.dtype(f"{'>' if big else '<'}u{layout.allocated // 8}")
    pixels = dataset.PixelData
    if big and layout.allocated == 8 and dataset["PixelData"].VR == "OW":
        # Words of two pixels, the first of which is the less significant (PS3.5 8.1.2).
        pixels = np.frombuffer(pixels[: due + due % 2], ">u2").astype("<u2").tobytes()
    stored = np.frombuffer(pixels, kind, layout.rows * layout.columns, index * frame_bytes)
    return layout.values(stored.astype(np.int64).reshape(layout.rows, layout.columns))


def _run_lengths(dataset: Dataset, index: int, layout: _Layout, name: str) -> NDArray[Any]:
    """Return a frame of run lengths."""
    try:
        frame = frame_of_fragments(dataset.PixelData, index, layout.frames, name)
        words = from_run_lengths(frame, layout.rows * layout.columns, layout.allocated // 8)
    except (*UNREADABLE, struct.error) as error:
        raise _damaged(name) from error
    return layout.values(words.reshape(layout.rows, layout.columns))


def _decompressed(
    dataset: Dataset, index: int, layout: _Layout, name: str, decoding: Codecs
) -> NDArray[Any]:
    """Return a frame as it is decompressed from a file that holds nothing but it."""
    stream = _stream(dataset, index, layout, name)
    if (stream.rows, stream.columns, stream.components) != (layout.rows, layout.columns, 1):
        raise _other_image(layout, name)
    by_plugin = stream.kind == HTJ2K and not gdcm_has_high_throughput()
    if by_plugin:
        _check_known(UID(HIGH_THROUGHPUT))
    try:
        if by_plugin:
            pixels = decoding.by_plugin(bare(stream, HIGH_THROUGHPUT))
        else:
            pixels = decoding.by_gdcm(stream)
    except DecodingError as error:
        raise _damaged(name) from error
    if pixels.shape != (layout.rows, layout.columns):
        raise _damaged(name)
    return _meant(pixels.astype(np.int64), stream, layout, name)


def _stream(dataset: Dataset, index: int, layout: _Layout, name: str) -> CodeStream:
    try:
        return code_stream(frame_of_fragments(dataset.PixelData, index, layout.frames, name))
    except UnreadStream as error:
        raise _not_read(str(error), layout.syntax) from error
    except (*UNREADABLE, struct.error) as error:
        raise _damaged(name) from error


def _meant(
    pixels: NDArray[np.int64], stream: CodeStream, layout: _Layout, name: str
) -> NDArray[np.int64]:
    """Return what a stream's pixels are by the file's header.

    Raises `SkullImplantError` where stream and header contradict each other (PS3.5 8.2) such that
    values would be others by the one than by the other.
    """
    if not stream.exact and bool(stream.signed) == layout.signed:
        lowest = -(1 << (layout.stored - 1)) if layout.signed else 0  # loss may lead beyond
        pixels = np.clip(pixels, lowest, lowest + (1 << layout.stored) - 1)
    of_stream = (1 << stream.precision) - 1
    words = pixels & of_stream
    if stream.precision > layout.high:
        # Also pixels of 12 bits in streams of 16, with a sign or without.
        values = layout.values(words)
        placed = values << (layout.high + 1 - layout.stored)
        told = (words == placed & of_stream) | (words == placed & ((2 << layout.high) - 1))
    else:
        values = words
        if layout.signed:
            values = words - ((words >> (stream.precision - 1)) << stream.precision)
        told = (values == words) & (stream.precision < layout.stored)
        told |= stream.precision == layout.stored
    if stream.signed is not None and stream.precision <= layout.stored:
        told = values == pixels
    if not told.all():
        by_stream = {None: "", True: " signed", False: " unsigned"}[stream.signed]
        by_header = "signed" if layout.signed else "unsigned"
        raise SkullImplantError(
            f"{name} is compressed as{by_stream} pixels of {stream.precision} bits, where its "
            f"header says {by_header} ones of {layout.stored}, and its values depend on which of "
            "the two is right; export the series uncompressed."
        )
    return values


def with_loss(dataset: Dataset, index: int, name: str) -> bool:
    """Say whether a frame was compressed with loss; raises as `stored_values`.

    Headers often do not say so, as the loss may be of an archive that came later.
    """
    layout = _Layout(dataset)
    if layout.syntax not in STREAMS:
        return False
    stream = _stream(dataset, index, layout, name)
    perhaps = layout.syntax in _PERHAPS_WITH_LOSS and dataset.get("LossyImageCompression") != "00"
    return perhaps or not stream.exact


def _described(frame: bytes, layout: _Layout) -> FileDataset:
    """Return a file of a frame alone, of which the user's file says what its pixels are."""
    return bare(
        CodeStream(
            kind="", data=frame, rows=layout.rows, columns=layout.columns, components=1,
            precision=layout.stored, signed=layout.signed, exact=True,
        ),
        layout.syntax,
    )  # fmt: skip


def _check_known(syntax: UID) -> None:
    """Raise `SkullImplantError` where no decoder is installed for a compression."""
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        called = _NAMES.get(syntax, syntax.name)
        raise _not_read("unknown" if called == syntax else called[:80], syntax)


def _damaged(name: str) -> SkullImplantError:
    return SkullImplantError(f"{name} is damaged or cut short; copy the series again.")


def _not_read(called: str, syntax: str) -> SkullImplantError:
    by = ""
    if called.startswith("High-Throughput"):
        by = ", which SimpleITK 2.5 or the package pylibjpeg-openjpeg decodes"
    return SkullImplantError(
        f"The CT series is compressed in a way that is not read here ({called}, transfer syntax "
        f"{syntax[:64]}){by}; export it uncompressed."
    )


def _other_image(layout: _Layout, name: str) -> SkullImplantError:
    return SkullImplantError(
        f"{name} does not hold one grey image of {layout.columns} x {layout.rows} pixels as its "
        "header says; export the series again."
    )
