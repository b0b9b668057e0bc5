"""Masks of several labels: which there are, and the one that is the skull."""

import numpy as np
import SimpleITK as sitk

from ..core.images import array_of, image_like
from ..errors import Remedy, SkullImplantError
from .hounsfield import slabs_of, value_range

# Software that resamples or scales masks leaves whole numbers so far off.
ROUNDED = 1e-3
HIGHEST_ROUNDED = 60000.0  # beyond, whole numbers are no labels, and would not fit 16 bits
# A map of labels has numbers lower than the white of a picture, and neighbours mostly agree, also
# those of a thin skull on coarse voxels (9 of 10; of 8-bit greys, 1 of 4).
HIGHEST_LABEL = 250
LEAST_ALIKE = 0.75
TOLD = 12


def whole_numbers(image: sitk.Image) -> sitk.Image:
    """Return an image of floats that are all within `ROUNDED` of 0, 1, 2, ... as uint16 of those,
    and any other image as it is.

    Raises `SkullImplantError` for voxels that are no number.
    """
    if array_of(image).dtype.kind != "f":
        return image
    lowest, highest = value_range(image)
    if lowest < -ROUNDED or highest > HIGHEST_ROUNDED:
        return image
    if any(np.abs(slab - np.rint(slab)).max() > ROUNDED for slab in slabs_of(image)):
        return image
    whole = np.empty(array_of(image).shape, np.uint16)
    for z, plane in enumerate(array_of(image)):
        whole[z] = np.rint(plane)
    return image_like(whole, image)


def labels_in(image: sitk.Image) -> tuple[int, ...]:
    """Return the labels but 0 of a label map, and none for an image that is no such map."""
    array = array_of(image)
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > HIGHEST_LABEL:
        return ()
    found: set[int] = set()
    alike = pairs = 0
    for slab in slabs_of(image):
        found.update(np.unique(slab).tolist())
        # Air beside air tells nothing.
        bright = slab[..., 1:] > 0
        alike += int(np.count_nonzero(bright & (slab[..., 1:] == slab[..., :-1])))
        pairs += int(np.count_nonzero(bright))
    if alike < LEAST_ALIKE * pairs:
        return ()
    return tuple(sorted(found - {0}))


def the_label(image: sitk.Image, label: int) -> sitk.Image:
    """Return the mask of one label.

    Raises `SkullImplantError` where the image is no label map, or has not that label.
    """
    mask = image == label
    # Labels of thousands, as FreeSurfer has them, are told from greys by being asked for.
    whole = array_of(image).dtype.kind in "iu" and array_of(image).min() >= 0
    if (
        whole
        and array_of(mask).any()
        and (labels_in(image) or int(array_of(image).max()) > HIGHEST_LABEL)
    ):
        return mask
    labels = labels_in(image)
    if not labels:
        raise SkullImplantError("The image is no map of labels.", Remedy.NO_LABEL)
    if label not in labels:
        raise SkullImplantError(
            f"There is no label {label} in the image; it has {told(labels)}", Remedy.CHOOSE_LABEL
        )
    return mask


def told(labels: tuple[int, ...]) -> str:
    """Return labels in words: "90 and 91", or the first of many."""
    if len(labels) > TOLD:
        return f"{', '.join(map(str, labels[:TOLD]))} and {len(labels) - TOLD} more"
    first, last = labels[:-1], labels[-1]
    return f"{', '.join(map(str, first))} and {last}" if first else str(last)
