"""The two things that can be trained, with one face: a network's loss on cases, and its bone.

`AutoEncoderTask` is the papers' network on the whole head, `RefinerTask` the fine stage around the
defect, which starts from the geometric prior.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from ..errors import SkullImplantError
from ..networks.applied import autoencoded, refined, refined_depth
from ..networks.autoencoder import (
    NAMED_CHANNELS,
    Configuration,
    SparseAutoEncoder,
    named_configuration,
)
from ..networks.inputs import CHANNELS
from ..networks.refiner import RefinerConfiguration, SparseRefiner
from ..sparse import Sites
from ..sparse.sharing import mean_of_all, shared_batch
from .learner import untrained
from .losses import JUDGED_MM, autoencoder_loss, refiner_loss
from .prepared import Region, TrainingCase
from .training_options import FINE, TrainOptions


class Task(Protocol):
    """A network with what it is trained for; `region` is the part of the head that it sees."""

    configuration: Configuration | RefinerConfiguration
    region: Region
    # Whether a batch is normalised as one, and whether every loss has all of the parameters.
    together: bool
    all_used: bool

    @property
    def network(self) -> SparseAutoEncoder | SparseRefiner:
        """What is trained."""

    def loss(self, cases: Sequence[TrainingCase]) -> torch.Tensor:
        """Return the loss on a batch of cases, with gradients."""

    def bone(self, case: TrainingCase) -> np.ndarray:
        """Return the completed skull's voxels (z, y, x) on the case's box."""


def task_of(options: TrainOptions) -> Task:
    """Return what `options.network` names, untrained; raises `SkullImplantError` for no network."""
    unknown = sorted(set(options.channels) - set(CHANNELS))
    if unknown:
        raise SkullImplantError(
            f"There is no input channel '{unknown[0]}'; use some of {', '.join(CHANNELS)}."
        )
    if options.network == FINE:
        return RefinerTask(options)
    if options.network not in NAMED_CHANNELS:
        known = ", ".join([FINE, *NAMED_CHANNELS])
        raise SkullImplantError(f"There is no network '{options.network}'; use one of {known}.")
    return AutoEncoderTask(options)


def _features(options: TrainOptions) -> int:
    return sum(CHANNELS[name] for name in options.channels)


class AutoEncoderTask:
    """The papers' sparse auto-encoder on the whole head, with the target kept while training."""

    region: Region = "head"
    together, all_used = True, False  # no loss touches the papers' last layer

    def __init__(self, options: TrainOptions) -> None:
        self.options, self.device = options, torch.device(options.device)
        self.configuration: Configuration | RefinerConfiguration = named_configuration(
            options.network,
            in_channels=_features(options),
            activation=options.activation,
            skip=options.skip,
            keep_from=options.keep_from,
        )
        self.network = untrained(SparseAutoEncoder, self.configuration, options)
        self.network.recompute = options.memory == "recomputed"
        self.network.surplus = options.surplus
        self.network.kept_in_training = options.keep_in_training

    def loss(self, cases: Sequence[TrainingCase]) -> torch.Tensor:
        fraction = torch.from_numpy(np.stack([case.target for case in cases])).to(self.device)
        target = Sites(torch.nonzero(fraction >= 0.5).int(), stride=1)
        options, views = self.options, [case.view for case in cases]
        completion = autoencoded(
            self.network, views, options.channels, options.residual, self.device, target
        )
        missing = np.stack([view.hole_depth_mm > -JUDGED_MM for view in views])
        hole = torch.from_numpy(missing).to(self.device)
        return autoencoder_loss(completion, fraction, hole, options.hole_weight)

    def bone(self, case: TrainingCase) -> np.ndarray:
        options = self.options
        with torch.inference_mode():
            completion = autoencoded(
                self.network, [case.view], options.channels, options.residual, self.device
            )
        finest = completion.levels[-1]
        bone = np.zeros(case.target.shape, bool)
        places = finest.coordinates[:, 1:].cpu().numpy().T
        bone[tuple(places)] = finest.logits.cpu().numpy() > 0.0
        return bone


class RefinerTask:
    """The sparse U-Net around the defect, which corrects the prior's depth."""

    region: Region = "defect"
    together, all_used = False, True

    def __init__(self, options: TrainOptions) -> None:
        self.options, self.device = options, torch.device(options.device)
        self.configuration: Configuration | RefinerConfiguration = RefinerConfiguration(
            _features(options)
        )
        self.network = untrained(SparseRefiner, self.configuration, options)

    def loss(self, cases: Sequence[TrainingCase]) -> torch.Tensor:
        # A head is a batch of its own, normalised and judged by itself; all heads count the same.
        with shared_batch(None):
            each = torch.stack([self._loss(case) for case in cases])
        return mean_of_all(each)

    def _loss(self, case: TrainingCase) -> torch.Tensor:
        places, depth = refined(self.network, case.view, self.options.channels, self.device)
        index = tuple(places.cpu().numpy().T)
        judged = (case.view.from_hole_mm()[index] <= JUDGED_MM) & (case.view.skull[index] < 0.5)
        chosen = torch.from_numpy(judged).to(self.device)
        true_mm = torch.from_numpy(case.depth_mm[index][judged]).to(self.device)
        fraction = torch.from_numpy(case.target[index][judged]).to(self.device)
        return refiner_loss(depth[chosen], true_mm, fraction)

    def bone(self, case: TrainingCase) -> np.ndarray:
        return refined_depth(self.network, case.view, self.options.channels, self.device) > 0.0
