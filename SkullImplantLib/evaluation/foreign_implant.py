"""Any implant measured on a head: ours, an edited one, another tool's.

An STL file knows neither its unit nor its frame, so both are doubted before anything is measured.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..checks import CheckedImplant, CheckOptions, check_implant
from ..core.images import crop, index_to_lps_mm
from ..core.progress import Progress, silent
from ..core.stages import StageReport, Stages, no_report
from ..core.working_axes import on_working_axes
from ..designing.completed_head import check_lie
from ..errors import SkullImplantError
from ..geometry.frame import Pose
from ..geometry.pose import estimate_pose
from ..geometry.shape_statistics import shipped_population
from ..implant.bone_surface import BoneSurface, bone_surface
from ..implant.meshes import MeshHealth, arrays_of, mesh_health, mesh_of
from ..reading.input import Input
from ..skull import Skull, SkullOptions, clean_skull, loose_matter, segment_skull

Floats = NDArray[np.floating]

HEADER_BYTES, COUNT_BYTES = 80, 4
FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
VERTEX = re.compile(rb"\bvertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)
# No implant for a skull is smaller than a burr hole or larger than a head; metres and inches are.
SMALLEST_MM, LARGEST_MM = 10.0, 400.0
# An implant lies in a hole of the skull; one that is farther from bone is somewhere else.
NEAR_BONE_MM = 10.0
# Bone is looked at so far around it.
AROUND_MM = 24.0
RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class MeasuredFit:
    """An implant measured on a head, by the checks of a design.

    notes: sentences on what could not be measured, or was taken for granted.
    """

    checked: CheckedImplant
    triangles: int
    volume_cm3: float
    bone_threshold_hu: float | None
    notes: tuple[str, ...]
    stages: Stages

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checked.checks)

    def as_json(self) -> dict[str, Any]:
        """Return the checks as `design.json` has them, the direction, and the verdict."""
        direction = self.checked.direction
        return {
            "triangles": self.triangles,
            "volume_cm3": round(self.volume_cm3, 2),
            "bone_threshold_hu": self.bone_threshold_hu,
            "insertion_direction_lps": (
                None if direction is None else [round(float(along), 5) for along in direction]
            ),
            "checks": [check.as_json() for check in self.checked.checks],
            "passed": self.passed,
            "notes": list(self.notes),
            "stages": self.stages.as_list(),
        }


def read_foreign_stl(path: Path) -> vtkPolyData:
    """Return the mesh in an STL file of any program, binary or text, in LPS where the header says
    RAS; facets that meet in a place share it.

    Raises `SkullImplantError` where the file is missing, no STL or without facets.
    """
    if not path.is_file():
        raise SkullImplantError(f"{path} does not exist; check the path.")
    content = path.read_bytes()
    corners = _binary_corners(content)
    if corners is None:
        corners = _text_corners(content)
    if corners is None:
        raise SkullImplantError(f"{path.name} is not an STL file; export the implant as STL.")
    if len(corners) == 0:
        raise SkullImplantError(f"{path.name} is empty; export the implant again.")
    if not np.isfinite(corners).all():
        raise SkullImplantError(f"{path.name} has corners that are no numbers; export it again.")
    if b"SPACE=RAS" in content[:HEADER_BYTES].upper():
        corners = corners * RAS_TO_LPS.astype(np.float32)
    points, numbers = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return mesh_of(points, numbers.reshape(-1, 3))


def _binary_corners(content: bytes) -> NDArray[np.float32] | None:
    """Return the corners (n, 3, 3) of a binary STL; None where the size tells that it is none."""
    start = HEADER_BYTES + COUNT_BYTES
    if len(content) < start:
        return None
    count = int.from_bytes(content[HEADER_BYTES:start], "little")
    if len(content) != start + count * FACET.itemsize:
        return None
    return np.frombuffer(content, FACET, count, start)["corners"].astype(np.float32)


def _text_corners(content: bytes) -> NDArray[np.float32] | None:
    """Return the corners (n, 3, 3) of a text STL; None where it is none."""
    if content.lstrip()[:5].lower() != b"solid":
        return None
    try:
        corners = np.array(VERTEX.findall(content), dtype="S32").astype(np.float32)
    except ValueError:
        return None
    return None if len(corners) % 3 else corners.reshape(-1, 3, 3)


def measure_fit(
    mesh: vtkPolyData,
    source: Input,
    bone_threshold_hu: float | None = None,
    options: CheckOptions = CheckOptions(),
    direction: tuple[float, float, float] | None = None,
    report: StageReport = no_report,
) -> MeasuredFit:
    """Measure an implant (LPS mm) on the head it is for: a CT, or a skull with its hole.

    direction: along which it comes out (LPS, of any length); None looks for the best.
    Raises `SkullImplantError` where the mesh is not closed, cannot be in millimetres or does not
    lie beside bone, and for a head that is none or does not stand upright.
    """
    health = _doubted(mesh)
    image, own = on_working_axes(source.image)
    source = replace(source, image=image)
    way = None if direction is None else _unit(direction)
    stages = Stages(report)
    with stages.stage("skull") as progress:
        doubts = check_lie(image, source.kind, own, bone_threshold_hu)
        skull = _skull_of(source, bone_threshold_hu, progress)
        ct = source.image if source.kind == "ct" else None
        bone, ct, box = _bone_around(mesh, skull, ct)
    with stages.stage("pose") as progress:
        pose, notes = _pose_of(skull.mask, progress)
    with stages.stage("checks") as progress:
        checked = check_implant(
            mesh,
            bone,
            options,
            way,
            ct=ct,
            pose=pose,
            skull=None if pose is None else skull.mask,
            loose=loose_matter(source.image, skull, box),
            progress=progress,
        )
    return MeasuredFit(
        checked,
        health.triangles,
        health.volume_cm3,
        skull.bone_threshold_hu,
        (*source.notes, *doubts, *skull.notes, *notes),
        stages,
    )


def _doubted(mesh: vtkPolyData) -> MeshHealth:
    """Return the mesh's health where it can be an implant in millimetres."""
    low, high = np.reshape(mesh.GetBounds(), (3, 2)).T
    extent = float((high - low).max())
    if not SMALLEST_MM <= extent <= LARGEST_MM:
        raise SkullImplantError(
            f"The implant is {extent:.3g} mm long, which none is; export it in millimetres."
        )
    health = mesh_health(mesh)
    if health.open_edges + health.non_manifold_edges:
        faults = health.open_edges + health.non_manifold_edges
        raise SkullImplantError(
            f"The implant's surface is not closed ({faults} open or double edges); repair it."
        )
    return health


def _unit(direction: tuple[float, float, float]) -> NDArray[np.float64]:
    vector = np.array(direction, np.float64)
    length = float(np.linalg.norm(vector))
    if not 0.0 < length < np.inf:
        raise SkullImplantError("The direction of insertion is none; give three numbers X,Y,Z.")
    return vector / length


def _skull_of(source: Input, bone_threshold_hu: float | None, progress: Progress) -> Skull:
    if source.kind == "ct":
        return segment_skull(source.image, SkullOptions(bone_threshold_hu), progress)
    return clean_skull(source.image, progress)


def _bone_around(
    mesh: vtkPolyData, skull: Skull, ct: sitk.Image | None
) -> tuple[BoneSurface, sitk.Image | None, tuple[slice, ...]]:
    """Return the surface of the bone around an implant, the CT there, and the box of it.

    Raises `SkullImplantError` where the implant does not lie beside bone.
    """
    points = arrays_of(mesh)[0]
    box = _box_around(points, skull.mask, AROUND_MM)
    if box is not None:
        part = crop(skull.mask, box)
        part_ct = None if ct is None else crop(ct, box)
        if sitk.GetArrayViewFromImage(part).any():
            surface = bone_surface(part, part_ct, skull.bone_threshold_hu)
            if _nearest_mm(points, surface) <= NEAR_BONE_MM:
                return surface, part_ct, box
    raise SkullImplantError(
        f"No bone lies within {NEAR_BONE_MM:g} mm of the implant; is it in the CT's frame?"
        + (" Turned from RAS to LPS it would fit." if _fits_turned(points, skull) else "")
    )


def _fits_turned(points: Floats, skull: Skull) -> bool:
    """Say whether the implant would lie beside bone if its frame were RAS."""
    turned = points * RAS_TO_LPS
    box = _box_around(turned, skull.mask, AROUND_MM)
    if box is None:
        return False
    part = crop(skull.mask, box)
    if not sitk.GetArrayViewFromImage(part).any():
        return False
    return _nearest_mm(turned, bone_surface(part)) <= NEAR_BONE_MM


def _box_around(points: Floats, image: sitk.Image, reach_mm: float) -> tuple[slice, ...] | None:
    """Return the part of an image, slices (z, y, x), so far around points (n, 3; LPS mm); None
    where they lie beside it.
    """
    inverse = np.linalg.inv(index_to_lps_mm(image))
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    margin = reach_mm / np.array(image.GetSpacing())
    low = np.maximum(np.floor(index.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + margin) + 1, image.GetSize()).astype(int)
    if (high - low < 2).any():
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))


def _nearest_mm(points: Floats, surface: BoneSurface) -> float:
    """Return how near any point of the implant comes to the surface of bone."""
    away = surface.distance().unsigned_mm(points.astype(np.float64), NEAR_BONE_MM)
    return float(away.min())


def _pose_of(skull: sitk.Image, progress: Progress = silent) -> tuple[Pose | None, tuple[str, ...]]:
    """Return the head's pose; None, and a note, where too little of the head is there."""
    try:
        return estimate_pose(skull, shipped_population(), progress), ()
    except SkullImplantError:
        return None, (
            "The two sides of the head are not compared, as too little of the vault is there.",
        )
