"""Whether slices whose stored values are scaled differently go on in one another."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import SkullImplantError

# Neighbours differ by noise and by what ends between them; where another scale begins they differ
# by so many times more, and by more than noise does.
JUMP, JUMP_HU = 4.0, 150.0
# Every so many pixels are enough to tell.
STRIDE = 4


def check_rescales(array: NDArray[np.generic], rescales: list[tuple[float, float]]) -> None:
    """Raise `SkullImplantError` where a slice's values leap as its slope and intercept change.

    array: HU (z, y, x). Each slice may have its own scale, as PET-CT and iterative reconstructions
    write it; in a damaged or edited header it is another than its pixels were stored by.
    """
    changes = [z for z in range(1, len(rescales)) if rescales[z] != rescales[z - 1]]
    if not changes:
        return
    few = array[:, ::STRIDE, ::STRIDE]
    apart = np.array([np.abs(np.subtract(b, a, dtype=float)).mean() for a, b in pairwise(few)])
    usual = float(np.median(apart))
    worst = max(changes, key=lambda z: float(apart[z - 1]))
    if apart[worst - 1] > max(JUMP * usual, JUMP_HU):
        raise SkullImplantError(
            f"Between slices {worst} and {worst + 1} of the CT series the values leap by "
            f"{apart[worst - 1]:.0f} HU, where rescale slope or intercept change; export the "
            "series again from the scanner or archive."
        )
