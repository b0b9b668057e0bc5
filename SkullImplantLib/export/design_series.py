"""The DICOM series that a design came from, found among those that are given.

It is told by its bytes, where the design was made of DICOM files; where it was made of a volume
that a viewer had read from them, by its bone. In both cases the design's skull must lie on it.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import SimpleITK as sitk

from ..core.images import same_grid
from ..errors import SkullImplantError
from ..reading.input import Input
from .dicom_source import NEEDS_SERIES, SourceSeries, source_series
from .on_bone import share_on_bone

# Of the skull's outermost voxels so many are bone in the series. Measured: 0.93 to 0.99 in the CT
# of a design, also of a refined skull and of slices of 5 mm; 0.64 to 0.81 in one that is 1 mm off,
# on voxels of 0.5 to 2 mm; at most 0.58 in one that is turned over.
LEAST_ON_BONE = 0.85
# The same bytes are the same CT, whose voxels may have been made coarser; the axes of a result may
# still be other ones, where a user said that the file's are wrong.
LEAST_OF_SAME_BYTES = 0.7


def design_series(
    sources: Iterable[Input], account: Mapping[str, Any], skull: sitk.Image
) -> SourceSeries:
    """Return the series, of those that were given, that a design came from.

    sources: CTs, read when they are asked for; nothing where none is given. account: the contents
    of its `design.json`. skull: its mask (uint8, 0/1), in the frame of the series. Raises
    `SkullImplantError` where there is none, it is another one, or its slices say nothing of their
    frame of reference.
    """
    told = account.get("input", {})
    threshold_hu = account.get("parameters", {}).get("bone_threshold_hu")
    asked = iter(sources if told.get("kind") == "ct" and threshold_hu is not None else ())
    first = next(asked, None)
    if first is None or not first.files:
        raise SkullImplantError(f"{NEEDS_SERIES}; give the folder of its slices.")
    moved = False
    for source in chain([first], asked):
        same_bytes = source.sha256 == told.get("sha256")
        if same_bytes and same_grid(skull, source.image):
            return source_series(source)
        share = share_on_bone(skull, source.image, threshold_hu)
        if share >= (LEAST_OF_SAME_BYTES if same_bytes else LEAST_ON_BONE):
            return source_series(source)
        moved |= same_bytes
    if moved:
        raise SkullImplantError(
            "The design does not lie where its DICOM series lies, as its axes were said to be "
            "others; export as STL."
        )
    raise SkullImplantError(f"{NEEDS_SERIES}; the one that was given is another one.")
