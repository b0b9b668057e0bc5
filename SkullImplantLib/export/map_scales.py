"""How values on an implant's surface are coloured: one scale for panel, report and coloured files.

Colours are even to the eye and never tell red from green; their ends do not depend on the values,
so that two implants compare, and the limit of the check lies in the middle or at a label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Viridis (Smith and van der Walt 2015, CC0) in tenths, for amounts.
AMOUNTS = (
    "#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6dcd59",
    "#b4de2c", "#fde725",
)  # fmt: skip
# What has two sides: the ends and the middle of Moreland's cool to warm (2009), lighter inwards.
SIDES = ("#3b4cc0", "#8db0fe", "#dddddd", "#f4987a", "#b40426")
NOWHERE = "#9e9e9e"
# A step's limit is 0.8 mm outside and 1 mm inside, and more where the bone itself is uneven.
STEP_LIMIT_MM = 0.8
# Designs are flagged from about this error on; two deviations are as much.
MOST_UNCERTAIN_MM = 2.0
USUAL_GAP_MM, USUAL_WALL_MM = 1.0, 2.0


@dataclass(frozen=True)
class MapScale:
    """One map: the array's name in the result's files, its title, unit, the values at the ends of
    the colours, whether it parts at 0, and a remark for the legend.
    """

    array: str
    title: str
    unit: str
    low: float
    high: float
    two_sided: bool
    remark: str

    @property
    def stops(self) -> tuple[str, ...]:
        """Colours at even places from low to high, as `#rrggbb`."""
        return SIDES if self.two_sided else AMOUNTS

    def colors(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the colours (n, 3), RGB, of values (n,); grey where there is none."""
        stops = np.array([_rgb(stop) for stop in self.stops], np.float64)
        share = np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0)
        place = np.where(np.isfinite(share), share, 0.0) * (len(stops) - 1)
        at = np.arange(len(stops))
        mixed = np.stack([np.interp(place, at, channel) for channel in stops.T], axis=1)
        mixed[~np.isfinite(values)] = _rgb(NOWHERE)
        return np.rint(mixed).astype(np.uint8)


def map_scales(design: Mapping[str, Any]) -> tuple[MapScale, ...]:
    """Return the scales of all maps, by the contents of `design.json`."""
    asked = design.get("parameters", {})
    gaps = [check["limit"] for check in design.get("checks", []) if check["name"] == "rim gap"]
    gap = float(gaps[0]) if gaps else USUAL_GAP_MM
    least = float(asked.get("least_wall_mm") or USUAL_WALL_MM)
    return (
        MapScale("gap_mm", "Gap", "mm", 0.0, 2.0 * gap, False, f"Limit {gap:g} mm."),
        MapScale(
            "step_mm", "Step", "mm", -2.0 * STEP_LIMIT_MM, 2.0 * STEP_LIMIT_MM, True,
            f"Limit ±{STEP_LIMIT_MM:g} mm; positive stands out of the head.",
        ),
        MapScale(
            "thickness_mm", "Thickness", "mm", 0.0, 5.0 * least, False, f"Least {least:g} mm."
        ),
        MapScale(
            "uncertainty_mm", "Uncertainty", "mm", 0.0, MOST_UNCERTAIN_MM, False,
            "One standard deviation of the completion.",
        ),
    )  # fmt: skip


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[k : k + 2], 16) for k in (1, 3, 5))
