"""Whether the coded data of a JPEG are those of all its pixels, and of nothing else.

A JPEG says of its scan neither how long it is nor what its sum is, and libjpeg, within ITK as
elsewhere, fills pixels whose data are not there. So the code words are counted here (T.81 annexes
F, H and C): data of which a part was lost, doubled or altered hardly ever have the right number.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LONGEST_CODE = 16  # bits
_COEFFICIENTS = 64  # of a block of 8 x 8
_BLOCK = 8
_ZEROS = 0xF0  # the symbol of AC tables for 16 of them
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
# The last byte is filled up; writers may add one, or any number of these.
_PADDING_BYTES = 1
_FILL = (0x00, 0xFF)


@dataclass(frozen=True)
class Scan:
    """The coded data of one grey image. restart: code units between restart markers, 0 for none."""

    coded: bytes
    restart: int
    rows: int
    columns: int


def is_whole(scan: Scan, dc: bytes, ac: bytes | None) -> bool:
    """Say whether the scan has the code words of all pixels and of no more.

    dc, ac: Huffman tables, 16 counts of codes by length and the symbols; without `ac` the scan is
    lossless, a code word a pixel, else of blocks of 64 coefficients. Raises `ValueError` for
    impossible tables.
    """
    units = scan.rows * scan.columns
    if ac is not None:
        units = -(-scan.rows // _BLOCK) * -(-scan.columns // _BLOCK)
    first, rest = _lengths(dc), None
    if ac is not None:
        rest = _lengths(ac), _advances(ac)
    parts = _RESTART.split(scan.coded) if scan.restart else [scan.coded]
    for part in parts:
        due = min(units, scan.restart) if scan.restart else units
        units -= due
        if not _holds(part, due, first, rest):
            return False
    return units == 0


def _holds(
    part: bytes,
    units: int,
    first: NDArray[np.int32],
    rest: tuple[NDArray[np.int32], NDArray[np.int32]] | None,
) -> bool:
    """Say whether a part of a scan has as many code units and ends with them.

    first, rest: by the next 16 bits, how many bits the code word there has with what belongs to
    it, and of AC coefficients also how many they are.
    """
    data = np.frombuffer(part.rstrip(b"\xff").replace(b"\xff\x00", b"\xff") + bytes(3), np.uint8)
    bits = 8 * (len(data) - 3)
    triple = data[:-2].astype(np.uint32) << 16 | data[1:-1].astype(np.uint32) << 8 | data[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    window = (triple[: len(data) - 3, None] >> shifts & 0xFFFF).ravel()
    # Where the next code word begins; beyond the end there is only the place after it.
    beyond = bits + 1
    places = np.arange(bits, dtype=np.int32)
    after = np.full(bits + 2, beyond, np.int32)
    np.minimum(places + first[window], beyond, out=after[:-2])
    step, at = after.data, 0
    if rest is None:
        for _ in range(units):
            at = step[at]
    else:
        of_rest, count = np.full(bits + 2, beyond, np.int32), np.full(bits + 2, 64, np.int32)
        np.minimum(places + rest[0][window], beyond, out=of_rest[:-2])
        count[:-2] = rest[1][window]
        step_of_rest, counted = of_rest.data, count.data
        for _ in range(units):
            at = step[at]
            done = 1
            while done < _COEFFICIENTS:
                done += counted[at]
                at = step_of_rest[at]
    unread = data[(at + 7) // 8 : -3]
    return at <= bits and (len(unread) <= _PADDING_BYTES or bool(np.isin(unread, _FILL).all()))


def _by_window(table: bytes, values: list[int], unused: int) -> NDArray[np.int32]:
    """Return, by the next 16 bits, the value of the code word that they begin with (T.81 C)."""
    of_windows = np.full(1 << _LONGEST_CODE, unused, np.int32)
    at, symbol = 0, 0
    for length in range(1, _LONGEST_CODE + 1):
        width = 1 << (_LONGEST_CODE - length)
        for _ in range(table[length - 1]):
            of_windows[at : at + width] = values[symbol]
            at += width
            symbol += 1
    if at > len(of_windows):
        raise ValueError("a Huffman table has more codes than there can be")
    return of_windows


def _lengths(table: bytes) -> NDArray[np.int32]:
    """Return the bits of a code word and of the value after it; of no code, more than any scan's.

    The low half of a symbol says how many the value has; a difference of 16 (T.81 H.1.2.2) none.
    """
    sizes = [size for size in range(1, _LONGEST_CODE + 1) for _ in range(table[size - 1])]
    values = [size + (symbol & 15) for size, symbol in zip(sizes, table[16:])]
    return _by_window(table, values, np.iinfo(np.int32).max // 2)


def _advances(table: bytes) -> NDArray[np.int32]:
    """Return how many coefficients an AC symbol stands for."""
    values = []
    for symbol in table[16:]:
        if symbol & 15 or symbol == _ZEROS:
            values.append((symbol >> 4) + 1)
        else:
            values.append(_COEFFICIENTS)  # the end of the block
    return _by_window(table, values, _COEFFICIENTS)
