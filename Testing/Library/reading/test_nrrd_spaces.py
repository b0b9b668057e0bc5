"""An NRRD's voxels lie where its definition says (teem.sourceforge.net/nrrd/format.html), whatever
its space is called, or the file is refused: never mirrored without a word.

Headers are written, and places computed, by that definition alone.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dicom_files import small_head
from SkullImplantLib.core.image_files import read_mask
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.input import read_input

LANDMARK_XYZ = (17, 12, 30)  # of the small head, 2500 HU
# The letters of a space say where its x, y and z grow to.
TO_LPS = {"L": 1.0, "P": 1.0, "S": 1.0, "R": -1.0, "A": -1.0}
SPACES = {
    "left-posterior-superior": "LPS",
    "LPS": "LPS",
    "right-anterior-superior": "RAS",
    "ras": "RAS",
    "Left-Anterior-Superior": "LAS",
    "LAS": "LAS",
}
DIRECTIONS = "space directions: (3,0,0) (0,3.25,0) (0,0,4)"
SIZES = "dimension: 3\nsizes: 44 48 40\n"


def nrrd(path: Path, fields: str, values: np.ndarray | None = None) -> Path:
    values = small_head().astype("<i2") if values is None else values
    kind = {"i2": "int16", "u1": "uint8"}[values.dtype.str[1:]]
    header = f"NRRD0005\ntype: {kind}\nendian: little\nencoding: raw\n{fields}\n\n"
    path.write_bytes(header.encode() + values.tobytes())
    return path


@pytest.mark.parametrize(("said", "letters"), SPACES.items())
@pytest.mark.parametrize("left_handed", [False, True])
def test_a_landmark_lies_where_its_space_says(tmp_path, said, letters, left_handed):
    frame = Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix() @ np.diag([3.0, 3.25, 4.0])
    if left_handed:
        frame[:, 1] *= -1
    origin = np.array([60.5, -80.25, -70.0])
    vectors = " ".join("({})".format(",".join(map(repr, map(float, v)))) for v in frame.T)
    fields = f"{SIZES}space: {said}\nspace directions: {vectors}\nspace origin: (60.5,-80.25,-70)"
    read = read_input(nrrd(tmp_path / "head.nrrd", fields))
    assert read.notes == ()
    expected = (frame @ LANDMARK_XYZ + origin) * [TO_LPS[letter] for letter in letters]
    assert np.abs(expected - read.image.TransformIndexToPhysicalPoint(LANDMARK_XYZ)).max() < 1e-3
    assert read.image[LANDMARK_XYZ] == 2500
    handed = np.linalg.det(frame) * np.prod([TO_LPS[letter] for letter in letters])
    assert np.linalg.det(np.reshape(read.image.GetDirection(), (3, 3))) * handed > 0


@pytest.mark.parametrize(
    "said", ["space: scanner-xyz", "space: 3D-right-handed", "space dimension: 3"]
)
def test_a_space_that_names_no_left_is_told(tmp_path, said):
    read = read_input(nrrd(tmp_path / "head.nrrd", f"{SIZES}{said}\n{DIRECTIONS}"))
    assert any("left and right" in note for note in read.notes)


BAD = {
    "space: 3D-left-handed": "called left-handed",
    "space: RPS": "'RPS' is none that NRRD knows",
    "space: right-posterior-superior": "none that NRRD knows",
    "space: LPI": "none that NRRD knows",
    "comment": "a space that it does not name",
    'space: LPS\nspace units: "cm" "cm" "cm"': "lengths are in 'cm'",
}


@pytest.mark.parametrize(("said", "why"), BAD.items())
def test_a_space_that_could_be_a_mirror_is_refused(tmp_path, said, why):
    said = "# nothing of a space" if said == "comment" else said
    path = nrrd(tmp_path / "head.nrrd", f"{SIZES}{said}\n{DIRECTIONS}")
    mask = (small_head() > 300).astype(np.uint8)
    other = nrrd(tmp_path / "mask.nrrd", f"{SIZES}{said}\n{DIRECTIONS}", mask)
    for read, file in ((read_input, path), (read_input, other), (read_mask, other)):
        with pytest.raises(SkullImplantError, match=why):
            read(file)


@pytest.mark.parametrize(
    "said", ["LAST", "left-anterior-superior-time", "RAST", "3D-left-handed-time"]
)
def test_a_space_with_time_that_itk_takes_for_another_is_refused(tmp_path, said):
    fields = (
        f"dimension: 4\nsizes: 44 48 40 1\nspace: {said}\n"
        "space directions: (3,0,0,0) (0,3.25,0,0) (0,0,4,0) (0,0,0,1)"
    )
    with pytest.raises(SkullImplantError, match=r"with time|left-handed"):
        read_input(nrrd(tmp_path / "head.nrrd", fields))


def test_one_point_in_time_in_lps_is_right(tmp_path):
    fields = (
        "dimension: 4\nsizes: 44 48 40 1\nspace: LPST\n"
        "space directions: (3,0,0,0) (0,-3.25,0,0) (0,0,4,0) (0,0,0,1)\nspace origin: (1,2,3,0)"
    )
    image = read_input(nrrd(tmp_path / "head.nrrd", fields)).image
    x, y, z = LANDMARK_XYZ
    place = image.TransformIndexToPhysicalPoint(LANDMARK_XYZ)
    assert place == pytest.approx((1 + 3 * x, 2 - 3.25 * y, 3 + 4 * z))


@given(st.text(st.sampled_from("LRAPSIlrtT3D-handedxyzsca "), min_size=1, max_size=24))
def test_any_other_word_is_refused_or_told(tmp_path_factory, said):
    path = tmp_path_factory.mktemp("space") / "head.nrrd"
    nrrd(path, f"{SIZES}space: {said}\n{DIRECTIONS}")
    try:
        read = read_input(path)
    except SkullImplantError:
        return
    named = said.strip().upper() in ("LPS", "RAS", "LAS")
    assert named or any("left and right" in note for note in read.notes)


@pytest.mark.parametrize("left_handed", [False, True])
def test_a_metaimage_matrix_lands_in_lps(tmp_path, left_handed):
    """By MetaIO's definition: TransformMatrix holds one axis after the other, in LPS."""
    axes = Rotation.from_rotvec([0.2, 0.4, -0.1]).as_matrix()
    if left_handed:
        axes[:, 0] *= -1
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"TransformMatrix = {' '.join(repr(float(c)) for c in axes.T.ravel())}\n"
        "Offset = 5 -6 7\nElementSpacing = 3 3.25 4\nDimSize = 44 48 40\n"
        "AnatomicalOrientation = LAI\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    path = tmp_path / "head.mha"
    path.write_bytes(head.encode() + small_head().astype("<i2").tobytes())
    image = read_input(path).image
    expected = axes @ (np.array([3.0, 3.25, 4.0]) * LANDMARK_XYZ) + [5.0, -6.0, 7.0]
    assert np.abs(expected - image.TransformIndexToPhysicalPoint(LANDMARK_XYZ)).max() < 1e-3
    assert image[LANDMARK_XYZ] == 2500
