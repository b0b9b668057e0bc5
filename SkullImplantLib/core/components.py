"""Connected pieces of a mask, found from its runs along x: far fewer than its voxels.

He, Chao and Suzuki (IEEE Trans. Image Process. 17, 2008) label images by runs in two passes; here
the second is a connected-components search in the graph of the runs that touch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from .bit_mask import WORD_BITS, BitMask, Positions


@dataclass(frozen=True, eq=False)
class Components:
    """The pieces of `mask` whose voxels touch by a face.

    `first`, `last` (runs,): the positions (as `BitMask` counts them) of the runs' first and last
    voxels, in order; `of_run` (runs,): the piece, 0 to `count` - 1, that a run belongs to.
    """

    mask: BitMask
    first: Positions
    last: Positions
    of_run: NDArray[np.int32]
    count: int

    def sizes(self) -> NDArray[np.int64]:
        """Return the number of voxels of each piece."""
        voxels = np.bincount(self.of_run, self.last - self.first + 1, self.count)
        return voxels.astype(np.int64)

    def at(self, positions: Positions) -> NDArray[np.int32]:
        """Return the piece of each voxel of the mask at these positions."""
        return self.of_run[np.searchsorted(self.first, positions, "right") - 1]

    def at_border(self) -> NDArray[np.bool_]:
        """Return which pieces (count,) reach an end of the mask."""
        planes, rows, width = self.mask.shape
        z, y, x = self.mask.indices_of(self.first).T
        ends = (z == 0) | (z == planes - 1) | (y == 0) | (y == rows - 1) | (x == 0)
        ends |= x + (self.last - self.first) == width - 1
        return np.bincount(self.of_run, ends, self.count) > 0

    def only(self, chosen: NDArray[np.bool_]) -> BitMask:
        """Return the mask of the pieces that are `chosen` (count,)."""
        runs = chosen[self.of_run]
        return self.mask.with_runs(self.first[runs], self.last[runs])


def components_of(mask: BitMask) -> Components:
    """Return the pieces of a mask whose voxels touch by a face."""
    first, last = mask.run_ends()
    pitch = mask.words.shape[2] * WORD_BITS
    rows = mask.words.shape[1]
    inner = first // pitch % rows < rows - 1
    pairs = [_touching(first, last, np.flatnonzero(inner), pitch)]
    pairs.append(_touching(first, last, np.arange(len(first)), pitch * rows))
    one, other = np.concatenate(pairs, axis=1)
    shape = (len(first), len(first))
    graph = sparse.coo_array((np.ones(len(one), np.int8), (one, other)), shape)
    count, of_run = connected_components(graph, directed=False)
    return Components(mask, first, last, of_run, int(count))


def _touching(
    first: Positions, last: Positions, runs: NDArray[np.int64], step: int
) -> NDArray[np.int64]:
    """Return the pairs (2, n) of some `runs` and those `step` positions on that lie beside them."""
    low = np.searchsorted(last, first[runs] + step)
    high = np.searchsorted(first, last[runs] + step, "right")
    beside = np.maximum(high - low, 0)
    one = np.repeat(runs, beside)
    within = np.arange(len(one)) - np.repeat(np.cumsum(beside) - beside, beside)
    return np.stack([one, np.repeat(low, beside) + within])
