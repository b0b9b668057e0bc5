"""Training of the completion network: skulls from a folder in, weights with a model card out.

The papers' recipe (Kroviakov et al. 2021, section 2; Li et al. 2023): Adam with amsgrad, batch 1,
loss = the plain sum of the levels' binary cross-entropies, the target kept while training. Beyond
it: the geometric prior as input, affine and elastic augmentation, soft targets at the finest level
(the part of the voxel that bone fills, so that the surface can be placed within a voxel), a soft
Dice term on the hole, and a finest level that starts from the prior.
"""

import csv
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import SkullImplantError
from ..networks.autoencoder import (
    NAMED_CHANNELS,
    Completion,
    SparseAutoEncoder,
    named_configuration,
)
from ..networks.inputs import NOWHERE_MM, network_input, starting_logit
from ..networks.weights import save_weights
from ..progress import Progress, part, silent
from ..sparse import Sites, SparseTensor
from .augmentation import AugmentationOptions, augment
from .cases import Case, load_case, prepare_cases
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .cohort import SkullFile, split_skulls
from .model_card import write_model_card
from .options import TrainOptions


@dataclass(frozen=True)
class Score:
    """Mean implant Dice over validation cases on the network's grid: network, and prior alone."""

    network_dice: float
    prior_dice: float


def train(
    skulls: Sequence[SkullFile],
    folder: Path,
    options: TrainOptions = TrainOptions(),
    resume: bool = False,
    progress: Progress = silent,
) -> Path:
    """Train a network on `skulls` and return the path of its weights, `weights.npz` in `folder`.

    Validation holds back whole skulls, never defects. `folder` receives the prepared cases, a log
    (`log.csv`), a checkpoint to resume from, the best weights so far and their model card. A run
    with the same options and seed makes the same weights, also when it was interrupted and resumed.
    Raises `SkullImplantError` for options that make no network or a folder without usable skulls.
    """
    if options.network not in NAMED_CHANNELS:
        raise SkullImplantError(f"There is no network '{options.network}'; use ch1 or ch2.")
    folder.mkdir(parents=True, exist_ok=True)
    learning, held_back = split_skulls(skulls, options.validation_share, options.seed)
    prepare = (options.cases_per_skull, options.spacing_mm, options.seed)
    cases = prepare_cases(learning, folder / "cases", *prepare, progress=part(progress, 0.0, 0.3))
    checks = prepare_cases(held_back, folder / "cases", *prepare, progress=part(progress, 0.3, 0.4))
    run = _Run(cases, [load_case(path) for path in checks], folder, options)
    if resume and run.checkpoint_path.exists():
        run.restore(load_checkpoint(run.checkpoint_path))
    run.go(part(progress, 0.4, 1.0), [s.name for s in learning], [s.name for s in held_back])
    return run.weights_path


def completion_loss(
    completion: Completion, fraction: torch.Tensor, hole: torch.Tensor, hole_weight: float
) -> torch.Tensor:
    """Return the sum of the levels' binary cross-entropies, with a soft Dice term on the hole.

    The hole holds a few percent of the voxels. Cross-entropy alone makes thin bone whose place is
    uncertain too thin, as no voxel of it is then likely; Dice keeps its volume.

    `fraction` (float32) and `hole` (bool), dense (z, y, x): the target's share of each voxel, and
    where bone is missing. Candidates of coarser levels are judged by "is it in the strided target".
    """
    total = fraction.new_zeros(())
    for level in completion.levels:
        if len(level.logits) == 0:
            continue
        assert level.target is not None
        if level.stride > 1:
            total = total + F.binary_cross_entropy_with_logits(level.logits, level.target.float())
            continue
        z, y, x = level.coordinates[:, 1:].long().T
        each = F.binary_cross_entropy_with_logits(level.logits, fraction[z, y, x], reduction="none")
        total = total + each.mean()
        in_hole = hole[z, y, x]
        if hole_weight > 0.0 and bool(in_hole.any()):
            share, truth = torch.sigmoid(level.logits[in_hole]), fraction[z, y, x][in_hole]
            overlap = 2.0 * (share * truth).sum() / (share.sum() + truth.sum()).clamp(min=1.0)
            total = total + hole_weight * (1.0 - overlap)
    return total


class _Run:
    """One training run: what must survive from one iteration to the next."""

    def __init__(
        self, cases: list[Path], checks: list[Case], folder: Path, options: TrainOptions
    ) -> None:
        self.cases, self.checks, self.folder, self.options = cases, checks, folder, options
        self.checkpoint_path = folder / "checkpoint.npz"
        self.weights_path = folder / "weights.npz"
        self.device = torch.device(options.device)
        self.configuration = named_configuration(
            options.network,
            in_channels=len(options.channels),
            activation=options.activation,
            skip=options.skip,
        )
        generator = torch.Generator().manual_seed(options.seed)
        self.network = SparseAutoEncoder(**asdict(self.configuration), generator=generator)
        self.network.to(self.device)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=options.learning_rate, amsgrad=True
        )
        self.iteration = 0
        self.best: Score | None = None

    def restore(self, checkpoint: Checkpoint) -> None:
        before = {**checkpoint.progress["options"], "iterations": 0, "minutes": None}
        now = {**json.loads(json.dumps(asdict(self.options))), "iterations": 0, "minutes": None}
        changed = sorted(key for key in now if before.get(key) != now[key])
        if changed:
            raise SkullImplantError(
                f"The checkpoint was trained with other options ({', '.join(changed)}); use the "
                "same ones, or train into another folder."
            )
        self.network.load_state_dict(checkpoint.network)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.iteration = checkpoint.progress["iteration"]
        best = checkpoint.progress["best"]
        self.best = Score(**best) if best else None

    def go(self, progress: Progress, learnt_on: list[str], held_back: list[str]) -> None:
        options = self.options
        start, losses = time.monotonic(), []
        while self.iteration < options.iterations:
            losses.append(self.step())
            self.iteration += 1
            minutes = (time.monotonic() - start) / 60.0
            late = options.minutes is not None and minutes >= options.minutes
            last = late or self.iteration == options.iterations
            progress(
                self.iteration / options.iterations,
                f"iteration {self.iteration}, loss {np.mean(losses[-50:]):.3f}"
                + (f", validation Dice {self.best.network_dice:.3f}" if self.best else ""),
            )
            if self.iteration % options.validate_every == 0 or last:
                self.check(float(np.mean(losses)), minutes, learnt_on, held_back)
                losses = []
            if late:
                break

    def step(self) -> float:
        """One iteration: its case and augmentation depend on seed and number alone."""
        rng = np.random.default_rng([self.options.seed, self.iteration])
        case = augmented(load_case(self.cases[rng.integers(len(self.cases))]), rng)
        rate = 0.5 * (1.0 + math.cos(math.pi * self.iteration / self.options.iterations))
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.learning_rate * max(rate, 0.01)
        fraction = torch.from_numpy(case.target).to(self.device)
        places = torch.nonzero(fraction >= 0.5).int()
        batch = torch.zeros((len(places), 1), dtype=torch.int32, device=self.device)
        target = Sites(torch.cat([batch, places], dim=1), stride=1)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        completion = self.complete(case, target)
        hole = torch.from_numpy(case.depth_mm > -NOWHERE_MM).to(self.device)
        loss = completion_loss(completion, fraction, hole, self.options.hole_weight)
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def complete(self, case: Case, target: Sites | None = None) -> Completion:
        coordinates, features = network_input(
            case.skull, case.depth_mm, case.spacing_mm, self.options.channels
        )
        x = SparseTensor(
            torch.from_numpy(coordinates).to(self.device),
            torch.from_numpy(features).to(self.device),
        )
        completion = self.network(x, target=target, bounds=case.skull.shape, reconstruct=False)
        if self.options.residual:
            logits = starting_logit(case.skull, case.depth_mm, case.spacing_mm)
            belief = torch.from_numpy(logits).to(self.device)
            finest = completion.levels[-1]
            places = finest.coordinates[:, 1:].long()
            finest.logits = finest.logits + belief[places.unbind(1)]
        return completion

    def check(
        self, loss: float, minutes: float, learnt_on: list[str], held_back: list[str]
    ) -> None:
        """Validate, log, keep the best weights, and write the checkpoint."""
        score = self.validate()
        if self.best is None or score.network_dice >= self.best.network_dice:
            self.best = score
            metadata: dict[str, Any] = {
                "channels": list(self.options.channels),
                "spacing_mm": self.options.spacing_mm,
                "residual": self.options.residual,
                "options": json.loads(json.dumps(asdict(self.options))),
                "iteration": self.iteration,
                "trained_on": learnt_on,
                "validated_on": held_back,
                "validation": asdict(score),
            }
            save_weights(self.weights_path, self.configuration, self.network.state_dict(), metadata)
            write_model_card(self.weights_path, metadata)
        self.log(loss, score, minutes)
        progress = {
            "iteration": self.iteration,
            "best": asdict(self.best),
            "options": asdict(self.options),
        }
        save_checkpoint(
            self.checkpoint_path,
            Checkpoint(self.network.state_dict(), self.optimiser.state_dict(), progress),
        )

    def validate(self) -> Score:
        self.network.eval()
        dice = []
        for case in self.checks:
            with torch.inference_mode():
                last = self.complete(case).levels[-1]
            bone = np.zeros(case.skull.shape, bool)
            z, y, x = last.coordinates[:, 1:].cpu().numpy().T
            bone[z, y, x] = last.logits.cpu().numpy() > 0.0
            free = (case.depth_mm > -NOWHERE_MM) & (case.skull < 0.5)
            truth = (case.target >= 0.5) & free
            dice.append((_dice(bone & free, truth), _dice((case.depth_mm > 0.0) & free, truth)))
        network, prior = np.mean(dice, axis=0)
        return Score(round(float(network), 4), round(float(prior), 4))

    def log(self, loss: float, score: Score, minutes: float) -> None:
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["iteration", "loss", "network_dice", "prior_dice", "minutes"])
            row = [self.iteration, f"{loss:.4f}", score.network_dice, score.prior_dice]
            writer.writerow([*row, f"{minutes:.1f}"])


def augmented(case: Case, rng: np.random.Generator) -> Case:
    """Return the case deformed; skull, target and prior alike."""
    arrays = [case.skull, case.target, case.depth_mm]
    skull, target, depth = augment(arrays, case.spacing_mm, rng, AugmentationOptions())
    return replace(case, skull=skull, target=target, depth_mm=depth)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    both = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / both if both else 1.0
