"""All checks of one implant, measured on its mesh against the surface of the bone.

The criteria are those by which surgeons judged designed implants (whole defect closed, not on
intact bone, margin flush, contour, nothing into the head, thickness like the neighbours', one clean
piece), those of fit (gap, no contact, a way in), and those of the printer. A check that fails asks
for a look; it forbids nothing.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.progress import Progress, silent
from ..geometry.frame import Pose
from ..implant.bone_surface import BoneSurface
from ..implant.meshes import arrays_of
from ..implant.outward import head_middle_mm
from .check import Check
from .check_options import CheckOptions
from .contour import roughness_check, symmetry_check
from .coverage import closed_check
from .cut_edge import doubt_of, edge_check
from .inscribed_balls import inscribed_balls, wall_checks
from .interference import bone_on_the_way, found_way_in, overlap_check, way_check
from .intrusion import intrusion_checks
from .loose_bone import loose_bone_check
from .mesh_checks import mesh_checks, size_checks
from .near_bone import near_bone
from .over_bone import bone_thickness_mm, over_bone_check
from .plate_surface import plate_surface
from .rim_checks import rim_checks
from .rim_gap import gap_checks, rim_gap
from .rim_profile import rim_profile
from .surface_maps import Measured

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class CheckedImplant:
    """The checks of an implant, and the unit vector (LPS) along which it comes out: the one given,
    or the best found; None where there is no bone near it. measured: what they were measured on.
    """

    checks: tuple[Check, ...]
    direction: NDArray[np.float64] | None
    measured: Measured


def check_implant(
    mesh: vtkPolyData,
    bone: BoneSurface,
    options: CheckOptions = CheckOptions(),
    direction: Floats | None = None,
    ct: sitk.Image | None = None,
    completed: sitk.Image | None = None,
    pose: Pose | None = None,
    skull: sitk.Image | None = None,
    loose: sitk.Image | None = None,
    progress: Progress = silent,
) -> CheckedImplant:
    """Return the checks of one implant and its way in.

    mesh: triangles, LPS mm, as exported. bone: what is around it, 24 mm and more. direction: unit
    vector (3,), LPS, along which it comes out; None lets the best be looked for. ct: on the grid of
    `bone.field`, HU, for the quality of the cut edge. completed: float32 depth in the completed
    skull, mm, positive in it, on any grid, for coverage and intrusion. pose with skull (uint8 mask
    of all of it): for the symmetry. loose: uint8 mask of what else is as hard as bone. What is None
    leaves its checks out.
    Raises `ValueError` where the mesh has no area.
    """
    within_head = head_middle_mm(arrays_of(mesh)[0], bone) if pose is None else pose.centre_mm
    plate = plate_surface(mesh, within_head)
    with ThreadPoolExecutor(1) as beside:
        # Of the mesh alone, while the others look at the bone.
        sound = beside.submit(mesh_checks, mesh, plate, options)
        near = near_bone(bone, plate.inside)
        progress(0.1, "rim")
        rim = rim_gap(plate, near)
        edge = None if ct is None else edge_check(rim, ct, options)
        found: list[Check | None] = [*gap_checks(plate, rim, options, doubt_of(edge)), edge]
        progress(0.2, "interference")
        found.append(overlap_check(mesh, plate, near, options))
        if loose is not None:
            found.append(loose_bone_check(mesh, plate, loose, options))
        if near.there:
            ways = bone_on_the_way(plate, near)
            if direction is None:
                direction = found_way_in(plate, near, ways, options.clearance_mm).direction
            found.append(way_check(plate, ways, np.asarray(direction, float), options))
        progress(0.4, "rim")
        profile = rim_profile(plate, near, rim)
        found += rim_checks(profile, near, options)
        bone_mm = bone_thickness_mm(plate, near)
        found.append(over_bone_check(plate, near, bone_mm, options))
        found += intrusion_checks(plate, profile, completed, options)
        progress(0.6, "wall")
        balls = inscribed_balls(plate)
        found += wall_checks(balls, options)
        progress(0.75, "contour")
        found.append(roughness_check(plate, near, options))
        if pose is not None and skull is not None:
            found.append(symmetry_check(plate, near, skull, pose, options))
        if completed is not None:
            found.append(closed_check(mesh, plate, near, completed, options))
        found += size_checks(plate, balls, bone_mm, options)
        progress(0.9, "mesh")
        found += sound.result()
    progress(1.0)
    way = None if direction is None else np.asarray(direction, np.float64)
    checks = tuple(check for check in found if check is not None)
    return CheckedImplant(checks, way, Measured(plate, near, rim, profile))
