"""A CT as DICOM slices, and as Slicer brings them into its scene and its DICOM database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
import slicer
import vtk

from dicom_files import write_series

# What a volume is called that somebody named after the patient.
VOLUME = "DOE^JANE^CT"
MARKS = {
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19700101",
    "StudyDate": "20250102",
    "AccessionNumber": "A1-MARKED",
    "ReferringPhysicianName": "Doctor^Who",
}


def write_ct(folder: Path, ct: sitk.Image, *, feet_first: bool = False, **how: Any) -> Path:
    """Write a CT (HU, right-handed axes) as a series of a marked patient.

    feet_first: with the patient the other way round in the scanner, so that rows run to the right
    and slices to the feet; every voxel stays where it is.
    """
    hu = sitk.GetArrayFromImage(ct)
    axes = np.reshape(ct.GetDirection(), (3, 3))
    corner = (0, 0, 0)
    if feet_first:
        hu, axes = hu[::-1, :, ::-1], axes * [-1, 1, -1]
        corner = (ct.GetSize()[0] - 1, 0, ct.GetSize()[2] - 1)

    def complete(dataset: Any, z: int) -> None:
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "1.2.826.0.1.9", "1.2.826.0.1.10"
        dataset.PatientPosition = "FFS" if feet_first else "HFS"
        dataset.PatientSex, dataset.StudyTime, dataset.StudyID = "F", "101112", "S1"
        for keyword, value in MARKS.items():
            setattr(dataset, keyword, value)

    return write_series(
        folder,
        hu,
        spacing_mm=ct.GetSpacing(),
        origin_mm=ct.TransformIndexToPhysicalPoint(corner),
        orientation=(tuple(axes[:, 0]), tuple(axes[:, 1])),
        edit=complete,
        **how,
    )


def in_order(folder: Path) -> list[Path]:
    """The files of a series along the normal of its slices, as Slicer's readers sort them."""
    places = {}
    for path in folder.iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        row, column = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
        position = [float(v) for v in header.ImagePositionPatient]
        places[path] = float(np.dot(position, np.cross(row, column)))
    return sorted(places, key=places.__getitem__)


def load_series(folder: Path, name: str = VOLUME) -> Any:
    """The volume node of a series, read by MRML and marked as Slicer's DICOM readers mark it."""
    files, listed = in_order(folder), vtk.vtkStringArray()
    for path in files:
        listed.InsertNextValue(str(path))
    logic = slicer.modules.volumes.logic()
    node = logic.AddArchetypeScalarVolume(str(files[0]), name, 0, listed)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    uids = " ".join(str(header.SOPInstanceUID) for header in headers)
    node.SetAttribute("DICOM.instanceUIDs", uids)
    return node


@contextmanager
def dicom_database(folder: Path, series: Path | None = None) -> Iterator[Any]:
    """Slicer's DICOM database in a folder, with the files of a series copied into it."""
    from slicer_host.dicom_database import open_dicom_database

    database = open_dicom_database(folder)
    try:
        for path in [] if series is None else series.iterdir():
            database.insert(str(path))
        yield database
    finally:
        database.closeDatabase()
        del slicer.dicomDatabase
