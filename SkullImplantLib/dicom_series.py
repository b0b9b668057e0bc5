"""A folder of DICOM files to one CT volume in HU, or a named reason why there is none.

The headers are read with pydicom and decide everything about geometry; ITK (GDCM) only decodes
the pixels of one slice after another, whatever their transfer syntax, and applies the rescale of
each. No element that could name the patient is ever read by this module.
"""

import hashlib
import os
import struct
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.errors import InvalidDicomError

from .errors import SkullImplantError
from .progress import Progress, part, silent

# Nothing is thinner than air: what a scanner writes outside its circle becomes this.
OUTSIDE_HU = -1024
# A study has a few thousand files; more than this is a whole archive given by mistake.
MAX_FILES = 50_000
# Headers are rounded; orientations differing by less turn a head's far side by under 0.1 mm.
ORIENTATION_TOLERANCE = 1e-3
# From an even grid, of any slice: positions are often rounded to 0.1 mm.
EVENNESS_TOLERANCE_MM = 0.1
# Or this share of the spacing where that is more.
EVENNESS_TOLERANCE = 0.05
# Slices closer than this lie in the same place.
SAME_PLACE_MM = 0.01
# Of the first against the last slice, across the normal: less than half a pixel is no shear.
SHEAR_TOLERANCE_PIXELS = 0.5
# The normal of an axial slice is nearer to the body's axis than to any other; tilt included.
AXIAL_COSINE = 0.7071

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
class SeriesVolume:
    """One series as a volume.

    image: HU, int16 or, where values do not fit, float32; its z axis runs along the slices' normal
    (row direction x column direction). sha256: in hex, of the bytes of the series' files in slice
    order (ascending along the normal). notes: warnings, a sentence each.
    """

    image: sitk.Image
    sha256: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Slice:
    """What the header of one CT slice says; LPS mm."""

    path: Path
    instance_uid: str
    number: int | None
    size: tuple[int, int]  # columns, rows
    spacing_mm: tuple[float, float]  # along a row, along a column
    orientation: np.ndarray  # (2, 3): direction along a row, along a column
    position_mm: np.ndarray  # (3,): centre of the first pixel
    padding_hu: tuple[float, float] | None
    tilt_degrees: float

    @property
    def normal(self) -> np.ndarray:
        return np.cross(*self.orientation)


@dataclass(frozen=True)
class _Series:
    uid: str
    modality: str
    headers: list[tuple[Path, pydicom.Dataset]]  # of its images that are CT slices
    files: int
    multi_frame: bool

    def rank(self) -> tuple[bool, bool, int, str]:
        """Order series by fitness: axial, then primary, then by their number of slices."""
        _, header = self.headers[0]
        orientation = _numbers(header, "ImageOrientationPatient", 6)
        axial = orientation is not None and (
            abs(np.cross(orientation[:3], orientation[3:])[2]) >= AXIAL_COSINE
        )
        kinds = _image_type(header)
        return axial, not kinds or "SECONDARY" not in kinds, len(self.headers), self.uid


def is_dicom(path: Path) -> bool:
    """Say whether a file is DICOM, by its preamble or, in old files without one, its first tag."""
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:] == b"DICM" or head[:4] in (b"\x08\x00\x00\x00", b"\x08\x00\x05\x00")


def read_series(
    folder: Path, series_uid: str | None = None, progress: Progress = silent
) -> SeriesVolume:
    """Read the largest axial primary CT series in `folder` and the folders in it, or a given one.

    Localizers, other modalities and files that are not DICOM are passed over. Raises
    `SkullImplantError` where there is no CT series, the UID is unknown, or the slices do not make
    one even, rectangular volume: orientations or sizes mixed, a slice missing, doubled or damaged,
    uneven spacing, a tilted gantry.
    """
    series = _series_in(folder, part(progress, 0.0, 0.3))
    chosen = _choose(series, series_uid)
    slices, notes = _slices(chosen)
    if series_uid is None:
        notes += _on_choice(chosen, series)
    slices = _sorted(slices)
    spacing_mm = _slice_spacing(slices)
    notes += _check_tilt(slices)
    array, sha256 = _pixels(slices, part(progress, 0.3, 1.0))
    image = sitk.GetImageFromArray(array)
    row, column = slices[0].orientation
    image.SetDirection(np.column_stack([row, column, slices[0].normal]).ravel().tolist())
    image.SetSpacing([*slices[0].spacing_mm, spacing_mm])
    image.SetOrigin(slices[0].position_mm.tolist())
    return SeriesVolume(image, sha256, notes)


def _series_in(folder: Path, progress: Progress) -> list[_Series]:
    """Read all DICOM headers below `folder` and return its series."""
    paths = sorted(
        Path(where) / name
        for where, _, names in os.walk(folder)
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


def _header(path: Path) -> pydicom.Dataset | None:
    """Return the elements this module needs, or None where the header cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(
                path, force=True, stop_before_pixels=True, specific_tags=list(_ELEMENTS)
            )
    except _UNREADABLE:
        return None


def _series(uid: str, headers: list[tuple[Path, pydicom.Dataset]]) -> _Series:
    classes = [str(header.get("SOPClassUID", _CT_IMAGE)) for _, header in headers]
    return _Series(
        uid=uid,
        modality=str(headers[0][1].get("Modality") or "unknown"),
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


def _choose(series: list[_Series], uid: str | None) -> _Series:
    if uid is not None:
        wanted = [s for s in series if s.uid == uid]
        if not wanted:
            listed = ", ".join(f"{s.uid} ({s.modality}, {_files(s.files)})" for s in series)
            raise SkullImplantError(f"No series has that UID; the folder holds {listed}.")
        series = wanted
    usable = [s for s in series if s.headers]
    if usable:
        return max(usable, key=_Series.rank)
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


def _on_choice(chosen: _Series, series: list[_Series]) -> tuple[str, ...]:
    """Return notes on a choice among several series that the user may want otherwise."""
    notes: tuple[str, ...] = ()
    others = sum(1 for s in series if s.headers) - 1
    if others:
        notes += (
            f"The folder holds {others + 1} CT series; the one with {len(chosen.headers)} slices "
            "was used (--series chooses another).",
        )
    if not chosen.rank()[0]:
        notes += ("The folder has no axial CT series; a reformatted one was used.",)
    return notes


def _slices(series: _Series) -> tuple[list[_Slice], tuple[str, ...]]:
    """Return the slices of the series, without copies of the same file, checked one by one."""
    slices = [_slice(path, header) for path, header in series.headers]
    unique = list({s.instance_uid or str(s.path): s for s in slices}.values())
    notes: tuple[str, ...] = ()
    if len(unique) < len(slices):
        copies = len(slices) - len(unique)
        notes = (f"{_files(copies)} of the series lay in the folder twice and counted once.",)
    if len(unique) < 2:
        raise SkullImplantError(
            "The CT series has only one slice; give the folder that holds the whole series."
        )
    return unique, notes


def _slice(path: Path, header: pydicom.Dataset) -> _Slice:
    number = _numbers(header, "InstanceNumber", 1)
    name = f"Slice number {number[0]:.0f}" if number is not None else "A slice"
    found = {
        what: _numbers(header, keyword, count)
        for what, keyword, count in (
            ("number of rows", "Rows", 1),
            ("number of columns", "Columns", 1),
            ("pixel spacing", "PixelSpacing", 2),
            ("position", "ImagePositionPatient", 3),
            ("orientation", "ImageOrientationPatient", 6),
        )
    }
    values: dict[str, np.ndarray] = {}
    for what, value in found.items():
        if value is None:
            raise SkullImplantError(
                f"{name} of the CT series has no usable {what} in its header; export the series "
                "again from the scanner or archive."
            )
        values[what] = value
    orientation = values["orientation"].reshape(2, 3)
    gram = orientation @ orientation.T
    if np.abs(gram - np.eye(2)).max() > ORIENTATION_TOLERANCE or values["pixel spacing"].min() <= 0:
        raise SkullImplantError(
            f"{name} of the CT series has an impossible pixel spacing or orientation in its "
            "header; export the series again from the scanner or archive."
        )
    tilt = _numbers(header, "GantryDetectorTilt", 1)
    spacing = values["pixel spacing"]
    return _Slice(
        path=path,
        instance_uid=str(header.get("SOPInstanceUID") or ""),
        number=None if number is None else int(number[0]),
        size=(int(values["number of columns"][0]), int(values["number of rows"][0])),
        spacing_mm=(float(spacing[1]), float(spacing[0])),
        orientation=_orthonormal(orientation),
        position_mm=values["position"],
        padding_hu=_padding_hu(header),
        tilt_degrees=0.0 if tilt is None else float(tilt[0]),
    )


def _orthonormal(orientation: np.ndarray) -> np.ndarray:
    """Return the two directions (2, 3) freed from the header's rounding."""
    row = orientation[0] / np.linalg.norm(orientation[0])
    column = orientation[1] - (orientation[1] @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _numbers(header: pydicom.Dataset, keyword: str, count: int) -> np.ndarray | None:
    """Return an element's finite numbers, or None where it is absent or not `count` of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = header.get(keyword)
            numbers = np.atleast_1d(np.array(value, float)) if value is not None else np.empty(0)
    except _UNREADABLE:
        return None
    return numbers if numbers.shape == (count,) and np.isfinite(numbers).all() else None


def _padding_hu(header: pydicom.Dataset) -> tuple[float, float] | None:
    """Return the range of HU that marks padding, from (0028,0120) and (0028,0121)."""
    stored = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = header.get(keyword)
        if isinstance(value, bytes) and len(value) == 2:
            value = int.from_bytes(value, "little")
        if isinstance(value, int):
            # Writers disagree about the sign of this element; the pixels' own sign decides.
            value &= 0xFFFF
            signed = header.get("PixelRepresentation") == 1 and value >= 0x8000
            stored.append(value - 0x10000 if signed else value)
    if not stored:
        return None
    slope, intercept = (
        default if (value := _numbers(header, keyword, 1)) is None else float(value[0])
        for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    ends = [slope * s + intercept for s in stored]
    return min(ends), max(ends)


def _sorted(slices: list[_Slice]) -> list[_Slice]:
    """Return the slices ascending along their common normal."""
    first = slices[0]
    if any(np.abs(s.orientation - first.orientation).max() > ORIENTATION_TOLERANCE for s in slices):
        kinds = len({tuple(np.round(s.orientation.ravel(), 2) + 0.0) for s in slices})
        raise SkullImplantError(
            f"The CT series mixes slices of {max(kinds, 2)} orientations; separate them, or choose "
            "another series with --series."
        )
    if any(
        s.size != first.size or not np.allclose(s.spacing_mm, first.spacing_mm, rtol=1e-4)
        for s in slices
    ):
        raise SkullImplantError(
            "The CT series mixes slices of several sizes or pixel spacings; separate them, or "
            "choose another series with --series."
        )
    return sorted(slices, key=lambda s: float(s.position_mm @ first.normal))


def _slice_spacing(slices: list[_Slice]) -> float:
    """Return the distance between slices in mm, the same for all."""
    normal = slices[0].normal
    places = np.array([s.position_mm @ normal for s in slices])
    steps = np.diff(places)
    if doubled := int((steps < SAME_PLACE_MM).sum()):
        raise SkullImplantError(
            f"{doubled} of the CT series' {len(slices)} slices lie in the place of another "
            "(several scans or points in time in one series); separate them."
        )
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > 1.5 * usual)
    slots = np.rint(steps / usual)
    tolerance = max(EVENNESS_TOLERANCE_MM, EVENNESS_TOLERANCE * usual)
    on_grid = bool((np.abs(steps - slots * usual) <= 2 * tolerance).all())
    if wide.size and on_grid and wide.size <= len(steps) / 4:
        missing = int((slots[wide] - 1).sum())
        raise SkullImplantError(
            f"{missing} slice(s) of the CT series are missing, the first after slice "
            f"{wide[0] + 1} of {len(slices)}; copy the whole series."
        )
    even = np.linspace(places[0], places[-1], len(places))
    if np.abs(places - even).max() > tolerance:
        raise SkullImplantError(
            f"The slices of the CT series are unevenly spaced ({steps.min():.2f} to "
            f"{steps.max():.2f} mm); use a series with even spacing, or resample it."
        )
    return float((places[-1] - places[0]) / (len(places) - 1))


def _check_tilt(slices: list[_Slice]) -> tuple[str, ...]:
    """Raise where slices are shifted against one another, as by a tilted gantry."""
    normal = slices[0].normal
    shifts = np.array([s.position_mm - slices[0].position_mm for s in slices])
    along = shifts @ normal
    across = shifts - along[:, None] * normal
    across_mm = np.linalg.norm(across, axis=1)
    tolerance_mm = SHEAR_TOLERANCE_PIXELS * min(slices[0].spacing_mm)
    if across_mm.max() > tolerance_mm:
        even = np.linspace(0, 1, len(slices))[:, None] * across[-1]
        if np.linalg.norm(across - even, axis=1).max() > tolerance_mm:
            raise SkullImplantError(
                f"The slices of the CT series are shifted against one another (up to "
                f"{across_mm.max():.1f} mm); use a series scanned in one go."
            )
        angle = np.degrees(np.arctan2(across_mm[-1], along[-1]))
        raise SkullImplantError(
            f"The CT was scanned with the gantry tilted by {angle:.1f} degrees; use a series "
            "without tilt, or resample it to a rectangular grid."
        )
    if abs(slices[0].tilt_degrees) > 0.5 and abs(slices[0].normal[2]) > np.cos(np.radians(0.5)):
        return (
            f"The DICOM header speaks of a gantry tilt of {slices[0].tilt_degrees:.1f} degrees "
            "that its slice positions do not show; check the proportions of the skull.",
        )
    return ()


def _pixels(slices: list[_Slice], progress: Progress) -> tuple[np.ndarray, str]:
    """Return the slices in HU (z, y, x), int16 or float32, and the SHA-256 of their files."""
    columns, rows = slices[0].size
    array = np.empty((len(slices), rows, columns), np.int16)
    digest = hashlib.sha256()
    for z, current in enumerate(slices):
        progress(z / len(slices), f"reading slice {z + 1} of {len(slices)}")
        digest.update(current.path.read_bytes())
        plane = _decoded(current, f"Slice {z + 1} of {len(slices)}")
        if current.padding_hu is not None:
            low, high = current.padding_hu
            plane = np.where((plane >= low - 1e-3) & (plane <= high + 1e-3), OUTSIDE_HU, plane)
        if array.dtype == np.int16 and plane.max() > np.iinfo(np.int16).max:
            array = array.astype(np.float32)
        array[z] = np.maximum(np.rint(plane), OUTSIDE_HU)
    progress(1.0, "slices read")
    return array, digest.hexdigest()


def _decoded(current: _Slice, name: str) -> np.ndarray:
    """Return one slice's pixels (y, x) in HU, float32, as GDCM decodes and rescales them."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(current.path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        number = "" if current.number is None else f" (instance number {current.number})"
        raise SkullImplantError(
            f"{name} of the CT series{number} is damaged or cut short; copy the series again."
        ) from error
    if image.GetSize() != (*current.size, 1) or image.GetNumberOfComponentsPerPixel() != 1:
        raise SkullImplantError(
            f"{name} of the CT series does not hold one grey image as its header says; export the "
            "series again."
        )
    return sitk.GetArrayFromImage(image)[0].astype(np.float32)
