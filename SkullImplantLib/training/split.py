"""Skulls or patients to learn from, and those held back to tell how well it goes."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from ..errors import SkullImplantError


class Named(Protocol):
    """A skull or a patient, by name."""

    @property
    def name(self) -> str: ...


AnyNamed = TypeVar("AnyNamed", bound=Named)


def split_skulls(
    skulls: Sequence[AnyNamed], validation_share: float, seed: int, called: str = "skulls"
) -> tuple[list[AnyNamed], list[AnyNamed]]:
    """Split into skulls to learn from and skulls held back; whole skulls, so never their defects.

    Or whatever else they are `called`. Both lists keep the order given; the split depends on the
    names and `seed` alone, and at least one is on either side, unless the share held back is 0.
    Raises `SkullImplantError` for fewer than two.
    """
    if validation_share == 0.0 and skulls:
        return list(skulls), []
    if len(skulls) < 2:
        raise SkullImplantError(
            f"Training needs at least two {called}, one of them to check with; give a larger "
            "folder."
        )
    if not 0 < validation_share < 1:
        raise SkullImplantError(f"The share of {called} held back must be 0 or lie below 1.")
    names = sorted(skull.name for skull in skulls)
    count = int(np.clip(round(validation_share * len(names)), 1, len(names) - 1))
    held = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    return (
        [skull for skull in skulls if skull.name not in held],
        [skull for skull in skulls if skull.name in held],
    )


def without(
    skulls: Sequence[AnyNamed], leave_out: Sequence[str], called: str = "skull"
) -> list[AnyNamed]:
    """Return the skulls, or whatever else one is `called`, that are not left out.

    Raises `SkullImplantError` for a name that none of them has.
    """
    unknown = sorted(set(leave_out) - {skull.name for skull in skulls})
    if unknown:
        raise SkullImplantError(
            f"There is no {called} named {unknown[0]} to leave out; name some of the folder's."
        )
    return [skull for skull in skulls if skull.name not in leave_out]
