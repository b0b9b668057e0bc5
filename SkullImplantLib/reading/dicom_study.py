"""What lies in a folder of DICOM files: its series, and which of them is the CT to use.

Headers only, read with pydicom, and of these only the elements named here: none that could name
the patient.
"""

import os
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from ..core.progress import Progress
from ..errors import SkullImplantError
from .headers import is_dicom

# A study has a few thousand files; more than this is a whole archive given by mistake.
MAX_FILES = 50_000
# The normal of an axial slice is nearer to the body's axis than to any other; tilt included.
AXIAL_COSINE = 0.7071
# Of a folder's series in a message, the largest first.
MAX_LISTED = 20

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_MULTI_FRAME_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_SCOUTS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
_ELEMENTS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "ImageType",
    "InstanceNumber",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "GantryDetectorTilt",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelRepresentation",
]
# What pydicom raises at headers that are damaged or against the standard.
_UNREADABLE = (
    InvalidDicomError,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    NotImplementedError,
    struct.error,
)


@dataclass(frozen=True)
class DicomSeries:
    """A series: its modality, the headers of those of its files that are single CT slices (no
    localizers, reports or captures), and how many files it has in all."""

    uid: str
    modality: str
    headers: list[tuple[Path, pydicom.Dataset]]
    files: int
    multi_frame: bool

    def rank(self) -> tuple[bool, bool, int, str]:
        """Order series by fitness: axial, then primary, then by their number of slices."""
        _, header = self.headers[0]
        orientation = numbers(header, "ImageOrientationPatient", 6)
        axial = orientation is not None and (
            abs(np.cross(orientation[:3], orientation[3:])[2]) >= AXIAL_COSINE
        )
        kinds = _image_type(header)
        return axial, not kinds or "SECONDARY" not in kinds, len(self.headers), self.uid


def find_series(folder: Path, progress: Progress) -> list[DicomSeries]:
    """Read all DICOM headers below `folder` and return its series.

    Raises `SkullImplantError` where there are none, or a DICOM file whose header is cut short.
    """
    paths = sorted(
        Path(where) / name
        for where, _, names in os.walk(folder, onerror=_raise)
        for name in names
        if name.upper() != "DICOMDIR"
    )
    if len(paths) > MAX_FILES:
        raise SkullImplantError(
            f"The folder holds {len(paths)} files, more than a study; give the series' own folder."
        )
    found: dict[str, list[tuple[Path, pydicom.Dataset]]] = {}
    damaged = 0
    for count, path in enumerate(paths):
        progress(count / len(paths), "reading DICOM headers")
        if path.is_file() and is_dicom(path):
            header = _header(path)
            if header is None or not header.get("SeriesInstanceUID"):
                damaged += 1
            else:
                found.setdefault(str(header.SeriesInstanceUID), []).append((path, header))
    if damaged:
        raise SkullImplantError(
            f"{damaged} DICOM file(s) in the folder are damaged or cut short; copy it again."
        )
    if not found:
        raise SkullImplantError(
            "The folder holds no DICOM files; give the folder of a CT series or an image file."
        )
    return [_series(uid, headers) for uid, headers in sorted(found.items())]


def _raise(error: OSError) -> None:
    raise error


def _header(path: Path) -> pydicom.Dataset | None:
    """Return the elements this module needs, or None where the header cannot be read."""
    try:
        return pydicom.dcmread(
            path, force=True, stop_before_pixels=True, specific_tags=list(_ELEMENTS)
        )
    except _UNREADABLE:
        return None


def _series(uid: str, headers: list[tuple[Path, pydicom.Dataset]]) -> DicomSeries:
    classes = [str(header.get("SOPClassUID", _CT_IMAGE)) for _, header in headers]
    return DicomSeries(
        uid=uid,
        modality=str(headers[0][1].get("Modality") or "unknown")[:16],
        headers=[
            (path, header)
            for (path, header), sop_class in zip(headers, classes)
            if header.get("Modality") == "CT"
            and sop_class == _CT_IMAGE
            and not _SCOUTS & set(_image_type(header))
        ],
        files=len(headers),
        multi_frame=any(sop_class in _MULTI_FRAME_CT for sop_class in classes),
    )


def _image_type(header: pydicom.Dataset) -> list[str]:
    value = header.get("ImageType") or []
    return [str(v).upper() for v in ([value] if isinstance(value, str) else value)]


def choose_series(series: list[DicomSeries], uid: str | None) -> DicomSeries:
    """Return the series named by `uid`, else the largest CT series, axial and primary ones first.

    Raises `SkullImplantError`, naming what there is, where there is no such series.
    """
    if uid is not None:
        wanted = [s for s in series if s.uid == uid]
        if not wanted:
            most = sorted(series, key=lambda s: -s.files)[:MAX_LISTED]
            listed = ", ".join(f"{s.uid} ({s.modality}, {_files(s.files)})" for s in most)
            raise SkullImplantError(f"No series has that UID; the folder holds {listed}.")
        series = wanted
    usable = [s for s in series if s.headers]
    if usable:
        return max(usable, key=DicomSeries.rank)
    if any(s.multi_frame for s in series):
        raise SkullImplantError(
            "The CT is in multi-frame (enhanced) DICOM files, which are not read; export it as "
            "classic DICOM, one file a slice, or convert it to NIfTI."
        )
    counts = Counter[str]()
    for s in series:
        counts[s.modality] += s.files
    listed = ", ".join(f"{modality}: {_files(count)}" for modality, count in sorted(counts.items()))
    if "CT" in counts:
        raise SkullImplantError(
            f"There are no CT slices, only localizers or secondary captures ({listed}); give the "
            "folder of the CT series."
        )
    raise SkullImplantError(
        f"There is no CT series, but {listed}; give the folder of a CT of the head."
    )


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def notes_on_choice(chosen: DicomSeries, series: list[DicomSeries]) -> tuple[str, ...]:
    """Return notes on a choice among several series that the user may want otherwise."""
    notes: tuple[str, ...] = ()
    others = sum(1 for s in series if s.headers) - 1
    if others:
        notes += (
            f"The folder holds {others + 1} CT series; the one with {len(chosen.headers)} slices "
            "was used.",
        )
    if not chosen.rank()[0]:
        notes += ("The folder has no axial CT series; a reformatted one was used.",)
    return notes


def numbers(header: pydicom.Dataset, keyword: str, count: int) -> np.ndarray | None:
    """Return an element's finite numbers, or None where it is absent or not `count` of them."""
    try:
        value = header.get(keyword)
        found = np.atleast_1d(np.array([] if value is None else value, float))
    except _UNREADABLE:
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None
