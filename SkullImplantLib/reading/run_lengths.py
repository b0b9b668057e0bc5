"""DICOM's run lengths (PS3.5 annex G), each byte of the pixels' words in a segment of its own.

ITK's decoder reads at whatever place a damaged header names; this one only within the frame.
"""

import struct

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<16I")  # how many segments, and where each begins
_NOTHING = 0x80  # a control byte that stands for no bytes
# Segments are even (G.3.1), which a zero or nothing fills up.
_PADDING = b"\0\x80"


def from_run_lengths(frame: bytes, pixels: int, bytes_each: int) -> NDArray[np.int64]:
    """Return the words (pixels,) of a frame, unsigned as allocated.

    Raises `ValueError` where segments do not hold just the bytes of the pixels.
    """
    if len(frame) < _HEADER.size:
        raise ValueError("a frame without its header")
    count, *starts = _HEADER.unpack_from(frame)
    if count != bytes_each:
        raise ValueError("other segments than the pixels have bytes")
    ends = [*starts[1:count], len(frame)]
    words = np.zeros(pixels, np.int64)
    for start, end in zip(starts[:count], ends):
        if not _HEADER.size <= start <= end <= len(frame):
            raise ValueError("a segment lies outside its frame")
        segment = np.frombuffer(_segment(frame[start:end], pixels), np.uint8)
        words = words << 8 | segment  # the most significant first
    return words


def _segment(data: bytes, size: int) -> bytes:
    """Return the `size` bytes of a segment."""
    out = bytearray()
    at = 0
    while len(out) < size:
        if at >= len(data):
            raise ValueError("a segment is cut short")
        control = data[at]
        if control < _NOTHING:
            literal = data[at + 1 : at + 2 + control]
            if len(literal) != control + 1:
                raise ValueError("a segment is cut short")
            out += literal
            at += 2 + control
        elif control > _NOTHING:
            if at + 1 >= len(data):
                raise ValueError("a segment is cut short")
            out += data[at + 1 : at + 2] * (257 - control)
            at += 2
        else:
            at += 1
    if len(out) != size or data[at:].strip(_PADDING):
        raise ValueError("a segment holds more than its pixels")
    return bytes(out)
