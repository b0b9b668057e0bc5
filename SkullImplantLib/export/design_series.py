"""The DICOM series that a design came from, found among those of a folder.

It is told by its bytes, where the design was made of DICOM files; where it was made of a volume
that a viewer had read from them, by its bone. In both cases the design's skull must lie on it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..core.progress import Progress, part
from ..errors import SkullImplantError
from ..reading.dicom_study import DicomSeries, find_series
from ..reading.input import Input, read_input
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
    folder: Path | None, account: Mapping[str, Any], skull: sitk.Image, progress: Progress
) -> SourceSeries:
    """Return the series of a folder (or multi-frame file) that a design came from.

    account: the contents of its `design.json`. skull: its mask (uint8, 0/1), in the frame of the
    series. Raises `SkullImplantError` where there is none, it is another one, or its slices say
    nothing of their frame of reference.
    """
    told = account.get("input", {})
    threshold_hu = account.get("parameters", {}).get("bone_threshold_hu")
    if folder is None or told.get("kind") != "ct" or threshold_hu is None:
        raise SkullImplantError(f"{NEEDS_SERIES}; give the folder of its slices.")
    moved = False
    for source in _ct_series(folder, progress):
        share = share_on_bone(skull, source.image, threshold_hu)
        same_bytes = source.sha256 == told.get("sha256")
        if share >= (LEAST_OF_SAME_BYTES if same_bytes else LEAST_ON_BONE):
            return source_series(source)
        moved |= same_bytes
    if moved:
        raise SkullImplantError(
            "The design does not lie where its DICOM series lies, as its axes were said to be "
            "others; export as STL."
        )
    raise SkullImplantError(f"{NEEDS_SERIES}; the one that was given is another one.")


def _ct_series(folder: Path, progress: Progress) -> Iterator[Input]:
    """Read the CT series of a folder, the likeliest first; those that are no volume are passed
    over, where there is more than one.
    """
    found: list[DicomSeries] = []
    if folder.is_dir():
        study = find_series(folder, part(progress, 0.0, 0.1))
        found = sorted((s for s in study.series if s.headers), key=DicomSeries.rank, reverse=True)
    if len(found) < 2:
        source = read_input(folder, "ct", progress=part(progress, 0.1, 1.0))
        if not source.files:
            raise SkullImplantError(f"{NEEDS_SERIES}; give the folder of its slices.")
        yield source
        return
    starts = np.linspace(0.1, 1.0, len(found) + 1).tolist()
    for series, start, end in zip(found, starts, starts[1:]):
        try:
            source = read_input(folder, "ct", series.uid, part(progress, start, end))
        except SkullImplantError:
            continue
        yield source
