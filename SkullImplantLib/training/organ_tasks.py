"""The two networks of organs as trainings see them: what a case is, its loss, and the score."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from ..cases.thorax_phantom import ORGANS
from ..core.images import array_of
from ..core.progress import Progress, part, silent
from ..networks.autoencoder import SparseAutoEncoder
from ..networks.dense_unet import (
    SEGMENTATION_TASK,
    DenseUNet,
    UNetConfiguration,
    as_seen,
    segmented,
)
from ..networks.label_superres import (
    LABELS_TASK,
    labels_configuration,
)
from ..networks.superres import logits_by_network, rearranged_by_network
from ..networks.weights import AnyConfiguration
from ..organs.coarse_grid import coarse_grid, labels_on, mean_on
from ..sparse import Sites
from ..sparse.sharing import mean_of_all
from .learner import Network, untrained
from .losses import dice_of, rearranging_loss, soft_dice
from .organ_cases import (
    PIECE_VOXELS,
    LabelledSubject,
    OrganCase,
    arrays_of,
    labelled_subject,
    labelled_subject_of,
    organ_case,
)
from .organ_options import SEGMENTATION, SUPERRES, OrganOptions
from .organ_subjects import HELD_BACK, Kept, KeptSubjects, OrganSubjects, Subject, kept_subjects
from .parallel import ALONE, Processes

CHECKED_PIECES = 48
DICE_WEIGHT = 1.0
# In the dense network's cross-entropy a label's voxels count by its share to the power of minus so
# much: at 0 small organs are given up for background before they are known, at 1 all labels count
# the same, and much is taken for an organ that is none.
RARE_COUNTS = 0.5
# Of the dense network's augmentation: a shift in voxels, and in HU; a factor of the contrast.
SHIFT_VOXELS, SHIFT_HU, CONTRAST = 6, 25.0, 0.1
# How often a CT shows only a part, and how much of each side it then shows at least and at most.
SHOWN_IN_PART, PART_SHOWN = 0.6, (0.35, 0.9)
# The least part of the grid's cells along each axis on which it learns, which is faster.
FEWEST_CELLS = 0.6
# CTs are kept on a grid so much finer than the network's, for parts of them to be seen on it.
FINER = 2
# Fine voxels in one of the grid that super-resolution also learns from, along each axis.
COARSER = 4
Check = TypeVar("Check")
CoarseCase = tuple[NDArray[np.float32], NDArray[np.uint8]]


class OrganTask(Protocol):
    """A network, what it learns from, and how well it does: Dice of each organ."""

    name: str
    key: str  # of `organ_options.RECIPES`
    subjects: OrganSubjects
    all_used: bool  # whether every parameter of the network takes part in every loss

    @property
    def configuration(self) -> AnyConfiguration:
        """Of the network."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def draw(self, rng: np.random.Generator) -> Any:
        """Return a new case, which depends on its generator's state alone."""

    def loss(self, cases: Sequence[Any]) -> torch.Tensor:
        """Return the loss on a batch, with gradients; of a batch that processes share
        (`sparse.sharing`), the whole batch's, in which each voxel counts the same.
        """

    def dice(self) -> list[float]:
        """Return the mean Dice of each organ over what is held back; not a number where no case
        has the organ.
        """


@dataclass(frozen=True)
class SeenChest:
    """A CT (int16, HU) and its labels (uint8, in the order of `ORGANS`) on one grid, (z, y, x)."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]


class _TaskOnSubjects(ABC, Generic[Network, Kept, Check]):
    """What both tasks begin with: an untrained network, and subjects prepared for it."""

    name: str
    make: type[Network]
    configuration: AnyConfiguration
    fineness: tuple[int, ...]  # on which, and on the grid's cells, depends what is kept

    def __init__(
        self,
        options: OrganOptions,
        subjects: OrganSubjects,
        folder: Path,
        progress: Progress = silent,
        processes: Processes = ALONE,
    ) -> None:
        """`folder`: where prepared subjects are kept."""
        self.options, self.device = options, torch.device(options.device)
        self.subjects = subjects
        self.network = untrained(self.make, self.configuration, options)
        settings = " ".join(str(one) for one in (self.name, options.cells, *self.fineness))
        share = len(subjects.learnt) / max(len(subjects.learnt) + len(subjects.held_back), 1)

        def kept(some: Sequence[Subject], shown: Progress) -> KeptSubjects[Kept]:
            return kept_subjects(some, folder, settings, self._made, self._loaded, shown)

        self.learnt = processes.in_turn(lambda: kept(subjects.learnt, part(progress, 0.0, share)))
        held = subjects.held_back if processes.is_first else ()
        self.checks = self._checked_by(kept(held, part(progress, share, 1.0)))

    @abstractmethod
    def _made(self, ct: sitk.Image, labels: sitk.Image) -> Mapping[str, NDArray[Any]]:
        """Return what is kept of a subject."""

    @abstractmethod
    def _loaded(self, arrays: Mapping[str, NDArray[Any]]) -> Kept:
        """Return what a case is drawn from, of what is kept."""

    @abstractmethod
    def _checked_by(self, held: Sequence[Kept]) -> list[Check]:
        """Return the cases that each validation is of."""


class SegmentationTask(_TaskOnSubjects[DenseUNet, SeenChest, CoarseCase]):
    """The dense network on the coarse grid, from whole CTs and parts of them."""

    name, key = SEGMENTATION_TASK, SEGMENTATION
    make, configuration, fineness = DenseUNet, UNetConfiguration(len(ORGANS)), (FINER,)
    all_used = True

    def _loaded(self, arrays: Mapping[str, NDArray[Any]]) -> SeenChest:
        return SeenChest(arrays["hu"], arrays["labels"])

    def _checked_by(self, held: Sequence[SeenChest]) -> list[CoarseCase]:
        return [_on_coarse(one.hu, one.labels, self.options.cells) for one in held]

    def _made(self, ct: sitk.Image, labels: sitk.Image) -> dict[str, NDArray[Any]]:
        grid = coarse_grid(ct, [FINER * n for n in self.options.cells])
        hu = np.clip(np.rint(array_of(mean_on(ct, grid))), -32768, 32767).astype(np.int16)
        return {"hu": hu, "labels": _numbered(array_of(labels_on(labels, grid)))}

    def draw(self, rng: np.random.Generator) -> CoarseCase:
        """Return HU as seen and labels of a subject, or of a part of it as a CT may show."""
        subject = self.learnt[int(rng.integers(len(self.learnt)))]
        size = np.array(subject.hu.shape)
        shown = np.ones(3)
        if rng.random() < SHOWN_IN_PART:
            shown = np.clip(rng.uniform(*PART_SHOWN) + rng.uniform(-0.1, 0.1, 3), 0.0, 1.0)
        shape = np.ceil(shown * size).astype(int)
        start = rng.integers(0, size - shape + 1)
        z, y, x = (slice(int(a), int(a + n)) for a, n in zip(start, shape))
        cells = np.ceil(rng.uniform(FEWEST_CELLS, 1.0) * np.array(self.options.cells)).astype(int)
        hu, labels = _on_coarse(subject.hu[z, y, x], subject.labels[z, y, x], cells.tolist())
        # What is moved out on one side comes in on the other: air and body's ends.
        by = (
            rng.integers(-SHIFT_VOXELS, SHIFT_VOXELS + 1, 3).tolist()
            if (shape == size).all()
            else [0] * 3
        )
        hu, labels = np.roll(hu, by, (0, 1, 2)), np.roll(labels, by, (0, 1, 2))
        return as_seen(hu * rng.normal(1.0, CONTRAST) + rng.normal(0.0, SHIFT_HU)), labels

    def loss(self, cases: Sequence[CoarseCase]) -> torch.Tensor:
        """Return the mean cross-entropy of all voxels, in which rare organs count for more, and the
        mean of the organs' soft Dice terms of each case that has them.
        """
        entropies, lost = [], []
        for seen, true in cases:  # one after the other, as they differ in shape
            logits = self.network(torch.from_numpy(seen)[None, None].to(self.device)).float()
            target = torch.from_numpy(true)[None].long().to(self.device)
            entropy = F.cross_entropy(logits, target, reduction="none")
            counts = _counts(target, logits.shape[1])
            entropies.append((entropy * counts / counts.mean()).flatten())
            shares = logits.softmax(1)
            for label in range(1, logits.shape[1]):
                is_it = (target == label).float()
                if is_it.any():
                    lost.append(1.0 - soft_dice(shares[:, label], is_it, shared=False))
        dice = torch.stack(lost) if lost else entropies[0][:0]
        return mean_of_all(torch.cat(entropies)) + DICE_WEIGHT * mean_of_all(dice)

    def dice(self) -> list[float]:
        """See `OrganTask`."""
        found = [(segmented(self.network, hu, self.device)[0], true) for hu, true in self.checks]
        return _mean_dice(found)


class SuperResTask(_TaskOnSubjects[SparseAutoEncoder, LabelledSubject, OrganCase]):
    """The sparse network from the coarse grid to the fine one, on pieces."""

    name, key = LABELS_TASK, SUPERRES
    make, configuration = SparseAutoEncoder, labels_configuration()
    fineness = (COARSER, PIECE_VOXELS)
    all_used = False  # no loss touches the papers' last layer

    def _loaded(self, arrays: Mapping[str, NDArray[Any]]) -> LabelledSubject:
        return labelled_subject_of(arrays)

    def _checked_by(self, held: Sequence[LabelledSubject]) -> list[OrganCase]:
        rng = np.random.default_rng([self.options.seed, HELD_BACK])
        return [organ_case(held, rng) for _ in range(CHECKED_PIECES * bool(held))]

    def _made(self, ct: sitk.Image, labels: sitk.Image) -> dict[str, NDArray[Any]]:
        x, y, z = self.options.cells
        along_x, along_y, along_z = (max(n // COARSER, 1) for n in labels.GetSize())
        grids = [(x, y, z), (x * 3 // 4, y * 3 // 4, z), (along_x, along_y, along_z)]
        return arrays_of(labelled_subject(labels, list(ORGANS.values()), grids))

    def draw(self, rng: np.random.Generator) -> OrganCase:
        """Return a piece."""
        return organ_case(self.learnt, rng)

    def loss(self, cases: Sequence[OrganCase]) -> torch.Tensor:
        """See `losses.rearranging_loss`."""
        masks = torch.from_numpy(np.stack([case.mask for case in cases])).to(self.device)
        target = Sites(torch.nonzero(masks).int(), stride=1)
        views = [case.view for case in cases]
        decoded = rearranged_by_network(self.network, views, self.device, target, only_sites=True)
        return rearranging_loss(decoded, masks.float(), DICE_WEIGHT)

    def dice(self) -> list[float]:
        """See `OrganTask`."""
        found: dict[int, list[float]] = {}
        for case in self.checks:
            logits = logits_by_network(self.network, case.view, self.device, only_sites=True)
            found.setdefault(case.organ, []).append(dice_of(logits > 0, case.mask))
        organs = range(1, len(ORGANS) + 1)
        return [float(np.mean(found[k])) if k in found else math.nan for k in organs]


MakeTask = Callable[
    [OrganOptions, OrganSubjects, Path, Progress, Processes], SegmentationTask | SuperResTask
]
TASKS: dict[str, MakeTask] = {SEGMENTATION: SegmentationTask, SUPERRES: SuperResTask}


def _on_coarse(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], cells: Sequence[int]
) -> CoarseCase:
    """Return HU and labels as the dense network's grid has them."""
    ct, of_ct = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(labels)
    grid = coarse_grid(ct, cells)
    return array_of(mean_on(ct, grid)), array_of(labels_on(of_ct, grid))


def _counts(target: torch.Tensor, labels: int) -> torch.Tensor:
    """Return how much each voxel of a case counts in the cross-entropy."""
    share = torch.bincount(target.flatten(), minlength=labels).clamp(min=1) / target.numel()
    return (share**-RARE_COUNTS)[target]


def _numbered(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels as 1 and so on, in the order of `ORGANS`."""
    numbers = np.zeros(256, np.uint8)
    numbers[list(ORGANS.values())] = range(1, len(ORGANS) + 1)
    numbered: NDArray[np.uint8] = numbers[labels]
    return numbered


def _mean_dice(found: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> list[float]:
    """Return the mean Dice of each organ over pairs of labels in which it is; 0 to 1."""
    means = []
    for label in range(1, len(ORGANS) + 1):
        dice = [dice_of(a == label, b == label) for a, b in found if (b == label).any()]
        means.append(float(np.mean(dice)) if dice else math.nan)
    return means
