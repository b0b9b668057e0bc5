"""What of an implant reaches farther into the head than the skull's inner table.

Near the rim that is the neighbouring bone's inner face, drawn on and bent as a head is; farther off
the completed skull's, where there is one. Points are (n, 3), LPS mm.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..core.images import array_of
from ..core.interpolation import values_at
from ..implant.lattice import to_index
from .check import Check, judged
from .check_options import CheckOptions
from .plate_surface import PlateSurface
from .rim_profile import RimProfile

Floats = NDArray[np.floating]

# So near to a site of the rim its neighbour's inner face is drawn on; heads are not bent more than
# a sphere of this radius.
DRAWN_ON_MM, RADIUS_MM = 10.0, 45.0
# A face steeper than this to the sheet's normal is bent too much to be drawn on.
STEEPEST = 0.5
# Of the sites near a place the one counts that lets it be deepest; so many have to be near.
SITES, LEAST_SITES, FARTHEST_MM = 5, 3, 20.0
# The middle of the face that a plane was fitted to lies so far from the site.
FACE_MIDDLE_MM = 4.0
# The inner table is known to about this (its impressions are a millimetre or two deep).
BEYOND_MM = 2.0
# The deepest that this much of the inner face reaches; less is a point.
LEAST_MM2 = 25.0


def intrusion_checks(
    plate: PlateSurface, profile: RimProfile, completed: sitk.Image | None, options: CheckOptions
) -> tuple[Check, ...]:
    """How far, and over which area, the implant lies deeper than the inner table.

    completed: float32, mm, depth in the completed skull, positive in it; None where not known.
    """
    inner = np.flatnonzero(plate.inner)
    beyond = np.maximum(_beyond_neighbours(plate.places_mm[inner], profile), 0.0)
    if completed is not None:
        beyond = np.maximum(beyond, _beyond_completed(plate.places_mm[inner], completed))
    order = np.argsort(-beyond)
    rank = min(int(LEAST_MM2 / plate.mm2), len(order) - 1)
    deepest = float(beyond[order[rank]]) if len(order) else 0.0
    area = plate.mm2 * float((beyond > BEYOND_MM).sum())
    place = plate.places_mm[inner[order[0]]] if len(order) and beyond[order[0]] > 0.0 else None
    source = (
        "this project's: an inner table's own impressions are 1 to 2 mm deep; reviewers asked that "
        "nothing reach into the intracranial space (expert review of 100 designs, 2026)"
    )
    return (
        judged(
            "intrusion",
            deepest,
            "mm",
            "<=",
            options.intrusion_mm,
            f"The implant reaches {deepest:.1f} mm deeper into the head than the inner table.",
            source,
            place,
        ),
        judged(
            "intruding area",
            area,
            "mm²",
            "<=",
            options.intruding_mm2,
            f"{area:.0f} mm² of the inner face lie more than {BEYOND_MM:g} mm deeper than the "
            "inner table.",
            source,
            place,
        ),
    )


def _beyond_neighbours(places: Floats, profile: RimProfile) -> Floats:
    """Return how much deeper places (n, 3) lie than the neighbours' inner face, mm; minus infinity
    where none is near.
    """
    beyond = np.full(len(places), -np.inf)
    slopes = np.abs(profile.inner_planes[:, 1:]).max(axis=1)
    known = np.flatnonzero(slopes <= STEEPEST)
    if len(known) == 0:
        return beyond
    count = min(SITES, len(known))
    away, site = cKDTree(profile.places_mm[known]).query(
        places, count, distance_upper_bound=FARTHEST_MM
    )
    away, site = away.reshape(len(places), count), site.reshape(len(places), count)
    found = np.isfinite(away)
    site = known[np.where(found, site, 0)]
    local = np.einsum(
        "nkij,nkj->nki", profile.axes[site], places[:, None] - profile.places_mm[site]
    )
    level = np.hypot(local[:, :, 0], local[:, :, 1])
    plane = profile.inner_planes[site]
    height = plane[:, :, 0] + plane[:, :, 1] * local[:, :, 0] + plane[:, :, 2] * local[:, :, 1]
    # The plane was fitted beside the rim; a head falls away from it.
    height -= (level + FACE_MIDDLE_MM) ** 2 / (2.0 * RADIUS_MM)
    known_here = found & (level <= DRAWN_ON_MM)
    deeper = np.where(known_here, height - local[:, :, 2], np.inf).min(axis=1)
    enough = known_here.sum(axis=1) >= min(LEAST_SITES, count)
    beyond[enough] = deeper[enough]
    return beyond


def _beyond_completed(places: Floats, completed: sitk.Image) -> Floats:
    """Return how far places (n, 3) lie out of the completed skull, mm, less than 0 within it."""
    depth = values_at(array_of(completed), list(to_index(completed, places).T[::-1]))
    return -depth.astype(np.float64)
