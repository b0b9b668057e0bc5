"""The skull and the prior brought to the standard grid, as the completion networks see them.

Training and design share this file. Arrays are (z, y, x).
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from .errors import SkullImplantError
from .images import array_of, bounding_box, fraction_on
from .networks.inputs import CONTEXT_MM, View, view_of

if TYPE_CHECKING:
    from .prior import Prior

# Beyond what the fine stage looks at, so that augmentation turns real bone into its view.
MARGIN_MM = 4.0


def head_view(skull: sitk.Image, prior: "Prior", grid: sitk.Image) -> View:
    """Return the view of the whole `grid`, the prior's standard one, for the auto-encoder."""
    z, y, x = grid.GetSize()[::-1]
    return _view(skull, prior, grid, (slice(0, z), slice(0, y), slice(0, x)))


def defect_view(
    skull: sitk.Image, prior: "Prior", grid: sitk.Image
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
    skull: sitk.Image, prior: "Prior", grid: sitk.Image, box: tuple[slice, slice, slice]
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
