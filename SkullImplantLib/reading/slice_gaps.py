"""How far apart the slices of a CT are between which a place in it lies."""

from itertools import product

import numpy as np
import SimpleITK as sitk

from ..core.images import array_of, bounding_box
from .input import Input


def widest_gap_mm(source: Input, region: sitk.Image) -> float:
    """Return the widest gap between neighbouring slices that the region reaches into, mm.

    region: a mask (0/1) on any grid; not empty. A gap is as wide as voxels are at least; it is
    wider where slices were missing or lay unevenly (`Input.gaps_mm`).
    """
    image = source.image
    widest = max(image.GetSpacing())
    if not source.gaps_mm:
        return float(widest)
    box = bounding_box(array_of(region), (0, 0, 0))
    corners = product(*((part.start, part.stop - 1) for part in box[::-1]))
    places = [
        image.TransformPhysicalPointToContinuousIndex(region.TransformIndexToPhysicalPoint(corner))
        for corner in corners
    ]
    along = np.clip([place[2] for place in places], 0, len(source.gaps_mm) - 1)
    first, last = int(np.floor(along.min())), int(np.ceil(along.max()))
    return float(max(widest, *source.gaps_mm[first : last + 1]))
