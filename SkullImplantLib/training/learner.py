"""A network that learns: its iterations, and what must survive from one to the next.

An iteration is the same for every network: cases drawn by their seeds, a loss in reduced
precision, a step of Adam (AMSGrad) at the learning rate's pace, and the running average of all
weights. What a case is, its loss and how it is judged are told by each training.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from ..core.progress import Progress
from ..errors import Remedy, SkullImplantError
from ..networks.weights import AnyConfiguration
from ..sparse.packing import packed_rows
from .average import RunningAverage
from .checkpoint import Checkpoint, save_checkpoint
from .parallel import Processes
from .precision import Precision
from .schedule import AnyOptions, options_as_json, pace

Network = TypeVar("Network", bound=nn.Module)
# Iterations whose mean loss is shown: one case's tells little.
SHOWN_LOSSES = 50


def untrained(
    make: Callable[..., Network], configuration: AnyConfiguration, options: AnyOptions
) -> Network:
    """Return the network that `make` makes of a configuration, on the options' device, with weights
    that depend on their seed alone.
    """
    generator = torch.Generator().manual_seed(options.seed)
    return make(**asdict(configuration), generator=generator).to(torch.device(options.device))


class Learner:
    """A `network` with its optimiser, running average and precision, after `iteration` iterations.

    `minutes`: of training before this run, which a resumed one sets.
    """

    def __init__(
        self,
        network: nn.Module,
        draw: Callable[[np.random.Generator], Any],
        loss: Callable[[Any], torch.Tensor],
        batch: int,
        options: AnyOptions,
        processes: Processes,
        *,
        all_used: bool,
        together: bool = True,
        packed: bool = False,
    ) -> None:
        """`draw` returns a case, which depends on its generator's state alone; `loss` is that of a
        list of cases, with gradients; `batch` cases make an iteration.

        all_used, together: as in `Processes.loss_of` and `Processes.iteration`. packed: whether
        what is kept between the two passes is rounded to 16 bits. Raises `SkullImplantError` for a
        batch smaller than the number of processes.
        """
        self.network, self.draw, self.options = network, draw, options
        self.processes, self.own = processes, processes.own(batch)
        self.loss = processes.loss_of(network, loss, all_used)
        self.together, self.packed = together, packed
        self.optimiser = torch.optim.Adam(
            network.parameters(), lr=options.learning_rate, amsgrad=True
        )
        self.precision = Precision(options.precision, options.device)
        self.average = RunningAverage(network)
        self.iteration = 0
        self.minutes = 0.0

    def go(
        self,
        check: Callable[[float, float], None],
        progress: Progress,
        is_enough: Callable[[], bool] = lambda: False,
        note: Callable[[], str] = lambda: "",
    ) -> None:
        """Learn until iterations or minutes are over, or `is_enough`.

        `check` is called by every process each `validate_every` iterations and after the last, with
        the mean loss since the last time and the minutes since the training was begun. `note`: what
        `progress` says beside iteration and loss.
        """
        options, losses = self.options, list[float]()
        start = time.monotonic()
        while self.iteration < options.iterations and not is_enough():
            losses.append(self._step())
            self.iteration += 1
            minutes = (time.monotonic() - start) / 60.0
            late = options.minutes is not None and self.processes.told(minutes >= options.minutes)
            last = late or self.iteration == options.iterations
            progress(
                self.iteration / options.iterations,
                f"iteration {self.iteration}, loss {np.mean(losses[-SHOWN_LOSSES:]):.3f}{note()}",
            )
            if self.iteration % options.validate_every == 0 or last:
                check(float(np.mean(losses)), self.minutes + minutes)
                losses = []
            if late:
                break

    def _step(self) -> float:
        """One iteration: a case depends on seed and numbers alone."""
        seeds = [[self.options.seed, self.iteration, case] for case in self.own]
        cases = [self.draw(np.random.default_rng(seed)) for seed in seeds]
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.learning_rate * pace(self.iteration, self.options.iterations)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        packed = packed_rows() if self.packed else nullcontext()
        with self.processes.iteration(self.network, self.together):
            with self.precision.reduced(), packed:
                loss = self.loss(cases)
            if not bool(torch.isfinite(loss)):
                raise SkullImplantError(
                    f"The loss is not a number any more at iteration {self.iteration}.",
                    Remedy.TRAIN_GENTLER,
                )
            self.precision.descend(loss * self.processes.count, self.optimiser)
        self.average.update(self.network, self.iteration)
        return float(loss.detach())

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint of the same network stands."""
        self.network.load_state_dict(checkpoint.network)
        self.average.restore(checkpoint.average)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        if scale := checkpoint.progress.get("precision"):
            self.precision.restore(scale)
        self.iteration = checkpoint.progress["iteration"]

    def save(self, folder: Path, told: Mapping[str, Any]) -> None:
        """Write a checkpoint of where this stands, with what is `told` beside it."""
        progress = {
            "iteration": self.iteration,
            "options": options_as_json(self.options),
            "precision": self.precision.state(),
            **told,
        }
        state = (self.network.state_dict(), self.average.state, self.optimiser.state_dict())
        save_checkpoint(folder, Checkpoint(*state, progress))
