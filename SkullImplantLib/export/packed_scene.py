"""A scene as bytes that a page can hold: surfaces, what their points have, and an image.

Points are whole steps along the surface's box, corners the differences between them, values whole
steps between the least and the greatest; all of it together is compressed once.
"""

import gzip
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Steps along a box or between two values: 200 mm in steps of 0.003 mm.
STEPS = 65534
NOTHING = 65535  # of a point that has no value
LEVEL = 6  # of compression; the highest takes five times as long for a hundredth less
ALIGNED = 4  # bytes, as a browser's typed arrays begin


@dataclass
class PackedScene:
    """Arrays one after the other; a header in JSON says where each begins."""

    _parts: list[bytes] = field(default_factory=list)
    _length: int = 0

    def add(self, array: NDArray[Any]) -> dict[str, Any]:
        """Add an array (uint8, uint16 or int32); return its place, for the header."""
        content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        place = {"kind": array.dtype.name, "begin": self._length, "length": int(array.size)}
        content += bytes(-len(content) % ALIGNED)
        self._parts.append(content)
        self._length += len(content)
        return place

    def add_mesh(self, points_mm: NDArray[Any], triangles: NDArray[Any]) -> dict[str, Any]:
        """Add a surface: points (n, 3) in LPS mm, triangles (m, 3)."""
        low = points_mm.min(axis=0)
        step = np.maximum(np.ptp(points_mm, axis=0) / STEPS, 1e-9)
        steps = np.rint((points_mm - low) / step).astype(np.uint16)
        corners = np.diff(triangles.ravel().astype(np.int32), prepend=np.int32(0))
        return {
            "points": self.add(steps),
            "corners": self.add(corners.astype(np.int32)),
            "origin_mm": [float(along) for along in low],
            "step_mm": [float(along) for along in step],
        }

    def add_values(self, values: NDArray[Any]) -> dict[str, Any]:
        """Add a value for each point (n,); not a number is nothing."""
        known = np.isfinite(values)
        least = float(values[known].min()) if known.any() else 0.0
        step = max((float(values[known].max()) - least) / STEPS, 1e-9) if known.any() else 1.0
        steps = np.full(values.shape, NOTHING, np.uint16)
        steps[known] = np.rint((values[known] - least) / step)
        return {"values": self.add(steps), "least": least, "step": step, "nothing": NOTHING}

    def compressed(self) -> bytes:
        """Return all arrays as gzip, the same bytes for the same arrays."""
        return gzip.compress(b"".join(self._parts), LEVEL, mtime=0)
