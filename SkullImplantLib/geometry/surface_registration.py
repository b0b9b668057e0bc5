"""Another bone brought onto this skull's own: rigidly or affinely first, then by a smooth
displacement. What is brought may be this skull's other side, or another skull.

Both steps see only how far the surfaces lie apart along their normals. The rigid or affine move is
found by Gauss-Newton with Geman-McClure weights that are tightened as it closes in. The
displacement is a Gaussian process (Rasmussen and Williams 2006, chapter 2), one and the same for
each component and independent between them, observed along the surface normals only; where nothing
was observed, as in a hole, it goes on smoothly from the rim and dies away to the move.

Points (n, 3) are (x, y, z) in mm of the standard frame, arrays (z, y, x).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ..core.interpolation import values_at

Points = NDArray[np.floating]  # (n, 3)
Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

# A residual counts where the other surface is one (its depth has a slope) and faces the same way.
LEAST_SLOPE, LEAST_FACING = 0.3, 0.35
# Of the move: widths (mm) of the robust weights, rounds with each, and the farthest residual.
MOVE_WIDTHS_MM, MOVE_ROUNDS, FARTHEST_MOVE_MM = (8.0, 5.0, 3.0), (8, 8, 10), 12.0
MOST_TURN, MOST_SHIFT_MM = 0.05, 2.0  # of a round; radians, or parts of one
TURN_RIDGE, SHIFT_RIDGE = 10.0, 1e-3
# Of the displacement: as above, and the noise of a residual that counts in full.
SMOOTH_WIDTHS_MM, SMOOTH_NOISE_MM, FARTHEST_SMOOTH_MM = (3.0, 3.0, 1.5, 1.5, 1.5, 1.5), 1.0, 6.0
LEAST_WEIGHT = 1e-3
LEAST_POINTS = 60  # fewer residuals tell no move
POINTS_AT_A_TIME = 1 << 12  # covariances with all observations are held for so many


@dataclass(frozen=True)
class Stiffness:
    """The covariance of a displacement: terms of (standard deviation in mm, length in mm), each a
    squared exponential.
    """

    terms: tuple[tuple[float, float], ...]

    def between(self, one: Points, other: Points) -> Floats:
        """Return the covariance (n, m) in mm² between places (n, 3) and (m, 3)."""
        squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2.0 * one @ other.T
        total = np.zeros_like(squared)
        for deviation_mm, length_mm in self.terms:
            total += deviation_mm**2 * np.exp(squared * (-0.5 / length_mm**2))
        return total


# Two sides of one head depart by a millimetre or two, over a few centimetres.
SIDES = Stiffness(((2.0, 30.0), (1.2, 15.0)))


@dataclass(frozen=True)
class DepthMap:
    """A bone as a depth (z, y, x), float32, mm, positive in it, on a lattice of equal sides whose
    first voxel lies at `low_mm` (x, y, z). Beyond the lattice its edge goes on.
    """

    depth_mm: NDArray[np.float32]
    low_mm: Floats
    spacing_mm: float

    def at(self, points: Points) -> NDArray[np.float32]:
        """Return the depth (n,) at points (n, 3)."""
        return values_at(self.depth_mm, self._places(points))

    def with_slope(self, points: Points) -> tuple[Floats, Floats]:
        """Return the depth (n,) and its gradient (n, 3), by central differences of a voxel."""
        step = self.spacing_mm
        steps = step * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
        values = self.at((points[None] + steps[:, None]).reshape(-1, 3)).reshape(7, -1)
        slope = (values[1:4] - values[4:]).T / (2 * step)
        return values[0].astype(np.float64), slope.astype(np.float64)

    def _places(self, points: Points) -> list[Floats]:
        return list(((points - self.low_mm) / self.spacing_mm).T[::-1].astype(np.float32))


@dataclass(frozen=True)
class IntactSurface:
    """Points (n, 3) on a skull's own surface and their outward unit normals (n, 3)."""

    places: Points
    normals: Points


@dataclass(frozen=True)
class Registration:
    """How this skull's places are found in the other bone: x -> centre + matrix (x - centre) +
    shift + displacement(x).

    `observed` (n, 3): places whose displacement was seen, along `along` (n, 3), with the weights
    `alpha` (n,) of the Gaussian process. `residual_mm` (points,): what was left at every point
    asked for, NaN where the other bone has no like surface near.
    """

    centre: Floats
    matrix: Floats
    shift: Floats
    stiffness: Stiffness
    observed: Points = field(default_factory=lambda: np.zeros((0, 3)))
    along: Points = field(default_factory=lambda: np.zeros((0, 3)))
    alpha: Floats = field(default_factory=lambda: np.zeros(0))
    residual_mm: Floats = field(default_factory=lambda: np.zeros(0))

    def moved(self, points: Points) -> Points:
        """Return where points (n, 3) lie after the move alone."""
        return self.centre + (points - self.centre) @ self.matrix.T + self.shift

    def displacement(self, points: Points) -> Points:
        """Return the smooth displacement (n, 3), mm, beyond the move."""
        if not len(self.alpha):
            return np.zeros((len(points), 3))
        weights = self.along * self.alpha[:, None]
        starts = range(0, len(points), POINTS_AT_A_TIME)
        return np.concatenate(
            [
                self.stiffness.between(points[k : k + POINTS_AT_A_TIME], self.observed) @ weights
                for k in starts
            ]
            or [np.zeros((0, 3))]
        )

    def __call__(self, points: Points) -> Points:
        """Return where points (n, 3) of this skull are found in the other bone."""
        return self.moved(points) + self.displacement(points)


Silent = Callable[[Points], Flags]


def registered(
    points: IntactSurface,
    other: DepthMap,
    silent: Silent,
    stiffness: Stiffness = SIDES,
    affine: bool = False,
) -> Registration | None:
    """Return how to find this skull's places in the other bone; None where too little agrees.

    `silent` says of places (n, 3) in the other bone whether it says nothing there (its own hole).
    """
    move = _moved(points, other, silent, stiffness, affine)
    return move and _displaced(points, other, silent, move)


@dataclass(frozen=True)
class _Misfit:
    """At each point: how far the surface must go (n,), mm, the direction (n, 3), and whether the
    point counts.
    """

    apart_mm: Floats
    along: Points
    counts: Flags


def _misfit(
    points: IntactSurface, at: Points, other: DepthMap, silent: Silent, farthest_mm: float
) -> _Misfit:
    """Return the misfit of the points, which lie `at` (n, 3) in the other bone."""
    depth, slope = other.with_slope(at)
    steep = np.linalg.norm(slope, axis=1)
    along = -slope / np.maximum(steep, 1e-6)[:, None]
    facing = (along * points.normals).sum(axis=1)
    counts = (steep > LEAST_SLOPE) & (facing > LEAST_FACING) & (np.abs(depth) < farthest_mm)
    counts &= ~silent(at)
    return _Misfit(depth, along, counts)


def _robust(apart_mm: Floats, width_mm: float) -> Floats:
    """Return the Geman-McClure weights (n,) of misfits."""
    return 1.0 / (1.0 + (apart_mm / (2.0 * width_mm)) ** 2) ** 2


def _moved(
    points: IntactSurface, other: DepthMap, silent: Silent, stiffness: Stiffness, affine: bool
) -> Registration | None:
    """Return the rigid or affine move that brings the surfaces together."""
    if len(points.places) < LEAST_POINTS:
        return None
    centre = points.places.mean(axis=0)
    move = Registration(centre, np.eye(3), np.zeros(3), stiffness)
    for width_mm, rounds in zip(MOVE_WIDTHS_MM, MOVE_ROUNDS):
        for _ in range(rounds):
            at = move.moved(points.places)
            found = _misfit(points, at, other, silent, FARTHEST_MOVE_MM)
            if found.counts.sum() < LEAST_POINTS:
                return None
            apart, along = found.apart_mm[found.counts], found.along[found.counts]
            arm = at[found.counts] - centre
            turns = (
                (along[:, :, None] * arm[:, None, :]).reshape(-1, 9)
                if affine
                else np.cross(arm, along)
            )
            design = np.concatenate([turns, along], axis=1)
            weighted = design.T * _robust(apart, width_mm)
            ridge = np.repeat([TURN_RIDGE, SHIFT_RIDGE], [turns.shape[1], 3])
            step = np.linalg.solve(weighted @ design + np.diag(ridge), weighted @ apart)
            turn, shift = step[:-3], step[-3:]
            turn = turn / max(np.linalg.norm(turn) / MOST_TURN, 1.0)
            shift = shift / max(float(np.linalg.norm(shift)) / MOST_SHIFT_MM, 1.0)
            more = np.eye(3) + turn.reshape(3, 3) if affine else _rotation(turn)
            # The step turns what was moved: x' -> centre + more (x' - centre) + shift.
            move = Registration(centre, more @ move.matrix, more @ move.shift + shift, stiffness)
    return move


def _rotation(turn: Floats) -> Floats:
    """Return the rotation matrix of a small turn (3,), a vector along its axis, in radians."""
    x, y, z = turn
    rotation: Floats = linalg.expm(np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]))
    return rotation


def _displaced(
    points: IntactSurface, other: DepthMap, silent: Silent, move: Registration
) -> Registration:
    """Return the move with the smooth displacement that brings the surfaces closer still."""
    own = move.stiffness.between(points.places, points.places)
    rigid = move.moved(points.places)
    more = np.zeros_like(rigid)
    result = move
    for width_mm in SMOOTH_WIDTHS_MM:
        found = _misfit(points, rigid + more, other, silent, FARTHEST_SMOOTH_MM)
        chosen = found.counts
        if chosen.sum() < LEAST_POINTS:
            break
        along, apart = found.along[chosen], found.apart_mm[chosen]
        weight = np.maximum(_robust(apart, width_mm), LEAST_WEIGHT)
        wanted = (along * more[chosen]).sum(axis=1) + apart
        covariance = (along @ along.T) * own[np.ix_(chosen, chosen)]
        covariance[np.diag_indices(len(covariance))] += SMOOTH_NOISE_MM**2 / weight
        alpha = linalg.solve(covariance, wanted, assume_a="pos", check_finite=False)
        more = own[:, chosen] @ (along * alpha[:, None])
        result = Registration(
            move.centre,
            move.matrix,
            move.shift,
            move.stiffness,
            points.places[chosen],
            along,
            alpha,
        )
    last = _misfit(points, rigid + more, other, silent, FARTHEST_MOVE_MM)
    residual = np.where(last.counts, last.apart_mm, np.nan)
    residual[silent(rigid + more)] = 0.0  # nothing is said, for or against
    return Registration(
        move.centre,
        move.matrix,
        move.shift,
        move.stiffness,
        result.observed,
        result.along,
        result.alpha,
        residual,
    )
