"""The running average of a network's weights over its training, which is what is used in the end.

A single case tells little of all skulls, so that weights wander around what is good on average;
their exponential moving average wanders less and scores better on unseen skulls (Polyak and
Juditsky 1992; Tarvainen and Valpola 2017). It also averages the statistics of batch normalisation,
which a batch of one head leaves noisy.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

# Of the average that an iteration leaves, after a beginning in which it forgets faster.
KEPT = 0.997
# At iteration n at most (1 + n) / (SLOW_START + n) is kept: the weights at the start are noise.
SLOW_START = 10


class RunningAverage:
    """The average of all weights and statistics of `network` so far, by their names."""

    def __init__(self, network: nn.Module) -> None:
        self.state = {name: value.clone() for name, value in network.state_dict().items()}

    def update(self, network: nn.Module, iteration: int) -> None:
        """Take in the weights that iteration number `iteration`, counted from 0, left."""
        kept = min(KEPT, (1 + iteration) / (SLOW_START + iteration))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                if value.is_floating_point():
                    self.state[name].lerp_(value, 1.0 - kept)
                else:
                    self.state[name].copy_(value)

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from the `state` of another average of the same network."""
        for name, value in self.state.items():
            value.copy_(state[name])

    @contextmanager
    def instead_of(self, network: nn.Module) -> Iterator[None]:
        """Put the average into `network` for a while."""
        own = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.state)
        try:
            yield
        finally:
            network.load_state_dict(own)
