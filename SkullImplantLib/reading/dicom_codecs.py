"""Compressed frames decoded in a process of its own, by GDCM or by what pydicom finds."""

import functools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

from ..core.decoding import Decoder, DecodingError, decoder
from .code_streams import HTJ2K, JPEG, JPEG_2000, JPEG_LS, LOSSLESS_JPEG, CodeStream, code_stream

_JPEG = "1.2.840.10008.1.2.4."
HIGH_THROUGHPUT = _JPEG + "203"
# What the file for GDCM says of a stream; its OpenJPEG knows high throughput by itself.
_TOLD_GDCM = {
    JPEG: _JPEG + "51",
    LOSSLESS_JPEG: _JPEG + "57",
    JPEG_LS: _JPEG + "81",
    JPEG_2000: _JPEG + "91",
    HTJ2K: _JPEG + "91",
}
# Four by four pixels of high-throughput JPEG 2000, by OpenJPH 0.26.3.
_HT_PROBE = (
    "ff4fff510029400000000004000000040000000000000000000000040000000400000000000000000001070101"
    "ff500008000200000001ff52000c00020001000104044001ff5c00072048484848ff90000a00000000001a0001"
    "ff93c02a00f1f8f8f80081b40000ffd9"
)
_HT_PROBE_VALUE = 7


@contextmanager
def codecs() -> Iterator["Codecs"]:
    """Yield what decodes frames; its process begins with the first and ends with the block."""
    with ExitStack() as stack:
        yield Codecs(stack)


class Codecs:
    """Decodes frames, each from a file that holds nothing else."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._decoder: Decoder | None = None

    def by_gdcm(self, stream: CodeStream) -> NDArray[Any]:
        """Return a stream's pixels (y, x); raises `DecodingError` where GDCM does not decode it."""
        return self._decoded(bare(stream, _TOLD_GDCM[stream.kind]), "GDCMImageIO")

    def by_plugin(self, file: FileDataset) -> NDArray[Any]:
        """Return the pixels (y, x) of a file of one frame, by a decoder that pydicom knows.

        Raises `DecodingError` where there is none, or it fails.
        """
        return self._decoded(file, "pydicom")

    def _decoded(self, file: FileDataset, image_io: str) -> NDArray[Any]:
        if self._decoder is None:
            self._decoder = self._stack.enter_context(decoder())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frame.dcm"
            file.save_as(path, enforce_file_format=True)
            data_bytes = int(file.Rows) * int(file.Columns) * int(file.BitsAllocated) // 8
            return self._decoder.plane(path, image_io, data_bytes)


@functools.cache
def gdcm_has_high_throughput() -> bool:
    """Say whether this ITK's OpenJPEG is of those (2.5 and later) that know it."""
    with codecs() as probing:
        try:
            found = probing.by_gdcm(code_stream(bytes.fromhex(_HT_PROBE)))
        except DecodingError:
            return False
    return bool((found == _HT_PROBE_VALUE).all())


def bare(stream: CodeStream, syntax: str) -> FileDataset:
    """Return a file of a stream alone, which says of the pixels what the stream does."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = UID(syntax)
    bare = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bare.SOPClassUID, bare.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    bare.Rows, bare.Columns = stream.rows, stream.columns
    bare.BitsAllocated = 8 if stream.precision <= 8 else 16 if stream.precision <= 16 else 32
    bare.BitsStored, bare.HighBit = stream.precision, stream.precision - 1
    bare.PixelRepresentation = int(bool(stream.signed))
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.PixelData = encapsulate([stream.data])
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    return bare
