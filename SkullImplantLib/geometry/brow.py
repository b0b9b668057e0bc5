"""What is kept of a skull's forehead and orbits, to be brought onto others (`other_skulls.py`)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frame import BOX_LOW_MM

BROW_GRID_MM = 1.0  # of the standard grid
# The forehead and the orbits, with the bone around holes there, in the standard frame (x, y, z).
FRONT_LOW_MM, FRONT_HIGH_MM = np.array([-88.0, -119.0, -78.0]), np.array([88.0, 10.0, 62.0])
BROW_LEVELS = 255  # the level of a voxel that is all bone


@dataclass(frozen=True)
class Brow:
    """A skull's forehead and orbits in the standard pose.

    name: the skull's. levels: uint8 (z, y, x), the share of bone in each voxel of `front_box`, 0 to
    `BROW_LEVELS`.
    """

    name: str
    levels: NDArray[np.uint8]


def front_box() -> tuple[slice, slice, slice]:
    """Return the part (z, y, x) of the standard grid of `BROW_GRID_MM` that a `Brow` holds."""
    low = np.rint((FRONT_LOW_MM - BOX_LOW_MM) / BROW_GRID_MM).astype(int)
    high = np.rint((FRONT_HIGH_MM - BOX_LOW_MM) / BROW_GRID_MM).astype(int)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))
    return z, y, x
