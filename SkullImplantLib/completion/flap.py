"""A bone flap laid back into its hole.

It starts as the piece that the geometric prior expects in the hole, from any pose. Then the bone
around the hole decides. Across the saw's kerf the outer tables of flap and rim go on in each other,
which holds its height and tilt, and its side walls keep one distance from the rim's, the kerf,
which holds its place in the plane. Bits that are missing find no partner and do not count.
"""

import numpy as np
import SimpleITK as sitk
from scipy.spatial import cKDTree

from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from ..geometry.bone_field import SurfacePoints, Vectors, bone_field, surface_points, thinned
from ..geometry.hole import Hole
from ..geometry.prior import Prior
from ..geometry.rigid_registration import Pairing, Surface, fit_rigid, smoothed
from ..reading.reference import Reference
from ..skull import Skull, find_flap
from .earlier import Earlier, best_start, from_hole_mm, hole_box_points, moved_skull

# Points of the surfaces, so far apart.
FLAP_POINTS_MM, RIM_POINTS_MM, EXPECTED_POINTS_MM = 1.0, 1.5, 3.0
# The rim's tables and walls: so far from the missing bone.
TABLES_MM, WALLS_MM = 10.0, 4.0
IS_TABLE, IS_WALL = 0.8, 0.5  # cosine between a normal and the way out of the head: above, below
# Nearer to a wall a table's normals turn into the wall's; the others are averaged over so many.
EDGE_MM, AVERAGED = 2.5, 16
# A kerf and a nibbled edge are narrower; a bit that is missing is wider, and is not bridged.
KERF_REACH_MM, WALL_REACH_MM = 12.0, 6.0
SPREADS_MM = (4.0, 2.0, 1.0, 0.6, 0.4, 0.25)
LEAST_RIM = 50  # points of the outer table; fewer hold no flap
# The inner table tells the tilt; how thick flap and rim are there differs too much to tell more.
INNER_WEIGHT = 0.2
# The expected piece holds what the rim leaves free, and gives way where the rim says otherwise.
EXPECTED_WEIGHT, EXPECTED_SPREADS = 0.01, 4.0
# So near, bone agrees. Of 11 flaps of training skulls at least 84 % of the outer table and 62 % of
# the walls did; of 22 flaps of other holes none had both 75 % and 48 %.
AGREES_MM, LEAST_AGREEING, LEAST_WALLS, LEAST_BESIDE = 1.0, 0.75, 0.55, 0.4
KERFS_MM = (-1.5, 6.0)  # no saw takes more, and a flap does not overlap the rim


def find_earlier_flap(
    reference: Reference, skull: Skull, prior: Prior, hole: Hole, progress: Progress = silent
) -> Earlier:
    """Return a bone flap laid into the hole.

    Raises `SkullImplantError` where it is no flap, or not one of this hole.
    """
    progress(0.0, "Finding the flap")
    flap = find_flap(reference.image, reference.kind)
    own = surface_points(_field_of(flap), FLAP_POINTS_MM)
    progress(0.3, "Laying it into the hole")
    expected = surface_points(bone_field(sitk.Cast(hole.mask, sitk.sitkUInt8)), EXPECTED_POINTS_MM)
    start = best_start(expected, own.at(thinned(own.places_mm, EXPECTED_POINTS_MM)))
    rim = hole_box_points(skull, hole, TABLES_MM, RIM_POINTS_MM)
    tables, walls = tables_and_walls(rim, prior.pose.centre_mm)
    walls = walls.at(from_hole_mm(walls.places_mm, hole) < WALLS_MM)
    faces_out = ((tables.places_mm - prior.pose.centre_mm) * tables.normals).sum(axis=1) > 0.0
    outer, inner = tables.at(faces_out), tables.at(~faces_out)
    if len(outer) < LEAST_RIM:
        raise SkullImplantError(
            "There is too little bone around the hole to fit the flap to; give a skull or design "
            "without it."
        )
    flap_tables, flap_walls = tables_and_walls(own, start(prior.pose.centre_mm))
    surface, sides = Surface(flap_tables), Surface(flap_walls)
    turned = SurfacePoints(walls.places_mm, -walls.normals)
    fit = fit_rigid(
        [
            Pairing(outer, surface, reach_mm=KERF_REACH_MM),
            Pairing(inner, surface, INNER_WEIGHT, reach_mm=KERF_REACH_MM, thicker=True),
            Pairing(turned, sides, reach_mm=WALL_REACH_MM, thicker=True),
            Pairing(expected, Surface(own), EXPECTED_WEIGHT, EXPECTED_SPREADS),
        ],
        start,
        SPREADS_MM,
    )
    moved = outer.moved(fit.motion.rotation, fit.motion.shift_mm)
    apart_mm = np.linalg.norm(moved.places_mm - surface.partners(moved).places_mm, axis=1)
    beside = apart_mm < KERF_REACH_MM
    residual = np.abs(fit.residuals_mm[0][beside])
    agreeing = float((residual < AGREES_MM).mean()) if residual.size else 0.0
    walls_agree = float((np.abs(fit.residuals_mm[2]) < AGREES_MM).mean()) if len(walls) else 0.0
    kerf_mm = -fit.thicker_mm[2]
    if (
        beside.mean() < LEAST_BESIDE
        or agreeing < LEAST_AGREEING
        or walls_agree < LEAST_WALLS
        or not KERFS_MM[0] < kerf_mm < KERFS_MM[1]
    ):
        raise SkullImplantError(
            f"The flap does not fit this hole: {100.0 * agreeing:.0f} % of the rim's outer table "
            f"beside it and {100.0 * walls_agree:.0f} % of the rim's walls agree with it to "
            f"{AGREES_MM:g} mm; check that it is this patient's and of this side, or design "
            "without it."
        )
    progress(1.0, "Flap fitted")
    return Earlier(
        moved_skull(flap, fit.motion.inverse()),
        "flap",
        0.0,
        float(np.median(residual)),
        agreeing,
        residual_most_mm=float(np.percentile(residual, 95.0)),
        kerf_mm=max(kerf_mm, 0.0),
    )


def _field_of(flap: Skull) -> sitk.Image:
    return bone_field(flap.mask, flap.grey, flap.bone_threshold_hu)


def tables_and_walls(
    points: SurfacePoints, head_centre_mm: Vectors
) -> tuple[SurfacePoints, SurfacePoints]:
    """Return the points on the tables of a bone, with normals that are averaged, and those on its
    side walls, as seen from a point within the head.
    """
    outward = points.places_mm - head_centre_mm
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    facing = np.abs((points.normals * outward).sum(axis=1))
    walls = points.at(facing < IS_WALL)
    flat = points.at(facing > IS_TABLE)
    if len(walls) and len(flat):
        away, _ = cKDTree(walls.places_mm).query(flat.places_mm, workers=-1)
        flat = flat.at(away > EDGE_MM)
    if len(flat) < AVERAGED:
        return flat, walls
    return smoothed(flat, AVERAGED), walls
