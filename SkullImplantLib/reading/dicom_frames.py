"""What DICOM headers say of their slices: where each lies, and what its pixels mean.

A classic CT file is one slice, and its header says all of it. A multi-frame file (enhanced CT,
PS3.3 A.38; legacy converted, A.70) says it in functional groups (C.7.6.16), those of one frame
before those that all share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from ..errors import SkullImplantError
from .dicom_study import LOCALIZERS, UNREADABLE, DicomSeries, frames_in, numbers

# Headers are rounded; orientations differing by less move a head's far side by under 0.3 mm.
ORIENTATION_TOLERANCE = 1e-3
# Of (0028,1054): Hounsfield units, "unspecified", and those of a computed energy.
HOUNSFIELD = {"", "HU", "US", "HU_MOD"}
OTHER_UNITS = {
    "OD": "optical density",
    "MGML": "mg/ml",
    "Z_EFF": "effective atomic number",
    "ED": "electron density",
    "EDW": "electron density",
    "PCT": "per cent",
}
WITH_LOSS = "The CT was compressed with loss; its bone may be less sharp than it was."
# By what scans of one place in one series may differ, in the order in which they are told apart.
APART = {
    "SeriesNumber": "series number",
    "AcquisitionNumber": "acquisition",
    "FrameAcquisitionNumber": "acquisition",
    "TemporalPositionIdentifier": "point in time",
    "TemporalPositionIndex": "point in time",
    "StackID": "stack",
    "ConvolutionKernel": "kernel",
    "ImageType": "image type",
    "FrameType": "image type",
    "KVP": "tube voltage",
    "folder": "folder",
}


@dataclass(frozen=True, eq=False)
class Frame:
    """What is said of one CT slice; LPS mm.

    rescale: slope and intercept from stored values to HU, None where there is none. padding: the
    range of stored values that mark padding. marks: the values of `APART`.
    """

    path: Path
    index: int  # within its file
    number: int | None  # that its scanner gave it, or of the frame in its file, from 1
    size: tuple[int, int]  # columns, rows
    spacing_mm: tuple[float, float]  # along a row, along a column
    orientation: np.ndarray  # (2, 3): direction along a row, along a column
    position_mm: np.ndarray  # (3,): centre of the first pixel
    rescale: tuple[float, float] | None
    padding: tuple[int, int] | None
    tilt_degrees: float
    marks: dict[str, str]

    @property
    def normal(self) -> np.ndarray:
        return np.cross(*self.orientation)

    @property
    def centre_mm(self) -> np.ndarray:
        """The slice's middle (3,)."""
        half = (np.array(self.size) - 1) / 2 * self.spacing_mm
        centre: np.ndarray = self.position_mm + half @ self.orientation
        return centre


class _Said:
    """All that is said of one frame: its own functional groups, the shared ones, the header."""

    def __init__(self, *layers: pydicom.Dataset) -> None:
        self._layers = [layer for whole in layers for layer in (*_groups(whole), whole)]

    def get(self, keyword: str) -> Any:
        """Return an element's value from the first that has a readable one, or None."""
        for layer in self._layers:
            try:
                value = layer.get(keyword)
            except UNREADABLE:
                continue
            if value is not None and value != "":
                return value
        return None

    def has(self, keyword: str) -> bool:
        return self.get(keyword) is not None

    def text(self, keyword: str) -> str:
        value = self.get(keyword)
        return "" if value is None else str(value).upper()


def _groups(layer: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Yield the items of a functional group's sequences, of one item each."""
    for tag in layer.keys():  # noqa: SIM118 - its elements would be read at once
        try:
            element = layer[tag]
        except UNREADABLE:
            continue
        if element.VR == "SQ" and len(element.value) == 1 and element.keyword not in _PER_SLICE:
            yield element.value[0]


# Those of a header itself, which hold a functional group for each frame or for all.
_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_PER_SLICE = {_SHARED, _PER_FRAME}


def frames_of(series: DicomSeries) -> tuple[list[Frame], tuple[str, ...]]:
    """Return all slices of a series in no order, and notes on it.

    Colour pictures (captures) and localizers among the frames are left out, with a note. Raises
    `SkullImplantError` where a header does not say where a slice lies or what its values are.
    """
    frames: list[Frame] = []
    said_of_all: list[_Said] = []
    localizers, colours = 0, []
    for path, header in series.headers:
        for index, said in enumerate(_said(header)):
            if said.get("SamplesPerPixel") not in (None, 1) or said.text(
                "PhotometricInterpretation"
            ) not in ("", "MONOCHROME1", "MONOCHROME2"):
                colours.append(said.text("PhotometricInterpretation")[:16] or "several values")
            elif any(kind in said.text("FrameType") for kind in LOCALIZERS):
                localizers += 1
            else:
                frames.append(_frame(path, index, said))
                said_of_all.append(said)
    if not frames:
        reason = f"colour pictures ({colours[0]})" if colours else "localizers"
        raise SkullImplantError(
            f"The CT series holds only {reason}, and no CT values; give the folder of the CT "
            "series as the scanner made it."
        )
    if 0 < sum(frame.rescale is None for frame in frames) < len(frames):
        raise SkullImplantError(
            "Some slices of the CT series have no rescale slope and intercept, and others do; "
            "export the series again from the scanner or archive."
        )
    notes: tuple[str, ...] = ()
    if colours:
        notes += (f"{len(colours)} colour picture(s) within the CT series were left out.",)
    if localizers:
        notes += (f"{localizers} localizer(s) within the CT series were left out.",)
    if any(said.get("LossyImageCompression") == "01" for said in said_of_all):
        notes += (WITH_LOSS,)
    if any(said.text("RescaleType") == "HU_MOD" for said in said_of_all):
        notes += ("The CT's values are modified HU (of a computed energy); check the threshold.",)
    if any(said.text("PhotometricInterpretation") == "MONOCHROME1" for said in said_of_all):
        notes += (
            "The slices are marked to be shown inverted (MONOCHROME1), which leaves their values "
            "as they are; check that bone is bright.",
        )
    return frames, notes


def _said(header: pydicom.Dataset) -> Iterator[_Said]:
    """Yield what is said of each frame of a file."""
    count = frames_in(header)
    shared = list(header.get(_SHARED) or [])
    own = header.get(_PER_FRAME)
    if own is None and count == 1:
        yield _Said(*shared, header)
        return
    if own is None:
        raise SkullImplantError(
            f"A file of the CT series holds {count} slices and says where none of them lies; "
            "export the series again, one file a slice or as enhanced CT."
        )
    if len(own) != count:
        raise SkullImplantError(
            f"A file of the CT series holds {count} slices and describes {len(own)} of them; "
            "export the series again from the scanner or archive."
        )
    for group in own:
        yield _Said(group, *shared, header)


def _frame(path: Path, index: int, said: _Said) -> Frame:
    """Return what is said of a slice; raises where it is not where the slice lies."""
    number = numbers(said, "InstanceNumber", 1)
    several = said.has(_PER_FRAME)
    name = f"Slice number {number[0]:.0f}" if number is not None else "A slice"
    name = f"Frame {index + 1}" if several else name
    found = {
        what: numbers(said, keyword, count)
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
        if value is None or (what.startswith("number") and value[0] < 1):
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
    tilt = numbers(said, "GantryDetectorTilt", 1)
    spacing = values["pixel spacing"]
    marks = {keyword: said.text(keyword) for keyword in APART}
    return Frame(
        path=path,
        index=index,
        number=index + 1 if several else None if number is None else int(number[0]),
        size=(int(values["number of columns"][0]), int(values["number of rows"][0])),
        spacing_mm=(float(spacing[1]), float(spacing[0])),
        orientation=_orthonormal(orientation),
        position_mm=values["position"],
        rescale=_rescale(said, name),
        padding=_padding(said),
        tilt_degrees=0.0 if tilt is None else float(tilt[0]),
        marks=marks | {"folder": str(path.parent)},
    )


def _orthonormal(orientation: np.ndarray) -> np.ndarray:
    """Return the two directions (2, 3) freed from the header's rounding."""
    row = orientation[0] / np.linalg.norm(orientation[0])
    column = orientation[1] - (orientation[1] @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _rescale(said: _Said, name: str) -> tuple[float, float] | None:
    """Return slope and intercept to HU (PS3.3 C.11.1), None where the header has neither."""
    unit = said.text("RescaleType")
    if unit not in HOUNSFIELD:
        raise SkullImplantError(
            f"The values of the CT series are {OTHER_UNITS.get(unit, repr(unit[:16]))} and no "
            "Hounsfield units, as its header says; give the series in HU."
        )
    if not said.has("RescaleSlope") and not said.has("RescaleIntercept"):
        return None
    slope, intercept = numbers(said, "RescaleSlope", 1), numbers(said, "RescaleIntercept", 1)
    if slope is None or intercept is None or slope[0] == 0.0:
        raise SkullImplantError(
            f"{name} of the CT series has a rescale slope or intercept that is absent, zero or not "
            "a number; export the series again from the scanner or archive."
        )
    return float(slope[0]), float(intercept[0])


def _padding(said: _Said) -> tuple[int, int] | None:
    """Return the range of stored values that marks padding, from (0028,0120) and (0028,0121)."""
    stored = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = said.get(keyword)
        if isinstance(value, bytes) and len(value) == 2:
            value = int.from_bytes(value, "little")
        if isinstance(value, int):
            # Writers disagree about the sign of this element; the pixels' own sign decides.
            value &= 0xFFFF
            signed = said.get("PixelRepresentation") == 1 and value >= 0x8000
            stored.append(value - 0x10000 if signed else value)
    return (min(stored), max(stored)) if stored else None
