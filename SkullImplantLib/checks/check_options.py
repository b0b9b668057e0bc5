"""The limits of the checks. No standard sets them: they ask for a look where a design is not what
designs that were judged good are. Each check names its limit's source.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckOptions:
    """What was asked for, and the limits."""

    clearance_mm: float = 0.5
    """The gap that the design left on purpose."""
    least_wall_mm: float = 2.0
    """The wall that the design kept at least."""
    holes: int = 0
    """Holes through the implant that were asked for."""
    tighter_mm: float = 0.15
    """5 % of the rim may be nearer to bone than the clearance and this."""
    median_off_mm: float = 0.25
    wider_mm: float = 0.5
    """5 % of the rim may be farther from bone than the clearance and this."""
    overlap_mm3: float = 0.5
    loose_mm3: float = 20.0
    least_on_way_mm: float = -0.05
    most_on_way_mm: float = 5.0
    """Distances on the way in are told up to here."""
    outer_step_mm: float = 0.8
    inner_step_mm: float = 1.0
    outer_stretch_mm: float = 1.15
    inner_stretch_mm: float = 1.5
    """Steps along a stretch of the rim."""
    rim_thickness_mm: float = 2.0
    over_bone_percent: float = 6.0
    intrusion_mm: float = 3.5
    intruding_mm2: float = 300.0
    thin_wall_mm2: float = 5.0
    roughness_mm: float = 0.15
    symmetry_mm: float = 4.0
    closed_percent: float = 98.0
    thickness_difference_percent: float = 40.0
    area_cm2: tuple[float, float] = (5.0, 250.0)
    softest_hu_a_mm: float = 100.0
    soft_edge_percent: float = 20.0
