"""Endless cases for the super-resolution of organs: pieces of label maps, fine and coarse.

A subject's fine labels are brought to coarse grids of several sizes once, as a dense network of
that grid would find them at best; a case is a piece of the fine grid around a place on an organ's
surface, seen with one of them. The rarer an organ, the more often its surface is drawn than its
size says: each organ is drawn alike. Subjects are kept on disk, as a cohort's do not fit into
memory, and cut to what pieces can reach.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.finer_grid import places_of
from ..core.images import array_of, bounding_box
from ..errors import SkullImplantError
from ..networks.label_superres import coarse_masks
from ..networks.superres import CoarseMask, CoarseView, coarse_view, up_to_outside
from ..organs.coarse_grid import coarse_grid, labels_on

PIECE_VOXELS = 48
# So far a piece's middle lies from the surface at most, along each axis.
MOVED_VOXELS = 8
KEPT_PLACES = 20_000  # of an organ's surface
MOST_DRAWN = 100  # pieces, until one shows its organ on the coarse grid
MIRRORED = 0.5  # share of cases that are turned over, along each axis by itself


@dataclass(frozen=True)
class LabelledSubject:
    """A subject's fine labels (uint8, z, y, x; 0, or 1 and so on in the order of the organs), cut
    to what pieces reach; places on each organ's surface; and what is seen on each coarse grid:
    masks, cut alike, and the fine voxels' places on it.
    """

    labels: NDArray[np.uint8]
    surface: tuple[NDArray[np.int32], ...]
    seen: tuple[tuple[tuple[CoarseMask, ...], tuple[NDArray[np.float32], ...]], ...]


@dataclass(frozen=True)
class OrganCase:
    """What the network sees of an organ in a piece, where it truly is (bool), and which it is: its
    number in the order of the subject's.
    """

    view: CoarseView
    mask: NDArray[np.bool_]
    organ: int


def labelled_subject(
    labels: sitk.Image, wanted: Sequence[int], grids: Sequence[tuple[int, int, int]]
) -> LabelledSubject:
    """Return a subject to cut pieces from; `grids`: the coarse ones' voxels along (x, y, z).

    Raises `SkullImplantError` where the image has none of the `wanted` labels, or is smaller than a
    piece.
    """
    fine = array_of(labels)
    own = np.zeros(fine.shape, np.uint8)
    for number, label in enumerate(wanted, 1):
        own[fine == label] = number
    if not own.any():
        raise SkullImplantError("The image has none of the organs' labels; check the labels.")
    if min(own.shape) < PIECE_VOXELS:
        raise SkullImplantError(
            f"The image has {min(own.shape)} voxels along an axis and super-resolution learns from "
            f"pieces of {PIECE_VOXELS}; leave it out."
        )
    # Pieces that begin here or end there are moved in by the image's own border alone.
    reached = bounding_box(own, PIECE_VOXELS + MOVED_VOXELS)
    own = np.ascontiguousarray(own[reached])
    seen = []
    for cells in grids:
        coarse = labels_on(labels, coarse_grid(labels, cells))
        masks = coarse_masks(array_of(coarse), wanted, coarse.GetSpacing()[::-1])
        at = [axis[part] for axis, part in zip(places_of(labels, coarse), reached)]
        seen.append(_cut(masks, at))
    surfaces = (_surface(own == number) for number in range(1, len(wanted) + 1))
    return LabelledSubject(own, tuple(s for s in surfaces if len(s)), tuple(seen))


def _cut(
    masks: Sequence[CoarseMask], at: Sequence[NDArray[np.float32]]
) -> tuple[tuple[CoarseMask, ...], tuple[NDArray[np.float32], ...]]:
    """Return masks cut to the coarse voxels around the places `at`, and these places in them."""
    # One more than interpolation between the nearest two asks for.
    box = tuple(slice(max(int(axis[0]) - 1, 0), int(axis[-1]) + 3) for axis in at)
    cut = tuple(
        CoarseMask(mask.filled[box].copy(), mask.depth_mm[box].copy(), mask.spacing_mm)
        for mask in masks
    )
    return cut, tuple(axis - np.float32(part.start) for axis, part in zip(at, box))


def arrays_of(subject: LabelledSubject) -> dict[str, NDArray[Any]]:
    """Return a subject as arrays by name, which `labelled_subject_of` takes."""
    arrays: dict[str, NDArray[Any]] = {"labels": subject.labels}
    arrays |= {f"surface/{k}": places for k, places in enumerate(subject.surface)}
    for k, (masks, at) in enumerate(subject.seen):
        arrays[f"seen/{k}/filled"] = np.stack([mask.filled for mask in masks])
        arrays[f"seen/{k}/depth_mm"] = np.stack([mask.depth_mm for mask in masks])
        arrays[f"seen/{k}/spacing_mm"] = np.array(masks[0].spacing_mm)
        arrays |= {f"seen/{k}/at/{axis}": places for axis, places in enumerate(at)}
    return arrays


def labelled_subject_of(arrays: Mapping[str, NDArray[Any]]) -> LabelledSubject:
    """Return the subject of `arrays_of`; raises `KeyError` or `ValueError` where it is none."""
    surfaces: list[NDArray[np.int32]] = []
    seen: list[tuple[tuple[CoarseMask, ...], tuple[NDArray[np.float32], ...]]] = []
    while f"surface/{len(surfaces)}" in arrays:
        surfaces.append(arrays[f"surface/{len(surfaces)}"])
    while f"seen/{len(seen)}/filled" in arrays:
        name = f"seen/{len(seen)}"
        z, y, x = arrays[f"{name}/spacing_mm"].tolist()
        pairs = zip(arrays[f"{name}/filled"], arrays[f"{name}/depth_mm"], strict=True)
        masks = tuple(CoarseMask(filled, depth_mm, (z, y, x)) for filled, depth_mm in pairs)
        seen.append((masks, tuple(arrays[f"{name}/at/{axis}"] for axis in range(3))))
    if not surfaces or not seen:
        raise ValueError("a subject without organs")
    return LabelledSubject(arrays["labels"], tuple(surfaces), tuple(seen))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    places = np.argwhere(mask & ~ndimage.binary_erosion(mask)).astype(np.int32)
    chosen = np.linspace(0, len(places) - 1, min(KEPT_PLACES, len(places))).astype(int)
    kept: NDArray[np.int32] = places[chosen]
    return kept


def organ_case(subjects: Sequence[LabelledSubject], rng: np.random.Generator) -> OrganCase:
    """Return a piece of one of the subjects around a place on one of the organs, seen coarse; and
    of the organs in it one. Raises `SkullImplantError` where coarse grids lose the organs.
    """
    for _ in range(MOST_DRAWN):
        case = _drawn(subjects[int(rng.integers(len(subjects)))], rng)
        if up_to_outside(case.view).any():
            return case
    raise SkullImplantError(
        "Hardly a piece shows its organ on the coarse grid; learn from a finer one, or from other "
        "images."
    )


def _drawn(subject: LabelledSubject, rng: np.random.Generator) -> OrganCase:
    surface = subject.surface[int(rng.integers(len(subject.surface)))]
    masks, at = subject.seen[int(rng.integers(len(subject.seen)))]
    shape = np.array(subject.labels.shape)
    middle = surface[rng.integers(len(surface))] + rng.integers(-MOVED_VOXELS, MOVED_VOXELS + 1, 3)
    start = np.clip(middle - PIECE_VOXELS // 2, 0, shape - PIECE_VOXELS)
    box = tuple(slice(int(a), int(a) + PIECE_VOXELS) for a in start)
    # Places run backwards where a piece is turned over, and the network sees its mirror image.
    turned = [slice(None, None, -1 if rng.random() < MIRRORED else 1) for _ in range(3)]
    places = [axis[part][turn] for axis, part, turn in zip(at, box, turned)]
    piece = subject.labels[box][tuple(turned)]
    there = np.unique(piece)
    organ = int(rng.choice(there[there > 0]))
    return OrganCase(coarse_view(masks[organ - 1], places), piece == organ, organ)
