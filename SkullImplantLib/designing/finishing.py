"""The implants of a head, new or edited, meshed and checked against its bone."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..checks import CheckOptions, SurfaceMaps, check_implant, surface_maps
from ..completion import Uncertainty
from ..core.distances import depth_mm
from ..core.images import array_of, crop, index_to_lps_mm
from ..core.interpolation import values_at
from ..core.progress import Progress, part
from ..geometry.frame import Pose
from ..implant import BoneSurface, Implant, bone_surface, drilled, holes_for, surface_of
from ..implant.meshes import arrays_of
from ..options import DesignOptions
from ..skull import Skull
from .proposal import DesignedImplant


def surface_around(skull: Skull, box: tuple[slice, ...]) -> BoneSurface:
    """Return the surface of the skull's bone in a box, slices (z, y, x), of its grid."""
    grey = None if skull.grey is None else crop(skull.grey, box)
    return bone_surface(crop(skull.mask, box), grey, skull.bone_threshold_hu)


def meshes_of(implants: tuple[Implant, ...], progress: Progress) -> tuple[vtkPolyData, ...]:
    """Return the surface of each implant, without the holes that are drilled into it."""
    return tuple(
        surface_of(implant.field, part(progress, k / len(implants), (k + 1) / len(implants)))
        for k, implant in enumerate(implants)
    )


@dataclass(frozen=True)
class Known:
    """What is known of the head that implants are checked against.

    bone: the surface around the holes. skull: the whole. filled: the completed skull (uint8) on the
    grid of `bone.field`. depth: that within it (float32, mm), where it is known; pose: the head's.
    loose: what else is as hard as bone there (uint8), where it is known. uncertainty: of the
    completed surface, where it is known. earlier: the depth (float32, mm) within the completed
    skull, where the patient's own earlier bone completed it.
    """

    bone: BoneSurface
    skull: Skull
    filled: sitk.Image
    depth: sitk.Image | None = None
    pose: Pose | None = None
    loose: sitk.Image | None = None
    uncertainty: Uncertainty | None = None
    earlier: sitk.Image | None = None


def checked(
    implants: tuple[Implant, ...],
    meshes: tuple[vtkPolyData, ...],
    known: Known,
    options: DesignOptions,
    progress: Progress,
) -> tuple[DesignedImplant, ...]:
    """Return the implants with their checks and maps, and with the holes that are asked for.

    Shape and fit are checked before the holes are cut, which are exact and known to be sound.
    """
    limits = CheckOptions(clearance_mm=options.clearance_mm, least_wall_mm=options.least_wall_mm)
    completed = depth_mm(known.filled) if known.depth is None else known.depth
    ct = None if known.skull.grey is None else crop_like(known.skull.grey, known.bone.field)
    designed = []
    for number, (implant, mesh) in enumerate(zip(implants, meshes)):
        direction = implant.way_in.direction
        found = check_implant(
            mesh,
            known.bone,
            limits,
            direction,
            ct,
            completed,
            known.pose,
            known.skull.mask,
            known.loose,
            part(progress, number / len(implants), (number + 1) / len(implants)),
        )
        exported = drilled(mesh, holes_for(implant.field, direction, options.drill), direction)
        maps = _maps(exported, surface_maps(exported, found.measured), known)
        designed.append(
            DesignedImplant(
                exported,
                found.checks,
                implant.way_in,
                implant.centre_mm,
                implant.correction_mm,
                maps,
            )
        )
    return tuple(designed)


def _maps(mesh: vtkPolyData, maps: SurfaceMaps, known: Known) -> dict[str, NDArray[np.float32]]:
    """Return the values at the points of a mesh by name, with the uncertainty and the deviation
    from the earlier bone where they are known.
    """
    named = {"gap_mm": maps.gap_mm, "step_mm": maps.step_mm, "thickness_mm": maps.thickness_mm}
    if known.uncertainty is not None:
        named["uncertainty_mm"] = known.uncertainty.at(arrays_of(mesh)[0], maps.inner)
    if known.earlier is not None:
        named["from_reference_mm"] = _out_of(known.earlier, arrays_of(mesh)[0], maps.outer)
    return named


def _out_of(
    depth: sitk.Image, points_mm: NDArray[np.floating], some: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return how far some of the points (p, 3; LPS mm) stand out of what a depth is within (p,),
    mm; not a number for the others, and beyond the image.
    """
    to_index = np.linalg.inv(index_to_lps_mm(depth))
    index = points_mm @ to_index[:3, :3].T + to_index[:3, 3]
    there = some & np.all((index >= 0) & (index <= np.array(depth.GetSize()) - 1), axis=1)
    found = np.full(len(points_mm), np.nan, np.float32)
    found[there] = -values_at(array_of(depth), list(index[there].T[::-1]))
    return found


def crop_like(image: sitk.Image, region: sitk.Image) -> sitk.Image:
    """Return the part of `image` on the grid of `region`, a box of its own."""
    start = image.TransformPhysicalPointToIndex(region.GetOrigin())
    return sitk.RegionOfInterest(image, region.GetSize(), start)
