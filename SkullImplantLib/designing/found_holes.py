"""Every hole of a skull, before anything is fitted into one: where, how large, and what speaks
against an implant. On `design`'s own way, so that numbers and areas are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from .. import __version__
from ..core.grid import Grid
from ..core.images import array_of, crop, image_like, index_to_lps_mm, resample
from ..core.stages import StageReport, Stages, no_report
from ..core.working_axes import on_working_axes
from ..geometry.place_on_head import PlaceOnHead, place_on_head
from ..geometry.prior import NARROWEST_HOLE_MM, SMALLEST_HOLE_CM2, Prior, Unfilled, look_at_vault
from ..geometry.radial import FLOOR_RAD, PIXEL_RAD, to_map
from ..geometry.shape_statistics import Population, shipped_population
from ..implant import Opening, find_all_openings
from ..models import chosen_model
from ..options import REARRANGEMENT, DesignOptions, check_options
from ..reading import Input
from ..reading.curve import Curve
from ..reading.reference import Reference
from ..skull import LeftOut, Skull, metal_cm3
from .completed_head import Beside, SeenHead, choice_of, complete_head, see_head
from .finishing import surface_around
from .proposal import DISCLAIMER, DrawnFacts, InputFacts, LeftOutFacts, facts_of, plain

SCHEMA_VERSION = 1  # of `holes.json`; raised with every change that a reader could trip over
# A hole with directions so near to where maps end, or to what the image does not show, goes on
# there: two pixels of the map, and the completion's own margin.
AT_EDGE_PIXELS = 3
METAL_NEAR_MM = 3.0  # a plate's screws lie in the rim
# A region seen without the metal is another one than a hole that is open anyway, where no more of
# it than this is open.
OPEN_SHARE = 0.5


class Why(StrEnum):
    """What speaks against an implant in a hole, or is to be looked at."""

    SMALL = "small"
    LOW = "low"
    EDGE = "edge"
    METAL = "metal"
    METAL_NEAR = "metal-near"
    CUT_OFF = "cut-off"
    ASKED = "asked"
    LIMITED = "limited"


SENTENCES = {
    Why.SMALL: f"It has {SMALLEST_HOLE_CM2:g} cm² or less and gets no implant unless it is chosen.",
    Why.LOW: "It reaches down to the vault's lower end; below, in base or face, nothing is filled.",
    Why.EDGE: "It lies along the vault's lower edge and is taken for the head's own edge.",
    Why.METAL: "Metal covers it, which counts as bone; it is open once the metal is left out.",
    Why.METAL_NEAR: "Metal lies at its rim, whose streaks may blur the bone.",
    Why.CUT_OFF: "It reaches the edge of the image and is filled only as far as that goes.",
    Why.ASKED: "A curve to cut out was drawn here.",
    Why.LIMITED: "Only the part of it within the curve counts.",
}
# What is no hole to a design becomes one where somebody draws around it.
UNCHOSEN = {
    Why.SMALL: f"It has {SMALLEST_HOLE_CM2:g} cm² or less and gets no implant unless it is drawn "
    "around to be cut out.",
    Why.LOW: "Most of it lies below the vault, in base or face, and gets no implant.",
}


@dataclass(frozen=True)
class FoundHole:
    """One hole.

    number: 1 is the largest of those that a design can fill; the others follow. area_cm2: of the
    missing bone. centre_mm: a place in its middle (LPS). fillable: `design --hole` takes its number
    (and its place). by_default: a design fills it without being asked. why: what to know of it.
    """

    number: int
    area_cm2: float
    centre_mm: tuple[float, float, float]
    place: PlaceOnHead
    fillable: bool
    by_default: bool
    why: tuple[Why, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same as sentences."""
        words = SENTENCES if self.fillable else {**SENTENCES, **UNCHOSEN}
        return tuple(words[why] for why in self.why)

    def as_json(self) -> dict[str, Any]:
        """Return what `holes.json` says of it."""
        return {
            "number": self.number,
            "area_cm2": round(self.area_cm2, 1),
            "centre_mm_xyz": [round(along, 1) for along in self.centre_mm],
            "side": self.place.side,
            "part": self.place.part,
            "where": self.place.words,
            "fillable": self.fillable,
            "by_default": self.by_default,
            "why": [str(why) for why in self.why],
            "remarks": list(self.sentences),
        }


@dataclass(frozen=True)
class FoundHoles:
    """The skull of an input and its holes.

    grid: of the masks: the input's, or the one that it was refined to. skull_part: uint8 0/1 on a
    part of it, holes_part: uint8, the missing bone with its hole's number, on another; beyond is 0.
    """

    grid: Grid
    skull_part: sitk.Image
    holes_part: sitk.Image
    holes: tuple[FoundHole, ...]
    notes: tuple[str, ...]
    input: InputFacts
    options: DesignOptions
    bone_threshold_hu: float | None
    metal_cm3: float
    left_out: LeftOutFacts | None
    drawn: DrawnFacts
    stages: Stages = field(repr=False)

    @property
    def skull(self) -> sitk.Image:
        """The skull (uint8 0/1) on the whole grid."""
        return self.grid.holding(self.skull_part)

    @property
    def labels(self) -> sitk.Image:
        """The missing bone (uint8, a hole's number) on the whole grid."""
        return self.grid.holding(self.holes_part)

    def as_json(self) -> dict[str, Any]:
        """Return the contents of `holes.json` (`export/holes.schema.json`)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "disclaimer": DISCLAIMER,
            "version": __version__,
            "input": plain(self.input),
            "parameters": {
                "bone_threshold_hu": self.bone_threshold_hu,
                "leave_out_metal": self.options.leave_out_metal,
                "refine_mm": self.options.refine_mm,
                "clearance_mm": self.options.clearance_mm,
                "model": self.options.model,
                "smoother": self.options.smoother,
                "leave_out": None if self.left_out is None else plain(self.left_out),
                **self.drawn.as_json(),
            },
            "metal_cm3": round(self.metal_cm3, 1),
            "holes": [hole.as_json() for hole in self.holes],
            "notes": list(dict.fromkeys(self.notes)),
            "stages": self.stages.as_list(),
        }


def find_holes(
    source: Input,
    options: DesignOptions = DesignOptions(),
    report: StageReport = no_report,
    left_out: LeftOut | None = None,
    reference: Reference | None = None,
    population: Population | None = None,
    limit_to: Sequence[Curve] = (),
    cut_out: Sequence[Curve] = (),
) -> FoundHoles:
    """Return the skull of a CT or a mask, and every hole in its vault; takes what `design_implant`
    takes, and does what it does until a hole is to be filled.

    A skull without a hole is no error here. Raises `SkullImplantError` for anything that the user
    can mend, and whatever `report` raises.
    """
    check_options(options)
    options = replace(options, model=chosen_model(options.model))
    choice = choice_of(options)
    shapes = population or shipped_population()
    image, own = on_working_axes(source.image)
    beside = Beside(left_out, reference, tuple(limit_to), tuple(cut_out)).on_working_axes()
    stages = Stages(report)
    head = see_head(replace(source, image=image), own, options, beside, shapes, stages)
    openings: list[Opening] = []
    labels, holes = image_like(np.zeros((1, 1, 1), np.uint8), head.skull.mask[:1, :1, :1]), []
    notes: tuple[str, ...] = ()
    if head.prior.hole_area_cm2 > 0.0:
        whole = complete_head(head, choice, beside.reference, shapes.brows, stages)
        notes, hole = whole.completed.notes, whole.completed.hole
    with stages.stage("holes") as progress:
        if head.prior.hole_area_cm2 > 0.0:
            bone = surface_around(head.skull, hole.box)
            depth = whole.completed.depth_mm
            if options.smoother == REARRANGEMENT:
                depth = whole.completed.rearranged(bone.field)
            progress(0.4)
            openings, lattice = find_all_openings(
                depth, bone, hole.mask, options.implant, head.regions
            )
            labels = _labels(openings, lattice, crop(head.skull.mask, hole.box))
            holes = _told(openings, lattice, head)
        progress(0.7)
        others = [*_unfilled(head), *_under_metal(head.skull, head.prior, shapes, options)]
        for why, other in sorted(others, key=lambda pair: -pair[1].area_cm2):
            holes.append(_other(len(holes) + 1, why, other, head.prior))
    skull = own.hand_back(head.skull.mask)
    return FoundHoles(
        grid=Grid.of(skull if head.refined else source.image),
        skull_part=skull,
        holes_part=own.hand_back(labels),
        holes=tuple(holes),
        notes=(
            *head.doubts,
            *source.notes,
            *head.skull.notes,
            *head.prior.notes,
            *notes,
            *head.drawn.notes,
        ),
        input=facts_of(source.image, source.kind, source.description, source.sha256),
        options=options,
        bone_threshold_hu=head.skull.bone_threshold_hu,
        metal_cm3=metal_cm3(head.skull),
        left_out=head.left,
        drawn=head.drawn,
        stages=stages,
    )


def _labels(openings: Sequence[Opening], lattice: sitk.Image, bone: sitk.Image) -> sitk.Image:
    """Return the missing bone with the numbers of its holes (uint8) on the grid of `bone`."""
    numbers = np.zeros(lattice.GetSize()[::-1], np.uint8)
    for number, opening in enumerate(openings, 1):
        numbers[opening.missing & (numbers == 0)] = min(number, np.iinfo(np.uint8).max)
    labels = array_of(resample(image_like(numbers, lattice), bone, sitk.sitkNearestNeighbor))
    return image_like(labels * (array_of(bone) == 0), bone)


def _told(openings: Sequence[Opening], lattice: sitk.Image, head: SeenHead) -> list[FoundHole]:
    """Return what is to be told of the holes that a design can fill."""
    unseen = ndimage.binary_dilation(~head.prior.seen, iterations=AT_EDGE_PIXELS)
    metal = (
        None
        if head.skull.metal is None
        else sitk.SignedMaurerDistanceMap(
            resample(head.skull.metal, lattice, sitk.sitkNearestNeighbor), False, False, True
        )
    )
    frame = index_to_lps_mm(lattice)
    holes = []
    for number, opening in enumerate(openings, 1):
        index = np.argwhere(opening.core)  # the completion goes on beyond its rim
        places = head.pose.to_standard(index[:, ::-1] @ frame[:3, :3].T + frame[:3, 3])
        by_default = opening.by_default or number == 1
        why = [] if by_default else [Why.SMALL]
        if _polar(places).max() > FLOOR_RAD - AT_EDGE_PIXELS * PIXEL_RAD:
            why.append(Why.LOW)
        rows, columns, _ = to_map(places)
        if unseen[_pixels(rows, unseen), _pixels(columns, unseen)].any():
            why.append(Why.CUT_OFF)
        if metal is not None and array_of(metal)[opening.missing].min() < METAL_NEAR_MM:
            why.append(Why.METAL_NEAR)
        if opening.asked:
            why.append(Why.ASKED)
        if head.limit is not None and _is_limited(opening, lattice, head):
            why.append(Why.LIMITED)
        holes.append(
            FoundHole(
                number,
                opening.area_cm2,
                opening.centre_mm,
                place_on_head(places),
                True,
                by_default,
                tuple(why),
            )
        )
    return holes


def _is_limited(opening: Opening, lattice: sitk.Image, head: SeenHead) -> bool:
    """Say whether a hole goes on beyond the curve: it comes up to it within missing bone."""
    assert head.limit is not None
    within = head.limit.depth_on(lattice)[opening.core]
    return bool(within.min() < NARROWEST_HOLE_MM / 2)


def _polar(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arctan2(np.hypot(places[:, 0], places[:, 1]), places[:, 2])


def _pixels(along: NDArray[np.floating], map_: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.clip(np.rint(along).astype(int), 0, len(map_) - 1)


def _unfilled(head: SeenHead) -> list[tuple[Why, Unfilled]]:
    """Return the regions that a design takes for no hole, those within the limit."""
    found = []
    for other in head.prior.unfilled:
        rows, columns, _ = to_map(other.points_mm.mean(axis=0))
        inside = head.limit is None or head.limit.inside[int(rows), int(columns)]
        if inside:
            found.append((Why(other.why), other))
    return found


def _under_metal(
    skull: Skull, prior: Prior, shapes: Population, options: DesignOptions
) -> list[tuple[Why, Unfilled]]:
    """Return the holes that are there once metal on the vault does not count as bone."""
    if skull.metal is None or options.leave_out_metal:
        return []
    metal = resample(skull.metal, skull.mask, sitk.sitkNearestNeighbor)
    bare = sitk.And(skull.mask, metal == 0)
    vault = look_at_vault(bare, prior.pose, shapes)
    return [(Why.METAL, other) for other, share in vault.regions(prior.hole) if share <= OPEN_SHARE]


def _other(number: int, why: Why, other: Unfilled, prior: Prior) -> FoundHole:
    """Return what is to be told of a region that a design does not fill."""
    middle = other.points_mm.mean(axis=0)
    # The middle of a ring or of a bent strip lies beside it.
    nearest = other.points_mm[np.linalg.norm(other.points_mm - middle, axis=1).argmin()]
    x, y, z = prior.pose.to_patient(nearest)
    place = place_on_head(other.points_mm)
    return FoundHole(number, other.area_cm2, (x, y, z), place, False, False, (why,))
