"""Where on the head a place is, in words that need no anatomist: side, and part of the vault."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Directions within this of the vertex are the top; the rest is front, side and back, a quarter turn
# each.
TOP_RAD = np.deg2rad(35.0)
# What lies on both sides, each with at least so much of it, lies at the midline.
BOTH_SIDES_SHARE = 0.2


@dataclass(frozen=True)
class PlaceOnHead:
    """side: `left`, `right` (the patient's) or `midline`. part: `front`, `side`, `back`, `top`."""

    side: str
    part: str

    @property
    def words(self) -> str:
        """The two as one phrase."""
        if self.part == "side":
            return f"{self.side} side" if self.side != "midline" else "side"
        return f"{self.part}, {'at the midline' if self.side == 'midline' else self.side}"


def place_on_head(points: NDArray[np.floating]) -> PlaceOnHead:
    """Return where points (n, 3) in the standard frame (x Left, y Posterior, z Superior) lie."""
    x, y, z = np.asarray(points, float).mean(axis=0)
    left = float((points[:, 0] > 0.0).mean())
    side = "left" if left > 0.5 else "right"
    if min(left, 1.0 - left) >= BOTH_SIDES_SHARE:
        side = "midline"
    if np.hypot(x, y) < np.tan(TOP_RAD) * z:
        return PlaceOnHead(side, "top")
    if abs(x) > abs(y):
        return PlaceOnHead("left" if x > 0.0 else "right", "side")
    return PlaceOnHead(side, "front" if y < 0.0 else "back")
