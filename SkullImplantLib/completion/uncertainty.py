"""How unsure the completed surface is, place by place.

By the deviation of the prior's posterior, and by what is left of it where other bone was heard
(`brought.py`). How well that tells of errors is on the page `docs/concepts/confidence.md`.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, index_to_lps_mm
from ..core.interpolation import values_at
from ..geometry import radial
from ..geometry.prior import Prior
from ..geometry.shape_statistics import OUTER, THICKNESS
from .complete import Completed
from .trust import GEOMETRY, NETWORK

Floats = NDArray[np.floating]

TINY = 1e-6
# Where bone is known to the rim, its surface is seen to about this.
SEEN_MM = 0.2


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What is known of it: the prior, and the deviation (float32, mm, on a grid of its own) that is
    left where more was heard than the prior; None where nothing was.
    """

    prior: Prior
    left_mm: sitk.Image | None = None

    def at(self, points_mm: Floats, inner: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the standard deviation of the surface, mm (n,), at points (n, 3; LPS mm) of it.

        inner (n,): which of them lie on the inner face, of which the thickness is unsure, too.
        """
        pose = self.prior.pose
        rows, columns, _ = radial.to_map((points_mm - pose.centre_mm) @ pose.rotation)
        own, thickness = (
            radial.look_up(self.prior.deviation_mm[layer], rows, columns)
            for layer in (OUTER, THICKNESS)
        )
        surface = own
        if self.left_mm is not None:
            to_index = np.linalg.inv(index_to_lps_mm(self.left_mm))
            index = points_mm @ to_index[:3, :3].T + to_index[:3, 3]
            size = np.array(self.left_mm.GetSize())
            within = np.all((index >= 0) & (index <= size - 1), axis=1)
            left = values_at(array_of(self.left_mm), list(index.T[::-1]))
            surface = np.where(within, left, own)
        # What was heard tells of the inner surface as of the outer.
        share = np.clip(surface / np.maximum(own, TINY), 0.0, 1.0)
        variance = SEEN_MM**2 + surface**2 + np.where(inner, (share * thickness) ** 2, 0.0)
        return np.sqrt(variance).astype(np.float32)


def uncertainty_of(prior: Prior, completed: Completed) -> Uncertainty | None:
    """Return how unsure a completed surface is; None where nobody knows, as of a skull turned over
    or of a reference.
    """
    if completed.source not in (GEOMETRY, NETWORK):
        return None
    return Uncertainty(prior, completed.deviation_mm)
