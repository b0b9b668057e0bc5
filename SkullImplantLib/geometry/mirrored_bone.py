"""The other side of the head, brought onto this side's intact bone around each hole.

Turned over by the pose alone, the other side is a poor guide: heads are askew, and poses are off by
a degree. Registered to the bone around the hole (`surface_registration.py`) it shows what the
geometric prior cannot know: brow, orbit, frontal sinus. Arrays are (z, y, x) on the standard grid;
points (n, 3) are (x, y, z) in its frame.
"""

from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of, fraction_on
from ..core.progress import Progress, silent
from . import radial
from .brought_bone import (
    GRID_MM,
    MARGIN_MM,
    RIM_MM,
    SILENT_MM,
    BroughtBone,
    Flags,
    box_around,
    brought,
    depth_map,
    joined,
    looked_up,
    rim_points,
)
from .frame import standard_grid
from .prior import Prior
from .surface_registration import Points

# The mirror image's own hole says nothing; beside it, it says all from so much off its edge on.
HUSHED_MM, HEARD_MM = 0.5, 3.5


def mirrored_bone(
    skull: sitk.Image, prior: Prior, progress: Progress = silent
) -> BroughtBone | None:
    """Return the other side around the holes of a skull mask (uint8); None where there is none.

    Each hole is registered by itself, to the intact bone around it.
    """
    shells = shells_of(prior)
    if not shells:
        return None
    share = array_of(fraction_on(skull, standard_grid(prior.pose, GRID_MM)))
    from_hole, from_image = (radial.distance_mm(hole) for hole in (prior.hole, prior.hole[:, ::-1]))

    def is_silent(at: Points) -> Flags:
        silent_there: Flags = looked_up(from_image, at) < SILENT_MM
        return silent_there

    def heard(at: Points) -> NDArray[np.floating]:
        off_mm = looked_up(from_image, at)
        ramp = np.clip((off_mm - HUSHED_MM) / (HEARD_MM - HUSHED_MM), 0.0, 1.0)
        return ramp * ramp * (3.0 - 2.0 * ramp)

    found = []
    for number, shell in enumerate(shells):
        progress(number / len(shells), "looking at the other side")
        points = rim_points(share, shell, from_hole)
        wide = box_around(shell, RIM_MM + MARGIN_MM)
        turned = depth_map(np.ascontiguousarray(share[..., ::-1][wide]), wide)
        if points is None:
            continue
        one = brought(turned, points, shell, is_silent, heard)
        if one is not None:
            found.append(one)
    progress(1.0, "looked at the other side")
    return joined(found)


def shells_of(prior: Prior) -> list[Flags]:
    """Return the bone missing in each hole (z, y, x), bool, on the standard grid of `GRID_MM`."""
    grid = standard_grid(prior.pose, GRID_MM)
    holes, count = ndimage.label(prior.hole, np.ones((3, 3)))
    shells = (
        array_of(replace(prior, hole=holes == number).hole_on(grid)) > 0
        for number in range(1, count + 1)
    )
    return [shell for shell in shells if shell.any()]
