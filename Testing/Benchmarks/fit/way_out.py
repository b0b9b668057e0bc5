"""Does an implant lie in bone, and does it slide out along a direction without touching any?

A lattice of 0.25 mm is turned so that its columns run along the direction: what a place within the
implant meets on its way is its own column, step by step.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from facets import Facets, Floats, Mask, inside_lattice
from numpy.typing import NDArray

STEP_MM = 0.25
TOUCH_MM = 0.05  # a place this deep in bone is blocked: less is noise of the two surfaces
TRAVEL_MM = 50.0  # out of any hole, and past what may hang over it
MARGIN_MM = 6.0
COARSE_MM = 0.5
COARSE_ERROR_MM = 1.0  # most that a coarse distance may be wrong
LEAST_PLACES = 20_000  # places on the way whose exact distance is looked at
SEARCH_DEG = 75.0
SEARCH_PLACES = 6_000
SEARCH_COUNT = 400
FINE_DEG, FINEST_DEG = 5.0, 1.5


@dataclass(frozen=True)
class Way:
    """What the implant meets where it lies and on its way out."""

    interference_mm3: float  # deeper in bone than `TOUCH_MM`
    contact_mm3: float  # in bone at all
    interference_depth_mm: float
    blocked_mm3: float
    least_mm: float  # smallest distance to bone of any of its places on the way


class CoarseDistance:
    """Distance to bone, to within `COARSE_ERROR_MM`, quick to look up; far outside: infinite."""

    def __init__(self, bone: Facets) -> None:
        self.bone = bone
        self.low = bone.points.min(0) - MARGIN_MM
        self.shape = np.ceil((bone.points.max(0) + MARGIN_MM - self.low) / COARSE_MM).astype(int)
        inside = inside_lattice(bone, self.low, self.shape, COARSE_MM)
        image = sitk.GetImageFromArray(inside.astype(np.uint8))
        image.SetSpacing((COARSE_MM,) * 3)
        distance = sitk.GetArrayFromImage(
            sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
        )
        # The map is 0 on the last voxels within, whose centres lie half a voxel deep on average.
        self.values = (distance - COARSE_MM / 2).ravel()

    def at(self, places: Floats) -> NDArray[np.float32]:
        """Distances in mm at places (..., 3), negative inside."""
        index = np.rint((places - self.low) / COARSE_MM).astype(np.int32)
        outside = ((index < 0) | (index >= self.shape)).any(-1)
        index[outside] = 0
        x, y, z = np.moveaxis(index, -1, 0)
        found = self.values[(z * self.shape[1] + y) * self.shape[0] + x]
        found[outside] = np.inf
        return found

    def exact_below(self, limit_mm: float, places: Floats) -> Floats:
        """Distances (n,) in mm at places (n, 3): exact where they are less than `limit_mm`, else
        to within `COARSE_ERROR_MM`.
        """
        found = self.at(places).astype(np.float64)
        near = found < limit_mm + COARSE_ERROR_MM
        found[near] = self.bone.signed_distances(places[near])
        return found


def frame_of(direction: Floats) -> Floats:
    """A rotation (3, 3) whose rows are two unit vectors across `direction`, and it."""
    third = np.asarray(direction, float) / np.linalg.norm(direction)
    first = np.cross(third, np.eye(3)[np.argmin(np.abs(third))])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(third, first), third])


def way_out(implant: Facets, coarse: CoarseDistance, direction: Floats) -> Way:
    """Measure an implant where it lies and while it slides out along a unit vector (LPS)."""
    rotation = frame_of(direction)
    turned = implant.moved(rotation)
    low = turned.points.min(0) - STEP_MM * np.array([0.5, 0.5, 0.5])
    shape = np.ceil((turned.points.max(0) - low) / STEP_MM).astype(int) + 1
    inside = inside_lattice(turned, low, shape, STEP_MM)
    layers, rows, columns = inside.shape
    travel = int(TRAVEL_MM / STEP_MM)
    begun = inside.any(0)
    v, u = np.nonzero(begun)
    lowest = inside.argmax(0)[v, u]
    foot = low + STEP_MM * np.stack([u, v, np.zeros_like(u)], -1)  # in the turned frame
    foot = foot @ rotation
    up = rotation[2] * STEP_MM
    found = []  # candidates: column, layer, coarse distance
    for layer in range(layers + travel):
        at = np.nonzero(lowest <= layer)[0]
        rough = coarse.at(foot[at] + layer * up)
        near = rough < COARSE_ERROR_MM
        if np.isinf(rough).all() and layer >= layers:
            break
        found.append(np.stack([at[near], np.full(near.sum(), layer), rough[near]], 1))
    candidates = np.concatenate(found) if found else np.zeros((0, 3))
    column, layer = candidates[:, 0].astype(int), candidates[:, 1].astype(int)
    here = layer < layers
    own = np.zeros(len(layer), bool)
    own[here] = inside[layer[here], v[column[here]], u[column[here]]]
    exact = candidates[:, 2].copy()
    # Under a place that is surely bone all is blocked: nothing else needs to be known there.
    surely = np.full(len(u), -1)
    deep = exact <= -COARSE_ERROR_MM
    np.maximum.at(surely, column[deep], layer[deep])
    close = own | (~deep & (layer > surely[column]))
    exact[close] = coarse.bone.signed_distances(foot[column[close]] + layer[close, None] * up)
    # The highest layer of each column in which bone stands: all of the implant below is blocked.
    stop = np.full(len(u), -1)
    hard = exact < -TOUCH_MM
    np.maximum.at(stop, column[hard], layer[hard])
    highest = np.full((rows, columns), -1)
    highest[v, u] = stop
    blocked = (inside & (np.arange(layers)[:, None, None] <= highest)).sum()
    in_bone = own & (exact < 0)
    deepest = min(exact[in_bone].min(initial=0.0), coarse.exact_below(0.0, implant.points).min())
    return Way(
        interference_mm3=float((own & (exact < -TOUCH_MM)).sum() * STEP_MM**3),
        contact_mm3=float(in_bone.sum() * STEP_MM**3),
        interference_depth_mm=abs(min(float(deepest), 0.0)),
        blocked_mm3=float(blocked * STEP_MM**3),
        least_mm=_least_on_the_way(implant, coarse, up),
    )


def _least_on_the_way(implant: Facets, coarse: CoarseDistance, up: Floats) -> float:
    """The smallest exact distance that the implant's points have on the way."""
    rng = np.random.default_rng(1)
    places = np.concatenate([implant.points, implant.samples(2.0, rng)[0]])
    best, found = np.inf, []
    for step in range(int(TRAVEL_MM / STEP_MM)):
        rough = coarse.at(places + step * up)
        if np.isinf(rough).all():
            break
        best = min(best, float(rough.min()))
        near = rough < best + 2 * COARSE_ERROR_MM
        found.append(np.concatenate([places[near] + step * up, rough[near, None]], 1))
    near = np.concatenate(found)
    near = near[near[:, 3] < best + 2 * COARSE_ERROR_MM]
    if len(near) > LEAST_PLACES:  # the nearest half of them surely, of the others some
        order = np.argpartition(near[:, 3], LEAST_PLACES // 2)
        rest = rng.choice(order[LEAST_PLACES // 2 :], LEAST_PLACES // 2, replace=False)
        near = near[np.concatenate([order[: LEAST_PLACES // 2], rest])]
    return float(coarse.bone.signed_distances(near[:, :3]).min())


def best_direction(implant: Facets, coarse: CoarseDistance, outward: Floats) -> Floats:
    """Search the unit vector along which least of an implant is blocked, within 75° of `outward`.

    About 400 directions, then finer about the best. For designs that do not tell their own.
    """
    low = implant.points.min(0)
    step = 1.0
    shape = np.ceil((implant.points.max(0) - low) / step).astype(int) + 1
    inside = inside_lattice(implant, low, shape, step)
    places = np.argwhere(inside)[:, ::-1] * step + low
    rng = np.random.default_rng(2)
    surface = implant.samples(0.3, rng)[0]  # what is thinner than the lattice counts as well
    places = np.concatenate([places, surface])
    if len(places) > SEARCH_PLACES:
        places = places[rng.choice(len(places), SEARCH_PLACES, replace=False)]
    cap = (1 - np.cos(np.radians(SEARCH_DEG))) / 2
    best = _least_blocked(_sphere(int(SEARCH_COUNT / cap)), SEARCH_DEG, outward, places, coarse)
    for around_deg, count in ((2 * FINE_DEG, 9_000), (2 * FINEST_DEG, 90_000)):
        best = _least_blocked(_sphere(count), around_deg, best, places, coarse)
    return best


def _sphere(count: int) -> Floats:
    """Unit vectors (count, 3) evenly over the sphere: a Fibonacci spiral."""
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], 1)


def _least_blocked(
    directions: Floats, within_deg: float, around: Floats, places: Floats, coarse: CoarseDistance
) -> Floats:
    """Of the directions near `around`, and itself, the one that blocks fewest places; of equals,
    the mean, if it is as good.
    """
    near = directions[directions @ around >= np.cos(np.radians(within_deg))]
    near = np.concatenate([around[None], near])
    counts = np.array([_blocked(places, each, coarse).sum() for each in near])
    ties = near[counts == counts.min()]
    mean = ties.mean(0) / np.linalg.norm(ties.mean(0))
    if _blocked(places, mean, coarse).sum() <= counts.min():
        return mean
    return ties[np.argmax(ties @ mean)]


def _blocked(places: Floats, direction: Floats, coarse: CoarseDistance) -> Mask:
    """Which places (n, 3) meet bone on their way out, by the coarse distance."""
    blocked = np.zeros(len(places), bool)
    going = np.arange(len(places))
    gone = np.zeros(len(places))
    while len(going):
        distance = coarse.at(places[going] + gone[going, None] * direction)
        hit = distance < -COARSE_MM / 2
        blocked[going[hit]] = True
        gone[going] += np.maximum(distance - COARSE_MM, COARSE_MM)
        going = going[~hit & (gone[going] < TRAVEL_MM) & np.isfinite(distance)]
    return blocked
