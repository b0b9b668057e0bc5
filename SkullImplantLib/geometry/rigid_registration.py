"""One bone laid onto another: the rigid motion between two surfaces that overlap in part.

A start from any pose is found by trying rotations, each with the shift of the best
cross-correlation. From there points go to the nearest plane of like direction (iterated closest
points: Chen and Medioni 1992, with the symmetric distance of Rusinkiewicz 2019, which is exact on
round bone) by Gauss-Newton steps with Geman-McClure weights that are tightened. How much thicker
the target's bone is everywhere, as another threshold makes it, and, where asked for, its scale
along three axes are nuisances of the fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from .bone_field import FLATTEST, SurfacePoints, Vectors

Floats = NDArray[np.floating]

# Between a point and its partner a turn of the normal counts as so many mm for each radian.
MM_PER_NORMAL = 5.0
# Partners whose normals disagree more are none (cosine); nor are those farther apart than so many
# spreads.
FACING, FARTHEST_SPREADS = 0.5, 4.0
STEPS_PER_SPREAD = 4
SETTLED_MM = 0.002  # a step that moves no point farther ends the steps of a spread
SINGULAR = 1e-9  # of the normal matrix' trace, added to its diagonal
MOST_TURN_RAD, MOST_SHIFT_MM, MOST_LOG_SCALE = 0.2, 20.0, 0.05  # of one step
LEAST_PARTNERS = 30  # fewer hold no pose
REACH_MM = 120.0  # a head's radius about: what a turn moves

# The search for a start: grid, and how far from bone still counts.
SEARCH_MM, SEARCH_WIDTH_MM = 6.0, 7.0
# Rotations to try, about 17 degrees apart; and how many starts are fitted.
ROTATIONS, STARTS = 3000, 16
ALIKE_RAD, ALIKE_MM = np.deg2rad(8.0), 12.0
# Super-Fibonacci spirals (Alexa 2022): evenly spread rotations from two irrational numbers.
PHI, PSI = np.sqrt(2.0), 1.533751168755204288118041


@dataclass(frozen=True)
class Motion:
    """A rigid motion: places (n, 3; mm) go to places @ rotation.T + shift_mm."""

    rotation: Vectors
    shift_mm: Vectors

    def __call__(self, places_mm: Floats) -> Vectors:
        return np.asarray(places_mm @ self.rotation.T + self.shift_mm)

    def inverse(self) -> "Motion":
        """Return the way back."""
        return Motion(self.rotation.T, -self.rotation.T @ self.shift_mm)

    def after(self, first: "Motion") -> "Motion":
        """Return the motion that does `first` and then this one."""
        return Motion(self.rotation @ first.rotation, self(first.shift_mm))

    @property
    def turn_deg(self) -> float:
        """The angle of its rotation."""
        return float(np.rad2deg(Rotation.from_matrix(self.rotation).magnitude()))


STAY = Motion(np.eye(3), np.zeros(3))


class Surface:
    """A surface to lay points on: its own points, found by place and direction."""

    def __init__(self, points: SurfacePoints) -> None:
        self.points = points
        self._tree = cKDTree(np.hstack([points.places_mm, MM_PER_NORMAL * points.normals]))

    def neighbours(self, points: SurfacePoints, count: int) -> NDArray[np.intp]:
        """Return for each of the points (n) the numbers (n, count) of the nearest of like
        direction.
        """
        _, index = self._tree.query(
            np.hstack([points.places_mm, MM_PER_NORMAL * points.normals]), count, workers=-1
        )
        return np.asarray(index).reshape(len(points), count)

    def partners(self, moved: SurfacePoints) -> SurfacePoints:
        """Return for each of the points (n) the nearest one of like direction."""
        return self.points.at(self.neighbours(moved, 1)[:, 0])


def smoothed(points: SurfacePoints, count: int) -> SurfacePoints:
    """Return the points with the mean normal of so many neighbours each."""
    mean = points.normals[Surface(points).neighbours(points, count)].mean(axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), FLATTEST)
    return replace(points, normals=mean)


@dataclass(frozen=True)
class Pairing:
    """Points that are to lie on a surface.

    weight: of each. spread_times: its residuals are so much wider than the spreads of the fit.
    reach_mm: partners farther apart are none; None is some spreads. thicker: whether the surface
    may lie out of the points everywhere by an amount of its own, which is found.
    """

    points: SurfacePoints
    target: Surface
    weight: float = 1.0
    spread_times: float = 1.0
    reach_mm: float | None = None
    thicker: bool = False


@dataclass(frozen=True)
class Fitted:
    """A fit: points lie at motion(points), scaled first by exp(`log_scale`) (3,) along given axes.

    thicker_mm, residuals_mm: for each pairing how far its target's surface lies out of its points
    everywhere, and what is left (n,), signed; infinite for a point without a partner.
    """

    motion: Motion
    thicker_mm: tuple[float, ...] = ()
    log_scale: Vectors = field(default_factory=lambda: np.zeros(3))
    residuals_mm: tuple[Floats, ...] = ()

    def cost(self, spread_mm: float) -> float:
        """Return the first pairing's mean robust cost, 0 (all points fit) to 1 (none does)."""
        squared = (self.residuals_mm[0] / (2.0 * spread_mm)) ** 2
        return float(np.mean(1.0 - 1.0 / (1.0 + squared)))


@dataclass(frozen=True)
class Scaling:
    """Axes (3, 3), columns: unit vectors of the points' frame along which they may be scaled about
    `middle_mm` (3,).
    """

    axes: Vectors
    middle_mm: Vectors

    def of(self, points: SurfacePoints, log_scale: Vectors) -> SurfacePoints:
        """Return the points scaled; their normals, which turn little, stay."""
        stretch = self.axes @ np.diag(np.exp(log_scale)) @ self.axes.T
        places = (points.places_mm - self.middle_mm) @ stretch.T + self.middle_mm
        return replace(points, places_mm=places)


def fit_rigid(
    pairings: Sequence[Pairing],
    start: Motion,
    spreads_mm: Sequence[float],
    scaling: Scaling | None = None,
) -> Fitted:
    """Return the motion that lays the points of all pairings on their targets, from a start.

    spreads_mm: of the weights, one after the other, the last one the finest. scaling: None for a
    rigid fit.
    """
    fit = Fitted(start, (0.0,) * len(pairings))
    for spread in spreads_mm:
        for _ in range(STEPS_PER_SPREAD):
            fit, moved_mm = _step(pairings, fit, spread, scaling)
            if moved_mm < SETTLED_MM:
                break
    left = [_residual(pairing, k, fit, scaling)[0] for k, pairing in enumerate(pairings)]
    return replace(fit, residuals_mm=tuple(left))


def _residual(
    pairing: Pairing, number: int, fit: Fitted, scaling: Scaling | None
) -> tuple[Floats, Vectors, Vectors, Floats]:
    """Return the residuals (n,), the moved points (n, 3), the directions (n, 3) along which
    residuals are measured, and how far partners are apart (n,).
    """
    points = pairing.points if scaling is None else scaling.of(pairing.points, fit.log_scale)
    moved = points.moved(fit.motion.rotation, fit.motion.shift_mm)
    partner = pairing.target.partners(moved)
    both = moved.normals + partner.normals
    both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), FLATTEST)
    apart = moved.places_mm - partner.places_mm
    residual = (apart * both).sum(axis=1) + fit.thicker_mm[number]
    faces = (moved.normals * partner.normals).sum(axis=1) > FACING
    residual = np.where(faces, residual, np.inf)
    return residual, moved.places_mm, both, np.linalg.norm(apart, axis=1)


def _step(
    pairings: Sequence[Pairing], fit: Fitted, spread_mm: float, scaling: Scaling | None
) -> tuple[Fitted, float]:
    """Return the fit after one Gauss-Newton step, and how far (mm) that moved points at most."""
    count = len(pairings)
    unknowns = 6 + count + 3
    normal, right = np.zeros((unknowns, unknowns)), np.zeros(unknowns)
    centre, partners = np.zeros(3), 0
    for number, pairing in enumerate(pairings):
        residual, moved, along, apart = _residual(pairing, number, fit, scaling)
        if number == 0:
            centre = moved.mean(axis=0)
        spread = spread_mm * pairing.spread_times
        reach = FARTHEST_SPREADS * spread if pairing.reach_mm is None else pairing.reach_mm
        used = np.isfinite(residual) & (apart < reach + abs(fit.thicker_mm[number]))
        r, n, y = residual[used], along[used], moved[used]
        partners += len(r)
        jacobian = np.zeros((len(r), unknowns))
        jacobian[:, :3], jacobian[:, 3:6] = np.cross(y - centre, n), n
        jacobian[:, 6 + number] = float(pairing.thicker)
        if scaling is not None:
            axes = fit.motion.rotation @ scaling.axes
            from_middle = y - fit.motion(scaling.middle_mm[None])[0]
            jacobian[:, 6 + count :] = (n @ axes) * (from_middle @ axes)
        weight = pairing.weight / (1.0 + (r / (2.0 * spread)) ** 2) ** 2 / pairing.spread_times**2
        normal += jacobian.T @ (jacobian * weight[:, None])
        right += jacobian.T @ (r * weight)
    if partners < LEAST_PARTNERS:
        return fit, 0.0
    # What is not asked for has no column, and stays.
    free = np.diag(normal) > 0.0
    move = np.zeros(unknowns)
    ridge = SINGULAR * np.trace(normal) * np.eye(int(free.sum()))
    move[free] = -np.linalg.solve(normal[np.ix_(free, free)] + ridge, right[free])
    turn = np.clip(move[:3], -MOST_TURN_RAD, MOST_TURN_RAD)
    shift = np.clip(move[3:6], -MOST_SHIFT_MM, MOST_SHIFT_MM)
    turned_by = Rotation.from_rotvec(turn).as_matrix()
    found = replace(
        fit,
        motion=Motion(turned_by, centre - turned_by @ centre + shift).after(fit.motion),
        thicker_mm=tuple(t + float(m) for t, m in zip(fit.thicker_mm, move[6:])),
        log_scale=fit.log_scale + np.clip(move[-3:], -MOST_LOG_SCALE, MOST_LOG_SCALE),
    )
    return found, float(np.abs(shift).max() + REACH_MM * np.abs(turn).max())


def rotations_within(angle_rad: float, count: int = ROTATIONS) -> list[Vectors]:
    """Return rotations (3, 3) spread evenly, of `count` in all those that turn by no more than
    `angle_rad`, the smallest turn first; the first is none at all.
    """
    s = np.arange(count) + 0.5
    t, d = s / count, 2.0 * np.pi * s
    r, big_r = np.sqrt(t), np.sqrt(1.0 - t)
    alpha, beta = d / PHI, d / PSI
    spread = Rotation.from_quat(
        np.stack(
            [r * np.sin(alpha), r * np.cos(alpha), big_r * np.sin(beta), big_r * np.cos(beta)],
            axis=1,
        )
    )
    turns = spread.magnitude()
    order = np.argsort(turns, kind="stable")
    return [np.eye(3), *spread[order[turns[order] <= angle_rad]].as_matrix()]


def search_starts(
    places_mm: Vectors, target_mm: Vectors, rotations: Sequence[Vectors], count: int = STARTS
) -> list[Motion]:
    """Return the best different starts, the best first: `places_mm` (n, 3) lie near `target_mm`.

    For each rotation the shift is the one of the best cross-correlation with how near the target
    (m, 3; points of its bone) is.
    """
    low = target_mm.min(axis=0)
    reach = np.linalg.norm(places_mm - places_mm.mean(axis=0), axis=1).max()
    extent = np.ceil(np.ptp(target_mm, axis=0) / SEARCH_MM).astype(int) + 1
    size = extent + int(np.ceil(2.0 * reach / SEARCH_MM)) + 1
    shape = tuple(fft.next_fast_len(int(n), real=True) for n in size)
    cells = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    apart, _ = cKDTree(target_mm).query(
        (low - reach + SEARCH_MM * cells).reshape(-1, 3),
        distance_upper_bound=4.0 * SEARCH_WIDTH_MM,
        workers=-1,
    )
    near = np.exp(-((apart / SEARCH_WIDTH_MM) ** 2)).reshape(shape).astype(np.float32)
    spectrum = fft.rfftn(near)
    middle = places_mm.mean(axis=0)
    found: list[tuple[float, Motion]] = []
    for rotation in rotations:
        turned = (places_mm - middle) @ rotation.T
        index = np.rint((turned + reach) / SEARCH_MM).astype(int)
        points = np.zeros(shape, np.float32)
        np.add.at(points, tuple(index.T), 1.0)
        match = fft.irfftn(spectrum * np.conj(fft.rfftn(points)), shape)
        match = match[tuple(slice(0, n) for n in extent)]
        best = np.unravel_index(int(match.argmax()), match.shape)
        shift = low + SEARCH_MM * np.array(best) - rotation @ middle
        found.append((float(match[best]), Motion(rotation, shift)))
    found.sort(key=lambda pair: -pair[0])
    kept: list[Motion] = []
    for _, motion in found:
        if len(kept) < count and not any(_alike(motion, other, middle) for other in kept):
            kept.append(motion)
    return kept


def _alike(one: Motion, other: Motion, middle: Vectors) -> bool:
    turn = Rotation.from_matrix(one.rotation.T @ other.rotation).magnitude()
    shift = np.linalg.norm(one(middle[None]) - other(middle[None]))
    return bool(turn < ALIKE_RAD and shift < ALIKE_MM)


def moved_image(image: Any, motion: Motion) -> Any:
    """Return an image with the same voxels (shared until written to) that `motion` has moved."""
    moved = type(image)(image)
    direction = motion.rotation @ np.reshape(image.GetDirection(), (3, 3))
    # Rounding must not add up to axes that ITK takes for sheared.
    left, _, right = np.linalg.svd(direction)
    moved.SetDirection((left @ right).ravel().tolist())
    moved.SetOrigin(motion(np.array([image.GetOrigin()]))[0].tolist())
    return moved
