"""Multi-frame CT: what each frame's functional groups say of it counts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
    generate_uid,
)

from dicom_files import small_head
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.dicom_series import read_series
from SkullImplantLib.reading.input import read_input

SPACING_MM = (3.5, 3.25, 3.0)
ORIGIN_MM = np.array([-70.0, -75.5, -60.25])


def item(**elements: object) -> Sequence:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return Sequence([dataset])


def write_enhanced(
    path: Path,
    head: np.ndarray | None = None,
    *,
    frames: list[int] | None = None,
    shared: bool = True,
    sop_class: str = EnhancedCTImageStorage,
    syntax: str = ExplicitVRLittleEndian,
    lean_mm: float = 0.0,
    edit: Callable[[Dataset, int], None] = lambda group, z: None,
    edit_file: Callable[[Dataset], None] = lambda dataset: None,
) -> Path:
    """Write slices of `head` (z, y, x; HU) as frames of one file, and return its path.

    frames: the slices in the order of the file, all of them where it is not given. shared: what
    is the same for all is said once. lean_mm: how far each slice lies behind the one below.
    """
    head = small_head() if head is None else head
    frames = list(range(len(head))) if frames is None else frames
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.Modality = "1.2.826.0.2.1", "CT"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "4711-0815"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.NumberOfFrames = len(frames)
    dataset.Rows, dataset.Columns = head.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0

    def common(group: Dataset) -> None:
        group.PixelMeasuresSequence = item(
            PixelSpacing=[SPACING_MM[1], SPACING_MM[0]], SliceThickness=SPACING_MM[2]
        )
        group.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        group.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])

    groups, planes = [], []
    for z in frames:
        group = Dataset()
        if not shared:
            common(group)
        place = ORIGIN_MM + [0.0, lean_mm * z, SPACING_MM[2] * z]
        group.PlanePositionSequence = item(ImagePositionPatient=[round(float(v), 6) for v in place])
        # Each frame has a rescale of its own, as PET-CT and iterative reconstructions write it.
        intercept = -1024 - z
        group.PixelValueTransformationSequence = item(
            RescaleSlope=1, RescaleIntercept=intercept, RescaleType="HU"
        )
        edit(group, z)
        groups.append(group)
        planes.append(head[z] - intercept)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    group = Dataset()
    if shared:
        common(group)
    dataset.SharedFunctionalGroupsSequence = Sequence([group])
    dataset.PixelData = np.stack(planes).astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    edit_file(dataset)
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    elif syntax != ExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(
        path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian, force_encoding=True,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    "sop_class", [EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage]
)
@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        RLELossless,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ImplicitVRLittleEndian,
    ],
)
def test_frames_in_any_order_are_the_head(tmp_path, shared, sop_class, syntax):
    frames = np.random.default_rng(1).permutation(40).tolist()
    path = write_enhanced(
        tmp_path / "study" / "IM1", frames=frames, shared=shared, sop_class=sop_class, syntax=syntax
    )
    volume = read_series(path.parent)
    assert np.array_equal(array_of(volume.image), small_head())
    assert np.allclose(volume.image.GetOrigin(), ORIGIN_MM)
    assert np.allclose(volume.image.GetSpacing(), SPACING_MM)
    assert volume.notes == () and not volume.resampled


def test_the_file_alone_is_a_whole_series(tmp_path):
    path = write_enhanced(tmp_path / "head.dcm")
    source = read_input(path)
    assert source.kind == "ct" and np.array_equal(array_of(source.image), small_head())
    assert source.description.startswith("DICOM series of 40 slices")


def test_a_series_spread_over_several_files(tmp_path):
    write_enhanced(tmp_path / "study" / "a", frames=list(range(0, 40, 2)))
    write_enhanced(tmp_path / "study" / "b", frames=list(range(1, 40, 2)))
    assert np.array_equal(array_of(read_series(tmp_path / "study").image), small_head())


def test_a_tilted_gantry_is_undone(tmp_path):
    path = write_enhanced(tmp_path / "study" / "IM1", lean_mm=3.25 / 4)
    volume = read_series(path.parent)
    assert volume.resampled and "tilted by 15.2 degrees" in volume.notes[0]
    head = small_head()
    # Every fourth slice is moved by whole pixels.
    for z in range(0, 40, 4):
        assert np.array_equal(array_of(volume.image)[z, z // 4 : z // 4 + 48], head[z])


def test_localizer_frames_are_left_out_and_told(tmp_path):
    def edit(group: Dataset, z: int) -> None:
        if z == 39:
            group.CTImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

    path = write_enhanced(tmp_path / "study" / "IM1", edit=edit)
    volume = read_series(path.parent)
    assert volume.image.GetDepth() == 39
    assert volume.notes == ("1 localizer(s) within the CT series were left out.",)


def test_two_points_in_time_are_told_apart(tmp_path):
    def edit(group: Dataset, z: int) -> None:
        group.FrameContentSequence = item(TemporalPositionIndex=times.pop(0))

    times = [1] * 40 + [2] * 40
    head = np.concatenate([small_head(), small_head() + 20])

    def back(group: Dataset, z: int) -> None:
        edit(group, z)
        if z >= 40:
            x, y, height = group.PlanePositionSequence[0].ImagePositionPatient
            group.PlanePositionSequence[0].ImagePositionPatient = [x, y, float(height) - 120.0]

    volume = read_series(write_enhanced(tmp_path / "study" / "IM1", head, edit=back).parent)
    assert np.array_equal(array_of(volume.image), small_head())
    assert "differ in their point in time" in volume.notes[0]


def cut_position(group: Dataset, z: int) -> None:
    if z == 7:
        del group.PlanePositionSequence


def no_slope(group: Dataset, z: int) -> None:
    group.PixelValueTransformationSequence[0].RescaleSlope = 0


def fewer_groups(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[-1]


def fewer_pixels(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[: -2 * 48 * 44]


def no_groups(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"edit": cut_position}, "Frame 8 of the CT series has no usable position"),
        ({"edit": no_slope}, "Frame 1 of the CT series has a rescale slope"),
        ({"edit_file": fewer_groups}, "holds 40 slices and describes 39 of them"),
        ({"edit_file": no_groups}, "holds 40 slices and says where none of them lies"),
        ({"edit_file": fewer_pixels}, "is cut short: "),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(tmp_path, faults, says):
    path = write_enhanced(tmp_path / "study" / "IM1", **faults)
    with pytest.raises(SkullImplantError, match=says):
        read_series(path.parent)


def test_a_file_cut_short_is_named(tmp_path):
    path = write_enhanced(tmp_path / "study" / "IM1")
    whole = path.read_bytes()
    for share in (0.02, 0.05, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(SkullImplantError, match="cut short"):
            read_series(path.parent)
