"""Where in the image the hole lies: after the prior everything works in its box."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

from ..core.images import array_of, bounding_box, crop, image_like, index_to_lps_mm
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
        return box_around(self.mask, reach_mm)


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
    tight = bounding_box(array_of(mask))
    z, y, x = (
        slice(
            max(outer.start + inner.start - math.ceil(reach_mm / s), 0),
            min(outer.start + inner.stop + math.ceil(reach_mm / s), n),
        )
        for outer, inner, s, n in zip(
            near, tight, skull.GetSpacing()[::-1], skull.GetSize()[::-1], strict=True
        )
    )
    return Hole((z, y, x), _pasted(mask, near, crop(skull, (z, y, x)), (z, y, x)))


def box_around(mask: sitk.Image, reach_mm: float) -> Box:
    """Return the box (z, y, x) around a mask's voxels and `reach_mm` more each way."""
    z, y, x = (math.ceil(reach_mm / s) for s in mask.GetSpacing()[::-1])
    z_slice, y_slice, x_slice = bounding_box(array_of(mask), (z, y, x))
    return z_slice, y_slice, x_slice


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


def _pasted(mask: sitk.Image, place: Box, region: sitk.Image, box: Box) -> sitk.Image:
    """Return `mask`, which lies in `place` of a grid, on the `region` in `box` of that grid."""
    values = np.zeros(region.GetSize()[::-1], np.uint8)
    common = [(max(p.start, b.start), min(p.stop, b.stop)) for p, b in zip(place, box, strict=True)]
    there = tuple(slice(a - b.start, e - b.start) for (a, e), b in zip(common, box, strict=True))
    here = tuple(slice(a - p.start, e - p.start) for (a, e), p in zip(common, place, strict=True))
    values[there] = array_of(mask)[here]
    return image_like(values, region)
