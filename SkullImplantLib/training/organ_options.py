"""How organs are learnt: what a person can choose, and the recipes; without the code that obeys."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from ..errors import SkullImplantError
from .training_options import ORGAN_NETWORKS, TrainOptions


@dataclass(frozen=True)
class OrganOptions:
    """How a network of organs is trained.

    `cells` of the dense network's grid (x, y, z), beside which super-resolution learns from others;
    `minutes`: stop after so long even if iterations are left, None is never; the rest as in
    `TrainOptions`.
    """

    cells: tuple[int, int, int] = (128, 128, 128)
    batch: int = 2
    iterations: int = 600
    minutes: float | None = None
    validate_every: int = 50
    learning_rate: float = 2e-3
    validation_share: float = 0.15
    leave_out: tuple[str, ...] = ()
    provenance: str = ""
    seed: int = 0
    device: str = "cpu"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


SEGMENTATION, SUPERRES = ORGAN_NETWORKS.values()
# Of each task, where it differs from the defaults.
RECIPES = {
    SEGMENTATION: OrganOptions(batch=1, iterations=1100, validate_every=100, learning_rate=5e-3),
    SUPERRES: OrganOptions(batch=4, iterations=2400, validate_every=200, learning_rate=4e-3),
}


def organ_options(task: str, given: Mapping[str, Any]) -> OrganOptions:
    """Return the recipe of a task, changed by what is `given` of `TrainOptions`, by name.

    Raises `SkullImplantError` for what says nothing of organs.
    """
    known = {field.name for field in fields(OrganOptions)}
    usual = TrainOptions()
    others = sorted(
        name
        for name, value in given.items()
        if name not in known and name != "network" and value != getattr(usual, name)
    )
    if others:
        raise SkullImplantError(f"The training of organs has no option {others[0]}; leave it out.")
    return replace(RECIPES[task], **{name: given[name] for name in given if name in known})


def organ_configuration(task: str, options: OrganOptions) -> dict[str, Any]:
    """Return what a configuration file (`configuration.py`) says of a training of organs."""
    network = next(name for name, its in ORGAN_NETWORKS.items() if its == task)
    known = {field.name for field in fields(TrainOptions)}
    return {"network": network} | {k: v for k, v in asdict(options).items() if k in known}
