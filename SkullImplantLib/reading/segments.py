"""Segmentations as 3D Slicer writes them: their segments, and the one that is the skull."""

import re
from collections.abc import Mapping

import SimpleITK as sitk

from ..errors import Remedy, SkullImplantError

_SKULL = re.compile(r"skull|bone|crani", re.IGNORECASE)
_EXACTLY = ("skull", "cranium")  # the name wins before names that only speak of it
TOLD, TOLD_LETTERS = 12, 40


def segment_of(fields: Mapping[str, str], wanted: str | None) -> tuple[int, float] | None:
    """Return the layer and the label of the skull by the fields of an NRRD header.

    None where the file is no segmentation. The segment is the one `wanted` by name or ID, or else
    the only one, the one that is named skull, or the only one whose name speaks of skull or bone.
    Raises `SkullImplantError` where that leaves none or several, or it has no layer and label.
    """
    numbers = sorted(
        {
            int(found.group(1))
            for key in fields
            if (found := re.fullmatch(r"Segment(\d{1,6})_(?:ID|Name)", key))
        }
    )
    if not numbers:
        return None
    ids = {n: fields.get(f"Segment{n}_ID", "") for n in numbers}
    names = {n: fields.get(f"Segment{n}_Name") or ids[n] for n in numbers}
    tries = [names] if wanted is None else [names, ids]
    chosen: list[int] = []
    if wanted is not None:
        for called in tries:
            chosen = chosen or [n for n in numbers if called[n] == wanted]
        chosen = chosen or [n for n in numbers if names[n].lower() == wanted.lower()]
    elif len(numbers) == 1:
        chosen = numbers
    else:
        chosen = [n for n in numbers if names[n].strip().lower() in _EXACTLY]
        chosen = chosen or [n for n in numbers if _SKULL.search(names[n])]
    if len(chosen) != 1:
        shown = ", ".join(repr(names[n][:TOLD_LETTERS]) for n in numbers[:TOLD])
        more = f" and {len(numbers) - TOLD} more" if len(numbers) > TOLD else ""
        which = "none or several of which may be the skull"
        if wanted is not None:
            which = f"and {'none' if not chosen else 'several'} of that name"
        raise SkullImplantError(
            f"The segmentation holds the segments {shown}{more}, {which}.", Remedy.CHOOSE_SEGMENT
        )
    (number,) = chosen
    # Before layers existed each segment was a component of its own, with the label 1.
    try:
        layer = int(fields.get(f"Segment{number}_Layer", numbers.index(number)))
        label = float(fields.get(f"Segment{number}_LabelValue", 1))
    except ValueError as error:
        raise _unfitting() from error
    return layer, label


def segment_mask(image: sitk.Image, layer: int, label: float) -> sitk.Image:
    """Return the mask of a segment.

    Raises `SkullImplantError` where the voxels have no such layer.
    """
    components = image.GetNumberOfComponentsPerPixel()
    if not 0 <= layer < components:
        raise _unfitting()
    if components > 1:
        image = sitk.VectorIndexSelectionCast(image, layer)
    return image == label


def _unfitting() -> SkullImplantError:
    return SkullImplantError(
        "The segmentation's header does not fit its voxels; save it again from 3D Slicer."
    )
