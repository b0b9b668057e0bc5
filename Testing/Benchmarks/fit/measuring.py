"""Measure one design from outside: its implants' STL files against the bone of its input."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from bone_facets import Grid, ct_surface, mask_surface
from facets import Facets, Floats, Mask, read_stl
from other_tools import tool_numbers
from rim_steps import rim_sites, rim_steps, step_numbers
from side_walls import Walls, gap_numbers, opposite, walls_of
from soundness import mesh_numbers, spur_numbers, wall_numbers
from truth_scores import truth_numbers
from way_out import CoarseDistance, best_direction, way_out

AROUND_MM = 14.0  # bone this far around an implant, and along its way out, is looked at
AHEAD_MM = 35.0
VAULT_MM, MIDDLE_MM = 100.0, 75.0  # of the head's top, for a place within the head


@dataclass(frozen=True)
class Bones:
    """What the bone of a case is: a CT with its threshold and masks, or masks alone."""

    defective: sitk.Image  # CT or mask
    complete: sitk.Image  # likewise, before the cut
    threshold_hu: float | None  # None: masks
    skull: sitk.Image  # filled mask of the defective input
    complete_skull: sitk.Image

    def surface(self, low_mm: Floats, high_mm: Floats, complete: bool = False) -> Facets:
        """The bone's surface within a box of LPS mm, with the hole or before it was cut."""
        image = self.complete if complete else self.defective
        if self.threshold_hu is None:
            return mask_surface(image, low_mm, high_mm)
        skull = self.complete_skull if complete else self.skull
        return ct_surface(image, self.threshold_hu, skull, low_mm, high_mm)

    def place_within_head(self) -> Floats:
        """The middle of the vault's bounding box, 75 mm under its top; axes are near LPS."""
        grid = Grid.of(self.skull)
        bone = np.argwhere(sitk.GetArrayViewFromImage(self.skull)[::3, ::3, ::3] != 0)
        places = grid.lps_mm(bone[:, ::-1] * 3.0)
        top = places[:, 2].max()
        vault = places[places[:, 2] > top - VAULT_MM]
        middle = (vault.min(0) + vault.max(0)) / 2
        return np.array([middle[0], middle[1], top - MIDDLE_MM])


def designed_implants(folder: Path, design: dict[str, Any]) -> list[tuple[Path, Floats | None]]:
    """The STL files of a design and the directions (LPS) along which they come out, if told."""
    told = design.get("implants")
    if not isinstance(told, list) or not told:
        return [(folder / "implant.stl", None)]
    found = []
    for each in told:
        direction = each.get("insertion_direction_lps")
        vector = None if direction is None else np.array(direction, float)
        found.append((folder / each["file"], vector))
    return found


def measure_design(
    folder: Path, bones: Bones, truth: sitk.Image, clearance_mm: float, slicing: bool = False
) -> list[dict[str, Any]]:
    """Measure the design in a folder: a row for each of its implants.

    `truth` is the mask of the true piece; `slicing`: with PrusaSlicer as well. Raises
    `OSError` and `ValueError` where a file is missing or is not what it should be.
    """
    design = json.loads((folder / "design.json").read_text(encoding="utf-8"))
    found = designed_implants(folder, design)
    implants = [read_stl(path) for path, _ in found]
    within = bones.place_within_head()
    walls = [walls_of(implant, within, np.random.default_rng(0)) for implant in implants]
    ways = [each if each is not None else wall.mean_sheet for wall, (_, each) in zip(walls, found)]
    bone = CoarseDistance(bones.surface(*box_of(implants, ways)))
    complete = bones.surface(*box_of(implants), complete=True)
    rows = []
    for number, (implant, wall, (path, direction)) in enumerate(zip(implants, walls, found)):
        start = time.process_time()
        row = {"implant": number + 1, "file": path.name, "implants": len(found)}
        row |= measure_implant(implant, wall, bone, complete, direction)
        if number == 0:
            row |= truth_numbers(implants, truth, bone, clearance_mm)
        row |= tool_numbers(path, implant, slicing)
        rows.append(row | costs(design) | {"measured_in_s": time.process_time() - start})
    return rows


def measure_implant(
    implant: Facets,
    walls: Walls,
    coarse: CoarseDistance,
    complete: Facets,
    direction: Floats | None,
) -> dict[str, Any]:
    """All numbers of one implant's mesh but those that compare it with the truth; mm, mm², mm³.

    `coarse` knows the bone with the hole, `complete` is the bone before it was cut.
    """
    bone, outward = coarse.bone, walls.mean_sheet
    told = direction is not None
    if direction is None:
        direction = best_direction(implant, coarse, outward)
    direction = direction / np.linalg.norm(direction)
    off_deg = np.degrees(np.arccos(np.clip(direction @ outward, -1, 1)))
    facing, distances = opposite(walls, bone)
    way = way_out(implant, coarse, direction)
    return {
        "direction_lps": [round(float(part), 5) for part in direction],
        "direction_told": told,
        "direction_off_normal_deg": float(off_deg),
        **gap_numbers(distances),
        "side_wall_mm2": float(walls.sides.sum() / walls.a_mm2),
        "facing_mm2": float(facing.sum() / walls.a_mm2),
        "interference_mm3": way.interference_mm3,
        "contact_mm3": way.contact_mm3,
        "interference_depth": way.interference_depth_mm,
        "blocked_mm3": way.blocked_mm3,
        "least_on_way": way.least_mm,
        **_steps(walls, facing, implant, bone, complete),
        **wall_numbers(implant, walls),
        **mesh_numbers(implant),
        **spur_numbers(implant),
    }


def costs(design: dict[str, Any]) -> dict[str, float]:
    """Seconds, of the whole and of the fit, and peak memory as `design.json` tells them."""
    stages = design.get("stages") or []
    fitting = ("implant", "fit", "surface", "checks")
    return {
        "design_s": sum(stage["seconds"] for stage in stages),
        "fit_s": sum(stage["seconds"] for stage in stages if stage["name"] in fitting),
        "peak_gib": max((stage["peak_memory_gib"] or 0 for stage in stages), default=0.0),
    }


def _steps(
    walls: Walls, facing: Mask, implant: Facets, bone: Facets, complete: Facets
) -> dict[str, float]:
    sites = rim_sites(walls, facing, bone)
    steps, true_steps = rim_steps(sites, implant, complete, bone)
    return step_numbers(steps, "step") | step_numbers(true_steps, "true_step")


def box_of(implants: Sequence[Facets], ways: Sequence[Floats] = ()) -> tuple[Floats, Floats]:
    """The box of LPS mm around implants and, where told, their ways out."""
    places = np.concatenate([implant.points for implant in implants])
    ends = [places.min(0), places.max(0)]
    for way in ways:
        ends += [end + AHEAD_MM * way / np.linalg.norm(way) for end in ends[:2]]
    return np.min(ends, axis=0) - AROUND_MM, np.max(ends, axis=0) + AROUND_MM
