"""Endless training cases without a prior: skulls warped towards one another, with a defect each.

A case is a skull a random part of the way to one or two others (`registration.py`), deformed as any
case is (`augmentation.py`), with a region taken out that was made on any skull and is moved about.
All maps are composed on a coarse lattice, as they are smooth, so that a skull is read only once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from ..errors import SkullImplantError
from ..geometry.frame import BOX_HIGH_MM, BOX_LOW_MM
from ..geometry.prior import DEEPEST_MM
from ..geometry.view import view_of
from .augmentation import AugmentationOptions, sampling_grid
from .prepared import TrainingCase
from .registration import STEP_MM, Field, Pair
from .standard_skulls import HALF_BOX_MM, StandardSkull, cells

Singles = NDArray[np.float32]

# Maps are worked out on a lattice of this spacing, points on the box's sides, and read linearly
# between; the displacements of registration change over 10 mm, the elastic ones over 40.
LATTICE_MM = 6.0
# How often a skull goes some of the way to one other, and to two; else it stays as it is.
ONE_WAY, TWO_WAYS = 0.45, 0.45
# How a region is moved about: far more than a head, as a hole may be anywhere.
MOVED = AugmentationOptions(
    rotation_deg=15.0, scale=0.2, shear=0.1, translation_mm=6.0, elastic_mm=2.0
)
STILL = AugmentationOptions(
    rotation_deg=0.0, scale=0.0, shear=0.0, translation_mm=0.0, elastic_mm=0.0, mirror=False
)
# A case has from one to so many of them: with a single hole hardly a voxel in thirty is missing,
# and a network learns for long to copy the rest.
MOST_REGIONS = 4
LEAST_CM3 = 1.0  # bone that a defect takes out, 2 cm² of the vault
DRAWS = 20  # of a region; nearly every one takes out enough


@dataclass(frozen=True)
class Shapes:
    """What cases are made from: the skulls, how each turns into each other (moving, fixed), and the
    spacing of the network's grid.
    """

    skulls: Sequence[StandardSkull]
    fields: Mapping[Pair, Field]
    spacing_mm: float


def endless_case(shapes: Shapes, rng: np.random.Generator) -> TrainingCase:
    """Return a new case; the same generator state gives the same one.

    Raises `SkullImplantError` where no region takes bone out of what the skull became.
    """
    skull = shapes.skulls[int(rng.integers(len(shapes.skulls)))]
    where = _map(AugmentationOptions(), rng)
    where += _way_to_others(shapes, skull, where, rng)
    target = _share_at(skull, _refined(where, cells(shapes.spacing_mm)))
    for _ in range(DRAWS):
        regions = [_any_region(shapes, rng) for _ in range(rng.integers(1, MOST_REGIONS + 1))]
        region = np.logical_or.reduce(regions)
        share = _region_at(region, _refined(_map(MOVED, rng), target.shape))
        if float((target * share).sum()) * shapes.spacing_mm**3 >= LEAST_CM3 * 1000:
            return _case(skull.name, target, share, shapes.spacing_mm)
    raise SkullImplantError(
        f"No defect meets the skull {skull.name}; check that it is a complete skull in head "
        "orientation."
    )


def _any_region(shapes: Shapes, rng: np.random.Generator) -> NDArray[np.bool_]:
    skull = shapes.skulls[int(rng.integers(len(shapes.skulls)))]
    return skull.region(int(rng.integers(len(skull.regions))))


def held_back_cases(
    skulls: Sequence[StandardSkull], spacing_mm: float, count: int
) -> Iterator[TrainingCase]:
    """Yield `count` cases of each skull as it is, with its own first regions, for validation."""
    for skull in skulls:
        target = np.ascontiguousarray(skull.share[1::2, 1::2, 1::2], np.float32) / np.float32(255)
        where = _refined(_map(STILL, np.random.default_rng(0)), target.shape)
        for number in range(min(count, len(skull.regions))):
            share = _region_at(skull.region(number), where)
            yield _case(f"{skull.name}-{number:03d}", target, share, spacing_mm)


def _way_to_others(
    shapes: Shapes, skull: StandardSkull, where: Singles, rng: np.random.Generator
) -> Singles | float:
    """Return what takes `where` (z, y, x, 3; -1 to 1) some of the way to one or two others."""
    others = [other.name for other in shapes.skulls if other is not skull]
    drawn, parts = rng.random(), rng.random(2)
    chosen = rng.permutation(len(others))[: 1 if drawn < ONE_WAY else 2].tolist()
    if drawn >= ONE_WAY + TWO_WAYS or not chosen:
        return 0.0
    # Two together go no farther than one: a point of the triangle of the three, drawn evenly.
    if len(chosen) == 2 and parts.sum() > 1:
        parts = 1 - parts
    steps = sum(
        np.float32(part * STEP_MM) * shapes.fields[skull.name, others[k]].astype(np.float32)
        for part, k in zip(parts, chosen)
    )
    field = torch.from_numpy(np.asarray(steps))[None]
    at = torch.from_numpy(where)[None]
    moved_mm = grid_sample(field, at, align_corners=False, padding_mode="border")[0]
    way: Singles = np.moveaxis(moved_mm.numpy(), 0, -1) / HALF_BOX_MM.astype(np.float32)
    return way


def _map(options: AugmentationOptions, rng: np.random.Generator) -> Singles:
    """Return a random map on the lattice (z, y, x, 3), in (x, y, z) from -1 to 1 over the box."""
    where: Singles = sampling_grid(_lattice_shape(), LATTICE_MM, rng, options).astype(np.float32)
    return where


def _lattice_shape() -> tuple[int, int, int]:
    x, y, z = np.rint((BOX_HIGH_MM - BOX_LOW_MM) / LATTICE_MM).astype(int) + 1
    return int(z), int(y), int(x)


def _refined(where: Singles, shape: tuple[int, ...]) -> Singles:
    """Return a map on the lattice (z, y, x, 3) at the centres of `shape` voxels in the box."""
    read: NDArray[Any] = where
    for axis, count in enumerate(shape):
        last = where.shape[axis] - 1
        at = (np.arange(count) + 0.5) / count * last
        below = np.minimum(at.astype(int), last - 1)
        part = (at - below).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(4)])
        low, high = (np.take(read, below + step, axis) for step in (0, 1))
        read = low + (high - low) * part
    return read


def _share_at(skull: StandardSkull, where: Singles) -> Singles:
    """Return the share of each voxel that bone fills, read at `where`."""
    share = torch.from_numpy(skull.share.astype(np.float32))[None, None]
    at = torch.from_numpy(where)[None]
    read = grid_sample(share, at, align_corners=True, padding_mode="border")[0, 0]
    share_of_voxel: Singles = read.numpy()
    share_of_voxel /= 255
    return share_of_voxel


def _region_at(region: NDArray[np.bool_], where: Singles) -> Singles:
    """Return the share of each voxel that a region takes out, read at `where`; none beyond it."""
    volume = torch.from_numpy(region.astype(np.float32))[None, None]
    read: Singles = grid_sample(volume, torch.from_numpy(where)[None], align_corners=False)[
        0, 0
    ].numpy()
    return read


def case_without_prior(
    name: str, target: Singles, skull: Singles, hole: NDArray[np.bool_], spacing_mm: float
) -> TrainingCase:
    """Return the case of a complete skull and what a defect left of it, shares on the standard
    grid; `hole`: where bone may be missing.

    There is no prior. The truth stands where its depth would be, which tells loss and validation
    where bone is missing; a network that sees more than the skull must not be shown this view.
    """
    depth_mm = (target - np.float32(0.5)) * np.float32(spacing_mm)
    x, y, z = (BOX_LOW_MM + spacing_mm / 2).tolist()
    nothing = np.zeros((2, *target.shape), np.float32)
    fields = (np.where(hole, depth_mm, -np.float32(DEEPEST_MM)), hole, hole[..., ::-1], nothing)
    return TrainingCase(name, view_of(skull, fields, spacing_mm, (z, y, x)), target, depth_mm)


def _case(name: str, target: Singles, region: Singles, spacing_mm: float) -> TrainingCase:
    """Return the case of a complete skull and the share of each voxel that a region takes out."""
    return case_without_prior(name, target, target * (1 - region), region > 0, spacing_mm)
