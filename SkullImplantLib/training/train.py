"""Training of the completion network: skulls from a folder in, weights with a model card out.

The papers' recipe (Kroviakov et al. 2021, section 2; Li et al. 2023): Adam with amsgrad, batch 1,
loss = the plain sum of the levels' binary cross-entropies, the target kept while training. Beyond
it: the geometric prior as input, affine and elastic augmentation, soft targets at the finest level
(the part of the voxel that bone fills, so that the surface can be placed within a voxel), a soft
Dice term on the hole, and a finest level that starts from the prior.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.defects import checked_areas
from ..cases.skull_folder import SkullFile
from ..core.checksums import sha256_of
from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
from ..networks.autoencoder import Configuration, SparseAutoEncoder
from ..networks.published import is_published, read_published
from ..networks.weights import load_weights, save_weights
from .case_source import CaseSource, checked_shapes, source_of
from .checkpoint import Checkpoint, resume_from
from .configuration import FILE_NAME, write_configuration
from .learner import Learner
from .learning_curve import draw_learning_curve
from .log import LOSS_DIGITS, LogRow, read_log, write_log
from .losses import JUDGED_MM, dice_of
from .model_card import write_model_card
from .parallel import ALONE, Processes
from .schedule import check_resumable, options_as_json
from .split import split_skulls, without
from .tasks import Task, task_of
from .training_options import REGISTERED, TrainOptions, resolved

LOG = "log.csv"


@dataclass(frozen=True)
class Score:
    """Mean Dice over validation cases on the network's grid: of the implant, by the network and by
    the prior alone (None where there is none), and of the whole skull (None where the network sees
    only a part).
    """

    network_dice: float
    prior_dice: float | None
    skull_dice: float | None = None


def train(
    skulls: Sequence[SkullFile],
    folder: Path,
    options: TrainOptions = TrainOptions(),
    resume: bool = False,
    cases: Path | None = None,
    progress: Progress = silent,
    processes: Processes = ALONE,
) -> Path:
    """Train a network on `skulls` and return the path of its weights, `weights.npz` in `folder`.

    Validation holds back whole skulls, never defects. `folder` receives the prepared cases, the
    options (`configuration.json`), a log (`log.csv`) and its picture, a checkpoint to resume from,
    the best weights so far and their model card. `cases` is where prepared cases are kept instead,
    for several trainings to share them. A run with the same options and seed makes the
    same weights, also when it was interrupted and resumed, and but for rounding also when several
    `processes` share it, each of which calls this; it may be resumed by any number of them. Raises
    `SkullImplantError` for options that make no network, a folder without usable skulls, or a
    batch that is smaller than the number of processes.
    """
    options = resolved(checked_shapes(options))
    task = task_of(options)
    processes.own(options.batch)
    checked_areas(options.areas_cm2)
    if options.patience is not None and options.validation_share == 0.0:
        raise SkullImplantError(
            "Without skulls held back nothing tells when to lose patience.",
            Remedy.TRAIN_WITH_VALIDATION,
        )
    started_from = _start_from(Path(options.start), task, options) if options.start else None
    folder.mkdir(parents=True, exist_ok=True)
    used = without(skulls, options.leave_out)
    learning, held_back = split_skulls(used, options.validation_share, options.seed)
    where, preparing = cases or folder / "cases", part(progress, 0.0, 0.4)
    source = processes.in_turn(
        lambda: source_of(learning, held_back, where, task.region, options, preparing)
    )
    run = _Run(task, source, folder, options, processes)
    run.started_from = started_from
    if resume:
        resume_from(folder, run.restore, processes)
    if processes.is_first:
        write_configuration(folder / FILE_NAME, options)
    run.go(part(progress, 0.4, 1.0), [s.name for s in learning], [s.name for s in held_back])
    return run.weights_path


def _start_from(path: Path, task: Task, options: TrainOptions) -> dict[str, Any]:
    """Put a file's weights into the network that is to be trained; return what is to be told of
    them, their skulls above all, to which what comes of them owes something too.

    A checkpoint of the published networks (`networks/published.py`) does not name its skulls.
    Raises `SkullImplantError` where they are of another network, or saw other inputs.
    """
    if not path.is_file():
        raise SkullImplantError(f"There is no weight file {path.name}.", Remedy.OTHER_START)
    if is_published(path):
        if not isinstance(task.network, SparseAutoEncoder):
            raise SkullImplantError(
                f"{path.name} is a checkpoint of a published auto-encoder; train the network ch1 "
                "or ch2 from it."
            )
        task.network.load_state_dict(read_published(path, task.network))
        return {"name": path.name, "sha256": sha256_of(path), "skulls": []}
    weights = load_weights(path)
    wanted = {
        "channels": list(options.channels),
        "spacing_mm": options.grid_mm,
        "residual": options.residual,
    }
    told = {name: weights.metadata.get(name) for name in wanted}
    configuration = weights.configuration
    if isinstance(configuration, Configuration):  # what is kept in use is no part of the weights
        configuration = replace(configuration, keep_from=options.keep_from)
    if configuration != task.configuration or told != wanted:
        raise SkullImplantError(
            f"The weights {path.name} are of another network, or of one with other inputs; train "
            "with the options in their model card.",
            Remedy.TRAIN_FROM_NOTHING,
        )
    task.network.load_state_dict(weights.state)
    return {"name": path.name, "sha256": weights.sha256, "skulls": list(weights.skulls())}


class _Run:
    """One training run: what must survive from one iteration to the next."""

    def __init__(
        self,
        task: Task,
        source: CaseSource,
        folder: Path,
        options: TrainOptions,
        processes: Processes,
    ) -> None:
        self.task, self.source, self.processes = task, source, processes
        self.learner = Learner(
            task.network,
            source.draw,
            task.loss,
            options.batch,
            options,
            processes,
            all_used=task.all_used,
            together=task.together,
            packed=options.memory == "packed",
        )
        self.folder, self.options = folder, options
        self.weights_path = folder / "weights.npz"
        self.best: Score | None = None  # also where nothing is held back to find it by
        self.rows: list[LogRow] = []
        self.metadata: dict[str, Any] = {}  # of the best weights so far
        self.started_from: dict[str, Any] | None = None

    def restore(self, checkpoint: Checkpoint) -> None:
        check_resumable(checkpoint.progress["options"], self.options)
        self.learner.restore(checkpoint)
        best = checkpoint.progress["best"]
        self.best = Score(**best) if best else None
        self.metadata = checkpoint.progress["metadata"]
        # What was logged after the checkpoint is done again.
        first = self.processes.is_first
        rows = self.processes.told(read_log(self.folder / LOG) if first else [])
        self.rows = [row for row in rows if row.iteration <= self.learner.iteration]
        self.learner.minutes = self.rows[-1].minutes if self.rows else 0.0

    def go(self, progress: Progress, learnt_on: list[str], held_back: list[str]) -> None:
        def check(loss: float, minutes: float) -> None:
            self.check(loss, minutes, learnt_on, held_back)

        def note() -> str:
            return f", validation Dice {self.best.network_dice:.3f}" if self.best else ""

        self.learner.go(check, progress, self.out_of_patience, note)

    def out_of_patience(self) -> bool:
        """Return whether as many validations as one has patience for brought nothing better."""
        dice = [row.network_dice for row in self.rows]
        patience = self.options.patience
        if patience is None or len(dice) <= patience:
            return False
        return max(dice[-patience:]) <= max(dice[:-patience])

    def check(
        self, loss: float, minutes: float, learnt_on: list[str], held_back: list[str]
    ) -> None:
        """Validate and log, and let the first process write."""
        score = None
        if self.processes.is_first:
            with self.learner.average.instead_of(self.task.network):
                score = self.validate()
        score = self.processes.told(score)
        self.rows.append(_log_row(self.learner.iteration, loss, score, minutes))
        better = not (score and self.best) or score.network_dice >= self.best.network_dice
        if better:
            self.best = score
        if self.processes.is_first:
            self.keep(better, learnt_on, held_back)

    def keep(self, better: bool, learnt_on: list[str], held_back: list[str]) -> None:
        """Write log, curve and checkpoint, and the weights where they are better than before."""
        score, learner = self.best, self.learner
        write_log(self.folder / LOG, self.rows)
        draw_learning_curve(self.rows, self.folder / "learning-curve.png")
        if better:
            self.metadata = {
                "channels": list(self.options.channels),
                "spacing_mm": self.options.grid_mm,
                "residual": self.options.residual,
                "options": options_as_json(self.options),
                "precision": learner.precision.name,
                "iteration": learner.iteration,
                "trained_on": learnt_on,
                "validated_on": held_back,
                "started_from": self.started_from,
                "validation": asdict(score) if score else None,
            }
            save_weights(
                self.weights_path, self.task.configuration, learner.average.state, self.metadata
            )
        # Also where the weights stay: the card tells of the whole training.
        write_model_card(self.weights_path, self.metadata, self.rows)
        best = asdict(score) if score else None
        learner.save(self.folder, {"best": best, "metadata": self.metadata})

    def validate(self) -> Score | None:
        self.task.network.eval()
        dice, skulls = [], []
        for case in self.source.checks():
            free = (case.view.from_hole_mm() <= JUDGED_MM) & (case.view.skull < 0.5)
            truth = (case.target >= 0.5) & free
            made, prior = self.task.bone(case), case.view.depth_mm > 0.0
            dice.append([dice_of(bone & free, truth) for bone in (made, prior)])
            skulls.append(dice_of(made, case.target >= 0.5))
        if not dice:
            return None
        by_network, by_prior = (round(float(mean), 4) for mean in np.mean(dice, axis=0))
        return Score(
            by_network,
            None if self.options.shapes == REGISTERED else by_prior,
            round(float(np.mean(skulls)), 4) if self.task.region == "head" else None,
        )


def _log_row(iteration: int, loss: float, score: Score | None, minutes: float) -> LogRow:
    found = (score.network_dice, score.prior_dice, score.skull_dice) if score else (None,) * 3
    network, prior, skull = (math.nan if dice is None else dice for dice in found)
    return LogRow(iteration, round(loss, LOSS_DIGITS), network, prior, round(minutes, 2), skull)
