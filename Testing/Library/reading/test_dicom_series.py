"""DICOM folders: the right series, in the right place, with the right values."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from dicom_files import AXIAL, PATIENT, SAGITTAL, compressed_by_itk, small_head, write_series
from SkullImplantLib.core.images import array_of, same_grid
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.dicom_series import read_series
from SkullImplantLib.reading.input import read_input

LANDMARK_XYZ = (17, 12, 30)
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
LEFT_TO_RIGHT = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))  # rows from the left: slices run downwards


def oblique(turn_x: float, turn_y: float, turn_z: float) -> tuple[tuple[float, ...], ...]:
    """Return the row and column directions of an axial slice turned about each axis, radians."""
    about_x, about_y, about_z = (
        np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        for a in (turn_x, turn_y, turn_z)
    )
    turn = np.roll(about_z, (2, 2), (0, 1)) @ np.roll(about_y, (1, 1), (0, 1)) @ about_x
    return tuple(turn[:, 0]), tuple(turn[:, 1])


def expected_place(orientation, origin_mm=(-70.0, -75.5, -60.25), spacing_mm=(3.5, 3.25, 3.0)):
    """Return the landmark's place by the definition of DICOM PS3.3 C.7.6.2.1.1."""
    row, column = (np.array(v) for v in orientation)
    x, y, z = np.array(LANDMARK_XYZ) * spacing_mm
    return np.array(origin_mm) + x * row + y * column + z * np.cross(row, column)


# --- geometry ---


@pytest.mark.parametrize(
    "orientation",
    [AXIAL, SAGITTAL, CORONAL, LEFT_TO_RIGHT, oblique(0.3, -0.2, 0.1), oblique(-0.02, 0.5, 3)],
    ids=["axial", "sagittal", "coronal", "left-to-right", "oblique", "turned"],
)
def test_the_landmark_is_where_the_headers_say(tmp_path, orientation):
    folder = write_series(tmp_path / "study", orientation=orientation)
    image = read_series(folder).image
    assert image[LANDMARK_XYZ] == 2500
    place = image.TransformIndexToPhysicalPoint(LANDMARK_XYZ)
    assert np.abs(place - expected_place(orientation)).max() < 1e-3
    assert np.allclose(image.GetSpacing(), (3.5, 3.25, 3.0), atol=1e-6)
    assert np.array_equal(array_of(image), small_head())


def test_the_geometry_is_that_of_itk(tmp_path):
    folder = write_series(tmp_path / "study", orientation=oblique(0.3, -0.2, 0.1))
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    assert same_grid(read_series(folder).image, sitk.ReadImage(names))


angles = st.floats(-3.1, 3.1)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(angles, angles, angles, st.floats(0.6, 5.0), st.randoms(use_true_random=False))
def test_any_orientation_and_any_order_of_files(tmp_path, a, b, c, step, random):
    orientation = oblique(a, b, c)
    folder = tmp_path / "study"
    shutil.rmtree(folder, ignore_errors=True)
    head = small_head()[26:34]
    write_series(folder, head, orientation=orientation, spacing_mm=(3.5, 3.25, step))
    files = sorted(folder.iterdir())
    for path, name in zip(files, random.sample(range(1000), len(files))):
        path.rename(folder / f"{name}.dcm")
    image = read_series(folder).image
    place = image.TransformIndexToPhysicalPoint((17, 12, 4))
    row, column = (np.array(v) for v in orientation)
    normal = np.cross(row, column)
    expected = [-70, -75.5, -60.25] + 17 * 3.5 * row + 12 * 3.25 * column + 4 * step * normal
    assert np.abs(place - expected).max() < 1e-3
    assert image[17, 12, 4] == 2500


def test_rounded_positions_are_even_enough(tmp_path):
    def rounded(dataset, z):
        dataset.ImagePositionPatient[2] = f"{float(dataset.ImagePositionPatient[2]):.1f}"

    folder = write_series(tmp_path / "study", spacing_mm=(3.5, 3.25, 2.34), edit=rounded)
    image = read_series(folder).image
    assert abs(image.GetSpacing()[2] - 2.34) < 0.003


def test_a_trivial_shear_is_none(tmp_path):
    folder = write_series(tmp_path / "study", shear_mm=(0.02, 0.03, 0.0))
    assert read_series(folder).notes == ()


def test_a_tilt_that_the_positions_do_not_show_is_told(tmp_path):
    def edit(dataset, z):
        dataset.GantryDetectorTilt = "12.5"

    (note,) = read_series(write_series(tmp_path / "study", edit=edit)).notes
    assert "12.5 degrees" in note


def test_slices_that_wander_are_no_tilt(tmp_path):
    def edit(dataset, z):
        dataset.ImagePositionPatient[0] += 6.0 if 10 < z < 30 else 0.0

    folder = write_series(tmp_path / "study", edit=edit)
    with pytest.raises(SkullImplantError, match="shifted against one another"):
        read_series(folder)


# --- values ---


def test_the_rescale_of_each_slice_is_its_own(tmp_path):
    def edit(dataset, z):
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(int)
        slope, intercept = (0.5, -1200.0) if z % 3 == 0 else (1.0, -1024.0 - z)
        rescaled = np.rint((stored - 1024 - intercept) / slope)
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), str(intercept)
        dataset.PixelData = rescaled.astype("<u2").tobytes()

    image = read_series(write_series(tmp_path / "study", edit=edit)).image
    assert image.GetPixelID() == sitk.sitkInt16
    assert np.array_equal(array_of(image), small_head())


def test_compressed_pixels(tmp_path):
    run_length = read_series(write_series(tmp_path / "rle", syntax=RLELossless)).image
    assert np.array_equal(array_of(run_length), small_head())

    folder = write_series(
        tmp_path / "jpeg", edit=lambda dataset, z: compressed_by_itk(dataset, tmp_path, "JPEG")
    )
    file = next(folder.iterdir())
    assert "JPEG Lossless" in pydicom.dcmread(file).file_meta.TransferSyntaxUID.name
    assert np.array_equal(array_of(read_series(folder).image), small_head())
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(SkullImplantError, match="damaged or cut short"):
        read_series(folder)


def test_signed_pixels_and_implicit_headers(tmp_path):
    def edit(dataset, z):
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
        dataset.PixelData = stored.astype("<i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    image = read_series(write_series(tmp_path / "study", edit=edit)).image
    assert np.array_equal(array_of(image), small_head())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
def test_padding_becomes_air(tmp_path, signed, implicit):
    """A padding value of -2000 that would be read as 62512 HU, or 1500 that would be bone."""

    def edit(dataset, z):
        if signed:
            dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
            stored = np.frombuffer(dataset.PixelData, "<u2").astype(int)
            stored = np.where(stored == 1500, -2000, stored - 1024)
            dataset.PixelData = stored.astype("<i2").tobytes()
            # Some writers state the padding of signed pixels without its sign, as here.
            if implicit:
                dataset.add_new("PixelPaddingValue", "US", 0x10000 - 2000)
            else:
                dataset.add_new("PixelPaddingValue", "SS", -2000)
        if implicit:
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    image = read_series(write_series(tmp_path / "study", padding=1500, edit=edit)).image
    expected = small_head()
    expected[:, :3, :3] = -1024
    assert np.array_equal(array_of(image), expected)


def test_metal_beyond_int16_is_kept(tmp_path):
    head = small_head().astype(int)
    head[20, 20, 20] = 50_000
    image = read_series(write_series(tmp_path / "study", head)).image
    assert image.GetPixelID() == sitk.sitkFloat32
    assert np.array_equal(array_of(image), head)


# --- the right series ---


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study: scout, MR, thick and thin axial CT, reformatted and derived ones of more slices."""
    folder = tmp_path_factory.mktemp("study")
    thin = small_head((60, 48, 44))
    write_series(folder / "1", series_uid="1.1", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    write_series(folder / "2", series_uid="1.2", modality="MR")
    write_series(folder / "3", series_uid="1.3")
    write_series(folder / "4", thin, series_uid="1.4", spacing_mm=(3.5, 3.25, 2.0))
    write_series(folder / "5", small_head((70, 48, 44)), series_uid="1.5", orientation=SAGITTAL)
    derived = ("DERIVED", "SECONDARY", "MIP")
    write_series(folder / "6", small_head((80, 48, 44)), series_uid="1.6", image_type=derived)
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 40)
    (folder / "viewer.exe").write_bytes(b"MZ" * 500)
    (folder / "3" / "Thumbs.db").write_bytes(b"")
    return folder


def test_the_largest_axial_primary_ct_is_read(study):
    volume = read_series(study)
    assert volume.image.GetSize() == (44, 48, 60)
    (note,) = volume.notes
    assert "4 CT series" in note and "60 slices" in note


def test_a_series_may_be_chosen(study):
    assert read_series(study, "1.5").image.GetSize() == (44, 48, 70)
    assert read_series(study, "1.3").image.GetSize() == (44, 48, 40)
    with pytest.raises(SkullImplantError, match="MR: 40 files"):
        read_series(study, "1.2")
    with pytest.raises(SkullImplantError, match="only localizers"):
        read_series(study, "1.1")
    listed = r"holds 1\.6 \(CT, 80 files\).*1\.2 \(MR, 40 files\)"
    with pytest.raises(SkullImplantError, match=listed):
        read_series(study, "9.9")


def test_a_sagittal_series_where_there_is_no_other(tmp_path):
    volume = read_series(write_series(tmp_path / "study", orientation=SAGITTAL))
    assert any("no axial CT series" in note for note in volume.notes)


def test_captures_within_a_series_are_passed_over(tmp_path):
    folder = write_series(tmp_path / "study")

    def capture(dataset, z):
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        del dataset.ImagePositionPatient, dataset.PixelSpacing

    write_series(folder / "captures", small_head()[:2], edit=capture)
    assert read_series(folder).image.GetSize() == (44, 48, 40)


def test_copies_of_a_file_count_once(tmp_path):
    folder = write_series(tmp_path / "study")
    shutil.copytree(folder, folder / "backup")
    volume = read_series(folder)
    assert volume.image.GetSize() == (44, 48, 40)
    assert any("40 slice(s)" in note for note in volume.notes)


def test_files_without_preamble(tmp_path):
    folder = write_series(tmp_path / "study")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.preamble = None
        del dataset.file_meta
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert np.array_equal(array_of(read_series(folder).image), small_head())


# --- the rest of the contract ---


def test_the_digest_is_of_the_files_in_slice_order(tmp_path):
    folder = write_series(tmp_path / "study")
    files = sorted(folder.iterdir(), key=lambda p: pydicom.dcmread(p).ImagePositionPatient[2])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    assert read_series(folder).sha256 == digest
    files[0].rename(folder / "renamed")
    assert read_input(folder).sha256 == digest


def test_the_patient_stays_in_the_files(study):
    read = read_input(study)
    assert read.kind == "ct"
    assert read.description == (
        "DICOM series of 60 slices, 44 x 48 x 60 voxels of 3.50 x 3.25 x 2.00 mm"
    )
    assert read.image.GetMetaDataKeys() == ()
    assert PATIENT not in " ".join([read.description, *read.notes])


def test_the_damaged_slice_is_named(tmp_path):
    folder = write_series(tmp_path / "study")
    files = sorted(folder.iterdir(), key=lambda p: pydicom.dcmread(p).ImagePositionPatient[2])
    files[11].write_bytes(files[11].read_bytes()[:-1])
    with pytest.raises(SkullImplantError, match=r"Slice 12 of 40 .*\(number 29\)"):
        read_series(folder)


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1), (1, -24), (2, -1024), (1, 0)])
def test_a_slice_with_another_scale_than_its_pixels_is_refused(tmp_path, slope, intercept):
    def edit(dataset, z):
        if z == 17:
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept

    with pytest.raises(SkullImplantError, match=r"slices 1[78] and 1[89].*leap"):
        read_series(write_series(tmp_path / "study", edit=edit))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_a_scale_of_each_slice_own_is_right_where_its_pixels_have_it(tmp_path, seed):
    rng = np.random.default_rng(seed)
    offsets = rng.integers(0, 500, 40)

    def edit(dataset, z):
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(int) + offsets[z]
        dataset.PixelData = stored.astype("<u2").tobytes()
        dataset.RescaleIntercept = str(-1024 - offsets[z])

    folder = write_series(tmp_path / str(seed), edit=edit)
    assert np.array_equal(array_of(read_series(folder).image), small_head())


def test_bits_that_lie_elsewhere_in_one_slice_are_refused(tmp_path):
    def edit(dataset, z):
        if z == 9:
            dataset.BitsStored = 12  # with the high bit of 16

    with pytest.raises(SkullImplantError, match=r"Slice 10.*in which bits"):
        read_series(write_series(tmp_path / "study", edit=edit))


def test_pixels_that_are_neither_signed_nor_unsigned_are_refused(tmp_path):
    def edit(dataset, z):
        dataset.PixelRepresentation = 65535

    with pytest.raises(SkullImplantError, match="does not say how its pixels are stored"):
        read_series(write_series(tmp_path / "study", edit=edit))
