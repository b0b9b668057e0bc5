"""A reference of either kind laid onto the skull: what it shows decides how."""

from ..core.progress import Progress, silent
from ..geometry.hole import Hole
from ..geometry.prior import Prior
from ..reading.reference import Reference
from ..skull import Skull, rough_bone, shows_flap
from .earlier import Earlier
from .earlier_skull import find_earlier_skull
from .flap import find_earlier_flap


def find_earlier(
    reference: Reference, skull: Skull, prior: Prior, hole: Hole, progress: Progress = silent
) -> Earlier:
    """Return the reference in the space of the skull with the hole.

    Raises `SkullImplantError` where it is neither a skull nor a flap, or not this patient's.
    """
    if reference.shows == "auto":
        is_flap = shows_flap(rough_bone(reference.image, reference.kind))
    else:
        is_flap = reference.shows == "flap"
    find = find_earlier_flap if is_flap else find_earlier_skull
    return find(reference, skull, prior, hole, progress)
