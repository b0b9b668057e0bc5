"""The geometry of a stack of slices: their order, a gantry's tilt, and how even they lie.

Only numbers are looked at, whatever file they came from. Positions are LPS mm, of the centre of
each slice's first pixel; "along" is along the slices' normal, "across" within their planes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SkullImplantError

Floats = NDArray[np.float64]

# From an even grid, of any slice: positions are often rounded to 0.1 mm.
EVENNESS_TOLERANCE_MM = 0.1
# Or this share of the spacing where that is more.
EVENNESS_TOLERANCE = 0.05
# Slices closer than this lie in the same place.
SAME_PLACE_MM = 0.01
# Of slices against a straight stack, across: less than half a pixel is no shear.
SHEAR_TOLERANCE_PIXELS = 0.5
# What lies between two slices is guessed. Those of old protocols for the head are 5 mm apart, or
# 3 mm and one is missing; 6 mm is also the thickness of a vault, beyond which a table of bone may
# lie between two slices and be seen in neither.
MAX_GAP_MM = 6.0
# The thickest slices that the accuracy of designs was measured with (docs/reference/accuracy.md).
COARSE_GAP_MM = 3.0
# No scanner's gantry tilts by more than 30 degrees; beyond it the positions are wrong.
MAX_TILT_DEGREES = 35.0
# The finest steps of an uneven stack give its even one; some few are chance.
FINE_STEPS = 0.1
# No more slices than so many times those there are are made of them.
MOST_MADE = 4


@dataclass(frozen=True)
class Stacking:
    """How slices in ascending order along their normal become one even, upright stack.

    spacing_mm: between its slices, of which there are `count`. at: for each of them the place in
    the order of the slices there are; 2.5 is half-way between the third and the fourth.
    across_mm: (slices, 2), how far each slice there is lies along its rows and columns from where
    the first does, none where they lie straight. steps_mm: (slices - 1,), from each slice there is
    to the next, along the normal. notes: what was done, a sentence each.
    """

    spacing_mm: float
    at: Floats
    across_mm: Floats
    steps_mm: Floats
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.at)

    @property
    def gaps_mm(self) -> Floats:
        """For each slice of the stack, (count,), how far apart those are that it was made of."""
        below = np.floor(self.at).astype(int)
        made = self.at > below
        gaps = np.full(self.count, self.spacing_mm)
        gaps[made] = self.steps_mm[below[made]]
        return gaps

    @property
    def resampled(self) -> bool:
        """Whether the slices do not simply lie on one another."""
        whole = len(self.at) == len(self.across_mm) and np.array_equal(
            self.at, np.arange(len(self.at))
        )
        return bool(self.across_mm.any()) or not whole


def stacked(
    positions_mm: Floats,
    axes: Floats,
    pixel_mm: tuple[float, float],
    tilt_degrees: float = 0.0,
    numbers: tuple[int, ...] | None = None,
) -> Stacking:
    """Return how slices at different places are stacked evenly.

    positions_mm: (slices, 3), ascending along the normal. axes: (3, 3), the directions of rows,
    columns and the normal. pixel_mm: along rows and columns. tilt_degrees: what the header says of
    the gantry. numbers: that the scanner gave the slices, where all have one.

    Raises `SkullImplantError` for gaps of more than `MAX_GAP_MM` in an uneven stack, for slices
    that are shifted otherwise than by a tilt, or by more than `MAX_TILT_DEGREES`, and where
    numbers contradict the places of an uneven stack.
    """
    away = positions_mm - positions_mm[0]
    along = away @ axes[2]
    across_mm, notes = _across(away @ axes[:2].T, along, pixel_mm)
    if not across_mm.any() and abs(tilt_degrees) > 0.5 and _is_upright(axes[2]):
        notes += (
            f"The DICOM header speaks of a gantry tilt of {tilt_degrees:.1f} degrees "
            "that its slice positions do not show; check the proportions of the skull.",
        )
    steps = np.diff(along)
    usual = float(np.median(steps))
    tolerance = max(EVENNESS_TOLERANCE_MM, EVENNESS_TOLERANCE * usual)
    even = np.linspace(0.0, along[-1], len(along))
    if np.abs(along - even).max() <= tolerance:
        spacing_mm = float(along[-1] / (len(along) - 1))
        return Stacking(spacing_mm, np.arange(len(along), dtype=float), across_mm, steps, notes)
    _check_order(numbers)
    if steps.max() > MAX_GAP_MM + tolerance:
        gap = int(steps.argmax())
        raise SkullImplantError(
            f"Between slices {gap + 1} and {gap + 2} of the CT series' {len(along)} there is a gap "
            f"of {steps[gap]:.1f} mm, and of more than {MAX_GAP_MM:g} mm nothing can be told of "
            "the bone in it; copy the whole series."
        )
    slots = _slots(steps, usual)
    missing = int(slots[-1]) + 1 - len(along)
    if missing and np.abs(along - slots * (along[-1] / slots[-1])).max() <= tolerance:
        # The slices that are there stay as they are; only the missing ones are made.
        at = np.interp(np.arange(slots[-1] + 1), slots, np.arange(len(along)))
        first = int(np.argmax(np.diff(slots) > 1))
        said = (
            f"{missing} slice(s) of the CT series are missing, the first after slice {first + 1} "
            f"of {len(along)}; they were interpolated"
        )
    else:
        spacing_mm = max(
            float(np.quantile(steps, FINE_STEPS)), along[-1] / (MOST_MADE * len(along))
        )
        count = int(np.rint(along[-1] / spacing_mm)) + 1
        at = np.interp(np.linspace(0.0, along[-1], count), along, np.arange(len(along)))
        said = (
            f"The slices of the CT series are unevenly spaced ({steps.min():.2f} to "
            f"{steps.max():.2f} mm); they were resampled to {along[-1] / (count - 1):.2f} mm"
        )
    coarse = f", and bone between slices {steps.max():.1f} mm apart is a guess: check it there"
    return Stacking(
        float(along[-1] / (len(at) - 1)),
        at,
        across_mm,
        steps,
        (*notes, said + (coarse if steps.max() > COARSE_GAP_MM else "") + "."),
    )


def _is_upright(normal: Floats) -> bool:
    """Say whether slices stand at right angles to the body's axis, as if without tilt."""
    return bool(abs(normal[2]) > np.cos(np.radians(0.5)))


def _across(
    across: Floats, along: Floats, pixel_mm: tuple[float, float]
) -> tuple[Floats, tuple[str, ...]]:
    """Return the shifts of the slices, freed from rounding, and what is to be said of them."""
    tolerance_mm = SHEAR_TOLERANCE_PIXELS * min(pixel_mm)
    straight = along[:, None] / along[-1] * across[-1]
    if np.linalg.norm(across - straight, axis=1).max() > tolerance_mm:
        raise SkullImplantError(
            "The slices of the CT series are shifted against one another (up to "
            f"{np.linalg.norm(across, axis=1).max():.1f} mm); use a series scanned in one go."
        )
    shift_mm = float(np.linalg.norm(across[-1]))
    if shift_mm <= tolerance_mm:
        return np.zeros_like(across), ()
    angle = float(np.degrees(np.arctan2(shift_mm, along[-1])))
    if angle > MAX_TILT_DEGREES:
        raise SkullImplantError(
            f"The slices of the CT series are sheared by {angle:.0f} degrees, more than any "
            "gantry tilts; export the series again from the scanner or archive."
        )
    return straight, (
        f"The CT was scanned with the gantry tilted by {angle:.1f} degrees; it was resampled to a "
        "rectangular grid.",
    )


def _check_order(numbers: tuple[int, ...] | None) -> None:
    """Raise where the numbers of an uneven stack's slices do not follow their places.

    A wrong position would otherwise pass for an uneven one.
    """
    if numbers is None or len(set(numbers)) < len(numbers):
        return
    steps = np.sign(np.diff(numbers))
    forward = 1 if steps.sum() >= 0 else -1
    if (steps != forward).any():
        odd = int(np.argmax(steps != forward))
        raise SkullImplantError(
            f"The slices of the CT series are unevenly spaced, and the positions of those numbered "
            f"{numbers[odd]} and {numbers[odd + 1]} contradict their numbers; export the series "
            "again from the scanner or archive."
        )


def _slots(steps: Floats, usual: float) -> Floats:
    """Return the place of each slice in a stack of that even spacing, the first's being 0."""
    return np.concatenate([[0.0], np.cumsum(np.maximum(np.rint(steps / usual), 1.0))])
