"""Is this implant fit for review? Every criterion as a number with its limit.

The criteria are those by which surgeons judged designed implants (whole defect closed, not on
intact bone, margin flush, thickness like the neighbours', one clean piece) and those of the
printer. All are computed without a truth, from what a design has: the skull, the completed skull,
the implant. A check that fails asks for a look; it forbids nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.distances import distance_mm
from ..core.images import array_of, bounding_box, crop, same_grid, voxel_volume_mm3
from ..core.progress import Progress, silent
from .meshes import mesh_health
from .plate import Sheet, inside, reach_mm, unit


@dataclass(frozen=True)
class CheckOptions:
    """The limits, and why they lie there. No standard sets them: they ask for a look where a design
    is not what designs that were judged good are.
    """

    clearance_mm: float = 0.5
    """The gap that the design left on purpose."""
    volume_difference_percent: float = 2.0
    """The mesh's volume is matched to the mask's (`surface.py`); more than rounding is a fault."""
    over_bone_percent: float = 10.0
    """A rim cut at a slant lies over some bone; designs that reviewers sent back for lying on
    intact bone did so with 15 to 31 % of their surface (expert review of 100 designs, 2026)."""
    rim_gap_beyond_clearance_mm: float = 1.0
    """A millimetre of gap can be felt through the scalp; coarser voxels cannot tell as much."""
    closed_percent: float = 98.0
    """Of the missing bone off the rim: what cleaning takes there is less; a window is more."""
    thickness_difference_percent: float = 40.0
    """Volumes of 0.70 to 1.44 times the true ones were seen in that review; beyond is no fit."""
    least_thickness_mm: float = 1.5
    """Half of the 3 mm that plates of PEEK and PMMA commonly have; no limit is published."""
    area_cm2: tuple[float, float] = (5.0, 250.0)
    """From a burr hole's to a third of a vault's; defects in the clinic have 58 to 120 cm²."""


@dataclass(frozen=True)
class Check:
    """One criterion. `comparison` is `=`, `<=`, `>=` or `between` (then `limit` is a pair)."""

    name: str
    value: float
    unit: str
    limit: float | tuple[float, float]
    comparison: str
    passed: bool
    sentence: str


# Around the implant, this much is looked at: the neighbouring bone.
MARGIN_MM = 14.0
# Implant farther than this from bone is no rim; where the hole is that far open, it is not closed.
RIM_REACH_MM = 6.0
RIM_PERCENTILE = 95.0
# Half way through the plate is where each side is at least this share of the thickness away.
HALF_WAY = 0.3
# The missing bone counts from here on: nearer to bone the completion may leave a skin on it.
CORE_MM = 2.0
# Bone this far from the implant is its neighbour: beyond the rim's own rounding.
NEIGHBOURS_MM = (2.0, 12.0)
THIN_PERCENTILE = 5.0
# The step at which closure and neighbourhood are looked at; they need no finer.
COARSE_MM = 1.2
# The distance to bone where there is none.
NOWHERE_MM = 1e3
# Bone over or under the implant is looked for this far along the plate's normal.
OVER_BONE_MM = 10.0
# The voxels that are followed along the plate's normal; a sample, for time.
FOLLOWED_VOXELS = 40_000


def check_implant(
    implant: sitk.Image,
    skull: sitk.Image,
    mesh: vtkPolyData,
    completed: sitk.Image,
    options: CheckOptions = CheckOptions(),
    progress: Progress = silent,
) -> tuple[Check, ...]:
    """Return the checks of an implant.

    implant, skull (with the defect), completed: uint8 masks on one grid. mesh: the implant's mesh.
    Raises `ValueError` where the grids differ or the implant is empty.
    """
    for name, image in (("skull", skull), ("completed skull", completed)):
        if not same_grid(implant, image):
            raise ValueError(f"the {name} does not lie on the grid of the implant")
    box = bounding_box(array_of(implant), _voxels(MARGIN_MM, implant))
    implant, skull, completed = (crop(image, box) for image in (implant, skull, completed))
    plate, bone = array_of(implant) > 0, array_of(skull) > 0
    missing = (array_of(completed) > 0) & ~bone
    spacing = np.array(implant.GetSpacing()[::-1])
    progress(0.1, "closure")
    stride = np.maximum(1, np.floor(COARSE_MM / spacing)).astype(int)
    some = tuple(slice(None, None, int(n)) for n in stride)
    to_plate = _distance_mm(plate[some], spacing * stride)
    closed = _closed(missing[some], bone[some], plate[some], to_plate, spacing * stride, options)
    neighbours = bone[some] & (to_plate > NEIGHBOURS_MM[0]) & (to_plate <= NEIGHBOURS_MM[1])
    progress(0.3, "thickness")
    places, beside = _some_of(plate, spacing), _some_of(neighbours, spacing * stride)
    sheet = Sheet.through(places)
    normals = sheet.normals(places)
    thickness = reach_mm(plate, places, normals, spacing).sum(axis=0)
    around = reach_mm(bone, beside, sheet.normals(beside), spacing).sum(axis=0)
    # An implant with no bone beside it has no neighbour to differ from.
    bone_mm = _typical_thickness_mm(around if around.size else thickness)
    progress(0.5, "rim")
    voxel_mm3 = voxel_volume_mm3(implant)
    volume_mm3 = np.count_nonzero(plate) * voxel_mm3
    checks = (
        *_mesh_checks(mesh, volume_mm3, options),
        _overlap(np.count_nonzero(plate & bone) * voxel_mm3 / 1000.0),
        _over_bone(places, normals, bone, bone_mm, spacing, options.over_bone_percent),
        _rim_gap(plate, bone, sheet, implant, options),
        closed,
        *_thickness_checks(thickness, bone_mm, options),
        _area(volume_mm3 * float((1.0 / thickness).mean()) / 100.0, options),
    )
    progress(1.0)
    return checks


def _some_of(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return places (n, 3; z, y, x; mm) of the mask's voxels, a sample where they are many."""
    index = np.argwhere(mask)
    return np.asarray(index[:: 1 + len(index) // FOLLOWED_VOXELS] * spacing)


def _check(
    name: str,
    value: float,
    unit: str,
    comparison: str,
    limit: float | tuple[float, float],
    sentence: str,
) -> Check:
    """Return the check with its verdict."""
    if isinstance(limit, tuple):
        passed = limit[0] <= value <= limit[1]
    else:
        passed = {"=": value == limit, "<=": value <= limit, ">=": value >= limit}[comparison]
    return Check(name, round(float(value), 3), unit, limit, comparison, bool(passed), sentence)


def _mesh_checks(mesh: vtkPolyData, volume_mm3: float, options: CheckOptions) -> tuple[Check, ...]:
    """One piece, a closed surface without faults, and the volume of the mask."""
    health = mesh_health(mesh)
    faults = (
        health.open_edges
        + health.non_manifold_edges
        + health.non_manifold_points
        + health.inconsistent_edges
        + health.degenerate
    )
    volume_cm3 = volume_mm3 / 1000.0
    difference = 100.0 * abs(health.volume_cm3 / volume_cm3 - 1.0)
    return (
        _check("pieces", health.pieces, "", "=", 1, f"The mesh has {_count(health.pieces)}."),
        _check(
            "mesh faults",
            faults,
            "",
            "=",
            0,
            f"{faults or 'No'} edges, points or facets of the mesh are open, double, turned or "
            "degenerate.",
        ),
        _check(
            "volume difference",
            difference,
            "%",
            "<=",
            options.volume_difference_percent,
            f"The mesh encloses {health.volume_cm3:.2f} cm³ and the voxels {volume_cm3:.2f} cm³.",
        ),
    )


def _count(pieces: int) -> str:
    return "one piece" if pieces == 1 else f"{pieces} pieces"


def _overlap(overlap_cm3: float) -> Check:
    """The implant takes no room that bone has."""
    sentence = "No part of the implant lies inside bone."
    if overlap_cm3:
        sentence = f"{overlap_cm3:.2f} cm³ of the implant lies inside bone."
    return _check("overlap with bone", overlap_cm3, "cm³", "=", 0, sentence)


def _over_bone(
    places: np.ndarray,
    normals: np.ndarray,
    bone: np.ndarray,
    bone_mm: float,
    spacing: np.ndarray,
    limit: float,
) -> Check:
    """The implant lies in the hole, not on or under the bone beside it.

    Its voxels at `places` (n, 3; z, y, x; mm) are followed along the plate's normals, both ways.
    A rim cut at a slant has a wedge of bone over or under it, so less than half of the thickness of
    the bone around, `bone_mm`, is none.
    """
    step = float(spacing.min())
    met_mm = np.zeros((2, len(places)))
    for way in np.arange(step, OVER_BONE_MM + step, step):
        for row, side in enumerate((-way, way)):
            met_mm[row] += step * inside(bone, places + side * normals, spacing)
    share = 100.0 * float((met_mm.max(axis=0) >= bone_mm / 2.0).mean())
    return _check(
        "over intact bone",
        share,
        "%",
        "<=",
        limit,
        f"{share:.0f} % of the implant lies over or under intact bone.",
    )


def _rim_gap(
    plate: np.ndarray, bone: np.ndarray, sheet: Sheet, grid: sitk.Image, options: CheckOptions
) -> Check:
    """The gap all along the rim: from where, half way through the plate, the implant ends on the
    way to the nearest bone. Half way, because inside and outside of the plate are no rim.

    Distances are between voxel centres; a voxel along the way is taken off for the two surfaces.
    """
    spacing = np.array(grid.GetSpacing()[::-1])
    box = bounding_box(plate, _voxels(RIM_REACH_MM, grid))
    to_bone = _distance_mm(bone[box], spacing)
    near = np.argwhere(plate[box] & (to_bone <= RIM_REACH_MM))
    slope = np.empty(near.shape)
    for axis in range(3):
        before, behind = near.copy(), near.copy()
        before[:, axis] = np.maximum(before[:, axis] - 1, 0)
        behind[:, axis] = np.minimum(behind[:, axis] + 1, to_bone.shape[axis] - 1)
        rise = to_bone[tuple(behind.T)] - to_bone[tuple(before.T)]
        slope[:, axis] = rise / (2.0 * spacing[axis])
    away_mm = to_bone[tuple(near.T)]
    index = near + [part.start for part in box]
    way = unit(-slope)
    steps = way / spacing
    steps /= np.maximum(np.abs(steps).max(axis=1, keepdims=True), 1e-9)
    ends = ~inside(plate, (index + np.rint(steps)) * spacing, spacing)
    index, way, away_mm = index[ends], way[ends], away_mm[ends]
    down, up = reach_mm(plate, index * spacing, sheet.normals(index * spacing), spacing)
    rim = np.minimum(down, up) >= HALF_WAY * (down + up)
    gaps = away_mm - (np.abs(way) * spacing).max(axis=1)
    # An implant nowhere near bone has no rim; its gap is at least what was looked at.
    gap_mm = float(np.percentile(gaps[rim], RIM_PERCENTILE)) if rim.any() else RIM_REACH_MM
    gap_mm = max(gap_mm, 0.0)
    return _check(
        "rim gap",
        gap_mm,
        "mm",
        "<=",
        options.clearance_mm + max(options.rim_gap_beyond_clearance_mm, float(spacing.max())),
        f"Along {RIM_PERCENTILE:.0f} % of the rim the gap to the bone is at most {gap_mm:.1f} mm.",
    )


def _closed(
    missing: np.ndarray,
    bone: np.ndarray,
    plate: np.ndarray,
    to_plate: np.ndarray,
    spacing: np.ndarray,
    options: CheckOptions,
) -> Check:
    """The implant fills what the completed skull has in this hole, away from the bone's surface."""
    core = missing & (_distance_mm(bone, spacing) > CORE_MM)
    holes = array_of(sitk.ConnectedComponent(_image(core | plate, spacing)))
    counted = core & np.isin(holes, np.unique(holes[plate]))
    reached = counted & (to_plate <= options.clearance_mm + spacing.max())
    share = 100.0 * int(reached.sum()) / max(int(counted.sum()), 1)
    return _check(
        "defect closed",
        share,
        "%",
        ">=",
        options.closed_percent,
        f"The implant fills {share:.1f} % of what the completed skull has in the defect.",
    )


def _thickness_checks(
    plate_mm: np.ndarray, bone_mm: float, options: CheckOptions
) -> tuple[Check, ...]:
    """As thick as the bone around it, and nowhere too thin to be made."""
    own_mm = _typical_thickness_mm(plate_mm)
    difference = 100.0 * abs(own_mm - bone_mm) / bone_mm
    thin_mm = float(np.percentile(plate_mm, THIN_PERCENTILE))
    return (
        _check(
            "thickness difference",
            difference,
            "%",
            "<=",
            options.thickness_difference_percent,
            f"The implant is {own_mm:.1f} mm thick and the bone around it {bone_mm:.1f} mm.",
        ),
        _check(
            "thinnest part",
            thin_mm,
            "mm",
            ">=",
            options.least_thickness_mm,
            f"The thinnest twentieth of the implant is under {thin_mm:.1f} mm thick.",
        ),
    )


def _typical_thickness_mm(thickness_mm: np.ndarray) -> float:
    """Return the median over the plate's area, from values at its voxels.

    A voxel stands for an area of its volume over the thickness there.
    """
    order = np.argsort(thickness_mm)
    area = np.cumsum(1.0 / thickness_mm[order])
    return float(thickness_mm[order[np.searchsorted(area, area[-1] / 2.0)]])


def _area(area_cm2: float, options: CheckOptions) -> Check:
    """The size of a craniectomy, not of a burr hole or of half a head."""
    return _check(
        "area",
        area_cm2,
        "cm²",
        "between",
        options.area_cm2,
        f"The implant covers {area_cm2:.0f} cm².",
    )


def _voxels(length_mm: float, grid: sitk.Image) -> tuple[int, int, int]:
    """Return how many voxels a length takes along (z, y, x), rounded up."""
    x, y, z = (math.ceil(length_mm / s) for s in grid.GetSpacing())
    return z, y, x


def _image(mask: np.ndarray, spacing: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(s) for s in spacing[::-1]])
    return image


def _distance_mm(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the distance of each voxel to the nearest voxel of `mask` (mm, 0 inside; z, y, x)."""
    if not mask.any():
        return np.full(mask.shape, NOWHERE_MM, np.float32)
    return distance_mm(_image(mask, spacing))
