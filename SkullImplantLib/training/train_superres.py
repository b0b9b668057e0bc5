"""Training of shape super-resolution: complete skulls in, weights with a model card out.

The papers' recipe, as for completion (`train.py`), on endless pieces of skulls (`superres_cases`).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..cases.skull_folder import SkullFile
from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
from ..networks.autoencoder import SparseAutoEncoder, named_configuration
from ..networks.superres import FEATURES, TASK, logits_by_network, rearranged_by_network
from ..networks.weights import load_weights, save_weights
from ..sparse import Sites
from .checkpoint import Checkpoint, resume_from
from .configuration import FILE_NAME, write_configuration
from .learner import Learner, untrained
from .learning_curve import draw_learning_curve
from .log import LOSS_DIGITS, LogRow, read_log, write_log
from .losses import dice_of, rearranging_loss
from .parallel import ALONE, Processes
from .schedule import check_resumable, options_as_json
from .split import split_skulls, without
from .superres_card import write_superres_card
from .superres_cases import SolidSkull, SuperResCase, random_case, solid_skulls
from .training_options import SUPERRES_NETWORKS, TrainOptions, resolved

LOG = "log.csv"
# Pieces of the held-back skulls that an iteration is judged by, the same ones each time.
CHECKED_PIECES = 32
# Pieces of an iteration: features are normalised over all of them, and in use by what is usual of
# all. What is usual of one depends on its ratio of voxels, and a network that learnt with that
# alone misses it in use (measured on six pieces: Dice 0.934 falls to 0.919).
PIECES = 4
# Of the soft Dice beside the cross-entropies, which alone make thin bone too thin.
DICE_WEIGHT = 1.0


def train_superres(
    skulls: Sequence[SkullFile],
    folder: Path,
    options: TrainOptions,
    resume: bool = False,
    cases: Path | None = None,
    progress: Progress = silent,
    processes: Processes = ALONE,
) -> Path:
    """Train super-resolution on complete skulls and return the path of its weights.

    As `train.train`, whose options it takes; those of defects, prior and inputs say nothing here.
    The validation score is the mean Dice of pieces of held-back skulls, and the interpolation's
    beside it. Raises `SkullImplantError` for a folder without usable skulls, and for more processes
    than pieces (`PIECES`).
    """
    options = resolved(options)
    processes.own(PIECES)
    used = without(skulls, options.leave_out)
    learning, held_back = split_skulls(used, options.validation_share, options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    where = cases or folder / "cases"
    solid = processes.in_turn(lambda: solid_skulls(learning, where, part(progress, 0.0, 0.1)))
    checked: list[SolidSkull] = []
    if held_back and processes.is_first:
        checked = solid_skulls(held_back, where, part(progress, 0.1, 0.15))
    run = _Run(folder, options, solid, checked, processes)
    if resume:
        resume_from(folder, run.restore, processes)
    if processes.is_first:
        write_configuration(folder / FILE_NAME, options)
    run.learner.go(run.check, part(progress, 0.15, 1.0))
    return run.weights_path


class _Run:
    """One training run: what must survive from one iteration to the next."""

    def __init__(
        self,
        folder: Path,
        options: TrainOptions,
        skulls: list[SolidSkull],
        held_back: list[SolidSkull],
        processes: Processes,
    ) -> None:
        self.folder, self.options, self.processes = folder, options, processes
        self.skulls, self.held_back = skulls, held_back
        self.weights_path = folder / "weights.npz"
        self.device = torch.device(options.device)
        self.configuration = named_configuration(
            SUPERRES_NETWORKS[options.network],
            in_channels=FEATURES,
            activation=options.activation,
            skip="add",
        )
        self.network = untrained(SparseAutoEncoder, self.configuration, options)
        if options.start:
            before = load_weights(Path(options.start))
            if before.metadata.get("task") != TASK or before.configuration != self.configuration:
                raise SkullImplantError(
                    f"The weights {Path(options.start).name} are of another network; start from "
                    "weights of the same.",
                    Remedy.TRAIN_FROM_NOTHING,
                )
            self.network.load_state_dict(before.state)
        # No loss touches the papers' last layer.
        self.learner = Learner(
            self.network, self.draw, self.loss, PIECES, options, processes, all_used=False
        )
        self.rows: list[LogRow] = []
        rng = np.random.default_rng([options.seed, 0, 1])
        self.checks = [random_case(held_back, rng) for _ in range(CHECKED_PIECES * bool(held_back))]

    def draw(self, rng: np.random.Generator) -> SuperResCase:
        return random_case(self.skulls, rng)

    def restore(self, checkpoint: Checkpoint) -> None:
        check_resumable(checkpoint.progress["options"], self.options)
        self.learner.restore(checkpoint)
        first = self.processes.is_first
        rows = self.processes.told(read_log(self.folder / LOG) if first else [])
        self.rows = [row for row in rows if row.iteration <= self.learner.iteration]
        self.learner.minutes = self.rows[-1].minutes if self.rows else 0.0

    def loss(self, cases: Sequence[SuperResCase]) -> torch.Tensor:
        """See `losses.rearranging_loss`."""
        fraction = torch.from_numpy(np.stack([case.fraction for case in cases])).to(self.device)
        target = Sites(torch.nonzero(fraction >= 0.5).int(), stride=1)
        views = [case.view for case in cases]
        decoded = rearranged_by_network(self.network, views, self.device, target)
        return rearranging_loss(decoded, fraction, DICE_WEIGHT)

    def check(self, loss: float, minutes: float) -> None:
        """Let the first process validate, log, draw the curve, and write weights, model card and
        checkpoint.
        """
        if not self.processes.is_first:
            return
        learner = self.learner
        with learner.average.instead_of(self.network):
            network, interpolated = self.validate()
        row = LogRow(
            learner.iteration, round(loss, LOSS_DIGITS), network, interpolated, round(minutes, 2)
        )
        self.rows.append(row)
        write_log(self.folder / LOG, self.rows)
        draw_learning_curve(self.rows, self.folder / "learning-curve.png")
        # Cases are endless, so the last iteration has seen most; none is chosen by its score.
        metadata = {
            "task": TASK,
            # A path on this machine is nobody's business.
            "options": options_as_json(self.options) | {"start": Path(self.options.start).name},
            "precision": learner.precision.name,
            "iteration": learner.iteration,
            "trained_on": [skull.name for skull in self.skulls],
            "validated_on": [skull.name for skull in self.held_back],
            "validation": {"network_dice": network, "interpolation_dice": interpolated}
            if self.checks
            else None,
        }
        save_weights(self.weights_path, self.configuration, learner.average.state, metadata)
        write_superres_card(self.weights_path, metadata, self.rows)
        learner.save(self.folder, {})

    def validate(self) -> tuple[float, float]:
        """Return the mean Dice of the network, and of interpolation alone."""
        self.network.eval()
        dice = []
        for case in self.checks:
            truth = case.fraction >= 0.5
            made = logits_by_network(self.network, case.view, self.device) > 0.0
            dice.append([dice_of(mask, truth) for mask in (made, case.view.depth_mm > 0.0)])
        if not dice:
            return math.nan, math.nan
        network, interpolated = np.mean(dice, axis=0)
        return round(float(network), 4), round(float(interpolated), 4)
