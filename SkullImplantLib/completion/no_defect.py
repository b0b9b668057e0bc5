"""What to tell of a skull in whose vault nothing is missing."""

from ..errors import Remedy, SkullImplantError
from ..geometry.prior import SMALLEST_HOLE_CM2, Prior
from ..skull import Skull, metal_cm3
from ..skull.thresholds import METAL_HU


def no_defect(skull: Skull, prior: Prior) -> SkullImplantError:
    """Return what to tell of a skull, as it was found, in whose vault nothing is missing."""
    if volume_cm3 := metal_cm3(skull):
        return SkullImplantError(
            f"No open hole was found in the vault, but {volume_cm3:.1f} cm³ of metal (above "
            f"{METAL_HU:.0f} HU) lie on it, such as a plate or mesh over a hole.",
            Remedy.LEAVE_OUT_METAL,
        )
    sentence = "No defect was found in the vault"
    if prior.small_cm2:
        sentence += (
            f": its largest hole has {prior.small_cm2:.1f} cm², and one of "
            f"{SMALLEST_HOLE_CM2:g} cm² or less gets no implant"
        )
    # A mask has no threshold that could close a hole.
    remedy = None if skull.bone_threshold_hu is None else Remedy.OTHER_THRESHOLD
    return SkullImplantError(f"{sentence}; check that this skull has a hole to be filled.", remedy)
