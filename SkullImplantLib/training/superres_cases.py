"""Endless cases for super-resolution: a piece of a complete skull, fine and coarse.

A case is drawn anew each time: a skull, a place on its surface, a turn, a fine spacing and how many
fine voxels a coarse one has along each axis. The coarse mask is set where a coarse voxel is at
least half bone, as a coarse segmentation or a thick slice shows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cases.skull_folder import SkullFile
from ..core.archives import read_archive
from ..core.distances import between_voxels_mm
from ..core.files import atomic_path
from ..core.images import array_of, bounding_box
from ..core.interpolation import values_at
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from ..networks.superres import CoarseView, coarse_mask, coarse_view

# Depths are kept in steps of int8 that reach this far, beyond any coarse voxel.
DEEPEST_MM = 8.0
STEP_MM = DEEPEST_MM / 128
# Around a skull, so that its surroundings are known as far as a depth is.
MARGIN_MM = 10.0
# Pieces have so many fine voxels a side.
PIECE_VOXELS = 48
# The coarse mask is known so many coarse voxels around the piece.
AROUND_COARSE = 2
# Spacings between those of the papers' grids of 64 and 512 voxels on a head of 256 mm, and more.
COARSE_MM, FINE_MM = (1.5, 5.0), (0.45, 2.2)
# Fine voxels a coarse one: equal along all axes (the papers' pairs above all), or of thick slices.
RATIOS, RATIO_WEIGHTS = (2, 3, 4, 5, 6, 8), (4, 2, 5, 1, 1, 1)
IN_PLANE, THROUGH_PLANE = (1, 2), (2, 3, 4, 5, 6, 8)
THICK_SLICES = 0.35  # the share of cases with them
# A turn away from the grid's axes, so that no staircase is like another.
TURN_DEG = 20.0
ANY_AXES = 0.5  # the share of cases whose axes are exchanged and turned over at random
KEPT_PLACES = 50_000  # of a skull's surface


@dataclass(frozen=True)
class SolidSkull:
    """A complete skull to cut pieces from.

    depth: int8 (z, y, x), steps of `STEP_MM`, positive in bone. spacing_mm: along (z, y, x).
    surface: int32 (n, 3), voxels at the surface.
    """

    name: str
    depth: NDArray[np.int8]
    spacing_mm: tuple[float, float, float]
    surface: NDArray[np.int32]


@dataclass(frozen=True)
class SuperResCase:
    """What the network sees of a piece, and the truth: which part of each fine voxel is bone."""

    view: CoarseView
    fraction: NDArray[np.float32]


def solid_skulls(
    skulls: Sequence[SkullFile], folder: Path, progress: Progress = silent
) -> list[SolidSkull]:
    """Return the skulls, from files kept in `folder` where they were made before.

    Raises `SkullImplantError` where a file is no skull or a kept one is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    solid = []
    for number, skull in enumerate(skulls):
        progress(number / len(skulls), f"preparing {skull.name}")
        path = folder / f"{skull.name}-solid.npz"
        if not path.exists():
            _keep(skull, path)
        try:
            kept = read_archive(path)
            z, y, x = kept["spacing_mm"].tolist()
            solid.append(SolidSkull(skull.name, kept["depth"], (z, y, x), kept["surface"]))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise SkullImplantError(
                f"The prepared skull {path.name} is damaged; delete it and train again."
            ) from error
    return solid


def _keep(skull: SkullFile, path: Path) -> None:
    _, mask = skull.read()
    spacing_mm = mask.GetSpacing()[::-1]
    z, y, x = (round(MARGIN_MM / s) for s in spacing_mm)
    bone = array_of(mask) > 0
    bone = np.pad(bone[bounding_box(bone)], ((z, z), (y, y), (x, x)))
    depth_mm = between_voxels_mm(bone, spacing_mm)
    depth = np.clip(np.rint(depth_mm / STEP_MM), -128, 127).astype(np.int8)
    places = np.argwhere(np.abs(depth_mm) <= max(spacing_mm)).astype(np.int32)
    chosen = np.linspace(0, len(places) - 1, min(KEPT_PLACES, len(places))).astype(int)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, depth=depth, spacing_mm=spacing_mm, surface=places[chosen])


def random_case(skulls: Sequence[SolidSkull], rng: np.random.Generator) -> SuperResCase:
    """Return a piece of one of the skulls, seen coarse."""
    skull = skulls[int(rng.integers(len(skulls)))]
    ratio = _ratio(rng)
    least = max(COARSE_MM[0], FINE_MM[0] * max(ratio))
    most = min(COARSE_MM[1], FINE_MM[1] * max(ratio))
    spacing_mm = np.exp(rng.uniform(np.log(least), np.log(most))) / max(ratio)
    count = [-(-PIECE_VOXELS // r) + 2 * AROUND_COARSE for r in ratio]
    fine = tuple(n * r for n, r in zip(count, ratio))
    depth_mm = _piece(skull, fine, spacing_mm, rng)
    filled = np.clip(depth_mm / np.float32(spacing_mm) + np.float32(0.5), 0.0, 1.0)
    blocks = filled.reshape([m for n, r in zip(count, ratio) for m in (n, r)])
    coarse = blocks.mean((1, 3, 5)) >= 0.5
    inner = tuple(slice(AROUND_COARSE * r, AROUND_COARSE * r + PIECE_VOXELS) for r in ratio)
    at = [((np.arange(n) + 0.5) / r - 0.5)[s] for n, r, s in zip(fine, ratio, inner)]
    view = coarse_view(coarse_mask(coarse, [r * spacing_mm for r in ratio]), at)
    return SuperResCase(view, np.ascontiguousarray(filled[inner]))


def _ratio(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return how many fine voxels a coarse one spans along (z, y, x)."""
    if rng.random() < THICK_SLICES:
        through, plane = int(rng.choice(THROUGH_PLANE)), int(rng.choice(IN_PLANE))
        return through, plane, plane
    each = int(rng.choice(RATIOS, p=np.array(RATIO_WEIGHTS) / sum(RATIO_WEIGHTS)))
    return each, each, each


def _piece(
    skull: SolidSkull, shape: tuple[int, ...], spacing_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the depth in mm on a lattice, turned at random, around a place of the surface."""
    turn = _turn(rng)
    middle = skull.surface[rng.integers(len(skull.surface))]
    axes = [(np.arange(n) - (n - 1) / 2 + rng.uniform(-0.5, 0.5)) * spacing_mm for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    places = [
        middle[axis] + (turn[axis, 0] * z + turn[axis, 1] * y + turn[axis, 2] * x) / step
        for axis, step in enumerate(skull.spacing_mm)
    ]
    steps = values_at(skull.depth, places, outside=-128.0)
    return steps * np.float32(STEP_MM)


def _turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a random rotation (3, 3), small but for exchanged and turned-over axes."""
    a, b, c = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG, 3))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turn: NDArray[np.float64] = about_x @ about_y @ about_z
    if rng.random() < ANY_AXES:
        turn = turn[rng.permutation(3)] * rng.choice([-1.0, 1.0], 3)[:, None]
    return turn
