"""A folder of DICOM files to one CT volume in HU, or a named reason why there is none.

The headers (`dicom_study`) decide everything about geometry; ITK (GDCM) only decodes the pixels of
one slice after another, whatever their transfer syntax, and applies the rescale of each.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
from .dicom_study import DicomSeries, choose_series, find_series, notes_on_choice, numbers
from .hounsfield import OUTSIDE_HU

log = logging.getLogger(__name__)

# Headers are rounded; orientations differing by less move a head's far side by under 0.3 mm.
ORIENTATION_TOLERANCE = 1e-3
# From an even grid, of any slice: positions are often rounded to 0.1 mm.
EVENNESS_TOLERANCE_MM = 0.1
# Or this share of the spacing where that is more.
EVENNESS_TOLERANCE = 0.05
# Slices closer than this lie in the same place.
SAME_PLACE_MM = 0.01
# Of the first against the last slice, across the normal: less than half a pixel is no shear.
SHEAR_TOLERANCE_PIXELS = 0.5


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


def read_series(
    folder: Path, series_uid: str | None = None, progress: Progress = silent
) -> SeriesVolume:
    """Read the largest axial primary CT series in `folder` and the folders in it, or a given one.

    Localizers, other modalities and files that are not DICOM are passed over. Raises
    `SkullImplantError` where there is no CT series, the UID is unknown, or the slices do not make
    one even, rectangular volume: orientations or sizes mixed, a slice missing, doubled or damaged,
    uneven spacing, a tilted gantry.
    """
    series = find_series(folder, part(progress, 0.0, 0.3))
    chosen = choose_series(series, series_uid)
    log.info(
        "series of %d CT slices chosen, of %d series and %d files in all",
        len(chosen.headers),
        len(series),
        sum(one.files for one in series),
    )
    slices, notes = _slices(chosen)
    if series_uid is None:
        notes += notes_on_choice(chosen, series)
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


def _slices(series: DicomSeries) -> tuple[list[_Slice], tuple[str, ...]]:
    """Return the slices of the series, without copies of the same file, checked one by one."""
    slices = [_slice(path, header) for path, header in series.headers]
    unique = list({s.instance_uid or str(s.path): s for s in slices}.values())
    notes: tuple[str, ...] = ()
    if len(unique) < len(slices):
        copies = len(slices) - len(unique)
        notes = (f"{copies} file(s) of the series lie in the folder twice and count once.",)
    if len(unique) < 2:
        raise SkullImplantError(
            "The CT series has only one slice; give the folder that holds the whole series."
        )
    return unique, notes


def _slice(path: Path, header: pydicom.Dataset) -> _Slice:
    """Return what a header says of its slice; raises where it does not say where the slice lies."""
    number = numbers(header, "InstanceNumber", 1)
    name = f"Slice number {number[0]:.0f}" if number is not None else "A slice"
    found = {
        what: numbers(header, keyword, count)
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
    tilt = numbers(header, "GantryDetectorTilt", 1)
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
        default if (value := numbers(header, keyword, 1)) is None else float(value[0])
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
            f"The CT series mixes slices of {max(kinds, 2)} orientations; separate them.",
            Remedy.OTHER_SERIES,
        )
    if any(
        s.size != first.size or not np.allclose(s.spacing_mm, first.spacing_mm, rtol=1e-4)
        for s in slices
    ):
        raise SkullImplantError(
            "The CT series mixes slices of several sizes or pixel spacings; separate them.",
            Remedy.OTHER_SERIES,
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
