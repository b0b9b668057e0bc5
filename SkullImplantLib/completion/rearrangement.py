"""Voxel rearrangement: refine a coarse binary surface by the fine surface of a template.

After Li et al., "Learning to rearrange voxels in binary segmentation masks for smooth manifold
triangulation" (arXiv 2108.05269), hierarchical form. The template is known at both resolutions,
so it tells which fine voxels usually lie in a coarse surface voxel whose 3x3x3 neighbourhood
looks like this one. The key is the bit string of the coarse neighbourhood, the value the votes for
each place within the coarse voxel; the target is looked up in the table, one look-up a voxel.
(The published code copies the very voxel that is part of the key, so that an exact hit changes
nothing; and it takes the first voxel found where here all vote.)

Used where it wins (see Testing/Benchmarks/rearrangement.py): on a coarse mask it beats every
interpolation; where the soft mask is known, averaging votes and interpolation is as good as the
best filter of the latter.

Arrays are indexed (z, y, x); a factor is the integer number of fine voxels a coarse voxel spans
along (z, y, x). Fine voxels `[f*i, f*(i+1))` of an axis make up coarse voxel `i`.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage

NEIGHBOURS = 27  # the 3x3x3 block; bit 9*dz + 3*dy + dx of a key, offsets counted from 0
OWN_BIT = 13  # the voxel itself, in the middle of the block

Factor = tuple[int, int, int]


@dataclass(frozen=True)
class RearrangementOptions:
    """How rules are learned and applied. `PUBLISHED` is the paper's form: the votes alone.

    max_hamming: an unseen key takes the nearest seen ones up to this number of differing bits
        (0 to 2); farther ones keep the coarse voxel's own value.
    mirrored: learn the mirror images of the template along each axis too, so that more keys are
        known.
    smoothing: standard deviation, in coarse voxels, of the Gaussian that smooths the shares of
        votes before they are cut at one half; 0 cuts each voxel's own votes.
    vote_weight: weight of the votes against an interpolated soft mask, where one is given.
    """

    max_hamming: int = 2
    mirrored: bool = True
    smoothing: float = 0.6
    vote_weight: float = 0.25


PUBLISHED = RearrangementOptions(mirrored=False, smoothing=0.0, vote_weight=1.0)


@dataclass(frozen=True)
class Rules:
    """What a template taught.

    keys: int32, shape (K,), ascending, no duplicates.
    seen: int64, shape (K,), how many template voxels had the key.
    occupied: int64, shape (K, fz, fy, fx), how many of them had that fine voxel set.
    """

    factor_zyx: Factor
    keys: np.ndarray
    seen: np.ndarray
    occupied: np.ndarray


def rearrange(
    coarse: np.ndarray,
    template_fine: np.ndarray,
    factor_zyx: Factor,
    options: RearrangementOptions = RearrangementOptions(),
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Return the coarse mask refined to the template's resolution.

    coarse: bool, shape (z, y, x); template_fine: bool, any shape (z, y, x) on a grid whose voxels
    are `factor_zyx` times smaller; valid: bool like `template_fine`, where it may teach (cut edges
    are not anatomy), everywhere if None. Returns bool of shape `coarse.shape * factor_zyx`.
    """
    rules = learn_rules(template_fine, factor_zyx, options, valid)
    return apply_rules(coarse, rules, options) > 0.5


def coarsen(fine: np.ndarray, factor_zyx: Factor) -> np.ndarray:
    """Return the occupied fraction of each coarse voxel, float32, (z, y, x).

    The edge of `fine` (bool or 0/1) is repeated where its shape is not a multiple of the factor.
    A coarse mask is `coarsen(...) >= 0.5`.
    """
    return _occupied_places(fine, factor_zyx) / np.float32(np.prod(factor_zyx))


def learn_rules(
    template_fine: np.ndarray,
    factor_zyx: Factor,
    options: RearrangementOptions = RearrangementOptions(),
    valid: np.ndarray | None = None,
) -> Rules:
    """Learn from a template (bool, (z, y, x), fine) what lies in its coarse surface voxels."""
    places = _occupied_places(template_fine, factor_zyx)
    coarse = 2 * places >= int(np.prod(factor_zyx))
    surface = _surface(coarse)
    if valid is not None:
        if valid.shape != template_fine.shape:
            raise ValueError(f"valid {valid.shape} is not like the template {template_fine.shape}")
        whole = _occupied_places(valid, factor_zyx) == int(np.prod(factor_zyx))
        surface &= _over_neighbours(whole, np.logical_and)
    where = np.nonzero(surface)
    keys = _keys(coarse, where)
    blocks = _blocks(_padded(template_fine, factor_zyx), factor_zyx)[
        where[0], :, where[1], :, where[2], :
    ]
    order = np.argsort(keys, kind="stable")
    rules = _merged(
        factor_zyx, keys[order], np.ones(len(keys), np.int64), blocks[order].astype(np.uint8)
    )
    for axis in range(3) if options.mirrored else ():
        rules = _joined(rules, _mirrored(rules, axis))
    return rules


def apply_rules(
    coarse: np.ndarray,
    rules: Rules,
    options: RearrangementOptions = RearrangementOptions(),
    interpolated: np.ndarray | None = None,
) -> np.ndarray:
    """Return the share of votes for each fine voxel of `coarse` (bool, (z, y, x)), float32.

    The shape is `coarse.shape * factor`. Voxels off the surface, and those whose key is unknown,
    carry their own value, 0 or 1; a tie is decided for the coarse voxel's own value.
    interpolated: where the coarse mask was cut from a soft one (0 to 1), that one interpolated on
    the fine grid. It knows where within the coarse voxel the surface passes, which the key does
    not, and is averaged with the votes by `vote_weight`.
    """
    factor = rules.factor_zyx
    coarse = coarse.astype(bool, copy=False)
    fine = coarse.astype(np.float32)
    for axis in range(3):
        fine = np.repeat(fine, factor[axis], axis=axis)
    where = np.nonzero(_surface(coarse))
    keys, inverse = np.unique(_keys(coarse, where), return_inverse=True)
    share = _look_up(keys, rules, options.max_hamming)
    blocks = _blocks(fine, factor)
    blocks[where[0], :, where[1], :, where[2], :] = share[inverse]
    if interpolated is not None:
        if interpolated.shape != fine.shape:
            raise ValueError(f"interpolated {interpolated.shape} is not of shape {fine.shape}")
        fine *= np.float32(options.vote_weight)
        fine += np.float32(1 - options.vote_weight) * interpolated
    for axis in range(3) if options.smoothing > 0 else ():
        sigma = options.smoothing * factor[axis]
        ndimage.gaussian_filter1d(fine, sigma, axis, output=fine, mode="nearest")
    return fine


def _look_up(keys: np.ndarray, rules: Rules, max_hamming: int) -> np.ndarray:
    """Return the share of votes of each key (distinct, ascending), float32, (K, fz, fy, fx)."""
    seen = np.zeros(len(keys), np.int64)
    occupied = np.zeros((len(keys), *rules.factor_zyx), np.int64)
    table = np.zeros(1 << (NEIGHBOURS - 3), np.uint8)  # one bit a possible key: is it in the rules?
    np.bitwise_or.at(table, rules.keys >> 3, np.uint8(1) << (rules.keys & 7).astype(np.uint8))
    for distance in range(max_hamming + 1):
        unseen = np.flatnonzero(seen == 0)
        for flips in combinations(range(NEIGHBOURS), distance):
            near = keys[unseen] ^ np.int32(sum(1 << bit for bit in flips))
            known = np.flatnonzero((table[near >> 3] >> (near & 7).astype(np.uint8)) & 1)
            rule = np.searchsorted(rules.keys, near[known])
            seen[unseen[known]] += rules.seen[rule]
            occupied[unseen[known]] += rules.occupied[rule]
    own = ((keys >> OWN_BIT) & 1).astype(bool)[:, None, None, None]
    votes = seen[:, None, None, None]
    share = (occupied / np.maximum(votes, 1)).astype(np.float32)
    share = np.where(2 * occupied == votes, 0.5 + np.where(own, 1, -1) * np.float32(1e-6), share)
    return np.where(votes == 0, own, share).astype(np.float32)


def _merged(factor_zyx: Factor, keys: np.ndarray, seen: np.ndarray, occupied: np.ndarray) -> Rules:
    """Add up the votes of equal keys; `keys` are ascending."""
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    if len(keys) == 0:
        return Rules(factor_zyx, keys, seen, occupied.astype(np.int64))
    return Rules(
        factor_zyx,
        keys[starts],
        np.add.reduceat(seen, starts),
        np.add.reduceat(occupied, starts, dtype=np.int64),
    )


def _mirrored(rules: Rules, axis: int) -> Rules:
    """Return the rules of the template mirrored along an axis; their keys are not in order."""
    bits = np.arange(NEIGHBOURS, dtype=np.int32)
    turned = np.flip(bits.reshape(3, 3, 3), axis).ravel()
    keys = np.zeros_like(rules.keys)
    for bit in bits:
        keys |= ((rules.keys >> turned[bit]) & 1) << bit
    return Rules(rules.factor_zyx, keys, rules.seen, np.flip(rules.occupied, axis + 1))


def _joined(a: Rules, b: Rules) -> Rules:
    keys = np.concatenate([a.keys, b.keys])
    order = np.argsort(keys, kind="stable")
    seen = np.concatenate([a.seen, b.seen])[order]
    return _merged(a.factor_zyx, keys[order], seen, np.concatenate([a.occupied, b.occupied])[order])


def _occupied_places(fine: np.ndarray, factor_zyx: Factor) -> np.ndarray:
    """Count the set fine voxels of each coarse voxel, as the smallest unsigned type that fits."""
    if fine.ndim != 3 or len(factor_zyx) != 3 or min(factor_zyx) < 1:
        raise ValueError(f"cannot coarsen shape {fine.shape} by {factor_zyx}")
    count = _padded(fine, factor_zyx).astype(bool, copy=False).view(np.uint8)
    if np.prod(factor_zyx) > np.iinfo(np.uint8).max:
        count = count.astype(np.uint16)
    for axis, factor in enumerate(factor_zyx):
        parts = [count[(slice(None),) * axis + (slice(i, None, factor),)] for i in range(factor)]
        count = parts[0].copy()
        for part in parts[1:]:
            count += part
    return count


def _padded(fine: np.ndarray, factor_zyx: Factor) -> np.ndarray:
    missing = [-n % f for n, f in zip(fine.shape, factor_zyx)]
    return np.pad(fine, [(0, m) for m in missing], mode="edge") if any(missing) else fine


def _blocks(fine: np.ndarray, factor_zyx: Factor) -> np.ndarray:
    """View a fine array as (z, fz, y, fy, x, fx)."""
    shape = [n for size, f in zip(fine.shape, factor_zyx) for n in (size // f, f)]
    return fine.reshape(shape)


def _surface(coarse: np.ndarray) -> np.ndarray:
    """Mark the voxels whose 3x3x3 neighbourhood is mixed; beyond the edge it repeats."""
    some, all_ = (_over_neighbours(coarse, f) for f in (np.logical_or, np.logical_and))
    return np.asarray(some & ~all_)


def _over_neighbours(mask: np.ndarray, combine: np.ufunc) -> np.ndarray:
    for axis in range(3):
        ahead = np.moveaxis(mask, axis, 0)
        result = mask.copy()
        target = np.moveaxis(result, axis, 0)
        combine(target[1:], ahead[:-1], out=target[1:])
        combine(target[:-1], ahead[1:], out=target[:-1])
        mask = result
    return mask


def _keys(coarse: np.ndarray, where: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the key of each voxel `where` (z, y, x indices), int32; the edge repeats."""
    padded = np.pad(coarse, 1, mode="edge").view(np.uint8)
    rows = padded[:, :, :-2] | padded[:, :, 1:-1] << 1 | padded[:, :, 2:] << 2
    position = np.ravel_multi_index(where, rows.shape)
    flat = rows.ravel()
    keys = np.zeros(len(position), np.int32)
    for dz in range(3):
        for dy in range(3):
            step = dz * rows.shape[1] * rows.shape[2] + dy * rows.shape[2]
            keys |= flat[position + step].astype(np.int32) << np.int32(9 * dz + 3 * dy)
    return keys
