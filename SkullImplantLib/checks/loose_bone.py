"""Does the implant lie where something hard is that was not taken for the skull?"""

import numpy as np
import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.images import array_of, voxel_volume_mm3
from ..core.interpolation import values_at
from ..implant.lattice import places_of
from .check import Check, judged
from .check_options import CheckOptions
from .plate_surface import PlateSurface, solid_lattice

LATTICE_MM = 0.5


def loose_bone_check(
    mesh: vtkPolyData, plate: PlateSurface, loose: sitk.Image, options: CheckOptions
) -> Check:
    """The volume of the implant that holds loose bone, hardware and the like.

    loose: uint8, what is as hard as bone and no part of the skull; LPS, any grid.
    """
    low = plate.points_mm.min(axis=0) - LATTICE_MM
    high = plate.points_mm.max(axis=0) + LATTICE_MM
    places = places_of(loose, np.argwhere(array_of(loose) > 0))
    places = places[np.all((places > low) & (places < high), axis=1)]
    place, volume_mm3 = None, 0.0
    if len(places):
        solid = solid_lattice(mesh, low, high, LATTICE_MM)
        within = values_at(solid.values, list(solid.index(places).T[::-1])) > 0.5
        volume_mm3 = float(np.count_nonzero(within)) * voxel_volume_mm3(loose)
        place = places[within].mean(axis=0) if within.any() else None
    return judged(
        "loose bone",
        volume_mm3,
        "mm³",
        "<=",
        options.loose_mm3,
        f"{volume_mm3:.0f} mm³ of the implant lie where the input has loose bone, hardware or the "
        "like. What stays in the head has to be part of the skull; what is taken out can be left "
        "out of it."
        if volume_mm3 > options.loose_mm3
        else "The implant lies in no loose bone or hardware.",
        "this project's: more than a few voxels of noise",
        place,
    )
