"""Pieces of an implant's field: the one that is kept, flakes, voids.

A field is float32 (z, y, x), positive in the implant, in mm near its surface.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of

Field = NDArray[np.float32]

# Of another piece, or of a void filled, the field says at least this little.
LEAST = 0.05
NO_ZERO_MM = 1e-3


def main_piece(field: Field, core: NDArray[np.bool_]) -> Field:
    """Return the field of the face-connected piece that holds most of `core`, or is largest."""
    # A zero is inside for marching cubes, but for no mask.
    field = np.where(np.abs(field) < NO_ZERO_MM, np.float32(-NO_ZERO_MM), field)
    labels = array_of(sitk.ConnectedComponent(_as_mask(field > 0.0)))
    if labels.max() <= 1:
        return field
    sizes = np.bincount(labels[core], minlength=int(labels.max()) + 1)
    sizes[0] = 0
    if not sizes.any():
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
    others = (labels > 0) & (labels != sizes.argmax())
    return np.where(others, np.minimum(-np.abs(field), np.float32(-LEAST)), field)


def without_flakes(field: Field, before: Field) -> Field:
    """Return the field with the largest part of each piece of `before` that it was cut from."""
    parts = array_of(sitk.ConnectedComponent(_as_mask(field > 0.0))).astype(np.intp)
    count = int(parts.max())
    pieces = array_of(sitk.ConnectedComponent(_as_mask(before > 0.0))).astype(np.intp)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    piece_of = np.zeros(count + 1, np.intp)
    piece_of[parts.ravel()] = pieces.ravel()
    # The largest part of a piece is the last that is put down, in the order of sizes.
    order = np.argsort(sizes[1:], kind="stable") + 1
    largest = np.zeros(int(piece_of.max()) + 1, np.intp)
    largest[piece_of[order]] = order
    kept = np.zeros(count + 1, bool)
    kept[largest] = True
    kept[0] = False
    flakes = (parts > 0) & ~kept[parts]
    return np.where(flakes, np.minimum(-np.abs(field), np.float32(-LEAST)), field)


def without_cavities(field: Field) -> Field:
    """Return the field with enclosed voids filled: no printer reaches them."""
    inside = _as_mask(field > 0.0)
    # The surface parts what meets only at an edge or a corner.
    filled = array_of(sitk.BinaryFillhole(inside, fullyConnected=False)) > 0
    voids = filled & (field <= 0.0)
    return np.where(voids, np.float32(LEAST), field) if voids.any() else field


def _as_mask(flags: NDArray[np.bool_]) -> sitk.Image:
    return sitk.GetImageFromArray(flags.astype(np.uint8))
