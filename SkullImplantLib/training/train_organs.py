"""Training of organ segmentation: the dense network, or what brings its labels to the CT's grid.

`skull-implant train --cohort` trains both on patients; here they learn the procedural thorax:

    python -m SkullImplantLib.training.train_organs segmentation -o training/organs-segmentation
    python -m SkullImplantLib.training.train_organs superres -o training/organs-superres

Its subjects are made by their seeds (`cases/thorax_phantom.py`). A run is resumed by the same
command. On two CPU cores `segmentation` takes about 30 minutes, and `superres` 20.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..cases.thorax_phantom import ORGANS
from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
from ..networks.weights import save_weights
from .average import RunningAverage
from .checkpoint import Checkpoint, resume_from, save_checkpoint
from .configuration import FILE_NAME, write_configuration
from .organ_options import RECIPES, SEGMENTATION, SUPERRES, OrganOptions, organ_configuration
from .organ_subjects import procedural_subjects
from .organ_tasks import TASKS, OrganTask
from .organs_card import write_organs_card
from .parallel import ALONE, Processes, joined
from .precision import Precision
from .schedule import check_resumable, options_as_json, pace
from .training_options import ORGAN_NETWORKS

LOG = "log.csv"


def train_organs(
    task: OrganTask,
    folder: Path,
    options: OrganOptions,
    progress: Progress = silent,
    processes: Processes = ALONE,
    resume: bool = True,
) -> Path:
    """Train and return the path of the weights, `weights.npz` in `folder`.

    `folder` also receives their model card, the options (`configuration.json`), the log (`log.csv`:
    Dice of each organ in what is held back) and a checkpoint, from which a run goes on if it may
    `resume`. The weights are a running average. A run in float32 makes the same weights, also when
    it was interrupted and resumed, and but for rounding also when several `processes` share it,
    each of which calls this. Raises `SkullImplantError` where the checkpoint was begun with other
    options or subjects, or a batch is smaller than the number of processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(task, folder, options, processes)
    if resume:
        resume_from(folder, run.restore, processes)
    if processes.is_first:
        write_configuration(folder / FILE_NAME, organ_configuration(task.key, options))
    run.go(progress)
    return folder / "weights.npz"


class _Run:
    """One training run: what must survive from one iteration to the next."""

    def __init__(
        self, task: OrganTask, folder: Path, options: OrganOptions, processes: Processes
    ) -> None:
        self.task, self.folder, self.options = task, folder, options
        self.processes, self.own = processes, processes.own(options.batch)
        self.network = task.network
        self.loss = processes.loss_of(task.network, task.loss, task.all_used)
        self.optimiser = torch.optim.Adam(
            task.network.parameters(), lr=options.learning_rate, amsgrad=True
        )
        self.average = RunningAverage(task.network)
        self.precision = Precision(options.precision, options.device)
        self.names = {
            "trained_on": [one.name for one in task.subjects.learnt],
            "validated_on": [one.name for one in task.subjects.held_back],
        }
        self.iteration = 0
        self.minutes_before = 0.0
        self.rows = [",".join(["iteration", "loss", *ORGANS, "minutes"])]

    def restore(self, checkpoint: Checkpoint) -> None:
        before = checkpoint.progress
        # What came to the options since then had its default.
        check_resumable(options_as_json(OrganOptions()) | before["options"], self.options)
        if before.get("names", self.names) != self.names:
            raise SkullImplantError(
                "The checkpoint was trained on other subjects; train into another folder."
            )
        self.network.load_state_dict(checkpoint.network)
        self.average.restore(checkpoint.average)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.iteration, self.rows = before["iteration"], before["rows"]
        self.minutes_before = float(self.rows[-1].split(",")[-1])

    def go(self, progress: Progress) -> None:
        options = self.options
        start, losses = time.monotonic(), []
        while self.iteration < options.iterations:
            losses.append(self.step())
            self.iteration += 1
            minutes = (time.monotonic() - start) / 60.0
            late = options.minutes is not None and self.processes.told(minutes >= options.minutes)
            last = late or self.iteration == options.iterations
            progress(
                self.iteration / options.iterations,
                f"iteration {self.iteration}, loss {losses[-1]:.3f}",
            )
            if self.iteration % options.validate_every == 0 or last:
                if self.processes.is_first:
                    self.check(float(np.mean(losses)), self.minutes_before + minutes)
                losses = []
            if late:
                break

    def step(self) -> float:
        """One iteration: a case depends on seed and numbers alone."""
        seeds = [[self.options.seed, self.iteration, case] for case in self.own]
        cases = [self.task.draw(np.random.default_rng(seed)) for seed in seeds]
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.learning_rate * pace(self.iteration, self.options.iterations)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        with self.processes.iteration(self.network, together=True):
            with self.precision.reduced():
                loss = self.loss(cases)
            if not bool(torch.isfinite(loss)):
                raise SkullImplantError(
                    f"The loss is not a number any more at iteration {self.iteration}.",
                    Remedy.TRAIN_GENTLER,
                )
            self.precision.descend(loss * self.processes.count, self.optimiser)
        self.average.update(self.network, self.iteration)
        return float(loss.detach())

    def check(self, loss: float, minutes: float) -> None:
        """Validate, and write log, weights, model card and checkpoint."""
        with self.average.instead_of(self.network):
            self.network.eval()
            dice = self.task.dice()
        numbers = [f"{loss:.6f}", *(f"{number:.4f}" for number in [*dice, minutes])]
        self.rows.append(",".join([str(self.iteration), *numbers]))
        (self.folder / LOG).write_text("\n".join(self.rows) + "\n", encoding="utf-8")
        options = options_as_json(self.options)
        metadata: dict[str, Any] = {
            "task": self.task.name,
            "organs": list(ORGANS),
            "options": options | {"device": ""},
            "iteration": self.iteration,
            **self.names,
            "dice": dict(zip(ORGANS, (None if math.isnan(d) else round(d, 4) for d in dice))),
        }
        weights = self.folder / "weights.npz"
        save_weights(weights, self.task.configuration, self.average.state, metadata)
        write_organs_card(weights, metadata, self.folder / LOG)
        progress = {
            "iteration": self.iteration,
            "rows": self.rows,
            "options": options,
            "names": self.names,
        }
        state = (self.network.state_dict(), self.average.state, self.optimiser.state_dict())
        save_checkpoint(self.folder, Checkpoint(*state, progress))


# Procedural subjects: how many to learn from and to hold back, and their sizes in voxels, in turn.
# For super-resolution slices of 2.5 mm as in SegTHOR, and voxels alike on all sides, of 1.5 mm.
PROCEDURAL = {
    SEGMENTATION: (16, 2, ((256, 256, 225),)),
    SUPERRES: (12, 2, ((512, 512, 180), (334, 334, 300))),
}


def main() -> None:
    """Train by a recipe; progress goes to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=ORGAN_NETWORKS.values())
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()

    def show(fraction: float, message: str = "") -> None:
        print(f"{fraction:4.0%} {message}", flush=True)

    options = RECIPES[given.what]
    if given.what == SEGMENTATION:
        # Two and a half times as fast where a CPU has it, but not the same bits each time.
        options = replace(options, precision="bfloat16")
    subjects = procedural_subjects(*PROCEDURAL[given.what])
    with joined(options.device) as processes:
        task = TASKS[given.what](
            options, subjects, given.output / "cases", part(show, 0.0, 0.1), processes
        )
        train_organs(task, given.output, options, part(show, 0.1, 1.0), processes)


if __name__ == "__main__":
    main()
