"""A bevel along the outer edge of the rim, so that no sharp edge is felt where bone was milled.

The edge is cut at 45 degrees: what lies nearer to the wall and to the outer surface than the bevel
is wide, both together, goes. Edges with no bone beside them have no wall and keep their shape.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .flush import Sheet
from .thickness import below_outer_mm

Field = NDArray[np.float32]


def beveled(field: Field, room: Field, sheet: Sheet, lattice: sitk.Image, bevel_mm: float) -> Field:
    """Return the implant's field (z, y, x), mm, with its outer edge cut by `bevel_mm`.

    room: how far bone is beyond the clearance, on the way in as well. sheet: the one on `lattice`
    whose outer surface is meant.
    """
    spacing_mm = float(lattice.GetSpacing()[0])
    beside_wall = (field > -spacing_mm) & (room < bevel_mm)
    below = below_outer_mm(sheet, lattice, beside_wall, bevel_mm)
    cut = (room + below - np.float32(bevel_mm)) / np.float32(np.sqrt(2.0))
    return np.where(beside_wall, np.minimum(field, cut), field)
