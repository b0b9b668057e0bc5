"""What of an implant lies in bone, and how near it comes to bone on its way in.

Points are (n, 3), LPS mm; a direction is the unit vector along which the implant comes out.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..implant.bone_distance import BoneDistance, bone_distance, rough_distance
from ..implant.insertion import WayIn, best_way_in, sample_of, way_out_mm
from ..implant.lattice import lattice_over, values_on
from .check import Check, judged, two_decimals
from .check_options import CheckOptions
from .near_bone import NearBone
from .plate_surface import PlateSurface, solid_lattice

Floats = NDArray[np.floating]

# Volumes are counted on a lattice this fine, or of so many places.
FINE_MM, MOST_PLACES = 0.25, 3_000_000
# Bone's triangles and its field, linear between voxels, are known alike to about this.
TOUCH_MM = 0.05
# The way in is looked at on this lattice around the implant, exact so near to bone, and beyond on a
# coarser one; beyond bone that is known there is none.
WAY_MM, EXACT_MM, AROUND_MM, FAR_MM = 0.6, 1.2, 4.0, 1.5
# So many points of the implant are moved.
MOVED = 15_000


def overlap_check(
    mesh: vtkPolyData, plate: PlateSurface, bone: NearBone, options: CheckOptions
) -> Check:
    """The volume of the implant that lies in bone."""
    points = np.concatenate([plate.points_mm, plate.places_mm])
    inside = points[bone.within(points)] if bone.there else points[:0]
    volume, deepest, place = 0.0, 0.0, None
    if len(inside):
        depth = bone.distance.unsigned_mm(inside)
        deepest, place = float(depth.max()), inside[int(np.argmax(depth))]
    if deepest > TOUCH_MM:
        volume = _volume_in_bone(mesh, bone, inside)
    sentence = "No part of the implant lies inside bone."
    if volume:
        told_mm = two_decimals(deepest)
        sentence = f"{volume:.1f} mm³ of the implant lie inside bone, up to {told_mm} mm deep."
    return judged(
        "overlap with bone",
        volume,
        "mm³",
        "<=",
        options.overlap_mm3,
        sentence,
        f"none may; what is less deep than {TOUCH_MM:g} mm, or smaller than a few places of the "
        "lattice it is counted on, is no finding",
        place,
    )


def _volume_in_bone(mesh: vtkPolyData, bone: NearBone, inside: Floats) -> float:
    """Return the volume, mm³, of mesh and bone in common around places that are in both."""
    low, high = inside.min(axis=0) - 1.0, inside.max(axis=0) + 1.0
    spacing = max(FINE_MM, float((np.prod(high - low) / MOST_PLACES) ** (1.0 / 3.0)))
    places = solid_lattice(mesh, low, high, spacing).places_mm
    return float(bone.within(places).sum()) * spacing**3


def bone_on_the_way(plate: PlateSurface, bone: NearBone) -> list[BoneDistance]:
    """Return the distance to bone around the implant, and on a coarser lattice farther away."""
    spacing = plate.inside.spacing_mm
    pad = int(np.ceil(AROUND_MM / spacing))
    solid = np.pad(plate.inside.values > 0.5, pad)
    near = sitk.GetImageFromArray(
        (ndimage.distance_transform_edt(~solid, spacing) <= AROUND_MM).astype(np.uint8)
    )
    near.SetSpacing([spacing] * 3)
    near.SetOrigin((plate.inside.origin_mm - pad * spacing).tolist())
    fine, coarse = lattice_over(near, WAY_MM), lattice_over(bone.surface.field, FAR_MM)
    where = values_on(near, fine, 0.0, sitk.sitkNearestNeighbor) > 0.0
    exact = (-EXACT_MM, EXACT_MM)
    return [
        bone_distance(bone.surface, bone.distance, fine, exact, where),
        rough_distance(bone.surface, coarse),
    ]


def found_way_in(
    plate: PlateSurface, bone: NearBone, ways: list[BoneDistance], clearance_mm: float
) -> WayIn:
    """Return the straight way on which an implant comes nearest to bone the least."""
    sample = sample_of(plate.places_mm, ways[0].at(plate.places_mm))
    # Half of the clearance, so that it is not lost to the lattice.
    return best_way_in(ways, sample, plate.normal, clearance_mm / 2.0)


def way_check(
    plate: PlateSurface, ways: list[BoneDistance], direction: Floats, options: CheckOptions
) -> Check:
    """The least distance to bone that any point of the implant meets on its straight way out."""
    places = plate.places_mm[:: 1 + len(plate.places_mm) // MOVED]
    least = way_out_mm(ways, places, direction, -EXACT_MM)
    worst = int(np.argmin(least))
    value = float(min(least[worst], options.most_on_way_mm))
    if value >= options.least_on_way_mm:
        sentence = (
            f"The implant goes in along a straight path; the nearest it comes to bone is "
            f"{two_decimals(value)} mm."
        )
    else:
        sentence = (
            f"On its straight path the implant meets bone, by up to {-value:.1f} mm; it does not "
            "go in that way."
        )
    return judged(
        "way in",
        value,
        "mm",
        ">=",
        options.least_on_way_mm,
        sentence,
        "no contact; distances on the way are known to 0.1 mm",
        places[worst],
    )
