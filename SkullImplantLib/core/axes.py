"""What the axes of an image are called: three letters, each of where a voxel axis goes to.

L, P and S are the patient's left, back and top, R, A and I the other ways; LPS is an image whose
first axis goes to the left, the second to the back and the third to the top, as DICOM has it.
"""

from itertools import permutations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import SkullImplantError

WAYS = ("LR", "PA", "SI")  # along x, y and z of LPS: the way of growing numbers, and the other
CODE_LETTERS = 3


def checked_code(text: str) -> str:
    """Return a code in capitals; raises `SkullImplantError` where it names no three axes."""
    code = text.strip().upper()
    if len(code) != CODE_LETTERS or any(sum(c in way for c in code) != 1 for way in WAYS):
        raise SkullImplantError(
            f"'{text[:12]}' names no three axes; give one letter each of L or R, P or A, and S or "
            "I, such as RAS: where the first, second and third axis of the image go to."
        )
    return code


def code_of(directions: NDArray[np.float64]) -> str:
    """Return the code of directions, the columns of (3, 3) in LPS, by what they are nearest to."""
    share = np.abs(directions)
    best = max(
        permutations(range(3)), key=lambda to: sum(share[to[axis], axis] for axis in (0, 1, 2))
    )
    return "".join(WAYS[to][int(directions[to, axis] < 0)] for axis, to in enumerate(best))


def directions_of(code: str) -> NDArray[np.float64]:
    """Return the directions in LPS that a code names, as columns (3, 3)."""
    columns = np.zeros((3, 3))
    for axis, letter in enumerate(code):
        along = next(k for k, way in enumerate(WAYS) if letter in way)
        columns[along, axis] = 1.0 if WAYS[along].index(letter) == 0 else -1.0
    return columns


def axes_of(image: sitk.Image) -> str:
    """Return the code of an image's axes, obliquely as they may lie."""
    return code_of(np.reshape(image.GetDirection(), (3, 3)))


def rename_axes(image: sitk.Image, code: str) -> None:
    """Make the axes of `image` go where `code` says, in place; its middle stays where it is.

    An image that lies obliquely to what its axes were called lies so to what they are called now.
    """
    middle = (np.array(image.GetSize()) - 1) / 2
    place = np.array(image.TransformContinuousIndexToPhysicalPoint(middle.tolist()))
    old = np.reshape(image.GetDirection(), (3, 3))
    turn = directions_of(code) @ directions_of(code_of(old)).T
    image.SetDirection((turn @ old).ravel().tolist())
    image.SetOrigin((place - turn @ old @ (middle * np.array(image.GetSpacing()))).tolist())
