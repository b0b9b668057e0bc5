"""Whether the voxel data of an image file is all there and undamaged, seen in one streaming pass.

ITK does not tell: it fills a cut-off NIfTI with zeros, turns its NaNs into 0 and passes over the
checksum of a compressed MetaImage.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SkullImplantError
from .header_parts import ImageHeader
from .progress import Progress, silent

CHUNK_BYTES = 4 << 20
# Of compressed data, which may unpack to a thousand times as much.
INFLATE_BYTES = 64 << 10
# As zlib tells its own format from gzip's.
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "zlib": zlib.MAX_WBITS}

# What numbers in words are made of, and what stands between them.
IN_NUMBERS = b"0123456789+-.eE \t\r\n\v\f"

NOT_FINITE = (
    "The image has voxels that are not numbers (NaN or infinite); export it again with a number "
    "there, such as -1024."
)


@dataclass(frozen=True)
class CheckedData:
    """What was seen of voxel data.

    sha256: in hex, of the file's bytes; where the voxels lie in a file of their own, of the header
    file's bytes followed by that file's. sum: Adler-32 (RFC 1950) of the voxels' own bytes, as
    they are stored.
    """

    sha256: str
    sum: int

    def is_of(self, values: NDArray[Any]) -> bool:
        """Say whether voxels (an array in its own order) are these, in either order of bytes."""
        return self.sum == _sum_of(values) or self.sum == _sum_of(
            slab.byteswap() for slab in values
        )


def _sum_of(slabs: Iterable[NDArray[Any]]) -> int:
    found = 1
    for slab in slabs:
        found = zlib.adler32(np.ascontiguousarray(slab).view(np.uint8).data, found)
    return found


def check_data(path: Path, header: ImageHeader, progress: Progress = silent) -> CheckedData:
    """See that all voxel data of `path` is there and undamaged, and return what was seen of it.
    Raises `SkullImplantError` where data is missing
       or left over, a checksum of the compression fails, or there are NaNs that ITK would hide.
    """
    digest = hashlib.sha256()
    if header.data != path:
        digest.update(path.read_bytes())
    total = max(header.data.stat().st_size, 1)
    voxels = _Voxels(header)
    place = 0
    try:
        for chunk in _chunks(header.data):
            digest.update(chunk)
            voxels.add(chunk[max(header.offset - place, 0) :])
            place += len(chunk)
            progress(place / total, "checking the file")
    except zlib.error as error:
        raise SkullImplantError(
            f"{path.name} is damaged (its compressed data does not decode); copy it again from "
            "its source."
        ) from error
    if not voxels.legible:
        raise SkullImplantError(
            f"{path.name} is damaged (its voxels are to be numbers in words, and are not); copy it "
            "again from its source."
        )
    missing = header.data_bytes - voxels.bytes
    if missing > 0 or not voxels.ended:
        raise SkullImplantError(
            f"{path.name} is cut short ({max(missing, 0) / header.data_bytes:.1%} of its voxels "
            "are missing); copy it again from its source."
        )
    if missing < 0:
        raise SkullImplantError(
            f"{path.name} holds {-missing} bytes of voxels more than its header says; export the "
            "image again, best as NRRD."
        )
    if not voxels.finite:
        raise SkullImplantError(NOT_FINITE)
    return CheckedData(digest.hexdigest(), voxels.sum)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


class _Voxels:
    """Sees an image's data, given in chunks, unpacked: how many bytes, and whether finite."""

    def __init__(self, header: ImageHeader) -> None:
        self.bytes = 0
        self.sum = 1
        self.finite = True
        self.legible = True
        self._word_bytes = 0  # that a number in words stands for; 0 where voxels are bytes
        if header.encoding == "text":
            self._word_bytes = max(header.data_bytes // max(math.prod(header.size), 1), 1)
        self._in_word = False
        self._floats = header.floats
        self._ahead = b""
        self._skip = header.before_voxels
        bits = _WINDOW_BITS.get(header.encoding)
        self._stream = zlib.decompressobj(bits) if bits else None

    @property
    def ended(self) -> bool:
        """Whether compressed data reached its end, where its checksum is; plain data always has."""
        return self._stream is None or self._stream.eof

    def add(self, chunk: bytes) -> None:
        """See one more chunk; raises `zlib.error` where it does not decode."""
        if self._stream is None:
            self._see(chunk)
            return
        for start in range(0, len(chunk), INFLATE_BYTES):
            if self._stream.eof:  # whatever follows the stream is not data
                return
            self._see(self._stream.decompress(chunk[start : start + INFLATE_BYTES]))

    def _read(self, text: bytes) -> None:
        """Count the numbers in a part of a text, which may begin and end within one."""
        words = len(text.split())
        if words and self._in_word and not text[:1].isspace():
            words -= 1
        self.legible &= not text.translate(None, IN_NUMBERS)
        self._in_word = bool(text) and not text[-1:].isspace()
        self.bytes += words * self._word_bytes

    def _see(self, data: bytes) -> None:
        if self._word_bytes:
            self._read(data)
            return
        self.bytes += len(data)
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self.sum = zlib.adler32(data, self.sum)
        if self._floats is None:
            return
        data = self._ahead + data
        whole = len(data) - len(data) % self._floats.itemsize
        self._ahead = data[whole:]
        self.finite &= bool(np.isfinite(np.frombuffer(data[:whole], self._floats)).all())
