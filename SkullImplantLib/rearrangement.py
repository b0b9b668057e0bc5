"""Voxel rearrangement: refine a coarse binary surface by the fine surface of a template.

After Li et al., "Learning to rearrange voxels in binary segmentation masks for smooth manifold
triangulation" (arXiv 2108.05269), hierarchical form. The template is known at both resolutions,
so it tells which fine voxels usually lie in a coarse surface voxel whose 3x3x3 neighbourhood
looks like this one. The key is the bit string of the coarse neighbourhood, the value the votes for
each place within the coarse voxel; the target is looked up in the table, one look-up a voxel.

Arrays are indexed (z, y, x); a factor is the integer number of fine voxels a coarse voxel spans
along (z, y, x). Fine voxels `[f*i, f*(i+1))` of an axis make up coarse voxel `i`.
"""

from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np
import SimpleITK as sitk

NEIGHBOURS = 27  # the 3x3x3 block; bit 9*dz + 3*dy + dx of a key, offsets counted from 0
OWN_BIT = 13  # the voxel itself, in the middle of the block

Factor = tuple[int, int, int]


@dataclass(frozen=True)
class RearrangementOptions:
    """How rules are learned and applied.

    max_hamming: an unseen key takes the nearest seen ones up to this number of differing bits
        (0 to 2); farther ones keep the coarse voxel's own value.
    symmetry: "mirrors" also learns the mirror images of the template along each axis, "cube"
        moreover the exchanges of axes with equal factors.
    smoothing: standard deviation, in coarse voxels, of the Gaussian that smooths the votes before
        they are cut at one half; 0 is the published form, which cuts each voxel's own votes.
    """

    max_hamming: int = 2
    symmetry: Literal["none", "mirrors", "cube"] = "mirrors"
    smoothing: float = 0.0


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
    if options.symmetry == "none":
        return rules
    return _symmetrised(rules, exchange_axes=options.symmetry == "cube")


def apply_rules(
    coarse: np.ndarray, rules: Rules, options: RearrangementOptions = RearrangementOptions()
) -> np.ndarray:
    """Return the share of votes for each fine voxel of `coarse` (bool, (z, y, x)), float32.

    The shape is `coarse.shape * factor`. Voxels off the surface, and those whose key is unknown,
    carry their own value, 0 or 1; a tie is decided for the coarse voxel's own value.
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
    if options.smoothing > 0:
        return _smoothed(fine, [options.smoothing * f for f in factor])
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


def _symmetrised(rules: Rules, exchange_axes: bool) -> Rules:
    """Add the votes of every mirror image (and exchange of axes with equal factors)."""
    for axis in range(3):
        rules = _joined([rules, _turned(rules, (0, 1, 2), axis)])
    if not exchange_axes:
        return rules
    factor = rules.factor_zyx
    alike = [p for p in permutations(range(3)) if tuple(factor[a] for a in p) == factor]
    return _joined([_turned(rules, axes, None) for axes in alike])


def _turned(rules: Rules, axes: tuple[int, ...], mirrored: int | None) -> Rules:
    """Return the rules of the template with its axes exchanged, or mirrored along one axis."""
    bits = (rules.keys[:, None] >> np.arange(NEIGHBOURS, dtype=np.int32)) & 1
    cubes = bits.reshape(-1, 3, 3, 3).transpose(0, *(a + 1 for a in axes))
    occupied = rules.occupied.transpose(0, *(a + 1 for a in axes))
    if mirrored is not None:
        cubes = np.flip(cubes, mirrored + 1)
        occupied = np.flip(occupied, mirrored + 1)
    weights = np.int32(1) << np.arange(NEIGHBOURS, dtype=np.int32)
    keys = cubes.reshape(-1, NEIGHBOURS).astype(np.int32) @ weights
    return Rules(rules.factor_zyx, keys, rules.seen, occupied)


def _joined(parts: list[Rules]) -> Rules:
    keys = np.concatenate([p.keys for p in parts])
    order = np.argsort(keys, kind="stable")
    return _merged(
        parts[0].factor_zyx,
        keys[order],
        np.concatenate([p.seen for p in parts])[order],
        np.concatenate([p.occupied for p in parts])[order],
    )


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
    return _over_neighbours(coarse, np.logical_or) & ~_over_neighbours(coarse, np.logical_and)


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


def _smoothed(fine: np.ndarray, sigma_zyx: list[float]) -> np.ndarray:
    image = sitk.GetImageFromArray(fine)
    blurred = sitk.SmoothingRecursiveGaussian(image, sigma_zyx[::-1])
    return sitk.GetArrayFromImage(blurred)
