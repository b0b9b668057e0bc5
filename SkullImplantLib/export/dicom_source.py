"""The DICOM series that a design came from, and what its new objects take over from it.

New objects join the source's study, for the same patient, in a series of their own each; frame of
reference and equipment as PS3.3 asks. They carry the patient's name: that is what they are for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from .. import __version__
from ..core.files import atomic_path
from ..errors import SkullImplantError
from ..reading.input import Input

NEEDS_SERIES = "The export as DICOM needs the DICOM series that the design came from"
# Of the modules Patient, General Study and Patient Study, as far as the source has them.
TAKEN_OVER = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
    "AccessionNumber", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight",
    "SpecificCharacterSet",
)  # fmt: skip
# Must be there, empty where the source does not say it (type 2).
MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
MANUFACTURER, MODEL_NAME = "SkullImplant", "SkullImplant"
# Series of ours begin here, so that a viewer lists them after the scanner's.
FIRST_SERIES_NUMBER = 9001


@dataclass(frozen=True)
class SourceSeries:
    """The slices that a design came from: their headers in order, without pixels."""

    headers: tuple[Dataset, ...]

    @property
    def first(self) -> Dataset:
        return self.headers[0]

    @property
    def frame_of_reference(self) -> str:
        """The UID of the frame in which the slices lie, and so the implant."""
        return str(self.first.FrameOfReferenceUID)


def source_series(source: Input) -> SourceSeries:
    """Return the slices of a CT that was read from DICOM files.

    Raises `SkullImplantError` where they say nothing of their frame of reference.
    """
    headers = tuple(dcmread(path, stop_before_pixels=True) for path in source.files)
    if not headers[0].get("FrameOfReferenceUID"):
        raise SkullImplantError(
            "The slices do not say in which frame of reference they lie; export as STL."
        )
    return SourceSeries(headers)


def new_object(source: SourceSeries, sop_class: str, modality: str, number: int) -> Dataset:
    """Return an object of the source's study with what all of ours have: patient, study, a new
    series with this number (from 0), frame of reference, equipment and UIDs.
    """
    made = Dataset()
    for keyword in TAKEN_OVER:
        if keyword in source.first:
            setattr(made, keyword, source.first[keyword].value)
    for keyword in MAY_BE_EMPTY:
        if keyword not in made:
            setattr(made, keyword, "")
    now = datetime.now()
    made.SOPClassUID, made.SOPInstanceUID = UID(sop_class), generate_uid()
    made.SeriesInstanceUID, made.SeriesNumber = generate_uid(), FIRST_SERIES_NUMBER + number
    made.InstanceNumber = 1
    made.Modality = modality
    made.SeriesDate = made.ContentDate = made.InstanceCreationDate = now.strftime("%Y%m%d")
    made.SeriesTime = made.ContentTime = made.InstanceCreationTime = now.strftime("%H%M%S")
    made.FrameOfReferenceUID = source.frame_of_reference
    made.PositionReferenceIndicator = source.first.get("PositionReferenceIndicator", "")
    made.Manufacturer, made.ManufacturerModelName = MANUFACTURER, MODEL_NAME
    # No device has a serial number; the type of the element wants one.
    made.DeviceSerialNumber, made.SoftwareVersions = "none", __version__
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def coded(code: Code | tuple[str, str, str]) -> Dataset:
    """Return a code as an item of a sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = tuple(code)[:3]
    return item


def references_to(headers: Sequence[Dataset], purpose: Code | None = None) -> list[Dataset]:
    """Return references to slices, for what they were used for where it is said."""
    found = []
    for header in headers:
        item = Dataset()
        item.ReferencedSOPClassUID = header.SOPClassUID
        item.ReferencedSOPInstanceUID = header.SOPInstanceUID
        if purpose is not None:
            item.PurposeOfReferenceCodeSequence = [coded(purpose)]
        found.append(item)
    return found


def referenced_series(source: SourceSeries) -> Dataset:
    """Return the item of `ReferencedSeriesSequence` that names the source's slices."""
    item = Dataset()
    item.SeriesInstanceUID = source.first.SeriesInstanceUID
    item.ReferencedInstanceSequence = references_to(source.headers)
    return item


def write_object(made: Dataset, path: Path) -> None:
    """Write an object as a DICOM file, whole or not at all."""
    with atomic_path(path) as temporary:
        made.save_as(temporary, enforce_file_format=True)


def text_of(value: Any) -> str:
    """Return a value for a text element of at most 64 letters."""
    return str(value)[:64]
