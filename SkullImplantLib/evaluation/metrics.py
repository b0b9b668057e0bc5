"""How close an implant is to the piece of bone that was taken out: the field's numbers, exactly.

Definitions are those of the AutoImplant challenges (Kodym et al., 2021; reference code
OldaKodym/evaluation_metrics): a *surface voxel* is one that a 6-connected erosion removes, what
lies outside the image counting as background; surface distances run between centres of voxels.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree

from ..errors import SkullImplantError
from ..images import array_of, bounding_box, same_grid, voxel_volume_mm3

BORDER = 10.0  # width of the border zone: mm, or voxels of the grid; AutoImplant 2021, eq. (1)
COVERED_MM = 2.0  # clinical tolerance for "the defect is closed here"
ROUNDING = 1e-4  # a distance of 10 mm that is computed as 10.00001 is in the border zone


@dataclass(frozen=True)
class Metrics:
    """An implant against the truth.

    An empty implant has the overlaps, `volume_ratio` and `coverage_2mm` 0 and infinite distances.
    """

    dice: float
    border_dice_10mm: float  # Dice of the voxels at most 10 mm from the defective skull
    border_dice_10vox: float  # the same with 10 voxels of the grid, whatever their spacing
    hd95_mm: float  # 95th percentile of the surface distances of both directions, pooled
    hd_mm: float  # the largest of them
    volume_ratio: float  # implant / truth
    surface_distance_mm: float  # the mean of the surface distances of both directions, pooled
    coverage_2mm: float  # share of the truth's surface at most 2 mm from the implant's
    overlap_cm3: float  # implant inside bone that is there

    def as_json(self) -> dict[str, float | None]:
        """Return the numbers by name; an infinite distance, which JSON does not know, as None."""
        return {k: v if math.isfinite(v) else None for k, v in asdict(self).items()}


def evaluate_implant(implant: sitk.Image, truth: sitk.Image, defective: sitk.Image) -> Metrics:
    """Compare an implant with the bone taken out; masks (non-zero is inside) on one grid.

    Raises `SkullImplantError` where the grids differ or the truth or the skull is empty.
    """
    for image, name in ((truth, "true implant"), (defective, "defective skull")):
        if not same_grid(implant, image):
            raise SkullImplantError(
                f"The implant and the {name} are not on the same grid; resample one onto the other."
            )
    masks = [array_of(image) != 0 for image in (implant, truth, defective)]
    for mask, name in ((masks[1], "true implant"), (masks[2], "defective skull")):
        if not mask.any():
            raise SkullImplantError(f"The {name} is empty; check the file.")
    spacing_mm = tuple(reversed(implant.GetSpacing()))
    made, true, skull = _cropped(masks, spacing_mm)
    distances = surface_distances_mm(made, true, spacing_mm)
    pooled = np.concatenate(distances)
    from_truth = distances[1]
    return Metrics(
        dice=_dice(made, true),
        border_dice_10mm=border_dice(made, true, skull, spacing_mm),
        border_dice_10vox=border_dice(made, true, skull, (1.0, 1.0, 1.0)),
        hd95_mm=_percentile(pooled, 95),
        hd_mm=float(pooled.max()),
        surface_distance_mm=float(pooled.mean()),
        volume_ratio=int(made.sum()) / int(true.sum()),
        coverage_2mm=float((from_truth <= COVERED_MM + ROUNDING).mean()),
        overlap_cm3=int((made & skull).sum()) * voxel_volume_mm3(implant) / 1000,
    )


def border_dice(
    made: np.ndarray, true: np.ndarray, skull: np.ndarray, unit: tuple[float, float, float]
) -> float:
    """Return the Dice of two masks (z, y, x) within 10 `unit`s of `skull`; 0 where both are empty.

    `unit`: spacing (z, y, x) in mm, or (1, 1, 1) for a border of 10 voxels.
    """
    if not skull.any():
        return 0.0
    image = sitk.GetImageFromArray(skull.astype(np.uint8))
    image.SetSpacing(unit[::-1])
    # Signed distance to the nearest voxel of the skull: zero or less inside it.
    distance = sitk.SignedMaurerDistanceMap(image, False, False, True)
    border = array_of(distance) <= BORDER + ROUNDING
    return _dice(made & border, true & border)


def surface_distances_mm(
    a: np.ndarray, b: np.ndarray, spacing_mm: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each surface voxel of `a` to the surface of `b`, and the reverse.

    Masks (z, y, x), `spacing_mm` (z, y, x). From or to an empty mask every distance is infinite;
    an empty mask has no surface voxels.
    """
    points = [np.argwhere(_surface(mask)) * np.asarray(spacing_mm) for mask in (a, b)]
    if not len(points[0]) or not len(points[1]):
        return np.full(len(points[0]), np.inf), np.full(len(points[1]), np.inf)
    trees = [cKDTree(p) for p in points]
    there, _ = trees[1].query(points[0], workers=-1)
    back, _ = trees[0].query(points[1], workers=-1)
    return there, back


def _cropped(masks: list[np.ndarray], spacing_mm: tuple[float, ...]) -> list[np.ndarray]:
    """Cut implant, truth and skull to a box in which every metric is what it is on the whole grid.

    It holds both implants. Erosion takes what is outside the box for background, which it is. Where
    a voxel of an implant is at most 10 mm (10 voxels) from the skull, so is that voxel of the skull
    in a box with such a margin; cutting skull away can only enlarge distances that are above 10.
    """
    z, y, x = (math.ceil(BORDER / min(1.0, s)) + 1 for s in spacing_mm)
    box = bounding_box(masks[0] | masks[1], (z, y, x))
    return [np.ascontiguousarray(mask[box]) for mask in masks]


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    both = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / both if both else 0.0


def _percentile(values: np.ndarray, percent: float) -> float:
    # Interpolating between two infinities gives NaN.
    return float(np.percentile(values, percent)) if np.isfinite(values).all() else math.inf
