"""What all trainings have in common over their iterations: the learning rate's course, and what a
run may be resumed with.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..errors import SkullImplantError
from .organ_options import OrganOptions
from .training_options import TrainOptions

AnyOptions = TrainOptions | OrganOptions
WARM_UP = 50  # iterations; Adam knows little of the gradients' size at first
SLOWEST = 0.01  # share of the learning rate that is left at the end
# What a run may be resumed with that it was not begun with; nothing that was learnt depends on it.
FREE_TO_CHANGE = {"iterations", "minutes", "patience", "jobs", "provenance", "device", "memory"}


def pace(iteration: int, iterations: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * iteration / iterations))
    return max(cosine, SLOWEST) * min(1.0, (iteration + 1) / WARM_UP)


def options_as_json(options: AnyOptions) -> dict[str, Any]:
    """Return options as they come back from a file."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(options)))
    return told


def check_resumable(before: Mapping[str, Any], options: AnyOptions) -> None:
    """Raise `SkullImplantError` where a run that was begun with `before` had other options."""
    now = options_as_json(options)
    changed = sorted(k for k in now if k not in FREE_TO_CHANGE and before.get(k) != now[k])
    if changed:
        raise SkullImplantError(
            f"The checkpoint was trained with other options ({', '.join(changed)}); use the "
            "same ones, or train into another folder."
        )
