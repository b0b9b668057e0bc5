"""Every bad DICOM series we know of, built small; it adds to the table of `bad_inputs`."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless
from pydicom.valuerep import DSfloat

from bad_inputs import BAD_INPUTS, SAYS, bad, cut, replaced
from dicom_files import small_head, write_series

__all__ = ["BAD_INPUTS", "SAYS"]


@bad("MR: 40 files")
def mr_series(folder: Path) -> Path:
    return write_series(folder / "study", modality="MR")


@bad("only localizers")
def only_a_localizer(folder: Path) -> Path:
    return write_series(folder / "study", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))


@bad("only one slice")
def one_slice_series(folder: Path) -> Path:
    return write_series(folder / "study", small_head()[:1])


@bad("Between slices 11 and 12 of the CT series' 38 there is a gap of 9.0 mm")
def missing_slices(folder: Path) -> Path:
    return write_series(folder / "study", edit=lambda dataset, z: z not in (11, 12))


@bad("those numbered 20 and 21 contradict their numbers")
def wrong_position(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.ImagePositionPatient[2] -= 4.0 if z == 20 else 0.0

    return write_series(folder / "study", edit=edit)


@bad("40 of the CT series' 80 slices lie in the place of another and have other values")
def two_points_in_time(folder: Path) -> Path:
    series = write_series(folder / "study")
    for path in write_series(folder / "later", small_head() + 20).iterdir():
        path.rename(series / f"{path.name}-later")
    return series


@bad("sheared by 45 degrees")
def sheared_slices(folder: Path) -> Path:
    return write_series(folder / "study", shear_mm=(0.0, 3.0, 0.0))


@bad("2 orientations")
def tilt_changed_within_the_head(folder: Path) -> Path:
    tilted = ((1.0, 0.0, 0.0), (0.0, float(np.cos(0.3)), float(np.sin(0.3))))
    write_series(folder / "study" / "vault")
    below_mm = (-70.0, -75.5, -250.0)
    write_series(folder / "study" / "base", orientation=tilted, origin_mm=below_mm)
    return folder / "study"


@bad("2 patients")
def two_patients_in_a_series(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.PatientID = f"4711-{z // 20}"

    return write_series(folder / "study", edit=edit)


@bad("2 patients")
def two_patients_in_a_folder(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.PatientID = "4711-0816"

    write_series(folder / "study" / "one")
    write_series(folder / "study" / "two", series_uid="1.2.826.0.1.2", edit=edit)
    return folder / "study"


@bad("electron density")
def electron_density(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.RescaleType = "ED"

    return write_series(folder / "study", edit=edit)


@bad("rescale slope or intercept that is absent, zero or not a number")
def slope_of_zero(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.RescaleSlope = "0" if z == 7 else "1"

    return write_series(folder / "study", edit=edit)


@bad("rescale slope or intercept that is absent, zero or not a number")
def slope_that_is_no_number(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.RescaleSlope = DSfloat(float("nan")) if z == 7 else "1"

    return write_series(folder / "study", edit=edit)


@bad("Some slices of the CT series have no rescale")
def rescale_of_some_slices(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        if z == 7:
            del dataset.RescaleSlope, dataset.RescaleIntercept

    return write_series(folder / "study", edit=edit)


@bad("only colour pictures (RGB)")
def colour_pictures(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        dataset.PlanarConfiguration = 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = bytes(3 * dataset.Rows * dataset.Columns)

    return write_series(folder / "study", edit=edit)


@bad("holds 4228 bytes of pixels where its header says 4224")
def pixels_longer_than_said(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.PixelData = dataset.PixelData + bytes(4)

    return write_series(folder / "study", edit=edit)


@bad("4222 of the 4224 bytes of pixels")
def pixels_shorter_than_said(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.PixelData = dataset.PixelData[:-2]

    return write_series(folder / "study", edit=edit)


@bad("compressed in a way that is not read here (JPEG XL lossless")
def unknown_compression(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
        dataset.PixelData = encapsulate([b"\xff\x0a" + bytes(14)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True

    series = write_series(folder / "study", edit=edit)
    for path in series.iterdir():  # pydicom writes no syntax that it does not know
        replaced(path, HTJ2KLossless.encode(), b"1.2.840.10008.1.2.4.110")
    return series


@bad("several sizes or pixel spacings that lie one behind the other")
def mixed_sizes(folder: Path) -> Path:
    write_series(folder / "study" / "head", small_head()[:30])
    write_series(
        folder / "study" / "neck", small_head((40, 40, 40)), origin_mm=(-70, -75.5, -180.25)
    )
    return folder / "study"


@bad("is cut short: ")
def truncated_slice(folder: Path) -> Path:
    files = sorted(write_series(folder / "study").iterdir())
    cut(files[7])
    return folder / "study"


@bad("1 file of the folder cannot be read ('IM")
def truncated_dicom_header(folder: Path) -> Path:
    files = sorted(write_series(folder / "study").iterdir())
    cut(files[7], 0.09)
    return folder / "study"


@bad("no usable pixel spacing")
def no_pixel_spacing(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        del dataset.PixelSpacing

    return write_series(folder / "study", edit=edit)


@bad("no usable position")
def no_position(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        if z == 20:
            dataset.ImagePositionPatient = None

    return write_series(folder / "study", edit=edit)


@bad("holds 40 slices and says where none of them lies")
def frames_without_places(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> bool:
        dataset.NumberOfFrames = 40
        dataset.PixelData = 40 * dataset.PixelData
        return z == 0

    return write_series(folder / "study", edit=edit)


@bad("neither Hounsfield units")
def dicom_without_rescale(folder: Path) -> Path:
    def edit(dataset: Dataset, z: int) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept

    return write_series(folder / "study", edit=edit)
