"""Endless cases for the super-resolution of organs: pieces of label maps, fine and coarse.

A subject's fine labels are brought to coarse grids of several sizes once, as a dense network of
that grid would find them at best; a case is a piece of the fine grid around a place on an organ's
surface, seen with one of them. The rarer an organ, the more often its surface is drawn than its
size says: each organ is drawn alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.finer_grid import places_of
from ..core.images import array_of
from ..errors import SkullImplantError
from ..networks.label_superres import LabelsView, coarse_masks, labels_view
from ..networks.superres import CoarseMask
from ..organs.coarse_grid import coarse_grid, labels_on

PIECE_VOXELS = 48
KEPT_PLACES = 20_000  # of an organ's surface
MIRRORED = 0.5  # share of cases that are turned over, along each axis by itself


@dataclass(frozen=True)
class LabelledSubject:
    """A subject's fine labels (uint8, z, y, x; 0, or 1 and so on in the order of the organs);
    places on each organ's surface; and what is seen on each coarse grid: masks, and the fine
    voxels' places on it.
    """

    labels: NDArray[np.uint8]
    surface: tuple[NDArray[np.int32], ...]
    seen: tuple[tuple[tuple[CoarseMask, ...], tuple[NDArray[np.float32], ...]], ...]


@dataclass(frozen=True)
class LabelsCase:
    """What the network sees of a piece, and the true labels there."""

    view: LabelsView
    labels: NDArray[np.uint8]


def labelled_subject(
    labels: sitk.Image, wanted: Sequence[int], grids: Sequence[tuple[int, int, int]]
) -> LabelledSubject:
    """Return a subject to cut pieces from; `grids`: the coarse ones' voxels along (x, y, z).

    Raises `SkullImplantError` where the image has none of the `wanted` labels.
    """
    fine = array_of(labels)
    own = np.zeros(fine.shape, np.uint8)
    for number, label in enumerate(wanted, 1):
        own[fine == label] = number
    if not own.any():
        raise SkullImplantError("The image has none of the organs' labels; check the labels.")
    seen = []
    for cells in grids:
        coarse = labels_on(labels, coarse_grid(labels, cells))
        masks = coarse_masks(array_of(coarse), wanted, coarse.GetSpacing()[::-1])
        seen.append((masks, places_of(labels, coarse)))
    surfaces = (_surface(own == number) for number in range(1, len(wanted) + 1))
    return LabelledSubject(own, tuple(s for s in surfaces if len(s)), tuple(seen))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    places = np.argwhere(mask & ~ndimage.binary_erosion(mask)).astype(np.int32)
    chosen = np.linspace(0, len(places) - 1, min(KEPT_PLACES, len(places))).astype(int)
    kept: NDArray[np.int32] = places[chosen]
    return kept


def labels_case(subjects: Sequence[LabelledSubject], rng: np.random.Generator) -> LabelsCase:
    """Return a piece of one of the subjects around a place on one of the organs, seen coarse."""
    subject = subjects[int(rng.integers(len(subjects)))]
    surface = subject.surface[int(rng.integers(len(subject.surface)))]
    masks, at = subject.seen[int(rng.integers(len(subject.seen)))]
    shape = np.array(subject.labels.shape)
    middle = surface[rng.integers(len(surface))] + rng.integers(-8, 9, 3)
    size = np.minimum(PIECE_VOXELS, shape)
    start = np.clip(middle - size // 2, 0, shape - size)
    box = tuple(slice(int(a), int(a + n)) for a, n in zip(start, size))
    # Places run backwards where a piece is turned over, and the network sees its mirror image.
    turned = [slice(None, None, -1 if rng.random() < MIRRORED else 1) for _ in range(3)]
    places = [axis[part][turn] for axis, part, turn in zip(at, box, turned)]
    piece = subject.labels[box][tuple(turned)]
    return LabelsCase(labels_view(masks, places), np.ascontiguousarray(piece))
