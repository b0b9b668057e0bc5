"""Masks of one bit a voxel: what is logic on voxels is eight times quicker and smaller with them.

A row of voxels along x fills whole words of 64 bits, lowest bit first; the bits left over are 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import per_block

WORD_BITS = 64
WORD = np.dtype("<u8")  # little-endian: so the bits of its bytes follow one another
ALL = ~np.uint64(0)

Words = NDArray[np.uint64]
Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BitMask:
    """A mask of `width` voxels along x: `words` (z, y, words)."""

    words: Words
    width: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> "BitMask":
        """Return a bool mask (z, y, x) in bits."""
        *rows, width = mask.shape
        octets = np.zeros((*rows, -(-width // WORD_BITS) * WORD.itemsize), np.uint8)
        octets[..., : -(-width // 8)] = np.packbits(mask, axis=-1, bitorder="little")
        return cls(octets.view(WORD), width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The number of voxels (z, y, x)."""
        return self.words.shape[0], self.words.shape[1], self.width

    def voxels(self) -> NDArray[np.bool_]:
        """Return the mask as bool (z, y, x)."""
        bits = np.unpackbits(
            self.words.view(np.uint8), axis=-1, count=self.width, bitorder="little"
        )
        return bits.view(np.bool_)

    def __and__(self, other: "BitMask") -> "BitMask":
        return BitMask(self.words & other.words, self.width)

    def __or__(self, other: "BitMask") -> "BitMask":
        return BitMask(self.words | other.words, self.width)

    def __invert__(self) -> "BitMask":
        outside = ~self.words
        outside[..., -1] &= ALL >> np.uint64(-self.width % WORD_BITS)
        return BitMask(outside, self.width)

    def __bool__(self) -> bool:
        """Say whether any voxel is set."""
        return bool(self.words.any())

    def rows(self, z: slice, y: slice) -> "BitMask":
        """Return a view of the part of the mask in the rows `z`, `y`."""
        return BitMask(self.words[z, y], self.width)

    def per_block(self, block: tuple[int, int, int], reduce: np.ufunc) -> NDArray[np.bool_]:
        """Return the mask reduced over blocks of voxels (z, y, x), as `blocks.per_block` does.

        `reduce`: np.bitwise_or (any voxel of the block) or np.bitwise_and (all of them).
        """
        z, y, x = block
        planes = BitMask(per_block(self.words, (z, y, 1), reduce), self.width)
        return per_block(planes.voxels(), (1, 1, x), reduce)

    def positions(self) -> Positions:
        """Return where the set voxels lie, in ascending order, as `indices_of` takes it."""
        # Only words, then only octets that hold any are looked at bit by bit.
        words = self.words.reshape(-1)
        used = np.flatnonzero(words)
        octets = words[used].view(np.uint8)
        used_octets = np.flatnonzero(octets)
        bits = np.flatnonzero(np.unpackbits(octets[used_octets], bitorder="little"))
        octet = used_octets[bits // 8]
        in_word = octet % WORD.itemsize * 8 + bits % 8
        return used[octet // WORD.itemsize] * WORD_BITS + in_word

    def indices_of(self, positions: Positions) -> NDArray[np.int32]:
        """Return the indices (n, 3), z, y, x, of the voxels at the positions."""
        _, rows, words = self.words.shape
        row, x = np.divmod(positions, words * WORD_BITS)
        return np.stack([*np.divmod(row, rows), x], axis=1).astype(np.int32)

    def positions_of(self, indices: NDArray[np.integer]) -> Positions:
        """Return the positions of the voxels with these indices (n, 3): z, y, x."""
        _, rows, words = self.words.shape
        z, y, x = indices.T.astype(np.int64)
        return (z * rows + y) * (words * WORD_BITS) + x

    def surface(self) -> "BitMask":
        """Return the voxels that have one outside the mask among their six neighbours."""
        words, inner = self.words, self.words & _up(self.words, 1) & _down(self.words, 1)
        for axis in (0, 1):
            layers, kept = np.moveaxis(words, axis, 0), np.moveaxis(inner, axis, 0)
            kept[1:] &= layers[:-1]
            kept[:-1] &= layers[1:]
            kept[[0, -1]] = 0
        return BitMask(words & ~inner, self.width)

    def run_ends(self) -> tuple[Positions, Positions]:
        """Return the positions of the first and the last voxel of each run along x."""
        first = self.words & ~_up(self.words, 1)
        last = self.words & ~_down(self.words, 1)
        return BitMask(first, self.width).positions(), BitMask(last, self.width).positions()

    def with_runs(self, first: Positions, last: Positions) -> "BitMask":
        """Return a mask of this shape with these runs along x set."""
        start, stop = first // WORD_BITS, last // WORD_BITS
        spans = stop - start + 1
        run = np.repeat(np.arange(len(first)), spans)
        word = np.arange(len(run)) - (np.cumsum(spans) - spans)[run] + start[run]
        low = np.where(word == start[run], first[run] % WORD_BITS, 0).astype(np.uint64)
        high = np.where(word == stop[run], last[run] % WORD_BITS, WORD_BITS - 1).astype(np.uint64)
        words = np.zeros(self.words.size, WORD)
        np.bitwise_or.at(words, word, (ALL << low) & (ALL >> (np.uint64(WORD_BITS - 1) - high)))
        return BitMask(words.reshape(self.words.shape), self.width)

    def closed_along(self, step: tuple[int, int, int], gap: int) -> "BitMask":
        """Return the mask with gaps of at most `gap` voxels along `step` closed.

        `step` (z, y, x) is -1, 0 or 1 each. Nothing is set beyond the mask's ends.
        """
        z, y, x = step if step[2] >= 0 else (-step[0], -step[1], -step[2])
        flip = tuple(slice(None, None, -1 if s < 0 else 1) for s in (z, y))
        lines = self.words[flip]
        along = abs(z), abs(y), x
        more = -(-(self.width + x * gap) // WORD_BITS) - lines.shape[2]
        now = np.pad(lines, [(0, along[0] * gap), (0, along[1] * gap), (0, more)])
        for reach in _doubling(gap):  # now[k] becomes any of lines[k - gap .. k]
            late, early = _apart(now.shape, along, reach)
            then = now.copy()
            then[late] |= _up(now[early], x * reach)
            now = then
        for reach in _doubling(gap):  # and then all of now[k .. k + gap]
            late, early = _apart(now.shape, along, reach)
            then = now.copy()
            then[early] &= _down(now[late], x * reach)
            now = then
        closed = now[tuple(slice(0, n) for n in lines.shape)][flip]
        return BitMask(np.ascontiguousarray(closed), self.width)


def at_least_two(a: BitMask, b: BitMask, c: BitMask) -> BitMask:
    """Return the voxels that are in two of the three masks or in all of them."""
    return (a & b) | (c & (a | b))


def _doubling(reach: int) -> list[int]:
    """Return steps that add up to `reach`, each at most one more than those before together."""
    steps, reached = [], 0
    while reached < reach:
        steps.append(min(reached + 1, reach - reached))
        reached += steps[-1]
    return steps


def _apart(
    shape: tuple[int, ...], along: tuple[int, int, int], reach: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the rows (z, y) `reach` steps on from a row, and those rows that have such a one."""
    z, y = (a * reach for a in along[:2])
    late = slice(z, None), slice(y, None)
    return late, (slice(0, shape[0] - z), slice(0, shape[1] - y))


def _up(words: Words, voxels: int) -> Words:
    """Return rows moved by so many voxels towards higher x; what leaves a row is lost."""
    if voxels == 0:
        return words
    whole, bits = divmod(voxels, WORD_BITS)
    moved = np.zeros_like(words)
    moved[..., whole:] = words[..., : words.shape[-1] - whole] << np.uint64(bits)
    if bits:
        carried = words[..., : max(words.shape[-1] - whole - 1, 0)]
        moved[..., whole + 1 :] |= carried >> np.uint64(WORD_BITS - bits)
    return moved


def _down(words: Words, voxels: int) -> Words:
    """Return rows moved by so many voxels towards lower x; what leaves a row is lost."""
    if voxels == 0:
        return words
    whole, bits = divmod(voxels, WORD_BITS)
    moved = np.zeros_like(words)
    moved[..., : words.shape[-1] - whole] = words[..., whole:] >> np.uint64(bits)
    if bits:
        carried = words[..., whole + 1 :]
        moved[..., : carried.shape[-1]] |= carried << np.uint64(WORD_BITS - bits)
    return moved
