"""How close an implant is to the piece of bone that was taken out: the field's numbers, exactly.

Definitions are those of the AutoImplant challenges (Kodym et al., 2021; reference code
OldaKodym/evaluation_metrics): a *surface voxel* is one that a 6-connected erosion removes, what
lies outside the image counting as background; surface distances run between centres of voxels.
The outer surface, which the patient sees, is ours: see `outer_surface`.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.distances import signed_distance_mm
from ..core.images import array_of, bounding_box, index_to_lps_mm, same_grid, voxel_volume_mm3
from ..core.threads import worker_count
from ..core.working_axes import as_working
from ..errors import SkullImplantError

Mask = NDArray[np.bool_]  # (z, y, x)
Floats = NDArray[np.floating]
Indices = NDArray[np.intp]

BORDER = 10.0  # width of the border zone: mm, or voxels of the grid; AutoImplant 2021, eq. (1)
COVERED_MM = 2.0  # the defect counts as closed here
# The outer surface faces outward within this of the ray from the vault's centre; a wall of a cut,
# which runs along the ray, does not.
FACING_DEG = 60.0
NORMAL_BLUR_MM = 1.0  # of the mask, for the direction that its surface faces
OUTWARD_MM = 30.0  # no more bone than this stands before a surface that is seen: brow, cheek
ROUNDING = 1e-4  # a distance of 10 mm that is computed as 10.00001 is in the border zone


@dataclass(frozen=True)
class Metrics:
    """An implant against the truth.

    An empty implant has the overlaps, `volume_ratio` and `coverage_2mm` 0 and infinite distances.
    The outer errors are None where the vault's centre is not known or the truth has no outside.
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
    hd95_vox: float  # hd95 in voxels of the grid, whatever their spacing
    outer_error_mm: float | None = None  # mean distance, truth's outer surface to the implant's
    outer_error95_mm: float | None = None  # its 95th percentile

    def as_json(self) -> dict[str, float | None]:
        """Return the numbers by name; an infinite distance, which JSON does not know, as None."""
        numbers = asdict(self).items()
        return {k: v if v is not None and math.isfinite(v) else None for k, v in numbers}


def evaluate_implant(
    implant: sitk.Image,
    truth: sitk.Image,
    defective: sitk.Image,
    centre_mm: Floats | None = None,
) -> Metrics:
    """Compare an implant with the bone taken out; masks (non-zero is inside) on one grid.

    `centre_mm` (LPS) of the vault, from which outward is told, for the error of the outer surface.

    Raises `SkullImplantError` where the grids differ or the truth or the skull is empty.
    """
    for image, name in ((truth, "true implant"), (defective, "defective skull")):
        if not same_grid(implant, image):
            raise SkullImplantError(
                f"The implant and the {name} are not on the same grid; resample one onto the other."
            )
    implant, truth, defective = (as_working(image) for image in (implant, truth, defective))
    masks = [array_of(image) != 0 for image in (implant, truth, defective)]
    for mask, name in ((masks[1], "true implant"), (masks[2], "defective skull")):
        if not mask.any():
            raise SkullImplantError(f"The {name} is empty; check the file.")
    spacing_mm = tuple(reversed(implant.GetSpacing()))
    outer = None if centre_mm is None else outer_error_mm(masks, implant, centre_mm)
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
        hd95_vox=_hd95_voxels(made, true, spacing_mm, pooled),
        outer_error_mm=outer and outer[0],
        outer_error95_mm=outer and outer[1],
    )


def _hd95_voxels(made: Mask, true: Mask, spacing_mm: tuple[float, ...], pooled_mm: Floats) -> float:
    """Return the 95th percentile of the surface distances in voxels."""
    if max(spacing_mm) - min(spacing_mm) < ROUNDING:
        return _percentile(pooled_mm, 95) / spacing_mm[0]
    return _percentile(np.concatenate(surface_distances_mm(made, true, (1.0, 1.0, 1.0))), 95)


def border_dice(made: Mask, true: Mask, skull: Mask, unit: tuple[float, float, float]) -> float:
    """Return the Dice of two masks (z, y, x) within 10 `unit`s of `skull`; 0 where both are empty.

    `unit`: spacing (z, y, x) in mm, or (1, 1, 1) for a border of 10 voxels.
    """
    if not skull.any():
        return 0.0
    image = sitk.GetImageFromArray(skull.astype(np.uint8))
    image.SetSpacing(unit[::-1])
    # Signed distance to the nearest voxel of the skull: zero or less inside it.
    border = signed_distance_mm(image) <= BORDER + ROUNDING
    return _dice(made & border, true & border)


def surface_distances_mm(a: Mask, b: Mask, spacing_mm: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return the distance of each surface voxel of `a` to the surface of `b`, and the reverse.

    Masks (z, y, x), `spacing_mm` (z, y, x). From or to an empty mask every distance is infinite;
    an empty mask has no surface voxels.
    """
    points = [np.argwhere(_surface(mask)) * np.asarray(spacing_mm) for mask in (a, b)]
    if not len(points[0]) or not len(points[1]):
        return np.full(len(points[0]), np.inf), np.full(len(points[1]), np.inf)
    trees = [cKDTree(p) for p in points]
    there, _ = trees[1].query(points[0], workers=worker_count())
    back, _ = trees[0].query(points[1], workers=worker_count())
    return there, back


def outer_error_mm(
    masks: list[Mask], grid: sitk.Image, centre_mm: Floats
) -> tuple[float, float] | None:
    """Return mean and 95th percentile of the distance (mm) from each voxel of the truth's outer
    surface to the implant's outer surface: what the patient sees of the error.

    `masks`: implant, truth and skull on `grid`, bool (z, y, x); `centre_mm` (LPS) of the vault.
    Infinite where the implant has no outer surface, None where the truth has none.
    """
    spacing_mm = tuple(reversed(grid.GetSpacing()))
    z, y, x = (math.ceil(OUTWARD_MM / s) for s in spacing_mm)
    box = bounding_box(masks[0] | masks[1], (z, y, x))
    made, true, skull = (mask[box] for mask in masks)
    frame = index_to_lps_mm(grid)
    frame[:3, 3] += frame[:3, :3] @ [s.start for s in box[::-1]]
    seen = [outer_surface(mask, mask | skull, frame, centre_mm) for mask in (made, true)]
    if not len(seen[1]):
        return None
    if not len(seen[0]):
        return math.inf, math.inf
    made_mm, true_mm = (points * np.asarray(spacing_mm) for points in seen)
    distance, _ = cKDTree(made_mm).query(true_mm, workers=worker_count())
    return float(distance.mean()), float(np.percentile(distance, 95))


def outer_surface(mask: Mask, bone: Mask, index_to_mm: Floats, centre_mm: Floats) -> Indices:
    """Return the surface voxels (n, 3; indices z, y, x) of `mask` that are seen from outside.

    They face away from `centre_mm` (LPS), and no `bone` (mask and skull) lies farther out on the
    ray from there. Both masks (z, y, x); `index_to_mm` 4x4, from a voxel index (x, y, z, 1) to LPS.
    """
    points: Indices = np.argwhere(_surface(mask))
    if not len(points):
        return points
    to_index = np.linalg.inv(index_to_mm[:3, :3])
    spacing_mm = np.linalg.norm(index_to_mm[:3, :3], axis=0)[::-1]
    outward = points[:, ::-1] @ index_to_mm[:3, :3].T + index_to_mm[:3, 3] - centre_mm
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    steps = (outward @ to_index.T)[:, ::-1]  # voxels (z, y, x) a millimetre

    box = bounding_box(mask)
    first = np.array([s.start for s in box]) - 1
    blurred = ndimage.gaussian_filter(
        np.pad(mask[box], 1).astype(np.float32), NORMAL_BLUR_MM / spacing_mm, mode="constant"
    )
    rising = np.stack([_difference(blurred, points - first, axis) for axis in range(3)], axis=1)
    length = np.maximum(np.linalg.norm(rising / spacing_mm, axis=1), 1e-9)
    facing = -(rising * steps).sum(axis=1) / length > math.cos(math.radians(FACING_DEG))
    points, steps = points[facing], steps[facing]

    free = np.ones(len(points), bool)
    # Nearer than two voxels the ray meets the steps of its own surface.
    for away_mm in np.arange(2 * spacing_mm.max(), OUTWARD_MM, 0.7 * spacing_mm.min()):
        ahead = np.flatnonzero(free)
        place = np.rint(points[ahead] + away_mm * steps[ahead]).astype(int)
        within = ((place >= 0) & (place < bone.shape)).all(axis=1)
        hit = ahead[within][bone[tuple(place[within].T)]]
        free[hit] = False
    return points[free]


def _difference(values: Floats, points: Indices, axis: int) -> Floats:
    """Return half the difference of the neighbours, along an axis, of the inner points (n, 3)."""
    shift = np.eye(3, dtype=int)[axis]
    ahead, behind = (values[tuple((points + step).T)] for step in (shift, -shift))
    slope: Floats = (ahead - behind) / 2
    return slope


def _cropped(masks: list[Mask], spacing_mm: tuple[float, ...]) -> list[Mask]:
    """Cut implant, truth and skull to a box in which every metric is what it is on the whole grid.

    It holds both implants. Erosion takes what is outside the box for background, which it is. Where
    a voxel of an implant is at most 10 mm (10 voxels) from the skull, so is that voxel of the skull
    in a box with such a margin; cutting skull away can only enlarge distances that are above 10.
    """
    z, y, x = (math.ceil(BORDER / min(1.0, s)) + 1 for s in spacing_mm)
    box = bounding_box(masks[0] | masks[1], (z, y, x))
    return [np.ascontiguousarray(mask[box]) for mask in masks]


def _surface(mask: Mask) -> Mask:
    inner: Mask = ndimage.binary_erosion(mask)
    return mask & ~inner


def _dice(a: Mask, b: Mask) -> float:
    both = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / both if both else 0.0


def _percentile(values: Floats, percent: float) -> float:
    # Interpolating between two infinities gives NaN.
    return float(np.percentile(values, percent)) if np.isfinite(values).all() else math.inf
