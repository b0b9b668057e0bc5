"""The way in: how near an implant comes to bone on a straight path, and which path is best.

`W_d(p)` is the smallest distance to bone that a point p meets on its way out along the direction d.
What lies where `W_d` is at least the clearance keeps its clearance all along the way: it goes in.
The way is marched as spheres are traced (Hart 1996): no step is longer than the distance to bone.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.interpolation import values_at
from ..core.threads import worker_count
from .bone_distance import BoneDistance
from .lattice import to_index

Floats = NDArray[np.floating]

# A step is this share of the distance to bone, and where that is little at least so long.
STEP_SHARE, LEAST_STEP_MM = 0.7, 0.25
# Points of an implant that look for the way in: those so near to bone, and the others.
NEAR_MM, MOST_NEAR, MOST_FAR = 4.0, 4000, 800
# Directions are looked for this far from the mean normal ("within 70 degrees": beyond, an implant
# would be pushed in sideways).
WIDEST_DEG = 70.0
# Apart from one another at first, and then around the best.
COARSE_DEG, FINE_DEG = (12.0, (6.0, 3.0, 1.5))
# Directions that cost no more than the best and this share of the implant are as good as it.
AS_GOOD_SHARE = 0.0005
# To pass along bone within this costs as well, though less than to be taken away: an implant that
# grazes bone on its way is hard to bring in, and has every roughness of that bone in its walls.
GRAZING_MM, GRAZING_COST = 1.0, 0.25
# So little of the outer surface, 2 mm by 2 mm, is lost and not seen.
SEEN_MM2 = 4.0
# What is lost at the outer surface bares the rim there, and costs so much more.
OUTSIDE_COST = 8.0


def way_out_mm(
    bone: Sequence[BoneDistance], points_mm: Floats, direction: Floats, enough_mm: float
) -> NDArray[np.float32]:
    """Return `W_d` at LPS points (n, 3) for a unit vector, mm, float32.

    bone: the same bone on lattices of which each begins where those before it end. A point that
    comes nearer than `enough_mm` is not followed farther: its `W_d` is then at most that.
    """
    points = np.asarray(points_mm, np.float64)
    least = np.full(len(points), np.inf, np.float32)
    gone_mm = np.zeros(len(points))
    active = np.arange(len(points))
    for lattice in bone:
        active = _march(lattice, points, direction, enough_mm, least, gone_mm, active)
    return least


def _march(
    bone: BoneDistance,
    points: Floats,
    direction: Floats,
    enough_mm: float,
    least: NDArray[np.float32],
    gone_mm: NDArray[np.float64],
    active: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Follow the `active` points through one lattice, and return those that left it free.

    `least` and `gone_mm`, how far each point has gone along its way, are brought up to date.
    """
    start = to_index(bone.lattice, points)
    step = (to_index(bone.lattice, (points[:1] + direction)) - start[:1])[0]
    limits = np.array(bone.lattice.GetSize()) - 1
    left = []
    while active.size:
        where = start[active] + gone_mm[active, None] * step
        within = np.all((where >= 0) & (where <= limits), axis=1)
        left.append(active[~within])
        active, where = active[within], where[within]
        away = values_at(bone.values_mm, list(where.T[::-1]))
        least[active] = np.minimum(least[active], away)
        gone_mm[active] += np.maximum(STEP_SHARE * away, LEAST_STEP_MM)
        active = active[least[active] > enough_mm]
    return np.concatenate(left) if left else active


@dataclass(frozen=True)
class WayIn:
    """A straight way in.

    direction: unit vector (x, y, z; LPS) along which the implant comes out. lost_share: of the
    implant's points, those that have no clearance on the way though they have it in place.
    off_normal_deg: the direction's angle to the implant's mean normal. bared_mm: how far the
    implant's outer surface draws back from the rim for that, but for `SEEN_MM2` of it.
    """

    direction: NDArray[np.float64]
    lost_share: float
    off_normal_deg: float
    bared_mm: float = 0.0


@dataclass(frozen=True)
class Sample:
    """Some of an implant's points; those of a design all have their clearance where they are.

    points_mm: (n, 3), LPS. stands_for: (n,), of how many points each is one. at_outside: bool (n,),
    which lie at the implant's outer surface, where what is lost is seen and felt. point_mm2: of
    that surface, what belongs to one point there.
    """

    points_mm: Floats
    stands_for: Floats
    at_outside: NDArray[np.bool_]
    point_mm2: float = 0.0


def sample_of(
    points_mm: Floats,
    away_mm: Floats,
    at_outside: NDArray[np.bool_] | None = None,
    point_mm2: float = 0.0,
) -> Sample:
    """Return a sample of an implant's points (n, 3), n > 0, always the same one.

    Of those near bone, for `away_mm` (n,), which are the ones that a way in may cost, it has many
    more than of the others. at_outside (n,), point_mm2: see `Sample`.
    """
    near = np.asarray(away_mm) < NEAR_MM
    # Every so many-th point of a lattice would be of few of its columns.
    random = np.random.default_rng(0)
    chosen, numbers = [], []
    for part, most in ((near, MOST_NEAR), (~near, MOST_FAR)):
        index = np.flatnonzero(part)
        count = min(len(index), most)
        chosen.append(np.sort(random.choice(index, count, replace=False)))
        numbers.append(np.full(count, len(index) / max(count, 1)))
    index = np.concatenate(chosen)
    outside = np.zeros(len(index), bool) if at_outside is None else at_outside[index]
    return Sample(points_mm[index], np.concatenate(numbers), outside, point_mm2)


def best_way_in(
    bone: Sequence[BoneDistance], sample: Sample, normal: Floats, clearance_mm: float
) -> WayIn:
    """Return the straight way on which least of the implant is lost.

    normal: the implant's mean outward normal, around which directions are looked for. Of directions
    that are equally good the middle one is taken: the farthest from those on which something is
    lost.
    """
    normal = normal / np.linalg.norm(normal)
    points_mm = sample.points_mm
    weights = sample.stands_for / sample.stands_for.sum()
    weights = np.where(sample.at_outside, (1.0 + OUTSIDE_COST) * weights, weights)
    in_place = _crowded(way_out_mm(bone, points_mm, normal, np.inf), clearance_mm)

    def cost_of(direction: Floats) -> float:
        way = way_out_mm(bone, points_mm, direction, clearance_mm)
        grazing = weights @ (_crowded(way, clearance_mm) - in_place)
        return float(weights @ (way < clearance_mm) + GRAZING_COST * grazing)

    def cost(directions: Floats) -> NDArray[np.float64]:
        with ThreadPoolExecutor(worker_count()) as threads:
            return np.array(list(threads.map(cost_of, directions)))

    tried = directions_around(normal, WIDEST_DEG, COARSE_DEG)
    costs = cost(tried)
    for step_deg in FINE_DEG:
        best = _middle(tried, costs, cost)
        finer = directions_around(best, 2.0 * step_deg, step_deg)
        finer = finer[finer @ normal >= np.cos(np.radians(WIDEST_DEG))]
        tried, costs = np.concatenate([tried, finer]), np.concatenate([costs, cost(finer)])
    best = _middle(tried, costs, cost)
    return given_way_in(bone, sample, normal, clearance_mm, best)


def _crowded(away_mm: NDArray[np.float32], clearance_mm: float) -> NDArray[np.float32]:
    """Return how near bone is for its distance, 0 (`GRAZING_MM` beyond the clearance) to 1."""
    return np.clip((clearance_mm + GRAZING_MM - away_mm) / GRAZING_MM, 0.0, 1.0)


def given_way_in(
    bone: Sequence[BoneDistance],
    sample: Sample,
    normal: Floats,
    clearance_mm: float,
    direction: Sequence[float] | Floats,
) -> WayIn:
    """Return what the way in along a given direction (any length) costs; see `best_way_in`."""
    unit = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    lost = way_out_mm(bone, sample.points_mm, unit, clearance_mm) < clearance_mm
    lost_share = float(np.average(lost, weights=sample.stands_for))
    bared_mm = _bared_mm(bone, sample, lost, unit, clearance_mm)
    return WayIn(unit, lost_share, _angle_deg(unit, normal), bared_mm)


def _bared_mm(
    bone: Sequence[BoneDistance],
    sample: Sample,
    lost: NDArray[np.bool_],
    direction: Floats,
    clearance_mm: float,
) -> float:
    """Return how far the outer surface draws back from bone where points of it are lost."""
    bared = lost & sample.at_outside
    area_mm2 = sample.point_mm2 * sample.stands_for[bared]
    if area_mm2.sum() <= SEEN_MM2:
        return 0.0
    in_place = way_out_mm(bone, sample.points_mm[bared], direction, np.inf)
    farthest = np.argsort(-in_place, kind="stable")
    last = np.searchsorted(np.cumsum(area_mm2[farthest]), SEEN_MM2, side="right")
    return float(in_place[farthest[last]]) - clearance_mm


def _angle_deg(one: Floats, other: Floats) -> float:
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _middle(
    tried: Floats, costs: Floats, cost: Callable[[Floats], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the middle of the directions that are as good as the best, or the best one."""
    good = tried[costs <= costs.min() + AS_GOOD_SHARE]
    mean = good.mean(axis=0)
    mean /= np.linalg.norm(mean)
    if cost(mean[None])[0] <= costs.min() + AS_GOOD_SHARE:
        return np.asarray(mean)
    return np.asarray(good[np.argmax(good @ mean)])


def directions_around(axis: Floats, widest_deg: float, step_deg: float) -> NDArray[np.float64]:
    """Return unit vectors (n, 3), about `step_deg` apart, up to `widest_deg` from a unit vector."""
    axis = np.asarray(axis, np.float64)
    aside = np.eye(3)[np.argmin(np.abs(axis))]
    first = np.cross(axis, aside)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    found = [axis[None]]
    for ring in range(1, int(widest_deg / step_deg + 1e-9) + 1):
        angle = np.radians(ring * step_deg)
        count = max(6, round(2 * np.pi * np.sin(angle) / np.radians(step_deg)))
        turn = 2 * np.pi * np.arange(count) / count
        across = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
        found.append(np.cos(angle) * axis + np.sin(angle) * across)
    return np.concatenate(found)
