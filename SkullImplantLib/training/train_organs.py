"""Training of organ segmentation on the procedural thorax: the dense network, or what follows it.

    python -m SkullImplantLib.training.train_organs segmentation -o training/organs-segmentation
    python -m SkullImplantLib.training.train_organs superres -o training/organs-superres

Subjects are made by their seeds (`cases/thorax_phantom.py`): those of the training from 0 on, those
held back for validation from `HELD_BACK` on. A run is resumed by the same command. On two CPU cores
`segmentation` takes about 50 minutes, and `superres` 100 (by the seconds of a few iterations).
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from torch import nn

from ..cases.thorax_phantom import ORGANS, ThoraxOptions, ThoraxSubject, make_thorax
from ..core.images import array_of
from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
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
    decoded_labels,
    labels_by_network,
    labels_configuration,
)
from ..networks.weights import AnyConfiguration, save_weights
from ..organs.coarse_grid import coarse_grid, labels_on, mean_on
from ..sparse import BatchNorm, Sites
from .average import RunningAverage
from .checkpoint import Checkpoint, resume_from, save_checkpoint
from .losses import dice_of, labels_loss, soft_dice
from .organ_cases import LabelledSubject, LabelsCase, labelled_subject, labels_case
from .precision import Precision
from .schedule import pace

Subject = TypeVar("Subject")

HELD_BACK = 10_000  # the first seed of subjects that are never learnt from
CHECKED_PIECES = 24
DICE_WEIGHT = 1.0
# In the dense network's cross-entropy a label's voxels count by its share to the power of minus so
# much: at 0 small organs are given up for background before they are known, at 1 all labels count
# the same, and much is taken for an organ that is none.
RARE_COUNTS = 0.7
# From this share of the iterations on the sparse network's normalisation keeps its statistics. A
# batch of pieces around some organs is like no other, and unlike the slab of a chest that is
# refined; what is learnt must hold with the statistics that are used then.
SETTLED = 0.4
LEAST_SEEN = 100  # batches, of which statistics are told
# Of the dense network's augmentation: a shift in voxels, and in HU; a factor of the contrast.
SHIFT_VOXELS, SHIFT_HU, CONTRAST = 6, 25.0, 0.1
# How often a CT shows only a part, and how much of each side it then shows at least and at most.
SHOWN_IN_PART, PART_SHOWN = 0.6, (0.35, 0.9)
# The least part of the grid's cells along each axis on which it learns, which is faster.
FEWEST_CELLS = 0.6
# Fine voxels in one of the grid that super-resolution also learns from, along each axis.
COARSER = 4


@dataclass(frozen=True)
class OrganOptions:
    """How organs are learnt: `subjects`, of `sizes` in turn, in voxels (x, y, z), and how many held
    back; the dense network's grid, `cells` (x, y, z), beside which super-resolution learns from
    others; cases an iteration (`batch`); and the rest as in `TrainOptions`.
    """

    subjects: int = 12
    held_back: int = 2
    sizes: tuple[tuple[int, int, int], ...] = ((512, 512, 180),)
    cells: tuple[int, int, int] = (128, 128, 128)
    batch: int = 2
    iterations: int = 600
    validate_every: int = 50
    learning_rate: float = 2e-3
    seed: int = 0
    device: str = "cpu"


class OrganTask(Protocol):
    """A network, what it learns from, and how well it does: Dice of each organ."""

    name: str
    configuration: AnyConfiguration

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """Return the loss on a new batch, with gradients."""

    def dice(self) -> list[float]:
        """Return the mean Dice of each organ over what is held back."""


class SegmentationTask:
    """The dense network on the coarse grid, from whole CTs and parts of them."""

    name = SEGMENTATION_TASK

    def __init__(self, options: OrganOptions, progress: Progress) -> None:
        self.options, self.device = options, torch.device(options.device)
        self.configuration: AnyConfiguration = UNetConfiguration(len(ORGANS))
        generator = torch.Generator().manual_seed(options.seed)
        self.network = DenseUNet(**asdict(self.configuration), generator=generator)
        self.network.to(self.device)
        self.learnt, held = _made(options, progress, self._subject)
        self.held = [_on_coarse(one.ct, one.labels, options.cells) for one in held]

    def _subject(self, seed: int, size: tuple[int, int, int]) -> ThoraxSubject:
        return make_thorax(seed, ThoraxOptions(size=size))

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        cases = [self._case(rng) for _ in range(self.options.batch)]
        lost = [self._loss_of(hu, labels) for hu, labels in cases]  # they differ in shape
        return torch.stack(lost).mean()

    def _case(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return HU as seen and labels of a subject, or of a part of it as a CT may show."""
        subject = self.learnt[int(rng.integers(len(self.learnt)))]
        size = np.array(subject.ct.GetSize())
        shown = np.ones(3)
        if rng.random() < SHOWN_IN_PART:
            shown = np.clip(rng.uniform(*PART_SHOWN) + rng.uniform(-0.1, 0.1, 3), 0.0, 1.0)
        part = np.ceil(shown * size).astype(int)
        start = rng.integers(0, size - part + 1)
        x, y, z = (slice(int(a), int(a + n)) for a, n in zip(start, part))
        cells = np.ceil(rng.uniform(FEWEST_CELLS, 1.0) * np.array(self.options.cells)).astype(int)
        hu, labels = _on_coarse(subject.ct[x, y, z], subject.labels[x, y, z], cells.tolist())
        # What is moved out on one side comes in on the other: air and body's ends.
        by = (
            rng.integers(-SHIFT_VOXELS, SHIFT_VOXELS + 1, 3).tolist()
            if (part == size).all()
            else [0] * 3
        )
        hu, labels = (np.roll(volume, by, (0, 1, 2)) for volume in (hu, labels))
        hu = hu * rng.normal(1.0, CONTRAST) + rng.normal(0.0, SHIFT_HU)
        return as_seen(hu), labels

    def _loss_of(self, seen: np.ndarray, true: np.ndarray) -> torch.Tensor:
        logits = self.network(torch.from_numpy(seen)[None, None].to(self.device))
        target = torch.from_numpy(true)[None].long().to(self.device)
        shares = logits.softmax(1)
        lost = [
            1.0 - soft_dice(shares[:, label], (target == label).float())
            for label in range(1, logits.shape[1])
            if (target == label).any()
        ]
        seen_of_each = torch.bincount(target.flatten(), minlength=logits.shape[1])
        share = seen_of_each.clamp(min=1) / target.numel()
        entropy = F.cross_entropy(logits, target, share**-RARE_COUNTS)
        return entropy + DICE_WEIGHT * torch.stack(lost).mean() if lost else entropy

    def dice(self) -> list[float]:
        found = [(segmented(self.network, hu, self.device)[0], true) for hu, true in self.held]
        return _mean_dice(found)


class SuperResTask:
    """The sparse network from the coarse grid to the fine one, on pieces."""

    name = LABELS_TASK

    def __init__(self, options: OrganOptions, progress: Progress) -> None:
        self.options, self.device = options, torch.device(options.device)
        configuration = labels_configuration(len(ORGANS))
        self.configuration: AnyConfiguration = configuration
        generator = torch.Generator().manual_seed(options.seed)
        self.network = SparseAutoEncoder(**asdict(configuration), generator=generator)
        self.network.to(self.device)
        self.learnt, held = _made(options, progress, self._subject)
        rng = np.random.default_rng([options.seed, HELD_BACK])
        self.checks = [labels_case(held, rng) for _ in range(CHECKED_PIECES * bool(held))]

    def _subject(self, seed: int, size: tuple[int, int, int]) -> LabelledSubject:
        labels = make_thorax(seed, ThoraxOptions(size=size, noise_hu=1.0)).labels
        x, y, z = self.options.cells
        along_x, along_y, along_z = (n // COARSER for n in size)
        grids = [(x, y, z), (x * 3 // 4, y * 3 // 4, z), (along_x, along_y, along_z)]
        return labelled_subject(labels, list(ORGANS.values()), grids)

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        return self.loss_of([labels_case(self.learnt, rng) for _ in range(self.options.batch)])

    def loss_of(self, cases: Sequence[LabelsCase]) -> torch.Tensor:
        """Return the loss on some pieces, with gradients."""
        labels = torch.from_numpy(np.stack([case.labels for case in cases])).to(self.device)
        target = Sites(torch.nonzero(labels).int(), stride=1)
        decoded = decoded_labels(self.network, [case.view for case in cases], self.device, target)
        return labels_loss(decoded, labels.long(), DICE_WEIGHT)

    def dice(self) -> list[float]:
        made = [labels_by_network(self.network, case.view, self.device) for case in self.checks]
        return _mean_dice([(one, case.labels) for one, case in zip(made, self.checks)])


def _made(
    options: OrganOptions,
    progress: Progress,
    make: Callable[[int, tuple[int, int, int]], Subject],
) -> tuple[list[Subject], list[Subject]]:
    seeds = [*range(options.subjects), *range(HELD_BACK, HELD_BACK + options.held_back)]
    made = []
    for number, seed in enumerate(seeds):
        progress(number / len(seeds), f"making subject {seed}")
        made.append(make(seed, options.sizes[number % len(options.sizes)]))
    return made[: options.subjects], made[options.subjects :]


def _on_coarse(
    ct: sitk.Image, labels: sitk.Image, cells: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and labels, in the order of `ORGANS`, as the dense network's grid has them."""
    grid = coarse_grid(ct, cells)
    return array_of(mean_on(ct, grid)), _numbered(array_of(labels_on(labels, grid)))


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Return labels as 1 and so on, in the order of `ORGANS`."""
    numbers = np.zeros(256, np.uint8)
    numbers[list(ORGANS.values())] = range(1, len(ORGANS) + 1)
    numbered: np.ndarray = numbers[labels]
    return numbered


def _mean_dice(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Return the mean Dice of each organ over pairs of labels in which it is; 0 to 1."""
    means = []
    for label in range(1, len(ORGANS) + 1):
        dice = [dice_of(a == label, b == label) for a, b in found if (b == label).any()]
        means.append(float(np.mean(dice)) if dice else math.nan)
    return means


def train_organs(
    task: OrganTask, folder: Path, options: OrganOptions, progress: Progress = silent
) -> Path:
    """Train, or go on where `folder` has a checkpoint, and return the path of the weights.

    `folder` receives `weights.npz` (a running average), `log.csv` and `checkpoint.npz`. Raises
    `SkullImplantError` where the checkpoint was begun with other options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network, log = task.network, folder / "log.csv"
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate, amsgrad=True)
    average, precision = RunningAverage(network), Precision("float32", options.device)
    told = json.loads(json.dumps(asdict(options) | {"device": ""}))  # as they come back
    first, rows = 0, [",".join(["iteration", "loss", *ORGANS, "minutes"])]

    def restore(checkpoint: Checkpoint) -> None:
        nonlocal first, rows
        if checkpoint.progress["options"] != told:
            raise SkullImplantError(
                "The checkpoint was trained with other options; train into another folder."
            )
        network.load_state_dict(checkpoint.network)
        average.restore(checkpoint.average)
        optimiser.load_state_dict(checkpoint.optimiser)
        first, rows = checkpoint.progress["iteration"], checkpoint.progress["rows"]

    resume_from(folder, restore)
    start, losses = time.monotonic(), []
    for iteration in range(first, options.iterations):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * pace(iteration, options.iterations)
        _prepare(network, iteration >= max(LEAST_SEEN, SETTLED * options.iterations))
        optimiser.zero_grad(set_to_none=True)
        loss = task.loss(np.random.default_rng([options.seed, iteration]))
        if not bool(torch.isfinite(loss)):
            raise SkullImplantError(
                f"The loss is not a number any more at iteration {iteration}.", Remedy.TRAIN_GENTLER
            )
        precision.descend(loss, optimiser)
        average.update(network, iteration)
        losses.append(float(loss.detach()))
        done = iteration + 1
        progress(done / options.iterations, f"iteration {done}, loss {losses[-1]:.3f}")
        if done % options.validate_every and done < options.iterations:
            continue
        with average.instead_of(network):
            network.eval()
            dice = task.dice()
        minutes = (time.monotonic() - start) / 60.0
        numbers = [np.mean(losses), *dice, minutes]
        rows.append(",".join([str(done), *(f"{number:.4f}" for number in numbers)]))
        losses = []
        log.write_text("\n".join(rows) + "\n", encoding="utf-8")
        metadata: dict[str, Any] = {
            "task": task.name,
            "organs": list(ORGANS),
            "options": told,
            "iteration": done,
            "trained_on": [f"procedural thorax {seed}" for seed in range(options.subjects)],
            "dice": dict(zip(ORGANS, (None if math.isnan(d) else round(d, 4) for d in dice))),
        }
        save_weights(folder / "weights.npz", task.configuration, average.state, metadata)
        kept = {"iteration": done, "rows": rows, "options": told}
        state = (network.state_dict(), average.state, optimiser.state_dict(), kept)
        save_checkpoint(folder, Checkpoint(*state))
    return folder / "weights.npz"


def _prepare(network: nn.Module, settled: bool) -> None:
    network.train()
    for module in network.modules():
        if settled and isinstance(module, BatchNorm):
            module.eval()


TASKS: dict[str, Callable[[OrganOptions, Progress], OrganTask]] = {
    "segmentation": SegmentationTask,
    "superres": SuperResTask,
}
# Of each, where it differs from the defaults.
RECIPES = {
    "segmentation": OrganOptions(
        batch=1, sizes=((256, 256, 225),), subjects=16, iterations=700, learning_rate=6e-3
    ),
    # Slices of 2.5 mm as in SegTHOR, and voxels alike on all sides, of 1.5 mm.
    "superres": OrganOptions(
        sizes=((512, 512, 180), (334, 334, 300)),
        batch=4,
        iterations=3000,
        validate_every=100,
        learning_rate=1e-3,
    ),
}


def main() -> None:
    """Train by a recipe; progress goes to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=TASKS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()

    def show(fraction: float, message: str = "") -> None:
        print(f"{fraction:4.0%} {message}", flush=True)

    task = TASKS[given.what](RECIPES[given.what], part(show, 0.0, 0.1))
    train_organs(task, given.output, RECIPES[given.what], part(show, 0.1, 1.0))


if __name__ == "__main__":
    main()
