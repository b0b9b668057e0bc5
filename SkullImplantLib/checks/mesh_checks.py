"""Checks of the mesh itself: one piece, closed, turned outward, without tunnels, not through
itself; and of the implant's size and thickness as a whole.
"""

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..implant.meshes import DEGENERATE_HEIGHT_MM, MM2_PER_CM2, facet_heights, mesh_health
from .check import Check, judged
from .check_options import CheckOptions
from .inscribed_balls import InscribedBalls
from .plate_surface import PlateSurface
from .self_intersection import intersecting_facets

Floats = NDArray[np.floating]

# Of things that a mesh should have none of, in a sentence.
NONE = "No"
PRINTABLE = "what a printer's software asks of a solid"


def mesh_checks(mesh: vtkPolyData, plate: PlateSurface, options: CheckOptions) -> tuple[Check, ...]:
    """Pieces, faults, tunnels and self-intersections."""
    health = mesh_health(mesh)
    faults = (
        health.open_edges
        + health.non_manifold_edges
        + health.non_manifold_points
        + health.inconsistent_edges
        + health.degenerate
        + (0 if health.outward or health.inconsistent_edges else 1)
    )
    closed = health.open_edges + health.non_manifold_edges == 0
    passing = intersecting_facets(plate.points_mm, plate.triangles)
    tunnels = max(health.genus, 0)
    return (
        judged(
            "pieces",
            health.pieces,
            "",
            "=",
            1,
            "The mesh has one piece."
            if health.pieces == 1
            else f"The mesh has {health.pieces} pieces.",
            PRINTABLE,
            kind="mesh",
        ),
        judged(
            "mesh faults",
            faults,
            "",
            "=",
            0,
            f"{faults or NONE} edges, points or facets of the mesh are open, double, turned or "
            "degenerate.",
            PRINTABLE,
            _place_of_fault(plate) if faults else None,
            kind="mesh",
        ),
        judged(
            "tunnels",
            tunnels if closed else 0,
            "",
            "=",
            options.holes,
            f"{tunnels or NONE} holes lead through the implant ({options.holes} were asked for)."
            if options.holes
            else f"{tunnels or NONE} holes lead through the implant.",
            "the holes that were asked for, and no other",
            kind="mesh",
        ),
        judged(
            "self-intersections",
            len(passing),
            "",
            "=",
            0,
            f"{len(passing) or NONE} facets of the mesh pass through others.",
            PRINTABLE,
            plate.points_mm[plate.triangles[passing[0]]].mean(axis=0) if len(passing) else None,
            kind="mesh",
        ),
    )


def _place_of_fault(plate: PlateSurface) -> Floats | None:
    """Return the middle of an edge that is not shared by two facets turned alike, or of a facet
    without height.
    """
    triangles, points = plate.triangles, plate.points_mm
    starts, ends = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    count = len(points)
    forward = starts * np.int64(count) + ends
    backward = ends * np.int64(count) + starts
    alone = np.flatnonzero(~np.isin(forward, backward))
    if len(alone):
        return np.asarray((points[starts[alone[0]]] + points[ends[alone[0]]]) / 2.0)
    low = np.flatnonzero(facet_heights(points, triangles) < DEGENERATE_HEIGHT_MM)
    return np.asarray(points[triangles[low[0]]].mean(axis=0)) if len(low) else None


def size_checks(
    plate: PlateSurface, balls: InscribedBalls, bone_mm: float, options: CheckOptions
) -> tuple[Check, ...]:
    """The area, and the thickness beside that of the bone around it, `bone_mm`."""
    area_cm2 = plate.mm2 * float(plate.outer.sum()) / MM2_PER_CM2
    area = judged(
        "area",
        area_cm2,
        "cm²",
        "between",
        options.area_cm2,
        f"The implant covers {area_cm2:.0f} cm².",
        "from a burr hole's to a third of a vault's; defects in the clinic have 58 to 120 cm²",
        kind="shape",
    )
    if not np.isfinite(bone_mm) or not plate.outer.any():
        return (area,)
    own_mm = 2.0 * float(np.median(balls.radius_mm[plate.outer]))
    difference = 100.0 * abs(own_mm - bone_mm) / bone_mm
    thickness = judged(
        "thickness difference",
        difference,
        "%",
        "<=",
        options.thickness_difference_percent,
        f"Half of the implant is less than {own_mm:.1f} mm thick, half of the bone around it less "
        f"than {bone_mm:.1f} mm.",
        "volumes of 0.70 to 1.44 times the true ones were seen (expert review of 100 designs, "
        "2026); beyond is no fit",
        kind="shape",
    )
    return thickness, area
