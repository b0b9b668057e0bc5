"""Whether a head stands upright and looks forward, as everything after takes for granted.

The pose search (`pose.py`), spine and base (`skull/`) know up and front from the image's axes. A
head that faces backwards would get an implant all the same, with the shape of another place.
"""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from ..core.axes import code_of
from ..errors import Remedy, SkullImplantError
from .mean_skull import MeanSkull
from .orientation import MOST_TILT_DEG, Lie, Matrix, axis_rotations, find_lie, turn_deg

LEAST_SCORE = 0.2  # less like a skull, it is left to the stages after to say what is wrong
CLEARLY = 1.08  # by so much another rotation has to be the better one; of upright caps, to 1.05
LEAST_SHOWN = 0.55  # of the mean skull: less, a cap of vault, fits other ways nearly as well
TOLD_TILT_DEG = 35.0  # of a head turned by 43 degrees the Dice fell by 0.03
NEAR_AXES_DEG = 35.0  # farther from every naming of the axes, no other naming would help


_TOO_LITTLE = (
    "The image shows too little of base and face to tell surely whether the head stands upright "
    "and looks forward, as its axes say: check that."
)


def require_upright(
    bone: sitk.Image, mean: MeanSkull, direction: Sequence[float] | None = None
) -> tuple[str, ...]:
    """Return notes on how the head in a mask of bone (uint8 0/1) stands.

    direction: of the image that the user gave, where `bone` is that image on other axes; a sentence
    that names axes means that image's. Raises `SkullImplantError` where it does not stand upright
    and look forward by the image's axes, to within `MOST_TILT_DEG`.
    """
    lie = find_lie(bone, mean)
    cap = lie.score >= LEAST_SCORE and lie.shown < LEAST_SHOWN
    if is_upright(lie):
        if cap:
            return (_TOO_LITTLE,)
        return (_tilted(lie.tilt_deg),) if _is_told(lie) else ()
    if cap:
        raise SkullImplantError(
            "The vault seems not to stand upright and look forward, as the image's axes say, and "
            "too little of base and face is there to tell how it lies; find out what its axes are.",
            Remedy.SAY_ORIENTATION,
        )
    rotation = min(axis_rotations(), key=lambda axes: turn_deg(lie.rotation @ axes.T))
    off_deg = turn_deg(lie.rotation @ rotation.T)
    if off_deg > NEAR_AXES_DEG or turn_deg(rotation) < 1.0:
        raise SkullImplantError(
            f"The head seems to be turned by about {lie.tilt_deg:.0f} degrees against the image's "
            f"axes, and up to {MOST_TILT_DEG:.0f} are corrected; turn it upright, looking forward, "
            "and save it again."
        )
    given = np.reshape(bone.GetDirection() if direction is None else direction, (3, 3))
    said, true = code_of(given), rotation.T @ given
    mirrored = np.diag([-1.0, 1.0, 1.0]) @ true
    raise SkullImplantError(
        f"The head seems to {_seen(rotation)}: its axes look like {code_of(true)} or "
        f"{code_of(mirrored)} and not like {said}, as the image says (left and right cannot be "
        "told from bone, so find out which of the two it is).",
        Remedy.SAY_ORIENTATION,
    )


def is_upright(lie: Lie) -> bool:
    """Return whether nothing speaks clearly against a head that stands upright, looking forward."""
    return (
        lie.score < LEAST_SCORE
        or lie.tilt_deg <= MOST_TILT_DEG
        or lie.score < CLEARLY * lie.upright_score
    )


def _is_told(lie: Lie) -> bool:
    return lie.score >= LEAST_SCORE and TOLD_TILT_DEG < lie.tilt_deg <= MOST_TILT_DEG


def _tilted(tilt_deg: float) -> str:
    return (
        f"The head is turned by about {tilt_deg:.0f} degrees against the image's axes, and with "
        f"more than {TOLD_TILT_DEG:.0f} a design may be less exact: look twice, or turn it upright."
    )


def _seen(rotation: Matrix) -> str:
    """Return what a head does that is turned so, a rotation from axes to other axes."""
    top, face = rotation[:, 2], -rotation[:, 1]  # LPS of the patient's top and front
    if top[2] > 0.5:
        return "face backwards" if face[1] > 0.5 else "face to the side"
    if top[2] < -0.5:
        return "stand upside down"
    if abs(face[2]) < 0.5:
        return "lie on its side"
    return "lie on its back" if face[2] > 0.5 else "lie on its face"
