"""The zero level of a field between its lattice points: how far it is, and the way to it."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

# Under this slope, mm per mm, a field does not say how far its zero level is.
LEAST_SLOPE = 0.2
# A step of Newton's goes at most so many lattice steps.
NEWTON_STEPS = 0.4
TINY = 1e-12


class ZeroLevel:
    """The zero level of a field (z, y, x), linear between its lattice points."""

    def __init__(self, field: NDArray[np.float32], spacing_mm: float) -> None:
        self.spacing_mm = spacing_mm
        self._values = np.ascontiguousarray(field).ravel()
        self._last = [size - 2 for size in field.shape[::-1]]
        self._steps = (1, field.shape[2], field.shape[2] * field.shape[1])

    def at(self, points_mm: Floats) -> tuple[Floats, Floats]:
        """Return the values (k,) and the gradients (k, 3), mm per mm."""
        first = np.zeros(len(points_mm), np.intp)
        shares = []
        for axis, step in enumerate(self._steps):
            place = points_mm[:, axis] / self.spacing_mm
            low = np.clip(place, 0.0, self._last[axis]).astype(np.intp)
            shares.append((place - low).astype(np.float32))
            first += step * low
        x, y, z = shares
        along, across, up = self._steps
        floors = []
        for start in (first, first + up):
            a, b = self._values[start], self._values[start + along] - self._values[start]
            start = start + across
            c, d = self._values[start], self._values[start + along] - self._values[start]
            a += x * b
            c += x * d - a
            floors.append((a + y * c, b + y * (d - b), c))
        (v0, x0, y0), (v1, x1, y1) = floors
        v1 -= v0
        gradient = np.stack([x0 + z * (x1 - x0), y0 + z * (y1 - y0), v1], axis=1)
        return v0 + z * v1, gradient / np.float32(self.spacing_mm)

    def away_mm(self, points_mm: Floats) -> Floats:
        """Return how far each point is from the zero level, to first order."""
        value, gradient = self.at(points_mm)
        return np.abs(value) / np.maximum(lengths(gradient), LEAST_SLOPE)

    def facets_away_mm(self, points: Floats, triangles: Ints) -> Floats:
        """Return how far each facet is from the level at its middle and its sides' middles."""
        a, b, c = (points[triangles[:, k]] for k in range(3))
        places = [(a + b + c) / 3.0, 0.5 * (a + b), 0.5 * (b + c), 0.5 * (c + a)]
        return self.away_mm(np.concatenate(places)).reshape(4, -1).max(axis=0)

    def projected(self, points_mm: Floats, steps: int = 2) -> tuple[Floats, Floats, Floats]:
        """Return the points brought to the zero level, the normals there and what is left, mm."""
        most = np.float32(NEWTON_STEPS * self.spacing_mm)
        value, gradient = self.at(points_mm)
        for _ in range(steps):
            slope = np.maximum(lengths(gradient), LEAST_SLOPE)
            step = np.clip(value / slope, -most, most) / slope
            points_mm = points_mm - step[:, None] * gradient
            value, gradient = self.at(points_mm)
        slope = lengths(gradient)
        normals = -gradient / np.maximum(slope, TINY)[:, None]
        return points_mm, normals, np.abs(value) / np.maximum(slope, LEAST_SLOPE)


def lengths(vectors: Floats) -> Floats:
    return np.sqrt(dot(vectors, vectors))


def dot(one: Floats, other: Floats) -> Floats:
    return np.einsum("ij,ij->i", one, other)
