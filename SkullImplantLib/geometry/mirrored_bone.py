"""The other side of the head, brought onto this side's intact bone around each hole.

Turned over by the pose alone, the other side is a poor guide: heads are askew, and poses are off by
a degree. Registered to the bone around the hole (`surface_registration.py`) it shows what the
geometric prior cannot know: brow, orbit, frontal sinus. Points (n, 3) are (x, y, z) in mm of the
standard frame.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..core.progress import Progress, silent
from . import radial
from .brought_bone import (
    AROUND_MM,
    MARGIN_MM,
    RIM_MM,
    SILENT_MM,
    BroughtBone,
    Flags,
    Surroundings,
    box_around,
    brought,
    depth_map,
    joined,
    looked_up,
)
from .prior import Prior
from .surface_registration import Points

# The mirror image's own hole says nothing; beside it, it says all from so much off its edge on.
HUSHED_MM, HEARD_MM = 0.5, 3.5


def mirrored_bone(
    around: Surroundings, prior: Prior, progress: Progress = silent
) -> BroughtBone | None:
    """Return the other side around the holes; None where it is like this side nowhere.

    Each hole is registered by itself, to the intact bone around it.
    """
    return joined(mirrored_to_each(around, prior, progress=progress), around.box)


def everywhere(at: Points) -> Flags:
    """Say of places (n, 3) that they are in the image."""
    return np.ones(len(at), bool)


def mirrored_to_each(
    around: Surroundings,
    prior: Prior,
    reach_mm: float = AROUND_MM,
    is_imaged: Callable[[Points], Flags] = everywhere,
    progress: Progress = silent,
) -> list[BroughtBone]:
    """Return the other side as brought to each hole, up to `reach_mm` around it, of those to which
    it could be brought.

    is_imaged: says of places (n, 3) of the other side turned over whether the image holds them.
    """
    from_image = radial.distance_mm(prior.hole[:, ::-1])

    def is_silent(at: Points) -> Flags:
        silent_there: Flags = (looked_up(from_image, at) < SILENT_MM) | ~is_imaged(at)
        return silent_there

    def heard(at: Points) -> NDArray[np.floating]:
        off_mm = looked_up(from_image, at)
        ramp = np.clip((off_mm - HUSHED_MM) / (HEARD_MM - HUSHED_MM), 0.0, 1.0)
        return ramp * ramp * (3.0 - 2.0 * ramp) * is_imaged(at)

    found = []
    for number, rim in enumerate(around.rims):
        progress(number / len(around.rims), "looking at the other side")
        wide = box_around(rim.shell, RIM_MM + MARGIN_MM)
        turned = depth_map(np.ascontiguousarray(around.share[..., ::-1][wide]), wide)
        one = brought(turned, rim, is_silent, heard, reach_mm=reach_mm)
        if one is not None:
            found.append(one)
    progress(1.0, "looked at the other side")
    return found
