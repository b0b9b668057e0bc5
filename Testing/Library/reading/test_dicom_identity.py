"""A slice is what lies in a place and has its pixels, whatever UIDs and names its file has."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicom_files import SAGITTAL, small_head, write_series
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.dicom_series import SeriesVolume, read_series

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
# Basic text SR, greyscale presentation state, encapsulated PDF, key object selection.
BESIDE = {
    "SR": "1.2.840.10008.5.1.4.1.1.88.11",
    "PR": "1.2.840.10008.5.1.4.1.1.11.1",
    "DOC": "1.2.840.10008.5.1.4.1.1.104.1",
    "KO": "1.2.840.10008.5.1.4.1.1.88.59",
}


def is_the_head(volume: SeriesVolume) -> bool:
    return bool(np.array_equal(array_of(volume.image), small_head()))


def write_object(path: Path, sop_class: str, **elements: str) -> Path:
    """Write a DICOM file without an image."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def rewritten(folder: Path, change) -> Path:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)
    return folder


# --- UIDs say nothing ---


def one_instance(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"


def no_series(dataset: Dataset) -> None:
    del dataset.SeriesInstanceUID


def no_uid(dataset: Dataset) -> None:
    del dataset.SeriesInstanceUID, dataset.SOPInstanceUID


def no_class(dataset: Dataset) -> None:
    del dataset.SOPClassUID


def no_modality(dataset: Dataset) -> None:
    del dataset.Modality


@pytest.mark.parametrize("change", [one_instance, no_series, no_uid, no_class, no_modality])
def test_slices_at_different_places_are_all_slices(tmp_path, change):
    volume = read_series(rewritten(write_series(tmp_path / "study"), change))
    assert is_the_head(volume) and volume.notes == ()


def test_one_uid_on_a_whole_study(tmp_path):
    """A scout, an axial series and its sagittal reformat, all under one series UID."""
    folder = tmp_path / "study"
    write_series(folder / "a", small_head()[:1], orientation=SAGITTAL)
    write_series(folder / "b")
    write_series(folder / "c", orientation=SAGITTAL)
    volume = read_series(folder)
    assert is_the_head(volume)
    (note,) = volume.notes
    assert "41 slice(s) of the CT series were left out" in note


def test_a_reconstruction_of_another_field_of_view_is_left_out(tmp_path):
    folder = tmp_path / "study"
    write_series(folder / "head")
    write_series(folder / "detail", small_head()[10:20], spacing_mm=(1.0, 1.0, 3.0))
    volume = read_series(folder)
    assert is_the_head(volume)
    assert "10 slice(s) of the CT series were left out" in volume.notes[0]


# --- doubles ---


def test_a_copy_counts_once_whatever_its_uid(tmp_path):
    folder = write_series(tmp_path / "study")
    for path in sorted(folder.iterdir())[:3]:
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = generate_uid()
        dataset.save_as(folder / f"copy-{path.name}")
    volume = read_series(folder)
    assert is_the_head(volume)
    assert volume.notes == ("3 slice(s) of the series are there twice and count once.",)


def test_copies_of_one_uid_and_other_bytes_are_compared_by_pixels(tmp_path):
    folder = write_series(tmp_path / "study", edit=lambda dataset, z: one_instance(dataset))
    first = sorted(folder.iterdir())[0]
    dataset = pydicom.dcmread(first)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(folder / "other")
    with pytest.raises(SkullImplantError, match="1 of the CT series' 41 slices lie in the place"):
        read_series(folder)


@pytest.mark.parametrize(
    ("keyword", "values", "said"),
    [
        ("AcquisitionNumber", ("2", "10"), "acquisition"),
        ("ConvolutionKernel", ("H30", "H60"), "kernel"),
        ("SeriesNumber", ("4", "5"), "series number"),
        ("TemporalPositionIdentifier", ("1", "2"), "point in time"),
    ],
)
def test_the_first_of_several_scans_is_used(tmp_path, keyword, values, said):
    folder = tmp_path / "study"
    for value, more in zip(values, (0, 30)):

        def edit(dataset: Dataset, z: int, value: str = value) -> None:
            setattr(dataset, keyword, value)

        series = write_series(tmp_path / value, small_head() + more, edit=edit)
        folder.mkdir(exist_ok=True)
        for path in series.iterdir():
            path.rename(folder / f"{value}-{path.name}")
    volume = read_series(folder)
    assert is_the_head(volume)
    (note,) = volume.notes
    assert f"2 scans of the same places, which differ in their {said}; one of 40 slices" in note


# --- what lies beside the series ---


def test_what_is_no_image_is_passed_over(tmp_path):
    folder = write_series(tmp_path / "study")
    write_object(folder / "DIRFILE", MEDIA_DIRECTORY, FileSetID="ARCHIVE")
    for modality, sop_class in BESIDE.items():
        uid = pydicom.dcmread(next(folder.glob("IM*"))).SeriesInstanceUID
        write_object(
            folder / modality,
            sop_class,
            SOPClassUID=sop_class,
            Modality=modality,
            SeriesInstanceUID=uid,
        )
    volume = read_series(folder)
    assert is_the_head(volume) and volume.notes == ()


def test_localizers_within_the_series_are_told(tmp_path):
    folder = tmp_path / "study"
    scout = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    write_series(folder / "scout", small_head()[:2], image_type=scout, orientation=SAGITTAL)
    write_series(folder / "head")
    volume = read_series(folder)
    assert is_the_head(volume)
    assert volume.notes == ("2 localizer(s) within the CT series were left out.",)


def test_colour_pictures_within_the_series_are_told(tmp_path):
    def colour(dataset: Dataset, z: int) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        dataset.PlanarConfiguration = 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = bytes(3 * dataset.Rows * dataset.Columns)

    folder = tmp_path / "study"
    write_series(folder / "head")
    write_series(folder / "dose", small_head()[:2], edit=colour)
    volume = read_series(folder)
    assert is_the_head(volume)
    assert volume.notes == ("2 colour picture(s) within the CT series were left out.",)


# --- damaged files ---


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_a_damaged_file_of_another_series_is_passed_over_and_told(tmp_path):
    folder = tmp_path / "study"
    write_series(folder / "ct")
    # The header is cut behind the series' UID, or within what says that it is no CT.
    other = sorted(write_series(folder / "other", small_head()[:5], series_uid="1.9").iterdir())[0]
    cut(other, 0.12)
    mr = sorted(write_series(folder / "mr", series_uid="1.8", modality="MR").iterdir())[0]
    dataset = pydicom.dcmread(mr)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.save_as(mr)
    volume = read_series(folder)
    assert is_the_head(volume)
    assert "1 file of another series, passed over, cannot be read." in volume.notes


@pytest.mark.parametrize("share", [0.02, 0.03, 0.05, 0.07, 0.1, 0.12, 0.14])
def test_a_damaged_file_that_may_be_a_slice_is_named(tmp_path, share):
    folder = write_series(tmp_path / "study")
    victim = sorted(folder.iterdir())[5]
    cut(victim, share)
    with pytest.raises(SkullImplantError, match=rf"\('{victim.name}'\) and may be of the CT"):
        read_series(folder)


@pytest.mark.parametrize("left", [b"", bytes(4096)])
def test_a_slice_of_which_nothing_is_left(tmp_path, left):
    folder = write_series(tmp_path / "study")
    victim = sorted(folder.iterdir())[5]
    victim.write_bytes(left)
    with pytest.raises(SkullImplantError, match=rf"\('{victim.name}'\) and may be of the CT"):
        read_series(folder)


def test_the_patient_of_another_series_is_told_apart(tmp_path):
    def anonymous(dataset: Dataset, z: int) -> None:
        dataset.PatientID = dataset.PatientName = ""

    folder = tmp_path / "study"
    write_series(folder / "one")
    write_series(folder / "two", small_head()[:30], series_uid="1.9", edit=anonymous)
    assert is_the_head(read_series(folder))  # of whom nothing is known is nobody else
    rewritten(folder / "two", lambda dataset: setattr(dataset, "PatientID", "0816"))
    with pytest.raises(SkullImplantError, match="CT series of 2 patients"):
        read_series(folder)
    assert read_series(folder, "1.9").image.GetDepth() == 30


def test_copies_of_one_slice_are_one_slice(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series")
    first, *others = sorted(folder.iterdir())
    for path in others:
        path.unlink()
    (folder / "copy.dcm").write_bytes(first.read_bytes())
    with pytest.raises(SkullImplantError, match="has only one slice"):
        read_series(folder)
