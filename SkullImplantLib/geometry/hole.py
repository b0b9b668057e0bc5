"""Where in the image the hole lies: after the prior everything works in its box."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

from ..core.images import array_of, bounding_box, crop, index_to_lps_mm, resample
from ..errors import SkullImplantError
from .frame import standard_grid
from .prior import Prior

# The hole is looked for on this grid first; the walls of a shell thinner than it slip through by
# less than the slack.
SEARCH_MM, SLACK_MM = 1.5, 4.0

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Hole:
    """The bone that the prior misses, on a box of the skull's grid.

    box: slices (z, y, x) of that grid. mask: uint8 0/1, the predicted bone in the directions where
    bone is missing, on the box.
    """

    box: Box
    mask: sitk.Image

    def within(self, reach_mm: float) -> Box:
        """Return the part of `mask`, slices (z, y, x), that reaches so far around its bone."""
        margin = [math.ceil(reach_mm / s) for s in self.mask.GetSpacing()[::-1]]
        z, y, x = bounding_box(array_of(self.mask), (margin[0], margin[1], margin[2]))
        return z, y, x

    def around(self, skull: sitk.Image, reach_mm: float) -> Box:
        """Return the box of the skull's grid that reaches so far around the hole's bone."""
        z, y, x = (
            slice(
                max(box.start + part.start - math.ceil(reach_mm / s), 0),
                min(box.start + part.stop + math.ceil(reach_mm / s), n),
            )
            for box, part, s, n in zip(
                self.box, self.within(0.0), skull.GetSpacing()[::-1], skull.GetSize()[::-1]
            )
        )
        return z, y, x

    def on(self, region: sitk.Image) -> sitk.Image:
        """Return the mask on a region of the skull's grid."""
        return resample(self.mask, region, sitk.sitkNearestNeighbor)


def find_hole(skull: sitk.Image, prior: Prior, reach_mm: float) -> Hole:
    """Return the prior's hole on the grid of `skull`, in the box `reach_mm` around it.

    Raises `SkullImplantError` where no bone is missing within the image.
    """
    grid = standard_grid(prior.pose, SEARCH_MM)
    missing = array_of(prior.hole_on(grid)) > 0
    if not missing.any():
        raise SkullImplantError("The geometric prior expects no bone in the hole; check the skull.")
    near = _box_on(skull, grid, bounding_box(missing, math.ceil(SLACK_MM / SEARCH_MM)))
    mask = prior.hole_on(crop(skull, near))
    if not array_of(mask).any():
        raise SkullImplantError("The hole lies outside the image; take a CT that shows all of it.")
    found = Hole(near, mask)
    box = found.around(skull, reach_mm)
    return Hole(box, found.on(crop(skull, box)))


def _box_on(skull: sitk.Image, grid: sitk.Image, box: tuple[slice, ...]) -> Box:
    """Return the box of `skull`'s grid that holds a box of another grid, as far as it reaches.

    Raises `SkullImplantError` where the two have nothing in common.
    """
    z, y, x = ((part.start - 0.5, part.stop - 0.5) for part in box)
    corners = np.array([(*corner, 1.0) for corner in product(x, y, z)])
    to_index = np.linalg.inv(index_to_lps_mm(skull)) @ index_to_lps_mm(grid)
    index = (corners @ to_index.T)[:, :3]
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, skull.GetSize())
    if (low >= high).any():
        raise SkullImplantError("The hole lies outside the image; take a CT that shows all of it.")
    z_slice, y_slice, x_slice = (slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))
    return z_slice, y_slice, x_slice
