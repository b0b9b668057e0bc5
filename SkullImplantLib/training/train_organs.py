"""Training of organ segmentation: the dense network, or what brings its labels to the CT's grid.

`skull-implant train --cohort` trains both on patients; here they learn the procedural thorax:

    python -m SkullImplantLib.training.train_organs segmentation -o training/organs-segmentation
    python -m SkullImplantLib.training.train_organs superres -o training/organs-superres

Its subjects are made by their seeds (`cases/thorax_phantom.py`). A run is resumed by the same
command. On two CPU cores `segmentation` takes about 30 minutes, and `superres` 20.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cases.thorax_phantom import ORGANS
from ..core.progress import Progress, part, silent
from ..errors import SkullImplantError
from ..networks.weights import save_weights
from .checkpoint import Checkpoint, resume_from
from .configuration import FILE_NAME, write_configuration
from .learner import Learner
from .organ_options import RECIPES, SEGMENTATION, SUPERRES, OrganOptions, organ_configuration
from .organ_subjects import procedural_subjects
from .organ_tasks import TASKS, OrganTask
from .organs_card import write_organs_card
from .parallel import ALONE, Processes, joined
from .schedule import check_resumable, options_as_json
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
    run.learner.go(run.check, progress)
    return folder / "weights.npz"


class _Run:
    """One training run: what must survive from one iteration to the next."""

    def __init__(
        self, task: OrganTask, folder: Path, options: OrganOptions, processes: Processes
    ) -> None:
        self.task, self.folder, self.options = task, folder, options
        self.learner = Learner(
            task.network,
            task.draw,
            task.loss,
            options.batch,
            options,
            processes,
            all_used=task.all_used,
        )
        self.names = {
            "trained_on": [one.name for one in task.subjects.learnt],
            "validated_on": [one.name for one in task.subjects.held_back],
        }
        self.rows = [",".join(["iteration", "loss", *ORGANS, "minutes"])]

    def restore(self, checkpoint: Checkpoint) -> None:
        before = checkpoint.progress
        # What came to the options since then had its default.
        check_resumable(options_as_json(OrganOptions()) | before["options"], self.options)
        if before.get("names", self.names) != self.names:
            raise SkullImplantError(
                "The checkpoint was trained on other subjects; train into another folder."
            )
        self.learner.restore(checkpoint)
        self.rows = before["rows"]
        self.learner.minutes = float(self.rows[-1].split(",")[-1])

    def check(self, loss: float, minutes: float) -> None:
        """Let the first process validate, and write log, weights, model card and checkpoint."""
        learner = self.learner
        if not learner.processes.is_first:
            return
        with learner.average.instead_of(learner.network):
            learner.network.eval()
            dice = self.task.dice()
        numbers = [f"{loss:.6f}", *(f"{number:.4f}" for number in [*dice, minutes])]
        self.rows.append(",".join([str(learner.iteration), *numbers]))
        (self.folder / LOG).write_text("\n".join(self.rows) + "\n", encoding="utf-8")
        metadata: dict[str, Any] = {
            "task": self.task.name,
            "organs": list(ORGANS),
            "options": options_as_json(self.options) | {"device": ""},
            "iteration": learner.iteration,
            **self.names,
            "dice": dict(zip(ORGANS, (None if math.isnan(d) else round(d, 4) for d in dice))),
        }
        weights = self.folder / "weights.npz"
        save_weights(weights, self.task.configuration, learner.average.state, metadata)
        write_organs_card(weights, metadata, self.folder / LOG)
        learner.save(self.folder, {"rows": self.rows, "names": self.names})


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
