"""What lies in a folder of DICOM files: its series, and what of it is damaged.

Headers only, read with pydicom, and of these only the elements named here. Who the patient is
serves to tell patients apart, and is kept as a digest alone.
"""

import hashlib
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from ..core.headers import is_dicom
from ..core.progress import Progress
from ..errors import SkullImplantError

# A study has a few thousand files; more than this is a whole archive given by mistake.
MAX_FILES = 50_000
# The normal of an axial slice is nearer to the body's axis than to any other; tilt included.
AXIAL_COSINE = 0.7071

# Storage classes (PS3.4 B.5): one slice a file, and the multi-frame ones with functional groups.
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME_CT = (CT_IMAGE + ".1", CT_IMAGE + ".2")  # enhanced, legacy converted enhanced
LOCALIZERS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
# The first elements of pixel data: (7FE0,0008), (7FE0,0009), (7FE0,0010), either byte order.
_PIXEL_TAGS = {b"\xe0\x7f%c\x00" % low for low in (8, 9, 16)}
_PIXEL_TAGS |= {b"\x7f\xe0\x00%c" % low for low in (8, 9, 16)}
_MODALITY = re.compile("[A-Z]{2,16}")
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_DEFLATED = "1.2.840.10008.1.2.1.99"
# What a disk leaves of a lost file is nothing, or zeros where its head was.
_HEAD_BYTES = 132
# Studies hold also files that are no DICOM; those of the slices' own kind carry such a name.
_SLICE_SUFFIXES = {"", ".dcm", ".ima", ".dicom", ".img"}

_ELEMENTS = [
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "PatientID",
    "PatientName",
    "ImageType",
    "InstanceNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "ConvolutionKernel",
    "KVP",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "GantryDetectorTilt",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "LossyImageCompression",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelRepresentation",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
# A damaged file may still have it; storage class and modality come before.
_SERIES_UID = Tag("SeriesInstanceUID")
# What pydicom raises at headers that are damaged or against the standard.
UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    NotImplementedError,
    RecursionError,
    OverflowError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class DamagedFile:
    """A DICOM file that cannot be read, and what is still known of it: None is not known."""

    path: Path
    series_uid: str | None
    sop_class: str | None

    def may_belong_to(self, series: "DicomSeries") -> bool:
        """Say whether it could be a slice of that series."""
        if self.sop_class is not None and self.sop_class not in (CT_IMAGE, *MULTI_FRAME_CT):
            return False
        return self.series_uid is None or self.series_uid == series.uid


@dataclass(frozen=True)
class DicomSeries:
    """A series: its modality, the headers of those of its files that are CT images (no localizers,
    reports or captures), how many files it has in all, and how many of them are localizers.

    uid: empty where the files have none; patients: digests of who they are.
    """

    uid: str
    modality: str
    headers: list[tuple[Path, pydicom.Dataset]]
    files: int
    localizers: int
    patients: frozenset[str]

    @property
    def slices(self) -> int:
        """How many slices the files hold."""
        return sum(frames_in(header) for _, header in self.headers)

    def rank(self) -> tuple[bool, bool, int, str]:
        """Order series by fitness: with axial slices, then primary, then by their number."""
        kinds = image_type(self.headers[0][1])
        axial = any(_is_axial(header) for _, header in self.headers)
        return axial, not kinds or "SECONDARY" not in kinds, self.slices, self.uid


@dataclass(frozen=True)
class Study:
    """All series of a folder, and the DICOM files in it that cannot be read."""

    series: list[DicomSeries]
    damaged: list[DamagedFile]


def find_series(folder: Path, progress: Progress) -> Study:
    """Read all DICOM headers below `folder`, or of the one file, and return its series.

    Media directories, under whatever name, are passed over. Raises `SkullImplantError` where there
    is no DICOM file at all.
    """
    paths = [folder]
    if not folder.is_file():
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
    damaged: list[DamagedFile] = []
    for count, path in enumerate(paths):
        progress(count / len(paths), "reading DICOM headers")
        if not path.is_file():
            continue
        if not is_dicom(path):
            if path.suffix.lower() in _SLICE_SUFFIXES and _is_blank(path):
                damaged.append(DamagedFile(path, None, None))
            continue
        header = _header(path)
        if header is None:
            damaged.append(_damaged(path))
        elif _class_of(header) != _MEDIA_DIRECTORY:
            found.setdefault(str(header.get("SeriesInstanceUID") or ""), []).append((path, header))
    if not found and not damaged:
        raise SkullImplantError(
            "The folder holds no DICOM files; give the folder of a CT series or an image file."
        )
    return Study([_series(uid, headers) for uid, headers in sorted(found.items())], damaged)


def _raise(error: OSError) -> None:
    raise error


def _is_blank(path: Path) -> bool:
    """Say whether nothing is left of a file's head, as a bad disk or a broken copy leaves it."""
    with path.open("rb") as file:
        return not file.read(_HEAD_BYTES).strip(b"\0")


def _header(path: Path) -> pydicom.Dataset | None:
    """Return the elements this module needs, or None where the header cannot be read to its end.

    pydicom takes the end of a file that is cut short for the end of the header.
    """
    try:
        with path.open("rb") as file:
            header = pydicom.dcmread(
                file, force=True, stop_before_pixels=True, specific_tags=list(_ELEMENTS)
            )
            follows = file.read(4)
        deflated = header.file_meta.get("TransferSyntaxUID") == _DEFLATED
        # Media directories and reports have no pixels to come to.
        other = UID(_class_of(header)).type == "SOP Class" and not is_ct(header)
        other = other or str(header.get("Modality") or "CT") != "CT"
        whole = follows in _PIXEL_TAGS or deflated or other
        list(header), list(header.file_meta)  # which are converted as they are asked for
        frames_in(header), image_type(header), _patient(header)
    except UNREADABLE:
        return None
    return header if whole else None


def _damaged(path: Path) -> DamagedFile:
    """Return what can still be told of a file whose header cannot be read to its end."""
    beyond = False

    def identified(tag: BaseTag, _: str | None, __: int) -> bool:
        nonlocal beyond
        beyond = beyond or tag > _SERIES_UID
        return beyond

    try:
        with path.open("rb") as file:
            header = read_partial(
                file, identified, force=True, specific_tags=[Tag("SOPClassUID"), _SERIES_UID]
            )
        sop_class = UID(_class_of(header))
        # A UID may itself be cut short.
        series = str(header.get("SeriesInstanceUID") or "") if beyond else ""
    except UNREADABLE:
        return DamagedFile(path, None, None)
    return DamagedFile(path, series or None, sop_class if sop_class.type == "SOP Class" else None)


def _class_of(header: pydicom.Dataset) -> str:
    """Return the storage class, from the data set or else from the group before it, or ""."""
    meta = getattr(header, "file_meta", {})
    return str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")


def is_ct(header: pydicom.Dataset) -> bool:
    """Say whether a header is of a CT image.

    Of class and modality one may have been removed, or be damaged.
    """
    sop_class, modality = UID(_class_of(header)), str(header.get("Modality") or "")
    if sop_class in (CT_IMAGE, *MULTI_FRAME_CT):
        return modality == "CT" or not _MODALITY.fullmatch(modality)
    return modality == "CT" and sop_class.type != "SOP Class" and bool(header.get("Rows"))


def is_multi_frame_ct(path: Path) -> bool:
    """Say whether a DICOM file holds several slices of a CT."""
    header = _header(path)
    return header is not None and is_ct(header) and frames_in(header) > 1


def frames_in(header: pydicom.Dataset) -> int:
    """Return how many frames a file holds; raises `ValueError` for what is no such number."""
    frames = int(header.get("NumberOfFrames") or 1)
    if frames < 1:
        raise ValueError("a file has at least one frame")
    return frames


def _series(uid: str, headers: list[tuple[Path, pydicom.Dataset]]) -> DicomSeries:
    images = [(path, header) for path, header in headers if is_ct(header)]
    slices = [(path, header) for path, header in images if not LOCALIZERS & set(image_type(header))]
    first = images[0][1] if images else headers[0][1]
    return DicomSeries(
        uid=uid,
        modality="CT" if images else str(first.get("Modality") or "unknown")[:16],
        headers=slices,
        files=len(headers),
        localizers=len(images) - len(slices),
        patients=frozenset(_patient(header) for _, header in slices) - {""},
    )


def _patient(header: pydicom.Dataset) -> str:
    """Return who the patient is, as a digest; nothing where the header does not say."""
    names = (str(header.get(keyword) or "").strip() for keyword in ("PatientID", "PatientName"))
    who = next((name for name in names if name), "")
    return hashlib.sha256(who.encode("utf-8", "replace")).hexdigest() if who else ""


def image_type(header: pydicom.Dataset) -> list[str]:
    """Return the values of (0008,0008) in capitals."""
    value = header.get("ImageType") or []
    return [str(v).upper() for v in ([value] if isinstance(value, str) else value)]


def _is_axial(header: pydicom.Dataset) -> bool:
    orientation = numbers(header, "ImageOrientationPatient", 6)
    if orientation is None and "PerFrameFunctionalGroupsSequence" in header:
        return True  # a multi-frame CT is a volume as it was scanned
    return orientation is not None and bool(
        abs(np.cross(orientation[:3], orientation[3:])[2]) >= AXIAL_COSINE
    )


class Header(Protocol):
    """What has elements by their keywords."""

    def get(self, keyword: str, /) -> Any: ...


def numbers(header: Header, keyword: str, count: int) -> np.ndarray | None:
    """Return an element's finite numbers, or None where it is absent or not `count` of them."""
    try:
        value = header.get(keyword)
        found = np.atleast_1d(np.array([] if value is None else value, float))
    except UNREADABLE:
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None
