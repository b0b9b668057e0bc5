"""The skull and the prior brought to the standard grid, as completion sees them.

Training and design share this file. Arrays are (z, y, x).
"""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of, bounding_box, fraction_on
from ..errors import SkullImplantError
from .prior import DEEPEST_MM, Prior

# Where the prior says nothing its depth is -`DEEPEST_MM`; a little is left to rounding.
NOWHERE_MM = DEEPEST_MM - 0.1
# The fine stage looks so far around the missing bone, and at the bone that is there so far.
AROUND_MM, CONTEXT_MM = 8.0, 16.0
# Beyond what the fine stage looks at, so that augmentation turns real bone into its view.
MARGIN_MM = 4.0


Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """One head on a box of the standard grid, as the networks see it; float32 (z, y, x).

    `skull`, `mirror`: the part of each voxel that bone fills, and that of the head turned over.
    `depth_mm`: how deep a voxel lies within the vault that the prior expects, hole filled; negative
    outside the bone, -`NOWHERE_MM` or less where it says nothing. `hole`: bool, in the directions
    in which bone is missing; `opposite_hole`: where it is missing in the mirror image, which then
    says nothing. `deviation_mm` (2, z, y, x): standard deviation of the prior's outer
    radius and thickness there. `low_mm`: of the first voxel in the standard frame, (z, y, x).
    """

    skull: Floats
    mirror: Floats
    depth_mm: Floats
    hole: Flags
    opposite_hole: Flags
    deviation_mm: Floats
    spacing_mm: float
    low_mm: tuple[float, float, float]

    @property
    def hole_depth_mm(self) -> Floats:
        """The depth within the bone expected in the hole; -`DEEPEST_MM` in other directions."""
        return np.where(self.hole, self.depth_mm, np.float32(-DEEPEST_MM))

    def from_hole_mm(self) -> NDArray[np.float64]:
        """Return each voxel's distance to the bone that the prior expects in the hole."""
        missing = self.hole & (self.depth_mm > 0.0)
        if not missing.any():
            return np.full(missing.shape, np.inf)
        return ndimage.distance_transform_edt(~missing) * self.spacing_mm


def view_of(
    skull: Floats,
    fields: tuple[Floats, Flags, Flags, Floats],
    spacing_mm: float,
    low_mm: tuple[float, float, float],
    box: tuple[slice, slice, slice] = (slice(None),) * 3,
) -> View:
    """Return the view of a box of the standard grid.

    `skull`: the bone's part of each voxel of the whole standard grid, whose first voxel lies at
    `low_mm` (z, y, x); its axis x runs across the mid-sagittal plane in its middle. `fields`: the
    prior's (`Prior.fields_on`) on the box.
    """
    depth_mm, hole, opposite_hole, deviation_mm = fields
    z, y, x = (low + (s.start or 0) * spacing_mm for low, s in zip(low_mm, box))
    return View(
        skull=np.ascontiguousarray(skull[box], np.float32),
        mirror=np.ascontiguousarray(skull[..., ::-1][box], np.float32),
        depth_mm=depth_mm,
        hole=hole,
        opposite_hole=opposite_hole,
        deviation_mm=deviation_mm,
        spacing_mm=spacing_mm,
        low_mm=(z, y, x),
    )


def head_view(skull: sitk.Image, prior: Prior, grid: sitk.Image) -> View:
    """Return the view of the whole `grid`, the prior's standard one, for the auto-encoder."""
    z, y, x = grid.GetSize()[::-1]
    return _view(skull, prior, grid, (slice(0, z), slice(0, y), slice(0, x)))


def defect_view(
    skull: sitk.Image, prior: Prior, grid: sitk.Image
) -> tuple[View, tuple[slice, slice, slice]]:
    """Return the view of the box of the standard `grid` around the hole, and the box (z, y, x).

    Raises `SkullImplantError` where the prior expects no bone in a hole.
    """
    missing = array_of(prior.hole_on(grid)) > 0
    if not missing.any():
        raise SkullImplantError("The geometric prior expects no bone in the hole; check the skull.")
    margin = math.ceil((CONTEXT_MM + MARGIN_MM) / grid.GetSpacing()[0])
    z, y, x = bounding_box(missing, margin)
    return _view(skull, prior, grid, (z, y, x)), (z, y, x)


def _view(
    skull: sitk.Image, prior: Prior, grid: sitk.Image, box: tuple[slice, slice, slice]
) -> View:
    z, y, x = box
    spacing_mm = float(grid.GetSpacing()[0])
    first_mm = prior.pose.to_standard(np.array(grid.GetOrigin()))
    return view_of(
        array_of(fraction_on(skull, grid)),
        prior.fields_on(grid[x, y, z]),
        spacing_mm,
        (float(first_mm[2]), float(first_mm[1]), float(first_mm[0])),
        (z, y, x),
    )
