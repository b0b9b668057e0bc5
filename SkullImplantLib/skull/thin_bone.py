"""Bone thinner than about 1.5 mm, which partial volume leaves below the threshold: orbital roof,
temporal squama, wings of the sphenoid.

It is looked for as plates, which are brighter than what lies on both of their sides: the Hessian of
the CT at the scale of its voxels has one large negative eigenvalue there and two small ones
(Descoteaux, Audette, Chinzei and Siddiqi, "Bone enhancement filtering", MICCAI 2005, section 2).
A plate counts where it continues the skull, around the cranial cavity, and never so far from bone
that a hole could close.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from ..core.bit_mask import WORD_BITS, BitMask
from ..core.images import array_of
from .thresholds import Levels

# Plates are looked for from so much of the way from soft tissue to the threshold of thin bone on,
# and at the least here: muscle, clotted blood, scar and dura end below 100 HU.
FAINT_PART, LEAST_HU = 0.6, 120.0
NOISE_SIGMAS = 4.0  # so much above soft tissue
CONTRAST_PART, CONTRAST_SIGMAS = 0.35, 2.0  # how much brighter than both sides, of the same way
SCALE_MM = 0.8  # about the blur of a CT: neighbours of finer voxels tell nothing of a plate
SIDES = 1, 2  # steps of that scale to what lies beside a plate, which may fill two voxels in part
FLATNESS = 0.75  # the second eigenvalue at most, of the first: else a line or a blob
PEAK_PART = 0.5  # of the way from its sides to the brightest across: plates are not fattened
REACH_MM = 6.0  # from sure bone, along the plate
MOST_CANDIDATES = 4_000_000  # more are no thin plates: contrast, or a wrong scale
CHUNK = 200_000  # candidates looked at together: some 50 MB
NEIGHBOUR_VOXELS = 1.8  # the 26 around a voxel lie within it

Indices = NDArray[np.int32]
AROUND: Indices = np.indices((3, 3, 3), np.int32).reshape(3, -1).T - np.int32(1)
FACES: Indices = AROUND[np.abs(AROUND).sum(axis=1) == 1]
Flags = NDArray[np.bool_]


def faint_level(levels: Levels) -> float | None:
    """Return from which grey level on faint plates are looked for; None where they are not.

    They are not where the threshold is the user's own, nor where the scale or noise is unknown.
    """
    if levels.noise <= 0.0 or levels.thin >= levels.bone:
        return None
    part = FAINT_PART * (levels.thin - levels.soft)
    return max(levels.soft + max(part, NOISE_SIGMAS * levels.noise), LEAST_HU)


def thin_plates(
    region: sitk.Image, skull: BitMask, found: BitMask, around: Flags, levels: Levels
) -> BitMask:
    """Return thin bone beside the `skull`, not part of it, both on the grid of `region`, a CT.

    found: bone less spine and streaks, of which thin plates that came apart from the skull may be
    taken again; what else is as bright as bone, and its neighbours, never is. around: where to
    look, bool (z, y, x) samples of the region, about equally far apart.
    """
    empty = BitMask(np.zeros_like(skull.words), skull.width)
    low = faint_level(levels)
    if low is None:
        return empty
    grey = array_of(region)
    candidates = BitMask.of(grey > low) & ~skull & _stretched(around, grey.shape)
    at = candidates.indices_of(candidates.positions())
    if not 0 < len(at) <= MOST_CANDIDATES:
        return empty
    spacing_mm = np.array(region.GetSpacing()[::-1])
    step = np.maximum(np.rint(SCALE_MM / spacing_mm), 1).astype(np.int32)
    contrast = max(CONTRAST_PART * (levels.thin - levels.soft), CONTRAST_SIGMAS * levels.noise)
    kept = [_plates(grey, at[n : n + CHUNK], step, contrast) for n in range(0, len(at), CHUNK)]
    at = at[np.concatenate(kept)]
    others = BitMask.of(grey > levels.bone) & ~found & ~skull
    at = at[~_beside(at, others)]
    at = _within_reach(at, _beside(at, skull), spacing_mm)
    at = _stepped(at, grey, skull)
    at = at[~_beside(at, others)]
    at = at[_held(at, _beside(at, skull, FACES))]
    position = skull.positions_of(at)
    return empty.with_runs(position, position)


def _stretched(around: Flags, shape: tuple[int, ...]) -> BitMask:
    """Return the voxels of blocks that together fill `shape` (z, y, x)."""
    z, y, x = (
        np.minimum(np.arange(n) * blocks // n, blocks - 1) for n, blocks in zip(shape, around.shape)
    )
    lines = BitMask.of(around[..., x])
    return BitMask(lines.words[z][:, y], lines.width)


def _beside(at: Indices, mask: BitMask, offsets: Indices = AROUND) -> Flags:
    """Return which voxels (n, 3) have one of the mask among their neighbours at `offsets`."""
    words = mask.words.reshape(-1)
    found = np.zeros(len(at), bool)
    for offset in offsets:
        near = np.clip(at + offset, 0, np.array(mask.shape) - 1)
        word, bit = np.divmod(mask.positions_of(near), WORD_BITS)
        found |= (words[word] >> bit.astype(np.uint64)) & np.uint64(1) != 0
    return found


def _values(grey: NDArray[np.number], at: Indices) -> NDArray[np.float32]:
    """Return the grey at indices (n, 3), at the border's where they lie beyond it."""
    z, y, x = (np.clip(at[:, k], 0, n - 1) for k, n in enumerate(grey.shape))
    return grey[z, y, x].astype(np.float32)


def _plates(
    grey: NDArray[np.number], at: Indices, step: NDArray[np.int32], contrast: float
) -> Flags:
    """Return which voxels with the indices `at` (n, 3) lie in a plate."""
    own = _values(grey, at)
    highest = np.full(len(at), np.inf, np.float32)
    for axis in range(3):
        for steps in SIDES:
            along = np.zeros(3, np.int32)
            along[axis] = steps * step[axis]
            sides = np.maximum(_values(grey, at - along), _values(grey, at + along))
            highest = np.minimum(highest, sides)
    drop = own - highest
    chosen = np.flatnonzero(drop > contrast)
    result = np.zeros(len(at), bool)
    if chosen.size == 0:
        return result
    at, own = at[chosen], own[chosen]
    around = np.empty((3, 3, 3, len(at)), np.float32)
    for offset in np.ndindex(3, 3, 3):
        around[offset] = _values(grey, at + (np.array(offset, np.int32) - 1) * step)
    values, vectors = np.linalg.eigh(_hessians(around))
    first, others = -values[:, 0], np.abs(values[:, 1:]).max(axis=1)
    flat = (first > contrast) & (others < FLATNESS * first)
    normal = vectors[:, :, 0]
    normal = normal / np.abs(normal).max(axis=1, keepdims=True)
    near, far = (np.rint(k * normal).astype(np.int32) * step for k in SIDES)
    peak = np.maximum(_values(grey, at - near), _values(grey, at + near))
    sides = np.minimum(np.maximum(_values(grey, at - far), _values(grey, at + far)), peak)
    flat &= (own - sides > contrast) & (own - sides > PEAK_PART * (peak - sides))
    result[chosen] = flat
    return result


def _hessians(around: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Hessians (n, 3, 3) of 3 x 3 x 3 values (3, 3, 3, n), smoothed across."""
    smooth, slope, bend = (
        np.array(k, np.float32) for k in ([0.25, 0.5, 0.25], [-0.5, 0.0, 0.5], [1.0, -2.0, 1.0])
    )
    result = np.empty((around.shape[3], 3, 3), np.float32)
    for i in range(3):
        for j in range(i + 1):
            z, y, x = (bend if k == i == j else slope if k in (i, j) else smooth for k in range(3))
            found = np.einsum("zyxn,z,y,x->n", around, z, y, x, optimize=True)
            result[:, i, j] = result[:, j, i] = found
    return result


def _within_reach(at: Indices, rooted: Flags, spacing_mm: NDArray[np.float64]) -> Indices:
    """Return the voxels (n, 3) that lead to a `rooted` one over `REACH_MM` of others."""
    if not rooted.any():
        return at[:0]
    pairs = cKDTree(at).query_pairs(NEIGHBOUR_VOXELS, output_type="ndarray")
    length_mm = np.linalg.norm((at[pairs[:, 0]] - at[pairs[:, 1]]) * spacing_mm, axis=1)
    roots = np.flatnonzero(rooted)
    one = np.concatenate([pairs[:, 0], np.full(len(roots), len(at))])
    other = np.concatenate([pairs[:, 1], roots])
    weights = np.concatenate([length_mm, np.full(len(roots), spacing_mm.min())])
    graph = sparse.coo_array((weights, (one, other)), (len(at) + 1, len(at) + 1)).tocsr()
    way_mm = dijkstra(graph, directed=False, indices=len(at), limit=REACH_MM)
    return at[np.isfinite(way_mm[:-1])]


def _stepped(at: Indices, grey: NDArray[np.number], skull: BitMask) -> Indices:
    """Return the voxels (n, 3) with those that join them by faces where they touch by less.

    Of the voxels between two that touch by an edge the brighter one is taken. An oblique plate a
    voxel thick would fall apart else.
    """
    rim = np.unique((at[:, None] + AROUND).reshape(-1, 3), axis=0)
    rim = rim[np.all((rim >= 0) & (rim < np.array(grey.shape)), axis=1)]
    rim = rim[_beside(rim, skull, np.zeros((1, 3), np.int32))]
    both = np.concatenate([at, rim])
    pairs = cKDTree(both).query_pairs(NEIGHBOUR_VOXELS, output_type="ndarray")
    pairs = pairs[(pairs < len(at)).any(axis=1)]
    one, other = both[pairs[:, 0]], both[pairs[:, 1]]
    added = [at]
    for _ in range(2):  # by a corner it takes two steps
        apart = other - one
        diagonal = np.abs(apart).sum(axis=1) > 1
        one, other, apart = one[diagonal], other[diagonal], apart[diagonal]
        steps = one + np.eye(3, dtype=np.int32)[:, None] * apart  # (3, n, 3), of each axis alone
        bright = np.stack([_values(grey, step) for step in steps])
        bright[np.stack([np.all(step == one, axis=1) for step in steps])] = -np.inf
        one = steps[bright.argmax(axis=0), np.arange(len(one))]
        added.append(one)
    return np.unique(np.concatenate(added), axis=0)


def _held(at: Indices, rooted: Flags) -> Flags:
    """Return which voxels (n, 3) hang together by faces with a `rooted` one."""
    pairs = cKDTree(at).query_pairs(1.0, output_type="ndarray")
    graph = sparse.coo_array((np.ones(len(pairs), np.int8), tuple(pairs.T)), (len(at), len(at)))
    piece = connected_components(graph, directed=False)[1]
    return np.isin(piece, piece[rooted])
