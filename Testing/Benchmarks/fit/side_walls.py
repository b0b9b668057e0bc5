"""The sheet that an implant is, its side walls, and the gap between them and the bone."""

from dataclasses import dataclass

import numpy as np
from facets import Facets, Floats, Mask, inside_lattice
from scipy import ndimage

SHEET_STEP_MM = 2.0
SHEET_SIGMA_MM = 8.0  # the sheet's normal is that of the implant's volume within about this
SAMPLES_A_MM2 = 4.0
SIDE_DEG = 45.0
OPPOSITE_MM = 6.0  # bone further away along the wall's normal is not opposite
OFF_WALL_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Walls:
    """Points (n, 3) of an implant's surface in mm, their normals, and those of the sheet there."""

    places: Floats
    normals: Floats
    sheet: Floats  # (n, 3) unit vectors out of the head
    sides: Mask  # (n,) where the surface runs across the sheet
    a_mm2: float = SAMPLES_A_MM2  # so many points stand for a mm²

    @property
    def mean_sheet(self) -> Floats:
        """Unit vector: the sheet's mean normal out of the head."""
        mean = self.sheet.mean(0)
        return mean / np.linalg.norm(mean)


def walls_of(implant: Facets, inside_lps: Floats, rng: np.random.Generator) -> Walls:
    """Draw points on an implant's surface and tell which of them lie on side walls.

    `inside_lps` is any place well within the head: the sheet's normals point away from it.
    """
    places, normals = implant.samples(SAMPLES_A_MM2, rng)
    sheet = sheet_normals(implant, places, inside_lps)
    across = np.abs((normals * sheet).sum(1)) < np.cos(np.radians(SIDE_DEG))
    return Walls(places, normals, sheet, across)


def sheet_normals(implant: Facets, places: Floats, inside_lps: Floats) -> Floats:
    """Unit vectors (n, 3) across the sheet at places (n, 3), out of the head.

    The direction in which the implant's volume nearby, weighted by a Gaussian of 8 mm, is thinnest.
    """
    margin = 2 * SHEET_STEP_MM
    low = implant.points.min(0) - margin
    shape = np.ceil((implant.points.max(0) + margin - low) / SHEET_STEP_MM).astype(int) + 1
    fine = 2  # lattice places along each axis of a coarse one
    inside = inside_lattice(implant, low, shape * fine, SHEET_STEP_MM / fine)
    z, y, x = (size // fine for size in inside.shape)
    share = inside.reshape(z, fine, y, fine, x, fine).mean((1, 3, 5))
    axes = [axis * SHEET_STEP_MM for axis in np.ogrid[:z, :y, :x]][::-1]  # x, y, z
    sigma = SHEET_SIGMA_MM / SHEET_STEP_MM

    def blurred(values: Floats) -> Floats:
        field = ndimage.gaussian_filter(values, sigma, mode="constant")
        index = (places - low)[:, ::-1].T / SHEET_STEP_MM
        return ndimage.map_coordinates(field, index, order=1, mode="nearest")

    weight = np.maximum(blurred(share), 1e-9)
    mean = np.stack([blurred(share * axis) for axis in axes], 1) / weight[:, None]
    spread = np.empty((len(places), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            second = blurred(share * axes[i] * axes[j]) / weight
            spread[:, i, j] = spread[:, j, i] = second - mean[:, i] * mean[:, j]
    normal = np.linalg.eigh(spread)[1][:, :, 0]
    outwards = ((places - inside_lps) * normal).sum(1)
    return normal * np.where(outwards < 0, -1.0, 1.0)[:, None]


def opposite(walls: Walls, bone: Facets) -> tuple[Mask, Floats]:
    """Which of the walls' points have bone opposite, (n,) bool, and the distances (m,) of those
    to bone in mm, less than 0 in it.

    A side wall's point has bone opposite if it lies in bone, or if a ray along the outward normal
    of the surface meets bone within 6 mm.
    """
    side = np.nonzero(walls.sides)[0]
    places, normals = walls.places[side], walls.normals[side]
    distances = bone.signed_distances(places)
    ahead = np.isfinite(bone.first_crossings(places + OFF_WALL_MM * normals, normals, OPPOSITE_MM))
    meets = ahead | (distances < 0)
    chosen = np.zeros(len(walls.places), bool)
    chosen[side[meets]] = True
    return chosen, distances[meets]


def gap_numbers(distances: Floats) -> dict[str, float]:
    """5 %, median, 95 %, least and most of distances to bone in mm."""
    if len(distances) == 0:
        return dict.fromkeys(("gap_5", "gap_median", "gap_95", "gap_least", "gap_most"), np.nan)
    low, middle, high = np.percentile(distances, [5, 50, 95])
    return {
        "gap_5": float(low),
        "gap_median": float(middle),
        "gap_95": float(high),
        "gap_least": float(distances.min()),
        "gap_most": float(distances.max()),
    }
