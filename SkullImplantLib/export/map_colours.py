"""What the colours of the maps on an implant mean, the same wherever they are shown.

Scales are fixed by what was asked for, so that two designs can be compared, and their labels meet
the limit of the check. Colours are even to the eye and told apart by colour-blind people: viridis
(Smith and van der Walt 2015, CC0) for what runs one way, blue to red over a light middle (Moreland
2009, which VTK computes) for what has a sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkRenderingCore import vtkColorTransferFunction

from ..checks import CheckOptions

GAP, STEP, THICKNESS, UNCERTAINTY = "gap_mm", "step_mm", "thickness_mm", "uncertainty_mm"
MAP_ARRAYS = (GAP, STEP, THICKNESS, UNCERTAINTY)
# How far the outer face lies from what there may be to compare it with.
FROM_REFERENCE, FROM_OTHER_SIDE, FROM_PREVIOUS = DEVIATION_ARRAYS = (
    "from_reference_mm", "from_other_side_mm", "from_previous_mm"
)  # fmt: skip

COUNT = 256  # of colours in a table
VIRIDIS = (
    "440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6dcd59", "b4de2c",
    "fde725",
)  # fmt: skip
COOL, WARM = (0.230, 0.299, 0.754), (0.706, 0.016, 0.150)
NOWHERE = (0.62, 0.62, 0.62)  # where a map does not apply
# A thickness is seen up to so many times the least wall.
LEAST_WALLS = 5.0
# Designs are flagged from 4 mm on (`completion.trust.OFF_MM`), which is two deviations of this.
MOST_UNCERTAIN_MM = 2.0
# As far as that: what lies farther off is another shape.
MOST_OFF_MM = 4.0


@dataclass(frozen=True)
class MapScale:
    """A map's values at the ends of its colours, mm, how many are labelled, and the limit of the
    check among them; None where no check judges it. diverges: from 0, with its sign.
    """

    low_mm: float
    high_mm: float
    labels: int
    limit_mm: float | None
    diverges: bool = False


def scale_of(array: str, design: Mapping[str, Any]) -> MapScale:
    """Return the scale of a map by the name of its array; design: the contents of `design.json`.

    The gap's limit, the check's, is in the middle; a step's lies half-way to either end (the base
    of the outer step: where the bone itself is uneven the check allows more); the thickness begins
    at 0 and its first label after that is the least wall.
    """
    limits = CheckOptions()
    if array == GAP:
        told = [check["limit"] for check in design["checks"] if check["name"] == "rim gap"]
        limit = float(told[0]) if told else limits.clearance_mm + limits.wider_mm
        return MapScale(0.0, 2.0 * limit, 5, limit)
    if array == STEP:
        limit = limits.outer_step_mm
        return MapScale(-2.0 * limit, 2.0 * limit, 5, limit, diverges=True)
    if array == THICKNESS:
        least = float(design.get("parameters", {}).get("least_wall_mm") or limits.least_wall_mm)
        return MapScale(0.0, LEAST_WALLS * least, 6, least)
    if array in DEVIATION_ARRAYS:
        return MapScale(-MOST_OFF_MM, MOST_OFF_MM, 5, None, diverges=True)
    return MapScale(0.0, MOST_UNCERTAIN_MM, 5, None)


@cache
def colour_table(diverges: bool) -> NDArray[np.float64]:
    """Return the colours (`COUNT`, 3), RGB in 0 to 1, from the low end to the high one."""
    function = vtkColorTransferFunction()
    if diverges:
        function.SetColorSpaceToDiverging()
        ends = [COOL, WARM]
    else:
        function.SetColorSpaceToLab()
        ends = [(_part(c, 0), _part(c, 2), _part(c, 4)) for c in VIRIDIS]
    for place, colour in zip(np.linspace(0.0, 1.0, len(ends)), ends):
        function.AddRGBPoint(float(place), *colour)
    return np.array([function.GetColor(float(x)) for x in np.linspace(0.0, 1.0, COUNT)])


def _part(colour: str, start: int) -> float:
    return int(colour[start : start + 2], 16) / 255.0


def colours_of(values_mm: NDArray[np.floating], scale: MapScale) -> NDArray[np.uint8]:
    """Return the colours (n, 3) of values (n,); grey where there is none."""
    share = (values_mm - scale.low_mm) / (scale.high_mm - scale.low_mm)
    known = np.isfinite(share)
    place = np.rint(np.clip(np.where(known, share, 0.0), 0.0, 1.0) * (COUNT - 1)).astype(np.intp)
    colours = np.where(known[:, None], colour_table(scale.diverges)[place], np.array(NOWHERE))
    return np.rint(255.0 * colours).astype(np.uint8)
