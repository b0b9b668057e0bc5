"""The head's other side beside an implant: turned over, brought onto the bone around the hole, and
how far the implant's outer face lies from it.

What is shown is what the completion heard (`geometry/mirrored_bone.py`), with more of the bone
around. A person compares by it; it is no judge: no head is symmetric.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..checks.plate_surface import PlateSurface, plate_surface
from ..core.image_files import read_mask
from ..core.images import index_to_lps_mm
from ..core.interpolation import values_at
from ..core.progress import Progress, part, silent
from ..core.result_names import stl_names
from ..core.stages import StageReport, Stages, no_report
from ..core.working_axes import as_working
from ..designing.stored_result import read_account
from ..errors import SkullImplantError
from ..export.stl import read_stl
from ..geometry import complete_by_prior, estimate_pose
from ..geometry.brought_bone import (
    GRID_MM,
    Box,
    BroughtBone,
    Rim,
    box_around,
    joined,
    looked_up,
    surroundings_of,
)
from ..geometry.frame import BOX_LOW_MM, Pose
from ..geometry.mirrored_bone import HEARD_MM, mirrored_to_each
from ..geometry.prior import Prior
from ..geometry.radial import distance_mm
from ..geometry.shape_statistics import shipped_population
from ..implant.level_set import surface_at_zero
from ..implant.mesh_distance import MeshDistance
from ..implant.meshes import facet_middles, facet_vectors, mesh_of

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

AROUND_HOLE_MM = 25.0  # of the bone around: as much as tells an eye that the two belong together
# Nearer to the end of what was brought its surface is that end.
END_MM = 2.0
NOT_BONE_MM = -5.0
# The surface ends where the other side tells as much as not; measured is where it tells all.
SHOWN, MEASURED = 0.5, 0.9
# A hole of an implant: no implant stands farther out of the bone that it replaces.
NEAR_MM = 6.0
# The outer face of the other side looks outward within 60 degrees of the ray from the vault's
# middle, as the outer surface that a patient sees (`metrics.py`).
FACING_COSINE = 0.5
# Less of an implant's outer face tells nothing of it; from so much on all of it is there.
LEAST_SHARE, WHOLE_SHARE = 0.1, 0.95
# A hole that reaches so far to both sides of the middle plane lies across it.
ACROSS_MM = 5.0
MIRROR_OF_POINTS = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Deviation:
    """How far an implant's outer face lies from the other side's, mm.

    label: the implant's. shown_share: the part of its outer face where the other side tells
    anything; of that are the distances: mean, 95 % less than `most95_mm`, the largest, and the mean
    with its sign, positive where the implant stands out. None where too little is shown.
    """

    label: int
    shown_share: float
    mean_mm: float | None = None
    most95_mm: float | None = None
    most_mm: float | None = None
    mean_out_mm: float | None = None


@dataclass(frozen=True)
class MirroredSide:
    """The other side beside the implants: its surface (LPS mm; None where there is none), how far
    each implant is from it, and all together (label 0).

    off_bone_mm: how well it could be brought: 95 % of the intact bone's surface around is nearer.
    sentence: what of it there is not, and why; empty where all is there.
    """

    mesh: vtkPolyData | None
    together: Deviation
    implants: tuple[Deviation, ...]
    off_bone_mm: float | None
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Return all but the surface, which `triangles` counts."""
        return {
            "triangles": 0 if self.mesh is None else self.mesh.GetNumberOfPolys(),
            **_rounded(self.together),
            "off_bone_mm": None if self.off_bone_mm is None else round(self.off_bone_mm, 2),
            "implants": [{"label": one.label, **_rounded(one)} for one in self.implants],
            "sentence": self.sentence,
        }


def mirrored_side_of(folder: Path, report: StageReport = no_report) -> MirroredSide:
    """Return the other side beside the implants of a result folder.

    Raises `SkullImplantError` where the folder holds no whole result, or its skull no hole.
    """
    told = read_account(folder)
    names = stl_names(len(told.get("implants", [])) or 1)
    meshes = [read_stl(folder / name) for name in names]
    report("reading", 0.3, "skull.nrrd")
    skull = as_working(read_mask(folder / "skull.nrrd"))
    report("reading", 1.0, "")
    shapes, stages = shipped_population(), Stages(report)
    with stages.stage("pose") as progress:
        pose = estimate_pose(skull, shapes, progress)
    with stages.stage("prior") as progress:
        prior = complete_by_prior(skull, pose, shapes, progress)
    if prior.hole_area_cm2 <= 0.0:
        raise SkullImplantError(
            f"The skull in {folder} has no hole, so there is nothing to compare; design again."
        )
    with stages.stage("other side") as progress:
        return mirrored_side(skull, prior, meshes, progress)


def mirrored_side(
    skull: sitk.Image, prior: Prior, meshes: Sequence[vtkPolyData], progress: Progress = silent
) -> MirroredSide:
    """Return the other side of a skull (uint8 mask, with its holes) beside implants (LPS mm)."""
    pose = prior.pose
    plates = [plate_surface(mesh, pose.centre_mm) for mesh in meshes]
    around = surroundings_of(skull, prior)
    rims = () if around is None else _rims_of(plates, around.rims, pose)
    if around is None or not rims:
        return _none(plates, "no hole was found where the implant lies.")

    def is_imaged(at: Floats) -> Flags:
        return within_image(skull, pose.to_patient(at * MIRROR_OF_POINTS))

    found = mirrored_to_each(
        replace(around, rims=rims), prior, AROUND_HOLE_MM, is_imaged, part(progress, 0.0, 0.8)
    )
    shells = np.logical_or.reduce([rim.shell for rim in rims])
    whole = joined(found, box_around(shells, AROUND_HOLE_MM))
    why = _why_not(plates, prior, is_imaged)
    if whole is None:
        return _none(plates, why or "too little of it is like the bone around the hole.")
    points, triangles = _surface(whole)
    lps = pose.to_patient(points)
    outer = _outward(lps, triangles, pose.centre_mm)
    measured = [_shown(whole, pose.to_standard(plate.places_mm)) for plate in plates]
    shares = [_share(plate, shown) for plate, shown in zip(plates, measured)]
    if not outer.any() or max(shares) < LEAST_SHARE:
        return _none(plates, why or "too little of it is like the bone around the hole.", shares)
    distance = MeshDistance(lps, triangles[outer])
    off = [
        distance.signed_mm(plate.places_mm[plate.outer & shown]).astype(float)
        for plate, shown in zip(plates, measured)
    ]
    share = _share_of_all(plates, shares)
    sentence = ""
    if share < WHOLE_SHARE:
        rest = why or "too little of it is like the bone around the hole."
        sentence = f"The other side shows {100.0 * share:.0f} % of the implant; beyond, {rest}"
    progress(1.0, "compared with the other side")
    return MirroredSide(
        mesh_of(lps, triangles),
        _deviation(0, share, np.concatenate(off)),
        tuple(_deviation(k, s, one) for k, (s, one) in enumerate(zip(shares, off), 1)),
        _off_bone_mm(whole, rims, MeshDistance(points, triangles)),
        sentence,
    )


def within_image(image: sitk.Image, places_mm: Floats) -> Flags:
    """Say which places (n, 3), LPS mm, an image holds, its outermost voxels left out."""
    to_index = np.linalg.inv(index_to_lps_mm(image))
    index = places_mm @ to_index[:3, :3].T + to_index[:3, 3]
    return np.asarray(((index >= 1.0) & (index <= np.array(image.GetSize()) - 2.0)).all(axis=1))


def _rims_of(plates: Sequence[PlateSurface], rims: Sequence[Rim], pose: Pose) -> tuple[Rim, ...]:
    """Return the holes that the implants lie in."""
    tree = cKDTree(np.concatenate([pose.to_standard(plate.places_mm) for plate in plates]))

    def is_filled(rim: Rim) -> bool:
        places = (np.argwhere(rim.shell)[:, ::-1] + 0.5) * GRID_MM + BOX_LOW_MM
        apart, _ = tree.query(places, distance_upper_bound=NEAR_MM)
        return bool(np.isfinite(apart).mean() > LEAST_SHARE)

    return tuple(rim for rim in rims if is_filled(rim))


def _index_in(box: Box, places_mm: Floats) -> list[Floats]:
    """Return places (n, 3) of the standard frame as indices along (z, y, x) of a box."""
    low = np.array([s.start + 0.5 for s in box[::-1]]) * GRID_MM + BOX_LOW_MM
    return list(((places_mm - low) / GRID_MM).T[::-1].astype(np.float32))


def _shown(whole: BroughtBone, places_mm: Floats, least: float = MEASURED) -> Flags:
    """Say at which places (n, 3) of the standard frame the other side tells what is there."""
    index = _index_in(whole.box, places_mm)
    inside = np.all(
        [(i >= 0) & (i <= n - 1) for i, n in zip(index, whole.heard.shape)], axis=0
    )  # beyond the box its edge would go on
    from_shell = values_at(np.minimum(whole.from_shell_mm, 2.0 * AROUND_HOLE_MM), index)
    heard = values_at(whole.heard, index)
    return np.asarray(inside & (heard >= least) & (from_shell < AROUND_HOLE_MM - END_MM))


def _surface(whole: BroughtBone) -> tuple[Floats, NDArray[np.int64]]:
    """Return the surface of the brought bone, as far as it is heard: points (n, 3) of the standard
    frame, mm, and triangles (m, 3).
    """
    known = whole.from_shell_mm < AROUND_HOLE_MM
    depth = np.where(known, whole.depth_mm, np.float32(NOT_BONE_MM))
    points, triangles = surface_at_zero(depth)
    low = np.array([s.start + 0.5 for s in whole.box[::-1]]) * GRID_MM + BOX_LOW_MM
    places = points * GRID_MM + low
    if len(triangles) == 0:
        return places, triangles
    shown = _shown(whole, places, SHOWN)
    triangles = triangles[shown[triangles].all(axis=1)]
    used, numbers = np.unique(triangles, return_inverse=True)
    return places[used], numbers.reshape(-1, 3).astype(np.int64)


def _outward(points_mm: Floats, triangles: NDArray[np.int64], centre_mm: Floats) -> Flags:
    """Say which facets (m,) look away from the vault's middle."""
    if len(triangles) == 0:
        return np.zeros(0, bool)
    normals = facet_vectors(points_mm, triangles)
    rays = facet_middles(points_mm, triangles) - centre_mm
    lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(rays, axis=1)
    along = np.einsum("ij,ij->i", normals, rays)
    return np.asarray(along > FACING_COSINE * np.maximum(lengths, np.finfo(float).tiny))


def _off_bone_mm(whole: BroughtBone, rims: Sequence[Rim], distance: MeshDistance) -> float | None:
    """Return how far 95 % of the intact bone around is at most from what was brought, mm."""
    places = np.concatenate([rim.points.places for rim in rims])
    places = places[_shown(whole, places)]
    if not len(places):
        return None
    return float(np.percentile(distance.unsigned_mm(places), 95))


def _deviation(label: int, share: float, off_mm: Floats) -> Deviation:
    if share < LEAST_SHARE or not len(off_mm):
        return Deviation(label, share)
    away = np.abs(off_mm)
    return Deviation(
        label,
        share,
        float(away.mean()),
        float(np.percentile(away, 95)),
        float(away.max()),
        float(off_mm.mean()),
    )


def _share(plate: PlateSurface, shown: Flags) -> float:
    return float(shown[plate.outer].mean()) if plate.outer.any() else 0.0


def _share_of_all(plates: Sequence[PlateSurface], shares: Sequence[float]) -> float:
    areas = np.array([plate.mm2 * plate.outer.sum() for plate in plates])
    return float((areas * shares).sum() / max(areas.sum(), np.finfo(float).tiny))


def _why_not(
    plates: Sequence[PlateSurface], prior: Prior, is_imaged: Callable[[Floats], Flags]
) -> str:
    """Return why the other side does not show all of the implants; empty where all is there.

    By the pose alone, which is near enough for the reason.
    """
    places = np.concatenate(
        [prior.pose.to_standard(plate.places_mm[plate.outer]) for plate in plates]
    )
    from_image = distance_mm(prior.hole[:, ::-1])
    opposite = float((looked_up(from_image, places) < HEARD_MM).mean())
    beyond = float((~is_imaged(places)).mean())
    if max(opposite, beyond) < 1.0 - WHOLE_SHARE:
        return ""
    if beyond > opposite:
        return "the image ends before it on the other side."
    x_mm = places[:, 0]
    if x_mm.min() < -ACROSS_MM and x_mm.max() > ACROSS_MM:
        return "the hole lies across the midline."
    return "the other side has a hole there, too."


def _none(
    plates: Sequence[PlateSurface], why: str, shares: Sequence[float] | None = None
) -> MirroredSide:
    shares = [0.0] * len(plates) if shares is None else shares
    return MirroredSide(
        None,
        Deviation(0, _share_of_all(plates, shares)),
        tuple(Deviation(label, share) for label, share in enumerate(shares, 1)),
        None,
        f"There is no other side to compare with: {why}",
    )


def _rounded(one: Deviation) -> dict[str, float | None]:
    numbers = {name: value for name, value in asdict(one).items() if name != "label"}
    return {name: None if value is None else round(value, 3) for name, value in numbers.items()}
