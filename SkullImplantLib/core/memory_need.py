"""How much memory a design will need, from its image's header alone, and whether that is there.

Peaks of resident memory, measured for images of ten sizes, were fitted by three numbers; the table
is `Testing/Benchmarks/needs/needs.md`, made anew by `make needs`.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import OutOfMemory, Remedy, lacks_memory
from .free_memory import address_bytes, free_bytes, reserved_bytes, resident_bytes

log = logging.getLogger(__name__)

# The fit. What every design takes: the program, its libraries, and its statistics; and a voxel
# of the box that the head is worked in, beside its own two bytes.
PROGRAM_BYTES = 730e6
WORK_BYTES = 3.2
# Bytes of a voxel while its image is read: its own, and of another type than 16 bits also those.
KEPT_BYTES = 2
# What the libraries take of memory, and of addresses: in all, and for each thread of theirs.
LOADED_BYTES = 250e6
LOADED_ADDRESSES, THREAD_ADDRESSES = 710e6, 84e6
# No head is larger, with the air around it that is looked at (`skull.head_box`), along an axis.
HEAD_MM = 420.0
# Noise, metal and several holes take more than the fit; less than this share is never enough.
SURELY = 0.7
GB, MB = 1e9, 1e6


@dataclass(frozen=True)
class Extent:
    """What a header says of an image: voxels and their side (mm) along its axes, bytes a voxel."""

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    voxel_bytes: float

    def coarser(self, times: tuple[int, ...]) -> "Extent":
        """Return that of the image averaged in blocks of so many voxels along its axes."""
        size = tuple(max(n // t, 1) for n, t in zip(self.size, times))
        spacing_mm = tuple(s * t for s, t in zip(self.spacing_mm, times))
        return Extent(size, spacing_mm, self.voxel_bytes)


Foresee = Callable[[Extent], None]


def unforeseen(extent: Extent) -> None:
    """Foresee nothing."""


def reading_bytes(extent: Extent) -> float:
    """Return about how many bytes there are at most while an image is read.

    For a moment the process that decodes it has its voxels too (`core.decoding`).
    """
    converted = 0 if extent.voxel_bytes <= KEPT_BYTES else KEPT_BYTES
    a_voxel = max(2 * extent.voxel_bytes, extent.voxel_bytes + converted)
    return PROGRAM_BYTES + math.prod(extent.size) * a_voxel


def design_bytes(extent: Extent) -> float:
    """Return about how many bytes the process has at the peak of a design, reading included."""
    kept = math.prod(extent.size) * min(extent.voxel_bytes, KEPT_BYTES)
    sides = (min(n, math.ceil(HEAD_MM / s)) for n, s in zip(extent.size, extent.spacing_mm))
    working = PROGRAM_BYTES + kept + WORK_BYTES * math.prod(sides)
    return max(reading_bytes(extent), working)


def require_room_to_load(threads: int) -> None:
    """Raise `OutOfMemory` where the program's own libraries, with so many threads, will not load.

    Asked before they are, as some of them end the process or wait for ever then.
    """
    room, free = address_bytes(), free_bytes()
    addresses = LOADED_ADDRESSES + threads * THREAD_ADDRESSES
    # What is loaded already is counted among what there is.
    if room is not None and room + reserved_bytes() < addresses:
        needed, there = addresses, room + reserved_bytes()
    elif free is not None and free + resident_bytes() < SURELY * LOADED_BYTES:
        needed, there = LOADED_BYTES, free + resident_bytes()
    else:
        return
    raise OutOfMemory(
        f"The program itself needs about {in_words(needed)} of memory, and {in_words(there)} are "
        "free; close other programs, or give it more."
    )


def require_memory(needed: float) -> None:
    """Raise `OutOfMemory` where so many bytes in all are surely not there; tell the log of what
    may not be enough.

    Nothing is said where the system does not tell what is free.
    """
    free = free_bytes()
    if free is None:
        return
    more = needed - resident_bytes()
    if SURELY * more > free:
        raise not_enough(needed, free + resident_bytes())
    if more > free:
        log.warning(
            "this image needs about %s of memory, and %s are free: it may not suffice",
            in_words(needed),
            in_words(free + resident_bytes()),
        )


@contextmanager
def telling_need(needed: Callable[[], float]) -> Iterator[None]:
    """While the block runs, raise a want of memory as `OutOfMemory` that tells how many bytes in
    all are needed, once that is known (not 0).
    """
    try:
        yield
    except Exception as error:
        if needed() and not isinstance(error, OutOfMemory) and lacks_memory(error):
            raise not_enough(needed()) from error
        raise


def not_enough(needed: float, free: float | None = None) -> OutOfMemory:
    """Return the error that says how many bytes are needed, and how many are free if known."""
    are_free = "more than is free" if free is None else f"and {in_words(free)} are free"
    return OutOfMemory(
        f"This image needs about {in_words(needed)} of memory, {are_free}.", Remedy.LESS_MEMORY
    )


def in_words(number: float) -> str:
    """Return bytes in words: 3.1 GB, or 310 MB."""
    return f"{number / GB:.1f} GB" if number >= GB else f"{number / MB:.0f} MB"
