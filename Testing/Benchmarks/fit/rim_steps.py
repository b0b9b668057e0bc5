"""Steps at the rim: how far the implant's faces stand out of or below the bone's beside them.

At sites all round, both surfaces are cut by lines across the sheet, to 12 mm on either side of the
gap. A face begins where the profile stops being wall; a straight line through the heights from 1 to
5 mm behind its edge, which a CT rounds, is drawn on to the middle between the edges of implant and
bone; the step is the difference there.
"""

from dataclasses import dataclass

import numpy as np
from facets import Facets, Floats, Mask
from scipy.spatial import cKDTree
from side_walls import Walls

SITE_MM = 2.0  # sites along the rim are this far apart
ACROSS_STEP_MM = 0.5
ACROSS_MM = np.arange(-12.0, 12.1, ACROSS_STEP_MM)  # from the middle of the gap, outwards
SKIPPED_MM, FACE_MM = 1.0, 4.0  # of a face: next to its edge, which is round; then looked at
LEAST_HEIGHTS = 4
BEGINS = 3  # so many slopes in a row under the most make a face
SLOPE_MOST = 0.7  # 35 degrees to the sheet; what is steeper is wall
REACH_MM = 15.0  # along a line, to either side of the middle of the wall
TRUE_MOST_MM = 2.0  # a higher step in the bone before the cut: no face goes on there
SHEET_MOST_MM = 5.0  # bone that begins further off along the line is another bone


@dataclass(frozen=True, eq=False)
class RimSites:
    """Places (n, 3) in the gap, the sheet's normal and the way across the gap, unit vectors."""

    places: Floats
    normals: Floats
    outwards: Floats  # from implant to bone


def rim_sites(walls: Walls, facing: Mask, bone: Facets) -> RimSites:
    """Choose sites all round from the side walls' points with bone opposite (`facing`, bool)."""
    places, normals, sheet = (
        values[facing] for values in (walls.places, walls.normals, walls.sheet)
    )
    across = normals - (normals * sheet).sum(1, keepdims=True) * sheet
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    if len(places) == 0:
        return RimSites(places, sheet, across)
    tree = cKDTree(places)
    # One site for each stretch of wall: the mean of what lies around, over the sheet's thickness.
    left = np.ones(len(places), bool)
    kept = []
    for index in range(len(places)):
        if not left[index]:
            continue
        around = np.array(tree.query_ball_point(places[index], 8.0))
        shift = places[around] - places[index]
        normal = sheet[index]
        level = shift - (shift @ normal)[:, None] * normal
        column = around[np.linalg.norm(level, axis=1) < SITE_MM]
        left[column] = False
        alike = column[across[column] @ across[index] > 0.7]
        kept.append((alike, index))
    middles, outs, up = [], [], []
    for alike, index in kept:
        height = (places[alike] - places[index]) @ sheet[index]
        middle = (height.min() + height.max()) / 2
        level = places[alike] - places[index] - height[:, None] * sheet[index]
        middles.append(places[index] + level.mean(0) + middle * sheet[index])
        mean = across[alike].mean(0)
        mean -= mean @ sheet[index] * sheet[index]
        outs.append(mean / max(np.linalg.norm(mean), 1e-9))
        up.append(sheet[index])
    middles, outs, up = np.array(middles), np.array(outs), np.array(up)
    gaps = np.clip(bone.signed_distances(middles), 0.0, None)
    return RimSites(middles + outs * gaps[:, None] / 2, up, outs)


def rim_steps(
    sites: RimSites, implant: Facets, complete: Facets, bone: Facets
) -> tuple[Floats, Floats]:
    """Steps (n, 2) in mm at the outer and inner face, positive where the implant stands further
    out, and the same of the bone before the cut; not a number where a side has no face to measure,
    or none that goes on in the bone before the cut (a sinus, the orbit's edge).
    """
    implants, completes, bones = (_profiles(sites, each) for each in (implant, complete, bone))
    steps, true_steps = np.full((2, len(sites.places), 2), np.nan)
    for site in range(len(sites.places)):
        for face in (0, 1):
            own = _face(ACROSS_MM[::-1], implants[site, ::-1, face])
            beside = _face(ACROSS_MM, bones[site, :, face])
            if own is None or beside is None:
                continue
            middle = (own.edge_mm + beside.edge_mm) / 2
            true = completes[site, ::-1, face][own.window]
            if not np.isfinite(true).all():
                continue
            line = np.polyfit(ACROSS_MM[::-1][own.window], true, 1)
            true_step = np.polyval(line, middle) - beside.height(middle)
            if abs(true_step) <= TRUE_MOST_MM:
                true_steps[site, face] = true_step
                steps[site, face] = own.height(middle) - beside.height(middle)
    return steps, true_steps


def _profiles(sites: RimSites, surface: Facets) -> Floats:
    """Heights (site, place across the gap, outer and inner face) of a surface over the sites."""
    starts = (
        sites.places[:, None]
        + ACROSS_MM[:, None] * sites.outwards[:, None]
        - REACH_MM * sites.normals[:, None]
    ).reshape(-1, 3)
    directions = np.repeat(sites.normals, len(ACROSS_MM), axis=0)
    crossings = surface.crossings(starts, directions, 2 * REACH_MM)
    heights = np.array([_sheet_of(found - REACH_MM) for found in crossings])
    return heights.reshape(len(sites.places), len(ACROSS_MM), 2)


def _sheet_of(crossings: Floats) -> tuple[float, float]:
    """The outer and inner end of a line's stretch within the sheet: the stretch nearest 0."""
    if len(crossings) < 2:
        return np.nan, np.nan
    pairs = crossings[: len(crossings) // 2 * 2].reshape(-1, 2)
    off = np.maximum(np.maximum(pairs[:, 0], -pairs[:, 1]), 0.0)
    low, high = pairs[np.argmin(off)]
    if off.min() > SHEET_MOST_MM:
        return np.nan, np.nan
    return high, low


@dataclass(frozen=True)
class Face:
    """A face beside the gap: its edge, where it was looked at, a line through its heights."""

    edge_mm: float
    window: slice
    line: Floats

    def height(self, at_mm: float) -> float:
        return float(np.polyval(self.line, at_mm))


def _face(across: Floats, heights: Floats) -> Face | None:
    """Find the face in heights ordered from the gap into the material.

    It begins where the slope stays under `SLOPE_MOST`: before that is the wall.
    """
    slopes = np.diff(heights) / np.diff(across)
    flat = np.isfinite(slopes) & (np.abs(slopes) < SLOPE_MOST)
    run = np.lib.stride_tricks.sliding_window_view(flat, BEGINS).all(1)
    if not run.any():
        return None
    edge = int(np.argmax(run))
    begin = edge + round(SKIPPED_MM / ACROSS_STEP_MM)
    end = edge + int(np.argmin(np.append(flat[edge:], False)))  # the last height without a jump
    end = min(end, begin + round(FACE_MM / ACROSS_STEP_MM))
    if end - begin + 1 < LEAST_HEIGHTS:
        return None
    window = slice(begin, end + 1)
    line = np.polyfit(across[window], heights[window], 1)
    return Face(float(across[edge]), window, line)


def step_numbers(steps: Floats, prefix: str) -> dict[str, float]:
    """Median and 95 % of the sizes of steps (n, 2) in mm, and at how many sites there is one."""
    numbers: dict[str, float] = {}
    for face, column in (("outer", 0), ("inner", 1)):
        sizes = np.abs(steps[np.isfinite(steps[:, column]), column])
        middle, high = np.percentile(sizes, [50, 95]) if len(sizes) else (np.nan, np.nan)
        numbers[f"{prefix}_{face}_median"] = float(middle)
        numbers[f"{prefix}_{face}_95"] = float(high)
        numbers[f"{prefix}_{face}_sites"] = len(sizes)
    return numbers
