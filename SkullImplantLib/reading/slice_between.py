"""What lies between two slices: each structure on the straight way from one to the other.

The mean of two slices shows a sloping bone twice and faintly, where it is once: between slices of
5 mm a vault gets holes. So first it is found by how much what is seen is displaced from the one
slice to the other (block matching), and means are taken along these ways.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Singles = NDArray[np.float32]

# Displacements are looked for on pixels of about this size: a third of a thin vault.
PIXEL_MM = 0.75
# What slopes more than this from slice to slice (mm across for each along) is not followed.
STEEPEST = 2.5
# Standard deviation of the window that is compared, so wide as a vault's bone with its scalp.
WINDOW_MM = 3.0
# And of the smoothing of the displacements, which vary slowly along a vault.
SMOOTHING_MM = 2.0
# Grey levels from soft tissue to hard bone; beyond these all is alike.
LOWEST_HU, HIGHEST_HU = -200.0, 1200.0
# A displacement by a pixel costs so much of the square of these levels: without structure there is
# none, and along a bone, where it does not show, it is the least.
COST_OF_PIXEL = 2e-3


class Between:
    """The planes between two slices (y, x; HU) that are `gap_mm` apart.

    pixel_mm: along rows and columns.
    """

    def __init__(
        self, below: Singles, above: Singles, gap_mm: float, pixel_mm: tuple[float, float]
    ) -> None:
        self._below, self._above = below, above
        self._way = _displacement(below, above, gap_mm, pixel_mm)
        self._at = np.indices(below.shape, np.float32)

    def at(self, share: float) -> Singles:
        """Return the plane that lies by that share of the gap above the lower slice."""
        rest = np.float32(1.0 - share)
        lower = _sampled(self._below, self._at - (1 - rest) * self._way)
        upper = _sampled(self._above, self._at + rest * self._way)
        plane: Singles = rest * lower + (1 - rest) * upper
        return plane


def _sampled(plane: Singles, at: Singles) -> Singles:
    sampled: Singles = ndimage.map_coordinates(plane, at, order=1, mode="nearest")
    return sampled


def _displacement(
    below: Singles, above: Singles, gap_mm: float, pixel_mm: tuple[float, float]
) -> Singles:
    """Return by how many pixels (2, y, x) things lie further from the lower to the upper slice."""
    shape = below.shape
    pixel = np.array(pixel_mm[::-1])
    coarser = np.maximum(np.rint(PIXEL_MM / pixel), 1).astype(int)
    low, high = (_levels(plane, coarser) for plane in (below, above))
    coarse_mm = pixel * coarser
    window, smoothing = WINDOW_MM / coarse_mm, SMOOTHING_MM / coarse_mm
    most = STEEPEST * gap_mm / 2 / coarse_mm
    margin = np.ceil(most).astype(int)
    low, high = (np.pad(plane, [(m, m) for m in margin], mode="edge") for plane in (low, high))
    best = np.full(low.shape, np.inf, np.float32)
    half = np.zeros((2, *low.shape), np.float32)
    for y in range(-margin[0], margin[0] + 1):
        for x in range(-margin[1], margin[1] + 1):
            if (y / most[0]) ** 2 + (x / most[1]) ** 2 > 1.0:
                continue
            # Half of the way on either side of the plane in the middle.
            apart = np.roll(low, (y, x), (0, 1)) - np.roll(high, (-y, -x), (0, 1))
            cost = ndimage.gaussian_filter(apart * apart, window, truncate=2.0)
            cost += np.float32(COST_OF_PIXEL * (y * y + x * x))
            better = cost < best
            best[better] = cost[better]
            half[0][better], half[1][better] = y, x
    inner = (slice(margin[0], -margin[0] or None), slice(margin[1], -margin[1] or None))
    ways = []
    for axis in range(2):
        way = ndimage.gaussian_filter(half[axis], smoothing)[inner] * (2 * coarser[axis])
        fine = np.repeat(np.repeat(way, coarser[0], 0), coarser[1], 1)[: shape[0], : shape[1]]
        ways.append(ndimage.uniform_filter(fine, tuple(coarser)))
    return np.stack(ways)


def _levels(plane: Singles, coarser: NDArray[np.int_]) -> Singles:
    """Return the grey levels of a slice in 0 to 1, on coarser pixels."""
    levels = (np.clip(plane, LOWEST_HU, HIGHEST_HU) - LOWEST_HU) / (HIGHEST_HU - LOWEST_HU)
    more = [(0, int(-n % k)) for n, k in zip(plane.shape, coarser)]
    padded = np.pad(levels, more, mode="edge")
    rows, columns = (n // k for n, k in zip(padded.shape, coarser))
    blocks = padded.reshape(rows, coarser[0], columns, coarser[1])
    coarse: Singles = blocks.mean(axis=(1, 3)).astype(np.float32)
    return coarse
