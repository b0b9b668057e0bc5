"""How a network is trained: what a person can choose, without the code that obeys."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    `channels`: what it sees (`networks.inputs.CHANNELS`). `hole_weight`: weight of the Dice term
    on the hole; 0 is the papers' loss. `residual`: the finest level adds to the prior's belief
    (`networks.inputs.starting_logit`) instead of beginning from nothing. `minutes`: stop after so
    long even if iterations are left.
    """

    network: str = "ch1"
    channels: tuple[str, ...] = ("skull", "prior", "hole")
    activation: Literal["relu", "elu"] = "relu"
    skip: Literal["none", "add"] = "add"
    spacing_mm: float = 2.0
    cases_per_skull: int = 20
    validation_share: float = 0.15
    iterations: int = 3000
    minutes: float | None = None
    learning_rate: float = 1e-3
    hole_weight: float = 2.0
    residual: bool = True
    validate_every: int = 250
    seed: int = 0
    device: str = "cpu"
