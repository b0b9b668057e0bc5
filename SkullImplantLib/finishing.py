"""The implants of a head, new or edited, meshed and checked against its bone."""

from dataclasses import dataclass

import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from .checks import CheckOptions, check_implant
from .core.distances import depth_mm
from .core.images import crop
from .core.progress import Progress, part
from .geometry.frame import Pose
from .implant import BoneSurface, Implant, bone_surface, drilled, holes_for, surface_of
from .options import DesignOptions
from .proposal import DesignedImplant
from .skull import Skull


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
    loose: what else is as hard as bone there (uint8), where it is known.
    """

    bone: BoneSurface
    skull: Skull
    filled: sitk.Image
    depth: sitk.Image | None = None
    pose: Pose | None = None
    loose: sitk.Image | None = None


def checked(
    implants: tuple[Implant, ...],
    meshes: tuple[vtkPolyData, ...],
    known: Known,
    options: DesignOptions,
    progress: Progress,
) -> tuple[DesignedImplant, ...]:
    """Return the implants with their checks, and with the holes that are asked for.

    Shape and fit are checked before the holes are cut, which are exact and known to be sound.
    """
    limits = CheckOptions(clearance_mm=options.clearance_mm, least_wall_mm=options.least_wall_mm)
    completed = depth_mm(known.filled) if known.depth is None else known.depth
    ct = None if known.skull.grey is None else crop_like(known.skull.grey, known.bone.field)
    return tuple(
        DesignedImplant(
            drilled(
                mesh,
                holes_for(implant.field, implant.way_in.direction, options.drill),
                implant.way_in.direction,
            ),
            check_implant(
                mesh,
                known.bone,
                limits,
                implant.way_in.direction,
                ct,
                completed,
                known.pose,
                known.skull.mask,
                known.loose,
                part(progress, number / len(implants), (number + 1) / len(implants)),
            ).checks,
            implant.way_in,
            implant.centre_mm,
            implant.correction_mm,
        )
        for number, (implant, mesh) in enumerate(zip(implants, meshes))
    )


def crop_like(image: sitk.Image, region: sitk.Image) -> sitk.Image:
    """Return the part of `image` on the grid of `region`, a box of its own."""
    start = image.TransformPhysicalPointToIndex(region.GetOrigin())
    return sitk.RegionOfInterest(image, region.GetSize(), start)
