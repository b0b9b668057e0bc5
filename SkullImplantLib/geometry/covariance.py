"""How skulls depart from the prior mean: the covariance function of the vault's radial maps.

The residuals of the maps are sums of smooth fields, each of which both sides of the head share in
part, and outer and inner table in part. Each is a squared exponential (Rasmussen and Williams 2006,
section 4.2); a field of varying strength a(x) has the covariance a(x) k(x, y) a(y) (Paciorek and
Schervish 2004), which is valid if k is; and so is that of several channels which are mixtures of
such fields (the linear model of coregionalisation: Journel and Huijbregts 1978).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import radial
from .radial import Map, Pixels

Floats = NDArray[np.floating]
# Of the pixels at a time, so that the exponentials stay in the processor's cache.
CHUNK_PIXELS = 512


@dataclass(frozen=True, eq=False)
class Field:
    """A smooth field with a squared exponential covariance, in one channel or more.

    `covariance_mm2` (channels, channels) is its covariance at one place, and `length_mm` its length
    scale on the mean sphere; `mirrored` is the share of it that both sides of the head have in
    common. `strength` (channels, SIZE, SIZE) multiplies it from place to place; None is 1.
    """

    covariance_mm2: NDArray[np.float64]
    length_mm: float
    mirrored: float
    strength: Map | None = None


@dataclass(frozen=True, eq=False)
class Kernel:
    """The covariance of the residuals between pixels of maps (channels, SIZE, SIZE)."""

    fields: tuple[Field, ...]

    @property
    def channels(self) -> int:
        return len(self.fields[0].covariance_mm2)

    def between(self, at: Pixels, to: Pixels) -> NDArray[np.float32]:
        """Return the covariance (channels, n, channels, m) in mm² at n pixels and at m."""
        count = self.channels
        total = np.zeros((count, len(at[0]), count, len(to[0])), np.float32)
        for field, rows, columns, close in self._closeness(at, to):
            one, other = _strength(field, at), _strength(field, to)
            whole = len(rows) == len(at[0]) and len(columns) == len(to[0])
            for a, b in np.argwhere(field.covariance_mm2 != 0.0):
                share = close * np.float32(field.covariance_mm2[a, b])
                if field.strength is not None:
                    share *= one[a][rows, None]
                    share *= other[b][columns]
                if whole:
                    total[a, :, b] += share
                else:
                    total[a, rows[:, None], b, columns[None]] += share
        return total

    def times(self, at: Pixels, to: Pixels, weights: Floats) -> NDArray[np.float64]:
        """Return the covariance at n pixels and at m times `weights` (channels, m): (channels, n).

        As `between` would give it, without its size.
        """
        total = np.zeros((self.channels, len(at[0])))
        for first in range(0, len(at[0]), CHUNK_PIXELS):
            part = slice(first, first + CHUNK_PIXELS)
            some = tuple(index[part] for index in at)
            for field, rows, columns, close in self._closeness(some, to):
                one, other = _strength(field, some), _strength(field, to)
                weighted = (other * weights)[:, columns].astype(np.float32)
                mixed = field.covariance_mm2 @ (close @ weighted.T).T.astype(np.float64)
                total[:, part][:, rows] += mixed * one[:, rows]
        return total

    def variance(self, at: Pixels) -> NDArray[np.float64]:
        """Return the covariance (channels, channels, n) in mm² of the channels at n pixels."""
        apart_mm = radial.DIRECTIONS[at][:, 0] * radial.MEAN_RADIUS_MM * 2  # from the other side
        total = np.zeros((self.channels, self.channels, len(at[0])))
        for field in self.fields:
            both = 1 + field.mirrored * np.exp(-0.5 * (apart_mm / field.length_mm) ** 2)
            strength = _strength(field, at).astype(np.float64)
            total += field.covariance_mm2[:, :, None] * both * strength[:, None] * strength
        return total

    def _closeness(
        self, at: Pixels, to: Pixels
    ) -> Iterator[tuple[Field, NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]]:
        """Yield the fields, of which rows and columns they are, and their correlation there."""
        one, two = radial.DIRECTIONS[at], radial.DIRECTIONS[to]
        for field in self.fields:
            rows, columns = np.arange(len(one)), np.arange(len(two))
            if field.strength is not None:
                # Most pixels have no detail, and exponentials are what takes the time.
                rows = np.flatnonzero(_strength(field, at).any(axis=0))
                columns = np.flatnonzero(_strength(field, to).any(axis=0))
            if len(rows) and len(columns):
                yield (
                    field,
                    rows,
                    columns,
                    closeness(one[rows], two[columns], field.length_mm, field.mirrored),
                )


def _strength(field: Field, at: Pixels) -> NDArray[np.float32]:
    """Return the strength (channels, n) of a field at n pixels."""
    if field.strength is None:
        return np.ones((len(field.covariance_mm2), len(at[0])), np.float32)
    return field.strength[:, at[0], at[1]].astype(np.float32)


def closeness(one: Floats, other: Floats, length_mm: float, mirrored: float) -> NDArray[np.float32]:
    """Return k(x, y) + mirrored k(x, y turned over), (n, m), of unit vectors (n, 3) and (m, 3).

    Single precision: the covariances of observations get their noise added in double.
    """
    reach = np.float32((radial.MEAN_RADIUS_MM / length_mm) ** 2)
    columns = other.astype(np.float32).T
    # Minus half the squared distance in lengths.
    total = (one * reach).astype(np.float32) @ columns
    total -= reach
    np.exp(total, out=total)
    if mirrored:
        share = (one * [-reach, reach, reach]).astype(np.float32) @ columns
        share -= reach
        np.exp(share, out=share)
        share *= np.float32(mirrored)
        total += share
    return total
