"""The fragments of compressed pixels (PS3.5 A.4), and which of them make which frame.

Writers leave the table of offsets empty, or write a wrong one; where a frame begins and ends its
own stream says. So tables, basic or extended, are passed over, and frames are counted.
"""

import struct

from ..errors import SkullImplantError
from .code_streams import LONGEST_START, ends_stream, starts_stream

_ITEM, _END_OF_ITEMS = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
# As much of a fragment's end is looked at; padding is a byte or a few.
_END_BYTES = 16


def frame_of_fragments(data: bytes, index: int, count: int, name: str) -> bytes:
    """Return the bytes of one of `count` frames, its fragments joined.

    name: what the slice is called in an error. Raises `ValueError` for what are no fragments or
    not whole ones, `SkullImplantError` for other frames than `count`.
    """
    fragments = _fragments(data)
    starting = [starts_stream(data[low : low + LONGEST_START]) for low, _ in fragments]
    frames: list[list[tuple[int, int]]] = []
    if any(starting):
        sure = sum(starting) == count
        for number, (low, high) in enumerate(fragments):
            # Within a stream there may be what looks like the beginning of one.
            if number == 0 or (starting[number] and (sure or _ends(data, *frames[-1][-1]))):
                frames.append([])
            frames[-1].append((low, high))
    else:
        frames = [fragments] if count == 1 else [[fragment] for fragment in fragments]
    if len(frames) != count:
        raise SkullImplantError(
            f"{name} is of a file that holds {len(frames)} compressed picture(s) where its header "
            f"says {count}; export the series again from the scanner or archive."
        )
    return b"".join(data[low:high] for low, high in frames[index])


def _ends(data: bytes, low: int, high: int) -> bool:
    return ends_stream(data[max(low, high - _END_BYTES) : high])


def _fragments(data: bytes) -> list[tuple[int, int]]:
    """Return where each fragment begins and ends, but for the first, the table of offsets."""
    fragments: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        tag = data[at : at + 4]
        if tag == _END_OF_ITEMS:
            break
        if tag != _ITEM:
            raise ValueError("no fragment where one is due")
        (length,) = struct.unpack_from("<I", data, at + 4)
        if at + 8 + length > len(data):
            raise ValueError("a fragment is cut short")
        fragments.append((at + 8, at + 8 + length))
        at += 8 + length
    if len(fragments) < 2:
        raise ValueError("there are no fragments")
    return fragments[1:]
