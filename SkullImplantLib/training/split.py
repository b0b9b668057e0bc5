"""Skulls to learn from, and skulls held back to choose the best iteration by."""

from collections.abc import Sequence

import numpy as np

from ..cases.skull_folder import SkullFile
from ..errors import SkullImplantError


def split_skulls(
    skulls: Sequence[SkullFile], validation_share: float, seed: int
) -> tuple[list[SkullFile], list[SkullFile]]:
    """Split into skulls to learn from and skulls held back; whole skulls, so never their defects.

    Both lists keep the order given; the split depends on the names and `seed` alone, and at least
    one skull is on either side, unless the share held back is 0. Raises `SkullImplantError` for
    fewer than two skulls.
    """
    if validation_share == 0.0 and skulls:
        return list(skulls), []
    if len(skulls) < 2:
        raise SkullImplantError(
            "Training needs at least two skulls, one of them to check with; give a larger folder."
        )
    if not 0 < validation_share < 1:
        raise SkullImplantError("The share of skulls held back must be 0 or lie below 1.")
    names = sorted(skull.name for skull in skulls)
    count = int(np.clip(round(validation_share * len(names)), 1, len(names) - 1))
    held = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    return (
        [skull for skull in skulls if skull.name not in held],
        [skull for skull in skulls if skull.name in held],
    )
