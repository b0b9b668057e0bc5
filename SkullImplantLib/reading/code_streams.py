"""What a compressed image says of itself: JPEG, JPEG-LS, JPEG 2000, high-throughput JPEG 2000.

A DICOM header may contradict the stream that it comes with (its size, how many bits a pixel has,
whether pixels are signed, even how they are compressed), and decoders follow the one or the other.
So the stream's own header is read first: ITU-T T.81 (JPEG), T.87 (JPEG-LS), T.800 and T.814.
"""

import functools
import struct
from dataclasses import dataclass

from .jpeg_entropy import Scan, is_whole

# Markers of T.81 B.1.1.3: start of image, of frame and of scan, end of image, tables.
_SOI, _EOI, _SOS, _DHT, _DRI = 0xFFD8, 0xFFD9, 0xFFDA, 0xFFC4, 0xFFDD
_BASELINE, _EXTENDED, _LOSSLESS, _JPEG_LS = 0xFFC0, 0xFFC1, 0xFFC3, 0xFFF7
# Frames of the other processes, progressive, hierarchical and with arithmetic coding.
_OTHER_FRAMES = {0xFFC2, *range(0xFFC5, 0xFFC8), *range(0xFFC9, 0xFFCC), *range(0xFFCD, 0xFFD0)}
# Markers of T.800 A.2: start of codestream, size, capabilities, coding style, tile-part, data.
_SOC, _SIZ, _CAP, _COD, _SOT, _SOD, _EOC = 0xFF4F, 0xFF51, 0xFF50, 0xFF52, 0xFF90, 0xFF93, 0xFFD9
STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
END = b"\xff\xd9"
# Fragments are of even length; writers fill them up with either.
_PADDING = b"\0\xff"
# A JPEG 2000 file (T.800 I.5.1), in which the stream is a box.
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
# T.814 A.2: the bit of CAP that says that parts 15 are used, counted from the most significant.
_PART_15 = 1 << (32 - 15)
LONGEST_START = len(_JP2)

JPEG, LOSSLESS_JPEG, JPEG_LS = "JPEG", "lossless JPEG", "JPEG-LS"
JPEG_2000, HTJ2K = "JPEG 2000", "High-Throughput JPEG 2000"


class UnreadStream(Exception):
    """A compression of this family that is not read here; its name is the message."""


@dataclass(frozen=True)
class CodeStream:
    """A compressed image.

    kind: one of the names above. precision: bits of a pixel. signed: as the stream says, None
    where its kind has no word for it. exact: nothing was lost when it was compressed, as far as
    a stream can tell. data: the stream alone.
    """

    kind: str
    rows: int
    columns: int
    components: int
    precision: int
    signed: bool | None
    exact: bool
    data: bytes


def starts_stream(fragment: bytes) -> bool:
    """Say whether bytes are the beginning of a stream."""
    return fragment.startswith((*STARTS, _JP2))


def ends_stream(fragment: bytes) -> bool:
    """Say whether bytes are the end of a stream, and padding."""
    return fragment.rstrip(_PADDING).endswith(END)


@functools.lru_cache(maxsize=1)  # what it is and whether with loss is asked one after the other
def code_stream(data: bytes) -> CodeStream:
    """Return what one frame's bytes are; padding behind the stream is passed over.

    Raises `ValueError` for bytes that are no stream, or not the whole of one and nothing else;
    `UnreadStream` for what no reader of CTs knows.
    """
    try:
        if data.startswith(_JP2):
            data = _of_box(data)
        if not (starts_stream(data) and ends_stream(data)):
            raise ValueError("no stream, or not the whole of one")
        data = data.rstrip(_PADDING)
        return _jpeg_2000(data) if data.startswith(STARTS[1]) else _jpeg(data)
    except (struct.error, IndexError) as error:
        raise ValueError("a stream's header is damaged") from error


def _of_box(data: bytes) -> bytes:
    """Return the stream in a JPEG 2000 file."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = len(data) if length == 0 else at + length
        if kind == b"jp2c":
            if end > len(data):
                raise ValueError("the stream is cut short")
            return data[at + head : end]
        if length < head:
            break
        at = end
    raise ValueError("a JPEG 2000 file without a stream")


def _jpeg(data: bytes) -> CodeStream:
    """Return a stream of one scan, as grey images have."""
    at, kind, frame = 2, 0, b""
    tables: dict[int, bytes] = {}
    restart = 0
    while True:
        (marker,) = struct.unpack_from(">H", data, at)
        if marker == 0xFFFF:  # a marker may be filled up
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        segment = data[at + 4 : at + 2 + length]
        at += 2 + length
        if marker in (_BASELINE, _EXTENDED, _LOSSLESS, _JPEG_LS):
            kind, frame = marker, segment
        elif marker in _OTHER_FRAMES:
            progressive = " (progressive)" if marker == 0xFFC2 else ""
            raise UnreadStream(f"JPEG of another process{progressive}")
        elif marker == _DHT:
            _add_tables(tables, segment)
        elif marker == _DRI:
            (restart,) = struct.unpack(">H", segment)
        elif marker == _SOS:
            break
        elif marker < 0xFF01:
            raise ValueError("no marker where one is due")
    precision, rows, columns, components = struct.unpack_from(">BHHB", frame)
    coded = data[at:-2]
    # Of what may follow FF within a scan only restarts are markers (T.81 B.1.1.5); of JPEG-LS none.
    if END in coded:
        raise ValueError("there is more than one image, or less than a whole one")
    # What a sequential scan says here of its coefficients is often wrong, and means nothing.
    near, shift = segment[-3], segment[-1] & 15
    if kind == _JPEG_LS:
        return CodeStream(JPEG_LS, rows, columns, components, precision, None, near == 0, data)
    if components == 1:
        selectors = segment[2]
        scan = Scan(coded, restart, rows, columns)
        lossless = kind == _LOSSLESS
        ac = None if lossless else tables.get(0x10 | selectors & 15)
        dc = tables.get(selectors >> 4)
        if dc is None or not (lossless or ac is not None) or not is_whole(scan, dc, ac):
            raise ValueError("there is more or less than the pixels of one image")
    name = LOSSLESS_JPEG if kind == _LOSSLESS else JPEG
    exact = kind == _LOSSLESS and shift == 0
    return CodeStream(name, rows, columns, components, precision, None, exact, data)


def _add_tables(tables: dict[int, bytes], segment: bytes) -> None:
    """Add Huffman tables (T.81 B.2.4.2) by class and number: 16 counts, and the symbols."""
    at = 0
    while at < len(segment):
        size = 16 + sum(segment[at + 1 : at + 17])
        table = segment[at + 1 : at + 1 + size]
        if len(table) != size:
            raise ValueError("a table is cut short")
        tables[segment[at]] = table
        at += 1 + size


def _jpeg_2000(data: bytes) -> CodeStream:
    """Return a codestream whose tile-parts reach from its header to its end without a gap."""
    at, size, high_throughput, reversible = 2, b"", False, False
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _SOT:
            break
        segment = data[at + 4 : at + 2 + length]
        if marker == _SIZ:
            size = segment
        elif marker == _CAP:
            high_throughput = bool(struct.unpack_from(">I", segment)[0] & _PART_15)
        elif marker == _COD:
            reversible = segment[9] == 1
        elif marker < 0xFF00:
            raise ValueError("no marker where one is due")
        at += 2 + length
    while at < len(data) - 2:
        marker, _, _, length = struct.unpack_from(">HHHI", data, at)
        if marker != _SOT:
            raise ValueError("no tile-part where one is due")
        at = len(data) - 2 if length == 0 else at + length  # 0: the last one, to the end
    if at != len(data) - 2:
        raise ValueError("tile-parts do not end where the stream does")
    _, right, bottom, left, top = struct.unpack_from(">HIIII", size)
    components, depth = struct.unpack_from(">HB", size, 34)
    return CodeStream(
        kind=HTJ2K if high_throughput else JPEG_2000,
        rows=bottom - top,
        columns=right - left,
        components=components,
        precision=(depth & 0x7F) + 1,
        signed=depth > 0x7F,
        exact=reversible,
        data=data,
    )
