"""The words beside the colours of a map (`map_colours`): title, unit and what its limit is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .map_colours import (
    COUNT,
    DEVIATION_ARRAYS,
    FROM_OTHER_SIDE,
    FROM_PREVIOUS,
    FROM_REFERENCE,
    GAP,
    MAP_ARRAYS,
    NOWHERE,
    STEP,
    THICKNESS,
    UNCERTAINTY,
    MapScale,
    colour_table,
    colours_of,
    scale_of,
)

TITLES = {
    GAP: "Gap",
    STEP: "Step",
    THICKNESS: "Thickness",
    UNCERTAINTY: "Uncertainty",
    FROM_REFERENCE: "Deviation from the earlier bone",
    FROM_OTHER_SIDE: "Deviation from the other side",
    FROM_PREVIOUS: "Deviation from the previous design",
}
OUTER_FACE = "Of the outer face; positive stands out of the head."
# A page draws its colours between so many.
STOPS = 17


@dataclass(frozen=True)
class MapLegend:
    """A map's array, what it is called, its scale, and a sentence on its limit."""

    array: str
    title: str
    scale: MapScale
    remark: str
    unit: str = "mm"

    @property
    def stops(self) -> tuple[str, ...]:
        """Colours at even places from the low end to the high one, as `#rrggbb`."""
        places = np.linspace(0, COUNT - 1, STOPS).round().astype(int)
        return tuple(_hex(rgb) for rgb in colour_table(self.scale.diverges)[places])

    def colors(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the colours (n, 3), RGB, of values (n,); grey where there is none."""
        return colours_of(values, self.scale)


def map_legends(design: Mapping[str, Any]) -> tuple[MapLegend, ...]:
    """Return the legends of all maps, by the contents of `design.json`."""
    found = []
    for array in (*MAP_ARRAYS, *DEVIATION_ARRAYS):
        scale = scale_of(array, {"checks": [], **design})
        limit = "" if scale.limit_mm is None else f"{scale.limit_mm:g} mm"
        remark = {
            GAP: f"Limit {limit}.",
            STEP: f"Limit ±{limit}; positive stands out of the head.",
            THICKNESS: f"Least {limit}.",
            UNCERTAINTY: "One standard deviation of the completion.",
            FROM_REFERENCE: OUTER_FACE,
            FROM_OTHER_SIDE: f"{OUTER_FACE} No head is symmetric.",
            FROM_PREVIOUS: OUTER_FACE,
        }[array]
        found.append(MapLegend(array, TITLES[array], scale, remark))
    return tuple(found)


def nowhere() -> str:
    """Return the colour of points to which a map does not apply, as `#rrggbb`."""
    return _hex(np.array(NOWHERE))


def _hex(rgb: NDArray[np.floating]) -> str:
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in rgb)
