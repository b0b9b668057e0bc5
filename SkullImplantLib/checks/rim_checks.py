"""Checks of the rim: is it flush with the bone beside it, outside and inside, and as thick?"""

import numpy as np
from numpy.typing import NDArray

from .check import Check, judged, two_decimals
from .check_options import CheckOptions
from .near_bone import NearBone
from .rim_profile import RimProfile, worst_stretch

Floats = NDArray[np.floating]

FACES = ("outer", "inner")
WAYS = ("lies under", "stands out of")
STRETCH_MM, THICK_STRETCH_MM = 30.0, 10.0
# Where fewer sites than this can be measured there is no rim to judge.
LEAST_SITES = 8
# Values for an implant whose rim no bone is beside.
NOWHERE_MM = 10.0


def rim_checks(profile: RimProfile, bone: NearBone, options: CheckOptions) -> tuple[Check, ...]:
    """The steps at the outer and the inner rim, and the thickness beside the neighbours'."""
    checks: list[Check] = []
    for face, name in enumerate(FACES):
        checks += _step_checks(profile, face, name, bone, options)
    checks.append(_thickness_check(profile, options))
    return tuple(checks)


def _step_checks(
    profile: RimProfile, face: int, name: str, bone: NearBone, options: CheckOptions
) -> list[Check]:
    steps, own = profile.steps_mm[:, face], profile.bone_steps_mm[:, face]
    sizes = np.abs(steps[np.isfinite(steps)])
    if len(sizes) < LEAST_SITES:
        if face == 1:
            return []
        return [_no_rim(f"{name} step", options.outer_step_mm)]
    middle, high = np.percentile(sizes, [50.0, 95.0])
    order = np.argsort(np.where(np.isfinite(steps), np.abs(steps), -1.0))
    noise = _noise_mm(own, bone)
    base = options.outer_step_mm if face == 0 else options.inner_step_mm
    stretch, place = _worst_signed(steps, profile.places_mm)
    way = WAYS[int(stretch > 0)]
    source = (
        "a step of 1 mm can be felt (expert review of 100 designs, 2026); raised where the bone's "
        "own face, measured likewise, is as uneven"
    )
    return [
        judged(
            f"{name} step median",
            middle,
            "mm",
            "<=",
            base / 2.0 + noise[0],
            f"Along half of the rim the implant's {name} face is at most {two_decimals(middle)} mm "
            "off the bone's.",
            source,
            profile.places_mm[order[len(order) // 2]],
        ),
        judged(
            f"{name} step",
            high,
            "mm",
            "<=",
            base + noise[1],
            f"At 95 % of the rim the step to the bone's {name} face is at most "
            f"{two_decimals(high)} mm.",
            source,
            profile.places_mm[order[-1]],
        ),
        judged(
            f"{name} step along {STRETCH_MM:.0f} mm",
            abs(stretch),
            "mm",
            "<=",
            (options.outer_stretch_mm, options.inner_stretch_mm)[face] + noise[face],
            f"Along its worst {STRETCH_MM:.0f} mm the implant {way} the bone's {name} face by "
            f"{two_decimals(abs(stretch))} mm.",
            source,
            place,
        ),
    ]


def _no_rim(name: str, limit: float) -> Check:
    return judged(
        name, NOWHERE_MM, "mm", "<=", limit, "No bone lies beside the rim.", "a rim needs bone"
    )


def _noise_mm(own: Floats, bone: NearBone) -> tuple[float, float]:
    """Return the median and the 95 % of the bone's own steps; nothing where it cannot be seen."""
    sizes = np.abs(own[np.isfinite(own)])
    if len(sizes) < LEAST_SITES:
        return 0.25 * bone.spacing_mm, 0.5 * bone.spacing_mm
    middle, high = np.percentile(sizes, [50.0, 95.0])
    return float(middle), float(high)


def _worst_signed(values: Floats, places: Floats) -> tuple[float, Floats]:
    """Return the stretch on which the values' median is farthest from 0, with its sign."""
    up, at_up = worst_stretch(values, places, STRETCH_MM)
    down, at_down = worst_stretch(-values, places, STRETCH_MM)
    return (up, at_up) if up >= down else (-down, at_down)


def _thickness_check(profile: RimProfile, options: CheckOptions) -> Check:
    """Nowhere along the rim much thicker or thinner than the bone beside it."""
    name = "thickness at the rim"
    thicker = profile.thicker_mm
    if np.isfinite(thicker).sum() < LEAST_SITES:
        return judged(
            name,
            0.0,
            "mm",
            "<=",
            options.rim_thickness_mm,
            "The bone's thickness beside the rim could not be measured.",
            "",
        )
    own = profile.bone_thicker_mm
    own = np.abs(own[np.isfinite(own)])
    noise = float(np.percentile(own, 95.0)) if len(own) >= LEAST_SITES else 0.0
    value, place = worst_stretch(np.abs(thicker), profile.places_mm, THICK_STRETCH_MM)
    return judged(
        name,
        value,
        "mm",
        "<=",
        options.rim_thickness_mm + noise,
        f"Along its worst {THICK_STRETCH_MM:.0f} mm the rim is {value:.1f} mm thicker or thinner "
        "than the bone beside it.",
        "this project's: 2 mm, a third of a skull's thickness; raised where the bone itself "
        "changes as much",
        place,
    )
