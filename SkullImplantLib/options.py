"""What a person can choose, without the code that obeys, so that help comes at once."""

import math
from dataclasses import dataclass

from .errors import SkullImplantError
from .models import DEFAULT_MODEL

DEVICES = ("auto", "cpu", "cuda")
ENGINES = ("torch", "minkowski")
# What makes a smooth shape of the completion: its own depth field, or, from its voxels, the
# rearrangement of Li et al. 2021.
FIELD, REARRANGEMENT = SMOOTHERS = ("field", "rearrangement")
# The kinds of artificial defects; `random` is the first of SkullBreak's two random kinds.
# Parts of a data set; all are both.
COHORT_PARTS = ("train", "test", "all")
DEFECT_KINDS = ("bilateral", "frontoorbital", "parietotemporal", "random", "random_1", "random_2")

# Published clearances are 0.3 to 1 mm; beyond this it is a mistyped number.
MOST_CLEARANCE_MM = 5.0
# Wider, a hole is no perforation; nearer to one another or to the rim it leaves no wall.
HOLE_MM, PITCH_MM, FROM_RIM_MM, MOST_SUTURE_HOLES = (0.5, 10.0), (5.0, 100.0), (2.0, 50.0), 200
# The thickest vault has 15 mm, and thinner than this nothing holds a screw or is printed well.
THICKNESS_MM = (1.0, 20.0)
LEAST_WALL_MM = (0.5, 6.0)
SPLIT_GAP_MM = (0.0, 10.0)
REFINE_MM = (0.2, 4.0)  # finer than any CT, and so coarse that bone is lost
BEVEL_MM = (0.5, 3.0)  # less is lost in the rounding of edges; more leaves no wall

Direction = tuple[float, float, float]
# A hole by its number, the largest is 1, or by a place near its middle (LPS, mm).
HoleChoice = int | tuple[float, float, float]


@dataclass(frozen=True)
class ImplantOptions:
    """How the implant is fitted.

    clearance_mm: gap left between implant and bone, in place and on the way in.
    thickness_mm: of the whole implant; None is that of the bone that is missing.
    least_wall_mm: nothing of the implant is thinner; its edges are rounded by half of it.
    insertion_direction: along which the implant comes out (x, y, z; LPS), of any length; None is
        the direction on which least is lost.
    holes: the holes that get an implant; none given are all of 4 cm² and more.
    split_gap_mm: each implant comes in two pieces with this gap between them; None for one piece.
    bevel_mm: the outer edge beside bone is cut off at 45 degrees by so much; None leaves it.
    """

    clearance_mm: float = 0.5
    thickness_mm: float | None = None
    least_wall_mm: float = 2.0
    insertion_direction: Direction | None = None
    holes: tuple[HoleChoice, ...] = ()
    split_gap_mm: float | None = None
    bevel_mm: float | None = None


@dataclass(frozen=True)
class DrillOptions:
    """Holes through the implant along its way in; `implant/drilling.py` says where they lie.

    perforation_mm: diameter of the perforations, None for none. perforation_pitch_mm: from middle
    to middle. suture_holes: how many along the rim. Both have a least distance from the rim.
    """

    perforation_mm: float | None = None
    perforation_pitch_mm: float = 15.0
    perforation_from_rim_mm: float = 8.0
    suture_holes: int = 0
    suture_hole_mm: float = 2.0
    suture_from_rim_mm: float = 5.0

    @property
    def any(self) -> bool:
        """Whether holes are asked for."""
        return bool(self.perforation_mm or self.suture_holes)


@dataclass(frozen=True)
class DesignOptions:
    """What a design depends on beside its input; see `ImplantOptions` and `DrillOptions`.

    leave_out_metal: metal on the vault counts as removed.
    refine_mm: the skull comes to voxels of this side first, by super-resolution, and the result's
        masks with it; None leaves it on the input's grid.
    """

    bone_threshold_hu: float | None = None
    leave_out_metal: bool = False
    refine_mm: float | None = None
    clearance_mm: float = ImplantOptions.clearance_mm
    thickness_mm: float | None = None
    least_wall_mm: float = ImplantOptions.least_wall_mm
    insertion_direction: Direction | None = None
    holes: tuple[HoleChoice, ...] = ()
    split_gap_mm: float | None = None
    bevel_mm: float | None = None
    drill: DrillOptions = DrillOptions()
    smoother: str = SMOOTHERS[0]
    model: str = DEFAULT_MODEL
    device: str = "auto"
    engine: str = "torch"

    @property
    def implant(self) -> ImplantOptions:
        """How the implant is fitted."""
        return ImplantOptions(
            clearance_mm=self.clearance_mm,
            thickness_mm=self.thickness_mm,
            least_wall_mm=self.least_wall_mm,
            insertion_direction=self.insertion_direction,
            holes=self.holes,
            split_gap_mm=self.split_gap_mm,
            bevel_mm=self.bevel_mm,
        )


def check_options(options: DesignOptions) -> None:
    """Raise `SkullImplantError` for a length that can only be a mistyped number, for a direction
    that is none, and for a device, an engine or a smoother that there is not.
    """
    for name, value, (least, most) in (
        ("clearance between implant and bone", options.clearance_mm, (0.0, MOST_CLEARANCE_MM)),
        ("thickness", options.thickness_mm, THICKNESS_MM),
        ("gap between two pieces", options.split_gap_mm, SPLIT_GAP_MM),
        ("bevel", options.bevel_mm, BEVEL_MM),
        ("least wall", options.least_wall_mm, LEAST_WALL_MM),
        ("refined voxel", options.refine_mm, REFINE_MM),
    ):
        if value is None and name not in ("clearance between implant and bone", "least wall"):
            continue
        if value is None or not _is_number(value) or not least <= value <= most:
            told = f"{value:g}" if isinstance(value, (int, float)) else repr(value)
            raise SkullImplantError(
                f"A {name} of {told} mm makes no implant; give {least:g} to {most:g} mm."
            )
    if options.thickness_mm is not None and options.thickness_mm < options.least_wall_mm:
        raise SkullImplantError(
            f"A thickness of {options.thickness_mm:g} mm is under the least wall of "
            f"{options.least_wall_mm:g} mm; give a thicker implant or a smaller least wall."
        )
    _check_drill(options.drill)
    direction = options.insertion_direction
    if direction is not None and not (_is_place(direction) and any(direction)):
        raise SkullImplantError(
            "The direction of insertion is none; give three numbers X,Y,Z (LPS), such as 0,-1,0 "
            "for an implant that comes out forwards."
        )
    for hole in options.holes:
        if not (isinstance(hole, int) or _is_place(hole)):
            raise SkullImplantError(
                "A hole is chosen by its number (1 is the largest) or by a place X,Y,Z (LPS, mm)."
            )
    for name, chosen, allowed in (
        ("device", options.device, DEVICES),
        ("engine", options.engine, ENGINES),
        ("smoother", options.smoother, SMOOTHERS),
    ):
        if chosen not in allowed:
            raise SkullImplantError(
                f"There is no {name} '{chosen}'; use one of {', '.join(allowed)}."
            )


def _check_drill(drill: DrillOptions) -> None:
    """Raise `SkullImplantError` for holes that can only be mistyped."""
    for name, value, (least, most) in (
        ("diameter of perforations", drill.perforation_mm, HOLE_MM),
        ("distance between perforations", drill.perforation_pitch_mm, PITCH_MM),
        ("distance of perforations from the rim", drill.perforation_from_rim_mm, FROM_RIM_MM),
        ("diameter of suture holes", drill.suture_hole_mm, HOLE_MM),
        ("distance of suture holes from the rim", drill.suture_from_rim_mm, FROM_RIM_MM),
    ):
        if value is not None and not (_is_number(value) and least <= value <= most):
            raise SkullImplantError(f"A {name} of {value} mm is none; give {least:g} to {most:g}.")
    if not 0 <= drill.suture_holes <= MOST_SUTURE_HOLES:
        raise SkullImplantError(
            f"{drill.suture_holes} suture holes are none; give 0 to {MOST_SUTURE_HOLES}."
        )
    if drill.perforation_mm and drill.perforation_pitch_mm < 2.0 * drill.perforation_mm:
        raise SkullImplantError(
            "Perforations so near to one another leave no implant; put their middles at least two "
            "diameters apart."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _is_place(values: object) -> bool:
    return isinstance(values, (tuple, list)) and len(values) == 3 and all(map(_is_number, values))
