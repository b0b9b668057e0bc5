"""Reading image files: what comes out of good ones, and what is said of bad ones."""

import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bad_inputs import ct_image, mask_image, segmentation
from bad_series import BAD_INPUTS, SAYS
from dicom_files import PATIENT, small_head, write_series
from SkullImplantLib.core.images import array_of, same_grid
from SkullImplantLib.errors import Cancelled, Remedy, SkullImplantError
from SkullImplantLib.reading.input import read_input

ENDINGS = ["nrrd", "nhdr", "nii", "nii.gz", "mha", "mhd"]
LANDMARK_XYZ = (17, 12, 30)


def written(image: sitk.Image, path: Path, compress: bool = False) -> Path:
    sitk.WriteImage(image, str(path), compress)
    return path


# --- bad input ---


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_one_clear_sentence(name, tmp_path, capfd):
    path = BAD_INPUTS[name](tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SkullImplantError) as caught:
        read_input(path)
    message = str(caught.value)
    assert SAYS[name] in message
    assert "\n" not in message and message.endswith(".") and len(message) < 300
    assert PATIENT not in message and "4711" not in message
    assert capfd.readouterr() == ("", "")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="there is nothing it may not read"
)
def test_a_file_without_read_permission(tmp_path):
    path = written(ct_image(), tmp_path / "head.nrrd")
    path.chmod(0)
    with pytest.raises(SkullImplantError, match="Permission denied"):
        read_input(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("compress", [False, True])
def test_any_cut_through_the_voxels_is_seen(ending, compress, tmp_path):
    written(ct_image(), tmp_path / f"head.{ending}", compress)
    data = max(tmp_path.iterdir(), key=lambda p: p.stat().st_size)
    whole = data.read_bytes()
    header = next(p for p in tmp_path.iterdir() if p.name == f"head.{ending}")
    read_input(header)
    for missing in (1, 7, len(whole) // 3):
        data.write_bytes(whole[:-missing])
        with pytest.raises(SkullImplantError, match="cut short"):
            read_input(header)


def test_series_is_for_folders_only(tmp_path):
    with pytest.raises(SkullImplantError, match="not a DICOM folder") as caught:
        read_input(written(ct_image(), tmp_path / "head.nrrd"), series_uid="1.2.3")
    assert caught.value.remedy is Remedy.NO_SERIES


# --- geometry ---


def rotation(quaternion: tuple[float, ...]) -> np.ndarray:
    a, b, c, d = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)],
        ]
    )


part = st.floats(-1, 1)
quaternions = st.tuples(part, part, part, part).filter(lambda q: np.linalg.norm(q) > 0.1)
spacings = st.tuples(*[st.floats(2.5, 8.0)] * 3)
origins = st.tuples(*[st.floats(-500, 500)] * 3)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(quaternions, spacings, origins, st.booleans(), st.sampled_from(ENDINGS), st.booleans())
def test_any_orientation_and_handedness_comes_back(
    tmp_path, quaternion, spacing, origin, mirrored, ending, compress
):
    image = ct_image()
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    direction = rotation(quaternion) @ np.diag([1, 1, -1 if mirrored else 1])
    image.SetDirection(direction.ravel().tolist())
    read = read_input(written(image, tmp_path / f"head.{ending}", compress))
    assert read.kind == "ct"
    assert same_grid(read.image, image, tolerance_mm=2e-3 if "nii" in ending else 1e-3)
    assert np.array_equal(array_of(read.image), np.maximum(small_head(), -1024))


def test_an_nrrd_in_ras_lands_in_lps(tmp_path):
    """Header and place of the landmark written by hand, to be independent of ITK's writer."""
    header = (
        "NRRD0005\ntype: int16\ndimension: 3\nspace: right-anterior-superior\n"
        "sizes: 44 48 40\nspace directions: (0,-3.25,0) (-3,0,0) (0,0,4)\n"
        "space origin: (60.5,80.25,-70)\nendian: little\nencoding: raw\n\n"
    )
    path = tmp_path / "head.NRRD"
    path.write_bytes(header.encode() + small_head().tobytes())
    image = read_input(path).image
    x, y, z = LANDMARK_XYZ
    ras = np.array([60.5 - 3 * y, 80.25 - 3.25 * x, -70 + 4 * z])
    place = image.TransformIndexToPhysicalPoint(LANDMARK_XYZ)
    assert np.abs(ras * [-1, -1, 1] - place).max() < 1e-3
    assert image[LANDMARK_XYZ] == 2500


def nifti_bytes(affine: np.ndarray, big_endian: bool = False) -> bytes:
    """Return the small head as a NIfTI-1 file with only an sform, by the format's description."""
    order = ">" if big_endian else "<"
    header = bytearray(352)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    struct.pack_into(order + "i", header, 0, 348)
    struct.pack_into(order + "8h", header, 40, 3, 44, 48, 40, 1, 1, 1, 1)
    struct.pack_into(order + "2h", header, 70, 4, 16)
    struct.pack_into(order + "8f", header, 76, 1, *spacing, 1, 1, 1, 1)
    struct.pack_into(order + "3f", header, 108, 352, 1, 0)
    header[123] = 2
    struct.pack_into(order + "2h", header, 252, 0, 1)
    struct.pack_into(order + "12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header) + small_head().astype(order + "i2").tobytes()


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_nifti_affine_lands_in_lps(tmp_path, big_endian):
    turn = rotation((0.9, 0.1, -0.3, 0.2)) @ np.diag([-3.0, 3.5, 4.0])
    affine = np.vstack([np.column_stack([turn, [11.5, -22.25, 33.0]]), [0, 0, 0, 1]])
    path = tmp_path / "head.nii"
    path.write_bytes(nifti_bytes(affine, big_endian))
    image = read_input(path).image
    ras = (affine @ [*LANDMARK_XYZ, 1])[:3]
    place = image.TransformIndexToPhysicalPoint(LANDMARK_XYZ)
    assert np.abs(ras * [-1, -1, 1] - place).max() < 1e-3
    assert image[LANDMARK_XYZ] == 2500
    assert np.linalg.det(np.reshape(image.GetDirection(), (3, 3))) < 0


def test_two_positions_in_a_nifti_are_told(tmp_path):
    path = written(ct_image(), tmp_path / "head.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, 292, 50.0)
    path.write_bytes(data)
    assert any("two positions up to 50 mm apart" in note for note in read_input(path).notes)


def test_a_nifti_without_orientation_is_told(tmp_path):
    path = written(ct_image(), tmp_path / "head.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<2h", data, 252, 0, 0)
    path.write_bytes(data)
    assert any("left and right" in note for note in read_input(path).notes)


def test_thick_slices_are_told_once_by_who_finds_the_skull(tmp_path):
    image = ct_image()
    image.SetSpacing((2.0, 2.0, 5.0))
    assert read_input(written(image, tmp_path / "head.nrrd")).notes == ()


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_axes_a_denormal_number_askew_come_out_straight(ending, tmp_path):
    image = ct_image()
    image.SetDirection([1, -2.2e-311, 0, 2.2e-311, 1, 0, 0, 0, 1])
    read = read_input(written(image, tmp_path / f"head.{ending}")).image
    assert read.GetDirection() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    index = read.TransformPhysicalPointToContinuousIndex(
        read.TransformIndexToPhysicalPoint([1] * 3)
    )
    assert index == pytest.approx((1.0, 1.0, 1.0))


def test_an_image_file_needs_no_pydicom(tmp_path):
    code = (
        "import sys; from SkullImplantLib.reading.input import read_input; "
        "read_input(sys.argv[1]); assert 'pydicom' not in sys.modules"
    )
    path = written(ct_image(), tmp_path / "head.nrrd")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_one_point_in_time_is_a_volume(tmp_path):
    image = sitk.JoinSeries([ct_image()])
    for ending in ("nrrd", "nii.gz", "mha"):
        read = read_input(written(image, tmp_path / f"head.{ending}")).image
        assert same_grid(read, ct_image())
        assert np.array_equal(array_of(read), array_of(ct_image()))


# --- values ---


@pytest.mark.parametrize("values", [np.int16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_ct_of_any_type_is_int16(tmp_path, values, ending):
    head = small_head().astype(values) - (0.25 if values == np.float32 else 0)
    read = read_input(written(ct_image(head), tmp_path / f"head.{ending}"))
    assert read.kind == "ct"
    assert read.image.GetPixelID() == sitk.sitkInt16
    assert np.array_equal(array_of(read.image), small_head())


@pytest.mark.parametrize("values", [np.int16, np.float32])
def test_values_below_air_are_outside_the_scan(tmp_path, values):
    head = small_head().astype(values)
    head[:, :4] = -3024
    read = read_input(written(ct_image(head), tmp_path / "head.nrrd"))
    assert array_of(read.image)[:, :4].max() == -1024
    assert np.array_equal(array_of(read.image)[:, 4:], small_head()[:, 4:])


def test_values_beyond_int16_are_kept_as_float(tmp_path):
    head = small_head().astype(np.int32)
    head[20, 20, 20] = 60_000
    read = read_input(written(ct_image(head), tmp_path / "head.nrrd"))
    assert read.image.GetPixelID() == sitk.sitkFloat32
    assert array_of(read.image).max() == 60_000


@pytest.mark.parametrize("label", [1, 117, 255])
@pytest.mark.parametrize("values", [np.uint8, np.int16, np.float32])
def test_a_mask_of_any_type_and_label_is_0_and_1(tmp_path, label, values):
    mask = array_of(mask_image()).astype(values) * values(label)
    read = read_input(written(ct_image(mask), tmp_path / "skull.nii.gz"))
    assert read.kind == "skull"
    assert read.image.GetPixelID() == sitk.sitkUInt8
    assert np.array_equal(array_of(read.image), array_of(mask_image()))


def test_what_the_user_says_overrides_what_the_values_look_like(tmp_path):
    eight_bit = BAD_INPUTS["eight_bit_image"](tmp_path)
    read = read_input(eight_bit, kind="ct")
    assert read.kind == "ct"
    assert any("not Hounsfield units" in note for note in read.notes)
    assert array_of(read.image).max() == 255
    fuzzy = ct_image(array_of(ct_image()).astype(np.float32) / 3000)
    read = read_input(written(fuzzy, tmp_path / "fuzzy.nrrd"), kind="ct")
    assert np.array_equal(array_of(read.image), array_of(fuzzy))
    two_sided = ct_image(array_of(mask_image()).astype(np.int16) * 2000 - 1000)
    path = written(two_sided, tmp_path / "two.nrrd")
    assert read_input(path, kind="skull").kind == "skull"


def test_what_the_user_says_cannot_be_true(tmp_path):
    ct = written(ct_image(), tmp_path / "head.nrrd")
    mask = written(mask_image(), tmp_path / "skull.nrrd")
    for path, kind, says, remedy in (
        (ct, "skull", "not a mask", Remedy.INPUT_IS_NO_SKULL),
        (mask, "ct", "a mask and no CT", Remedy.INPUT_IS_NO_CT),
        (write_series(tmp_path / "study"), "skull", "read as a CT", Remedy.INPUT_IS_NO_SKULL),
    ):
        with pytest.raises(SkullImplantError, match=says) as caught:
            read_input(path, kind=kind)
        assert caught.value.remedy is remedy


# --- segmentations of 3D Slicer ---


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize(
    "names", [["Segment_1"], ["Skull", "brain"], ["left bone flap site", "ventricles"]]
)
def test_the_skull_of_a_segmentation(tmp_path, names, layers):
    read = read_input(segmentation(tmp_path / "head.seg.nrrd", names, layers))
    assert read.kind == "skull"
    assert same_grid(read.image, mask_image())
    assert np.array_equal(array_of(read.image), array_of(mask_image()))
    assert read.image.GetMetaDataKeys() == ()


def test_the_skull_may_be_any_segment(tmp_path):
    read = read_input(segmentation(tmp_path / "head.seg.nrrd", ["tumour", "skull"]))
    labels = sitk.ReadImage(str(tmp_path / "head.seg.nrrd"))
    assert np.array_equal(array_of(read.image), array_of(labels) == 2)


def test_two_skulls_in_a_segmentation(tmp_path):
    path = segmentation(tmp_path / "head.seg.nrrd", ["skull before", "skull after"])
    with pytest.raises(SkullImplantError, match="'skull before', 'skull after'"):
        read_input(path)


# --- the rest of the contract ---


def test_the_digest_is_of_the_bytes(tmp_path):
    one = written(ct_image(), tmp_path / "head.nii.gz")
    assert read_input(one).sha256 == hashlib.sha256(one.read_bytes()).hexdigest()
    header = written(ct_image(), tmp_path / "head.mhd")
    both = header.read_bytes() + (tmp_path / "head.raw").read_bytes()
    assert read_input(header).sha256 == hashlib.sha256(both).hexdigest()


def test_nothing_of_the_header_travels_on(tmp_path):
    image = ct_image()
    image.SetMetaData("patient", PATIENT)
    read = read_input(written(image, tmp_path / "head.nrrd"))
    assert read.image.GetMetaDataKeys() == ()
    assert read.description == "NRRD file, 44 x 48 x 40 voxels of 3.50 x 3.25 x 3.00 mm"


def test_a_key_in_another_encoding_is_dropped(tmp_path):
    path = written(ct_image(), tmp_path / "head.mha")
    path.write_bytes(
        path.read_bytes().replace(b"ElementDataFile", b"Gr\xf6sse = 7\nElementDataFile")
    )
    assert read_input(path).image.GetMetaDataKeys() == ()


def test_progress_rises_to_the_end_and_can_cancel(tmp_path):
    path = written(ct_image(), tmp_path / "head.nii.gz")
    for source in (path, write_series(tmp_path / "study")):
        steps: list[float] = []
        read_input(
            source, progress=lambda fraction, message="", steps=steps: steps.append(fraction)
        )
        assert steps == sorted(steps) and steps[-1] == 1.0

        def stop(fraction: float, message: str = "") -> None:
            raise Cancelled

        with pytest.raises(Cancelled):
            read_input(source, progress=stop)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("test/unc-cthead-ct", "ct"),
        ("test/visible-human-female-ct", "ct"),
        ("organs/aorta-ct", "ct"),
        ("test/brainweb-49", "skull"),
        ("train/average-19y", "skull"),
        ("train/vismale", "skull"),
    ],
)
def test_real_images_are_known_for_what_they_are(shared_data, name, kind):
    path = shared_data / f"{name}.nii.gz"
    read = read_input(path)
    assert read.kind == kind
    # Of a chest without the air around it, the lungs are all the air there is.
    assert len(read.notes) == (name == "organs/aorta-ct")
    assert same_grid(read.image, sitk.ReadImage(str(path)))


def test_the_eight_bit_phantom_is_refused_and_may_be_forced(shared_data):
    path = shared_data / "robustness" / "phantom-oblique-thick-slices.nii.gz"
    with pytest.raises(SkullImplantError, match="neither Hounsfield units"):
        read_input(path)
    assert read_input(path, kind="ct").kind == "ct"
