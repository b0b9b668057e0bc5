"""How thick the wall of an implant is: the balls that fit into it.

At each place of the surface the largest ball that touches it from within is found by shrinking (Ma,
Bae and Choi 2012, *3D medial axis point approximation using nearest neighbors and the normal
field*): a ball that holds another point of the surface is made to pass through it. A wall is thin
where no ball of that size reaches; an edge as sharp as 90 degrees is none, so a little is allowed.
Points are (n, 3), LPS mm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .check import Check, judged
from .check_options import CheckOptions
from .plate_surface import PlateSurface

Floats = NDArray[np.floating]

# The first ball is larger than any wall. It may stand out of the surface by so much, as normals of
# single facets waver, and with them balls; they are the mean over the nearest places that look
# about the same way.
LARGEST_MM, STANDS_OUT_MM, ROUNDS = 15.0, 0.1, 20
NEIGHBOURS, ALIKE_COSINE = 8, 0.7
# Balls smaller than this are measured to the triangles, not to the places drawn on them.
EXACT_MM = 2.0
# A square edge lies 0.41 radii beyond its ball; what lies farther by more than places are apart is
# thin.
EDGE_SHARE = 0.42
# A spur is what a ball of this radius, or of so much of the wall's, does not reach; it stands out
# farther than this, and is another one where it is so far from the next.
SPUR_RADIUS_MM, SPUR_SHARE, SPUR_MM, APART_MM = 1.0, 0.4, 1.2, 2.0
# A wall so far under what was asked is still as asked: a ball's size is known to about this.
WALL_SLACK_MM = 0.5
THIN_MM = 1.0
# The least wall leaves out so much.
LEAST_AREA_MM2 = 2.0
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class InscribedBalls:
    """The largest ball within an implant that touches each of its places.

    normals (n, 3): smooth unit normals at the places. radius_mm (n,).
    """

    plate: PlateSurface
    normals: Floats
    radius_mm: Floats

    def beyond_mm(self, radius_mm: float, places_mm: Floats) -> Floats:
        """Return how far places (n, 3) of the surface lie beyond all balls of a radius within."""
        fits = self.radius_mm >= radius_mm
        if not fits.any():
            return np.full(len(places_mm), LARGEST_MM)
        middles = self.plate.places_mm[fits] - radius_mm * self.normals[fits]
        away, _ = cKDTree(middles).query(places_mm, workers=-1)
        return np.maximum(away - radius_mm, 0.0)


def inscribed_balls(plate: PlateSurface) -> InscribedBalls:
    """Return the balls of an implant's places."""
    places, normals = plate.places_mm, _smooth_normals(plate)
    radius = np.full(len(places), LARGEST_MM)
    active = np.arange(len(places))
    for number in range(ROUNDS):
        middle = places[active] - radius[active, None] * normals[active]
        away, nearest = plate.tree.query(middle, workers=-1)
        touched = places[nearest]
        small = np.flatnonzero((radius[active] < EXACT_MM) & (number > 2))
        if small.size:
            away[small], touched[small], _ = plate.distance.closest(middle[small])
        shrunk = _through(places[active], normals[active], touched)
        smaller = (away < radius[active] - STANDS_OUT_MM) & (shrunk < radius[active])
        active, shrunk = active[smaller], shrunk[smaller]
        radius[active] = shrunk
        if active.size == 0:
            break
    return InscribedBalls(plate, normals, radius)


def _smooth_normals(plate: PlateSurface) -> Floats:
    near = plate.tree.query(plate.places_mm, NEIGHBOURS, workers=-1)[1]
    normals = plate.normals[near]
    alike = np.einsum("nkj,nj->nk", normals, plate.normals) > ALIKE_COSINE
    mean = np.einsum("nkj,nk->nj", normals, alike.astype(float))
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.asarray(mean / np.maximum(length, TINY))


def _through(places: Floats, normals: Floats, touched: Floats) -> Floats:
    """Return the radius of the balls that touch the surface at places and pass other points."""
    apart = places - touched
    deep = np.einsum("ij,ij->i", apart, normals)
    squared = np.einsum("ij,ij->i", apart, apart)
    # A point that lies over the tangent plane is on no ball below it.
    return np.where(deep > TINY, squared / np.maximum(2.0 * deep, TINY), np.inf)


def wall_checks(balls: InscribedBalls, options: CheckOptions) -> tuple[Check, ...]:
    """The least wall, the area of wall that is too thin, and the spurs."""
    plate = balls.plate
    asked = options.least_wall_mm
    thin = _thin(balls, THIN_MM / 2.0)
    thin_mm2 = plate.mm2 * float(thin.sum())
    least, place = _least_wall(balls, asked)
    return (
        judged(
            "least wall",
            least,
            "mm",
            ">=",
            asked - WALL_SLACK_MM,
            f"The thinnest wall is {least:.1f} mm.",
            f"the design's: {asked:g} mm, less what measuring leaves unsure",
            place,
            "wall",
        ),
        judged(
            "thin wall",
            thin_mm2,
            "mm²",
            "<=",
            options.thin_wall_mm2,
            f"{thin_mm2:.0f} mm² of the implant are thinner than {THIN_MM:g} mm.",
            "this project's: no printed or milled wall of PEEK, PMMA or titanium is that thin",
            plate.places_mm[thin].mean(axis=0) if thin.any() else None,
            "wall",
        ),
        *_spur_checks(balls, options),
    )


def _thin(balls: InscribedBalls, radius_mm: float) -> NDArray[np.bool_]:
    """Say which places lie beyond all balls of a radius, by more than a square edge does."""
    beyond = balls.beyond_mm(radius_mm, balls.plate.places_mm)
    return np.asarray(beyond > EDGE_SHARE * radius_mm + np.sqrt(balls.plate.mm2))


def _least_wall(balls: InscribedBalls, asked_mm: float) -> tuple[float, Floats | None]:
    """Return the largest wall of which no more than two square millimetres are thinner, in steps
    of a tenth up to what was asked, and where it is.
    """
    plate = balls.plate
    steps = np.arange(0.1, asked_mm + 0.05, 0.1)
    low, high, place = 0, len(steps), None
    while low < high:  # the area that is too thin grows with the wall
        middle = (low + high) // 2
        thin = _thin(balls, steps[middle] / 2.0)
        if thin.sum() * plate.mm2 > LEAST_AREA_MM2:
            high, place = middle, plate.places_mm[thin][0]
        else:
            low = middle + 1
    return (float(steps[low - 1]) if low else 0.0), place


def _spur_checks(balls: InscribedBalls, options: CheckOptions) -> tuple[Check, ...]:
    plate = balls.plate
    radius = min(SPUR_RADIUS_MM, SPUR_SHARE * float(np.median(balls.radius_mm)))
    # Tips are corners of the mesh, which few places drawn at random meet.
    probes = np.concatenate([plate.points_mm[np.unique(plate.triangles)], plate.places_mm])
    beyond = balls.beyond_mm(radius, probes)
    out = np.flatnonzero(beyond > SPUR_MM)
    longest = float(beyond.max(initial=0.0))
    count = _clusters(probes[out], APART_MM) if out.size else 0
    place = probes[int(np.argmax(beyond))] if out.size else None
    return (
        judged(
            "spurs",
            count,
            "",
            "=",
            0,
            f"{count} spurs stand out of the implant, the longest {longest:.1f} mm."
            if count
            else "No spurs stand out of the implant.",
            "one spur of an implant that was good otherwise had it sent back (expert review of "
            "100 designs, 2026)",
            place,
            "wall",
        ),
        judged(
            "longest spur",
            longest,
            "mm",
            "<=",
            SPUR_MM,
            f"The farthest that the implant stands out of its wall is {longest:.1f} mm.",
            "this project's: a millimetre can be felt; the edge of a true orbit stands out as far",
            place,
            "wall",
        ),
    )


def _clusters(points: Floats, apart_mm: float) -> int:
    """Return how many groups of points (n, 3) there are, each farther than that from the others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = cKDTree(points).query_pairs(apart_mm, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs), np.int8), pairs.T), shape=(len(points),) * 2)
    return int(connected_components(links, directed=False)[0])
