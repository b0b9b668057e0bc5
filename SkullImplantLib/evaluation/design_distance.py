"""How far two designs for one head lie apart, measured between their meshes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..checks.plate_surface import PlateSurface, plate_surface, solid_lattice
from ..core.progress import Progress, part, silent
from ..core.result_names import stl_names
from ..core.stages import StageReport
from ..designing.stored_result import read_account
from ..errors import SkullImplantError
from ..export.stl import read_stl
from ..implant.mesh_distance import MeshDistance
from ..implant.meshes import arrays_of
from ..implant.surface import together
from .design_table import Row, design_table

Floats = NDArray[np.floating]

# Both solids are laid on one lattice for their Dice: a step at which a plate of 2 mm is four thick,
# or a coarser one where there would be more places.
LATTICE_MM, MOST_PLACES = 0.5, 20_000_000
# An implant comes out away from the head, so that the head's inside lies so far the other way.
INTO_HEAD_MM = 80.0
# Designs of one head overlap, or lie beside one another in it; not farther than a head is long.
ONE_HEAD_MM = 300.0


@dataclass(frozen=True)
class Apart:
    """How two designs differ in space; lengths in mm.

    dice: of the solids. surface95_mm: 95 % of both surfaces, all faces, are nearer to the other.
    The rest is between the outer faces, which the patient sees and feels: both ways, pooled.
    """

    dice: float
    surface95_mm: float
    outer_mean_mm: float
    outer95_mm: float
    outer_most_mm: float

    def as_json(self) -> dict[str, float]:
        """Return the numbers by name."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Comparison:
    """Designs side by side, and how far each lies from the first."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    apart: tuple[Apart, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return table, distances and notes."""
        return {
            "designs": list(self.names),
            "rows": [row.as_json() for row in self.rows],
            "apart": [apart.as_json() for apart in self.apart],
            "notes": list(self.notes),
        }


def compare_folders(folders: Sequence[Path], report: StageReport) -> Comparison:
    """Compare the designs in result folders, the first with each of the others.

    Raises `SkullImplantError` where a folder holds no whole design, or two are of other heads.
    """
    told, plates = [], []
    for number, folder in enumerate(folders):
        report("reading", number / len(folders), folder.name)
        one = read_account(folder)
        if not {"checks", "implant", "parameters", "model"} <= set(one):
            raise SkullImplantError(
                f"{folder} holds no whole design.json; give a folder that a design was written to."
            )
        names = stl_names(len(one.get("implants", [])) or 1)
        meshes = [read_stl(folder / name) for name in names]
        told.append(one)
        plates.append((meshes, _within_head(one, meshes)))
    report("reading", 1.0, "")
    apart = []
    for number, other in enumerate(plates[1:]):
        start, end = number / (len(plates) - 1), (number + 1) / (len(plates) - 1)
        apart.append(designs_apart(plates[0], other, part(_stage(report), start, end)))
    inputs = {one.get("input", {}).get("sha256") for one in told} - {None}
    notes = ("They were made from different inputs.",) if len(inputs) > 1 else ()
    return Comparison(
        tuple(str(folder) for folder in folders),
        tuple(design_table(told)),
        tuple(apart),
        notes,
    )


def _stage(report: StageReport) -> Progress:
    return lambda fraction, message="": report("comparison", fraction, message)


Plates = tuple[Sequence[vtkPolyData], Sequence[Floats]]


def designs_apart(one: Plates, other: Plates, progress: Progress = silent) -> Apart:
    """Return how far two designs lie apart, each its meshes (LPS mm) and for each of these a place
    (3,) within the head under it.

    Raises `SkullImplantError` where they are not of one head.
    """
    meshes = [together(tuple(design[0])) for design in (one, other)]
    _require_one_head(meshes)
    surfaces = [
        [plate_surface(mesh, within) for mesh, within in zip(*design)] for design in (one, other)
    ]
    progress(0.3, "measuring between the surfaces")
    places, outer = [_places(plates) for plates in surfaces], [_outer(p) for p in surfaces]
    faces = [MeshDistance(*arrays_of(mesh)) for mesh in meshes]
    both = [faces[1].unsigned_mm(places[0]), faces[0].unsigned_mm(places[1])]
    progress(0.6, "measuring between the outer faces")
    outer_faces = [MeshDistance(*_outer_mesh(plates)) for plates in surfaces]
    seen = [outer_faces[1].unsigned_mm(outer[0]), outer_faces[0].unsigned_mm(outer[1])]
    off = np.concatenate(seen)
    progress(0.8, "laying one over the other")
    found = Apart(
        dice=_dice(meshes),
        surface95_mm=float(np.percentile(np.concatenate(both), 95)),
        outer_mean_mm=float(off.mean()),
        outer95_mm=float(np.percentile(off, 95)),
        outer_most_mm=float(off.max()),
    )
    progress(1.0, "compared")
    return found


def _require_one_head(meshes: Sequence[vtkPolyData]) -> None:
    bounds = np.array([mesh.GetBounds() for mesh in meshes]).reshape(len(meshes), 3, 2)
    if any(np.abs(a - b).max() > ONE_HEAD_MM for a, b in pairwise(bounds)):
        raise SkullImplantError(
            "The designs lie farther apart than a head is long; compare designs of one image."
        )


def _within_head(told: dict[str, Any], meshes: Sequence[vtkPolyData]) -> list[Floats]:
    """Return a place (3,) in the head under each implant: against its way out of the middle."""
    found = []
    for mesh, implant in zip(meshes, told.get("implants", [{}])):
        if "insertion_direction_lps" not in implant:
            raise SkullImplantError(
                "A design of the first version does not tell its way in; update it, then compare."
            )
        bounds = np.reshape(mesh.GetBounds(), (3, 2))
        found.append(
            bounds.mean(axis=1) - INTO_HEAD_MM * np.asarray(implant["insertion_direction_lps"])
        )
    return found


def _places(plates: Sequence[PlateSurface]) -> Floats:
    return np.concatenate([plate.places_mm for plate in plates])


def _outer(plates: Sequence[PlateSurface]) -> Floats:
    return np.concatenate([plate.places_mm[plate.outer] for plate in plates])


def _outer_mesh(plates: Sequence[PlateSurface]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the outer faces of implants as one mesh: points (n, 3) and triangles (m, 3)."""
    points, triangles, count = [], [], 0
    for plate in plates:
        points.append(plate.points_mm)
        triangles.append(plate.triangles[plate.outer_facets] + count)
        count += len(plate.points_mm)
    return np.concatenate(points), np.concatenate(triangles)


def _dice(meshes: Sequence[vtkPolyData]) -> float:
    bounds = np.array([mesh.GetBounds() for mesh in meshes]).reshape(len(meshes), 3, 2)
    low, high = bounds[:, :, 0].min(axis=0), bounds[:, :, 1].max(axis=0)
    spacing = max(LATTICE_MM, float((np.prod(high - low) / MOST_PLACES) ** (1.0 / 3.0)))
    one, other = (
        solid_lattice(mesh, low - spacing, high + spacing, spacing).values > 0.5 for mesh in meshes
    )
    return float(2.0 * (one & other).sum() / max(int(one.sum()) + int(other.sum()), 1))
