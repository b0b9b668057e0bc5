"""Real DICOM files for tests: a small head as a CT series, in any geometry and with any fault."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid
from pydicom.valuerep import DSfloat

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
PATIENT = "Doe^Jane"


def small_head(size: tuple[int, int, int] = (40, 48, 44)) -> np.ndarray:
    """Return a head of formulas in HU (int16; z, y, x): air, soft tissue, a shell of bone.

    One voxel, at index (z, y, x) = (30, 12, 17), is a landmark of 2500 HU.
    """
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in size)]
    radius = np.sqrt(sum((a / 0.9) ** 2 for a in axes))
    head = np.full(size, -1000, np.int16)
    head[radius < 1.0] = 60
    head[(radius > 0.8) & (radius < 0.92)] = 1100
    head[30, 12, 17] = 2500
    return head


def write_series(
    folder: Path,
    head: np.ndarray | None = None,
    *,
    spacing_mm: tuple[float, float, float] = (3.5, 3.25, 3.0),
    origin_mm: tuple[float, float, float] = (-70.0, -75.5, -60.25),
    orientation: tuple[tuple[float, ...], tuple[float, ...]] = AXIAL,
    series_uid: str = "1.2.826.0.1.1",
    modality: str = "CT",
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL"),
    shear_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    intercept: float = -1024.0,
    slope: float = 1.0,
    padding: int | None = None,
    syntax: str = ExplicitVRLittleEndian,
    edit: Callable[[Dataset, int], bool | None] = lambda dataset, z: None,
) -> Path:
    """Write `head` (z, y, x; HU) as one DICOM file a slice into `folder`, and return the folder.

    Each slice is shifted by `shear_mm` against the one before. `edit` may change the data set of
    slice z before it is written; where it returns False the slice is left out.
    """
    head = small_head() if head is None else head
    folder.mkdir(parents=True, exist_ok=True)
    row, column = (np.array(v, float) for v in orientation)
    step = np.cross(row, column) * spacing_mm[2] + np.array(shear_mm)
    for z, plane in enumerate(head):
        dataset = _slice(series_uid, modality)
        dataset.ImageType = list(image_type)
        dataset.InstanceNumber = len(head) - z
        dataset.ImageOrientationPatient = [_decimal(v) for v in (*row, *column)]
        dataset.ImagePositionPatient = [_decimal(v) for v in np.array(origin_mm) + z * step]
        dataset.PixelSpacing = [_decimal(spacing_mm[1]), _decimal(spacing_mm[0])]
        dataset.SliceThickness = _decimal(spacing_mm[2])
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:g}", f"{intercept:g}"
        stored = np.clip(np.rint((plane - intercept) / slope), 0, 65535)
        if padding is not None:
            dataset.PixelPaddingValue = padding
            stored[:3, :3] = padding
        dataset.Rows, dataset.Columns = plane.shape
        dataset.PixelData = stored.astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        if edit(dataset, z) is False:
            continue
        if syntax == RLELossless:
            dataset.compress(RLELossless)
        # Names in no order, as archives write them.
        dataset.save_as(folder / f"IM{(z * 7919) % 9973:05d}", enforce_file_format=True)
    return folder


def write_slices(
    folder: Path,
    ct: sitk.Image,
    places_mm: Sequence[float],
    tilt_degrees: float = 0.0,
    edit: Callable[[Dataset, int], bool | None] = lambda dataset, z: None,
) -> Path:
    """Write slices of `ct` (HU, upright axes) as a scanner with a tilted gantry makes them.

    Each slice begins at the left front edge of the CT, `places_mm` above its lowest slice, and
    leans back by `tilt_degrees`; the table moves along the body's axis. The pixels are the CT's.
    """
    tilt = np.radians(tilt_degrees)
    row, column = (1.0, 0.0, 0.0), (0.0, float(np.cos(tilt)), float(np.sin(tilt)))
    normal = np.cross(row, column)
    spacing_mm = ct.GetSpacing()
    size = [ct.GetSize()[0], int(np.ceil(ct.GetSize()[1] / np.cos(tilt))), 1]
    direction = np.column_stack([row, column, normal]).ravel().tolist()
    coefficients = sitk.BSplineDecomposition(sitk.Cast(ct, sitk.sitkFloat32))
    corners_mm = [np.add(ct.GetOrigin(), (0.0, 0.0, place)) for place in places_mm]
    planes = [
        sitk.GetArrayFromImage(
            sitk.Resample(
                coefficients, size, sitk.Transform(), sitk.sitkBSplineResampler, corner.tolist(),
                spacing_mm, direction, -1000.0,
            )
        )[0]
        for corner in corners_mm
    ]  # fmt: skip

    def placed(dataset: Dataset, z: int) -> bool | None:
        dataset.ImagePositionPatient = [_decimal(v) for v in corners_mm[z]]
        dataset.InstanceNumber = z + 1
        return edit(dataset, z)

    return write_series(
        folder, np.stack(planes), spacing_mm=spacing_mm, orientation=(row, column), edit=placed
    )


def _decimal(value: float) -> DSfloat:
    """Return a number in the 16 characters that DICOM has for it."""
    return DSfloat(float(value), auto_format=True)


def _slice(series_uid: str, modality: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = series_uid
    dataset.PatientName, dataset.PatientID = PATIENT, "4711-0815"
    dataset.Modality = modality
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    return dataset


def compressed_by_itk(dataset: Dataset, folder: Path, compressor: str) -> None:
    """Compress a slice by ITK's own writer, as most archives do."""
    path = folder / "compressed.dcm"
    plane = np.frombuffer(dataset.PixelData, "<u2").reshape(1, dataset.Rows, dataset.Columns)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(plane))
    compressed = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = compressed.file_meta.TransferSyntaxUID
    dataset.PixelData = compressed.PixelData
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    path.unlink()
