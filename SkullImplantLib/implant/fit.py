"""The implant: one field decides what goes in, keeps its clearance and can be made.

The completed skull is a depth, the bone a distance, both in mm and between the voxels. The implant
is where `min(depth, W_d - clearance) > 0`, with `W_d` the smallest distance to bone on the way out
along the direction of insertion (`insertion.py`): clearance and insertability hold by construction.
Before, the depth is bent until it is flush with the bone's tables at the rim (`flush.py`) and given
its thickness (`thickness.py`); afterwards, what is thinner than the least wall is taken away
(`walls.py`). Mask and mesh are made from the field, never the other way round.

Lattices are boxes along the axes of the input's grid, with voxels of equal sides.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import distance_mm
from ..core.images import array_of, bounding_box, crop, image_like, resample
from ..core.progress import Progress, part, silent
from ..errors import SkullImplantError
from ..options import Direction, ImplantOptions
from .bevel import beveled
from .bone_distance import BoneDistance, bone_distance, rough_distance
from .bone_surface import BoneSurface
from .flush import made_flush
from .insertion import WayIn, best_way_in, given_way_in, sample_of, way_out_mm
from .lattice import lattice_over, places_of, to_index, values_on
from .openings import COARSE_MM, Drawn, Opening, find_openings
from .outward import head_middle_mm, mean_outward
from .pieces import without_flakes
from .thickness import with_thickness
from .walls import closed, one_solid, smoothed_along_the_rim, taken_away

Field = NDArray[np.float32]

FINE_MM = 0.5  # of the lattice on which the fit is decided
# The surface of the fit lies so far from bone beyond the clearance: what the interpolation on the
# lattice, and triangles instead of a smooth surface, may take of it.
SAFETY_MM = 0.04
# The lattice reaches so far around the implant; nothing farther out belongs to it.
MARGIN_MM = 2.0
# On its way it passes bone so far around at most that is looked at exactly.
PASSING_MM = 6.0
# Distances to bone are exact so far within and beyond the clearance: where the field is zero, and a
# little around for its slope.
EXACT_AROUND_MM = 0.75
# Where the field says so little less than nothing its surface may still be; beyond, it is outside.
BAND_MM = 1.0
# Pits, clefts and pores of the completion narrower than twice this are filled; bone has no such.
PIT_MM = 1.5
# The implant's outer surface, on the outer half of the sheet, is so thick for the way in.
HALF, OUTSIDE_MM = 0.5, 1.5
# A straight way in that loses more than this is told: a part of the hole would stay open.
MOST_LOST_SHARE = 0.05
MOST_BARED_MM = 1.0
# So much of the implant's face, taken away for being too thin, is told.
TOLD_AREA_CM2 = 0.3


@dataclass(frozen=True)
class Implant:
    """One implant.

    field: float32 on a lattice of `FINE_MM`, positive in the implant, 0 on its surface, mm.
    way_in: the direction along which it comes out, and what that cost. centre_mm: the middle of
    its hole (LPS). correction_mm: how far its surfaces were bent to be flush with the rim.
    notes: one-sentence warnings.
    """

    field: sitk.Image
    way_in: WayIn
    centre_mm: tuple[float, float, float]
    correction_mm: float
    notes: tuple[str, ...] = ()


def make_implants(
    depth: sitk.Image,
    surface: BoneSurface,
    hole: sitk.Image,
    head_centre_mm: NDArray[np.float64],
    options: ImplantOptions = ImplantOptions(),
    progress: Progress = silent,
    drawn: Drawn = Drawn(),
) -> tuple[tuple[Implant, ...], tuple[str, ...]]:
    """Return the implants that fill the holes of a skull, the largest first, and notes.

    depth: float32, mm, positive in the completed skull (`Completed.depth_mm`), any grid. surface:
    of the bone around the holes. hole: uint8 mask, the bone missing in them, on the grid of
    `surface.field`. head_centre_mm: a point (LPS) within the head, from which outwards is told.
    drawn: what implants are limited to, and holes that were asked for.
    Raises `SkullImplantError` where there is no hole, or nothing is left of an implant.
    """
    progress(0.0, "measuring the bone")
    far = rough_distance(surface, lattice_over(hole, COARSE_MM))
    progress(0.1, "looking for the holes")
    openings, notes = find_openings(depth, far, hole, options, drawn)
    implants = []
    for number, opening in enumerate(openings):
        low, high = (0.15 + 0.85 * (number + k) / len(openings) for k in (0, 1))
        implants.extend(
            _fitted(
                depth,
                surface,
                far,
                opening,
                head_centre_mm,
                options,
                part(progress, low, high),
            )
        )
    progress(1.0, "implant fitted")
    return tuple(implants), notes


def _fitted(
    depth: sitk.Image,
    surface: BoneSurface,
    far: BoneDistance,
    opening: Opening,
    head_centre_mm: NDArray[np.float64],
    options: ImplantOptions,
    progress: Progress,
) -> list[Implant]:
    """Return the implant for one hole, or its two where it is to be split."""
    clearance_mm = options.clearance_mm + SAFETY_MM
    near = _near_bone(surface, far, opening, clearance_mm)
    progress(0.15, "making it flush with the bone")
    fine = _lattice_around(opening, far, MARGIN_MM)
    sheet = made_flush(
        depth,
        _coarse_around(opening, far),
        fine,
        surface,
        opening.from_core(far.lattice),
        head_centre_mm,
    )
    limit = values_on(image_like(opening.limit, far.lattice), fine, outside=-BAND_MM)
    may = limit > -BAND_MM
    solid = closed(with_thickness(sheet, fine, options, may), FINE_MM, PIT_MM, may)
    base = np.minimum(solid, limit)
    outer = values_on(sheet.outer_share, fine, outside=0.0) > HALF
    at_outside = outer & (base > 0.0) & (base < OUTSIDE_MM)
    correction_mm = sheet.correction_mm
    del solid, may, limit, outer
    progress(0.45, "looking for the way in")
    core = opening.on(fine, far.lattice)
    search = _Search(base, at_outside, fine, (near, far), head_centre_mm, clearance_mm)
    implants = []
    sides = [None] if options.split_gap_mm is None else search.sides_mm()
    for number, side in enumerate(sides):
        progress(0.45 + 0.55 * number / len(sides), "leaving the clearance")
        own = core
        if side is not None:
            assert options.split_gap_mm is not None
            half = np.minimum(base, side - np.float32(options.split_gap_mm / 2.0))
            search, own = replace(search, base=half), core & (side > 0.0)
        way_in = search.way_in(options.insertion_direction)
        unsmooth = _room(search.base, fine, (near, far), way_in, clearance_mm)
        room = _smoothed(unsmooth, search.base, clearance_mm)
        field = np.minimum(search.base, room)
        if options.bevel_mm is not None:
            field = beveled(field, unsmooth, sheet, fine, options.bevel_mm)
        del unsmooth
        rough = field > 0.0
        field = one_solid(field, room, FINE_MM, options.least_wall_mm, own, sheet.across(fine))
        if not (field > 0.0).any():
            raise SkullImplantError(
                "No implant is left after clearance and cleaning; reduce the clearance or the "
                "least wall."
            )
        middle = places_of(fine, np.argwhere(field > 0.0)).mean(axis=0)
        implants.append(
            Implant(
                field=image_like(field, fine),
                way_in=way_in,
                centre_mm=(middle[0], middle[1], middle[2]),
                correction_mm=correction_mm,
                notes=(
                    *_notes_on(way_in, search if side is None else None),
                    *_notes_on_thin(rough, field, search, options.least_wall_mm),
                ),
            )
        )
    progress(1.0)
    return implants


def refitted(
    edited: sitk.Image,
    surface: BoneSurface,
    direction: tuple[float, float, float] | None,
    options: ImplantOptions,
    progress: Progress = silent,
) -> Implant:
    """Return an implant of a given shape, fitted by the same field: an edited one, for instance.

    edited: float32 depth within the shape, mm (`completion.sub_voxel`). surface: of the bone around
    it. direction: along which it shall come out (LPS); None for the best one. Its pieces, walls
    and tunnels stay what they are, but flakes that bone parts from a piece go.
    Raises `SkullImplantError` where nothing is left of it.
    """
    progress(0.0, "measuring the bone")
    clearance_mm = options.clearance_mm + SAFETY_MM
    far = rough_distance(surface, lattice_over(surface.field, COARSE_MM))
    fine = lattice_over(edited, FINE_MM)
    base = values_on(edited, fine, outside=-BAND_MM)
    around = np.full(base.shape, True)
    near = bone_distance(surface, surface.distance(), fine, _exact(clearance_mm), around)
    progress(0.4, "leaving the clearance")
    lies_free = (base > 0.0) & (near.values_mm > clearance_mm)
    free = places_of(fine, np.argwhere(lies_free))
    if len(free) == 0:
        raise SkullImplantError("Nothing of the edited implant lies free of bone; undo the edit.")
    sample = sample_of(free, near.values_mm[lies_free])
    normal = mean_outward(free, head_middle_mm(free, surface))
    if direction is None:
        way_in = best_way_in([near, far], sample, normal, clearance_mm)
    else:
        way_in = given_way_in([near, far], sample, normal, clearance_mm, direction)
    room = _smoothed(_room(base, fine, (near, far), way_in, clearance_mm), base, clearance_mm)
    field = without_flakes(np.minimum(base, room), base)
    if not (field > 0.0).any():
        raise SkullImplantError("Nothing of the edited implant lies free of bone; undo the edit.")
    centre = free.mean(axis=0)
    progress(1.0)
    return Implant(image_like(field, fine), way_in, (centre[0], centre[1], centre[2]), 0.0)


def mask_of(implants: tuple[Implant, ...], bone: sitk.Image) -> sitk.Image:
    """Return the implants as labels 1 to N (uint8) on the grid of `bone`: the voxels with their
    centre in one that are not of the bone (uint8 0/1), which has sharper corners as a mask.
    """
    labels = np.zeros(bone.GetSize()[::-1], np.uint8)
    free = array_of(bone) == 0
    for number, implant in enumerate(implants, 1):
        inside = array_of(resample(implant.field, bone, outside=-BAND_MM)) > 0.0
        labels[inside & free & (labels == 0)] = number
    return image_like(labels, bone)


def _lattice_around(opening: Opening, far: BoneDistance, margin_mm: float) -> sitk.Image:
    """Return the empty fine lattice around a hole's implant."""
    return lattice_over(crop(far.lattice, _box(opening, margin_mm)), FINE_MM)


def _coarse_around(opening: Opening, far: BoneDistance) -> sitk.Image:
    """Return the part of the coarse lattice around a hole's implant, and a step more."""
    return crop(far.lattice, _box(opening, MARGIN_MM + COARSE_MM))


def _box(opening: Opening, margin_mm: float) -> tuple[slice, ...]:
    return bounding_box(opening.field > -BAND_MM, math.ceil(margin_mm / COARSE_MM))


def _near_bone(
    surface: BoneSurface,
    far: BoneDistance,
    opening: Opening,
    clearance_mm: float,
) -> BoneDistance:
    """Return the distance to bone around a hole's implant, exact where it may touch or pass it."""
    lattice = _lattice_around(opening, far, PASSING_MM)
    reach = distance_mm(image_like(opening.field > -BAND_MM, far.lattice))
    where = values_on(image_like(reach, far.lattice), lattice, outside=PASSING_MM) < PASSING_MM
    # Made anew for each hole, the tree of its triangles takes no memory meanwhile.
    return bone_distance(surface, surface.distance(), lattice, _exact(clearance_mm), where)


def _exact(clearance_mm: float) -> tuple[float, float]:
    return clearance_mm - EXACT_AROUND_MM, clearance_mm + EXACT_AROUND_MM


@dataclass(frozen=True)
class _Search:
    """What is known where a way in is looked for: the implant (base, positive in it) and what of it
    lies at its outer surface, (z, y, x) on the fine lattice; the bone; a point within the head.
    """

    base: Field
    at_outside: NDArray[np.bool_]
    fine: sitk.Image
    bone: tuple[BoneDistance, ...]
    head_centre_mm: NDArray[np.float64]
    clearance_mm: float

    def way_in(self, direction: Direction | None = None) -> WayIn:
        """Return the way in that is asked for, or the best one, found with some points."""
        points, away, outside = self._free()
        sample = sample_of(points, away, outside, FINE_MM**3 / OUTSIDE_MM)
        normal = mean_outward(points, self.head_centre_mm)
        if direction is not None:
            return given_way_in(self.bone, sample, normal, self.clearance_mm, direction)
        return best_way_in(self.bone, sample, normal, self.clearance_mm)

    def sides_mm(self) -> tuple[Field, Field]:
        """Return how far (mm) each lattice point lies on one side, and on the other, of a cut
        through the middle, across the longer way.
        """
        points = self._free()[0]
        normal, middle = mean_outward(points, self.head_centre_mm), points.mean(axis=0)
        local = points - middle
        local -= (local @ normal)[:, None] * normal
        along = np.linalg.eigh(local.T @ local)[1][:, -1]
        start = to_index(self.fine, middle[None])[0][::-1]
        steps = along @ np.reshape(self.fine.GetDirection(), (3, 3)) * FINE_MM
        side = np.zeros(self.base.shape, np.float32)
        for axis, n in enumerate(self.base.shape):
            gone = (np.arange(n) - start[axis]) * steps[2 - axis]
            side += gone.reshape([-1 if k == axis else 1 for k in range(3)]).astype(np.float32)
        return side, -side

    def in_two(self) -> float:
        """Return the share that would be lost if each half had a way in of its own."""
        halves = [replace(self, base=np.minimum(self.base, side)) for side in self.sides_mm()]
        return float(np.mean([half.way_in().lost_share for half in halves]))

    def _free(self) -> tuple[NDArray[np.float64], Field, NDArray[np.bool_]]:
        """Return the implant's points (n, 3) that have their clearance, how far from bone they are,
        and which of them lie at its outer surface.
        """
        index = np.argwhere(self.base > 0.0)
        points = places_of(self.fine, index)
        away = self.bone[0].at(points)
        free = away > self.clearance_mm
        if not free.any():
            raise SkullImplantError("No implant is left after the clearance; reduce it.")
        return points[free], away[free], self.at_outside[tuple(index[free].T)]


def _room(
    base: Field,
    fine: sitk.Image,
    bone: tuple[BoneDistance, ...],
    way_in: WayIn,
    clearance_mm: float,
) -> Field:
    """Return `W_d - clearance` (z, y, x) where the implant may be; elsewhere what is certainly no
    more than that.
    """
    looked_at = base > -BAND_MM
    room = np.full(base.shape, np.float32(-BAND_MM))
    points = places_of(fine, np.argwhere(looked_at))
    room[looked_at] = way_out_mm(bone, points, way_in.direction, clearance_mm - BAND_MM)
    room[looked_at] -= np.float32(clearance_mm)
    return room


def _smoothed(room: Field, base: Field, clearance_mm: float) -> Field:
    """Return the room smooth along the rim; near the border of what was looked at it is less."""
    return smoothed_along_the_rim(room, base > -BAND_MM, FINE_MM, clearance_mm - SAFETY_MM)


def _notes_on_thin(
    rough: NDArray[np.bool_], field: Field, search: _Search, least_wall_mm: float
) -> tuple[str, ...]:
    """Return what a person must know where the bone is too thin for a wall."""
    volume_mm3, middle = taken_away(rough, field > 0.0, search.at_outside, FINE_MM)
    area_cm2 = volume_mm3 / OUTSIDE_MM / 100.0
    if area_cm2 < TOLD_AREA_CM2:
        return ()
    x, y, z = places_of(search.fine, middle[None])[0]
    return (
        f"{area_cm2:.1f} cm² of the implant would be thinner than {least_wall_mm:g} mm and were "
        f"taken away, most of it near ({x:.0f}, {y:.0f}, {z:.0f}) mm (LPS); a smaller least wall "
        "keeps more.",
    )


def _notes_on(way_in: WayIn, whole: _Search | None) -> tuple[str, ...]:
    """Return what a person must know of a way in that costs much, and what would cost less."""
    told = []
    if way_in.bared_mm > MOST_BARED_MM:
        told.append(
            "Where bone overhangs its straight way in, the implant draws back from the outer rim "
            f"by up to {way_in.bared_mm:.1f} mm."
        )
    if way_in.lost_share > MOST_LOST_SHARE:
        note = (
            f"On its straight way in the bone overhangs: {100.0 * way_in.lost_share:.0f} % of the "
            "implant had to be taken away."
        )
        if whole is not None:
            note += (
                " In two pieces, each with a way in of its own, it would be "
                f"{100.0 * whole.in_two():.0f} %; a path with a turn may keep more as well."
            )
        told.append(note)
    return tuple(told)
