"""Masks are read as CTs are: nothing native decodes a file before it has been checked."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.core.image_files import read_labels, read_mask
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading import read_input
from SkullImplantLib.skull.left_out import read_left_out

NRRD = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nencoding: raw\n"
META = "ObjectType = Image\nNDims = {}\nElementSpacing = 1 1 1\nDimSize = {}\n" \
       "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"  # fmt: skip
READERS: list[Callable[[Path], object]] = [read_labels, read_mask, read_left_out, read_input]


def labels() -> sitk.Image:
    rng = np.random.default_rng(0)
    image = sitk.GetImageFromArray(rng.integers(0, 4, (12, 16, 20)).astype(np.uint8))
    image.SetSpacing([0.5, 0.75, 1.5])
    image.SetOrigin([3.0, -4.0, 5.0])
    return image


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii", "a.nii.gz", "a.mha", "a.mhd"])
def test_whole_files_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    image = labels()
    sitk.WriteImage(image, str(tmp_path / name), useCompression=not name.endswith(".nii"))
    found = read_labels(tmp_path / name)
    np.testing.assert_array_equal(array_of(found), array_of(image))
    assert found.GetSpacing() == image.GetSpacing() and found.GetOrigin() == image.GetOrigin()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["a.nrrd", "a.nii", "a.nii.gz", "a.mha"])
def test_what_is_cut_short_is_not_taken_for_whole(tmp_path: Path, name: str, reader) -> None:
    path = tmp_path / name
    sitk.WriteImage(labels(), str(path), useCompression=name != "a.nii")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SkullImplantError, match=r"cut short|damaged"):
        reader(path)


def test_a_changed_byte_of_a_compressed_mask_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(labels(), str(path), useCompression=True)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0x40
    path.write_bytes(bytes(content))
    with pytest.raises(SkullImplantError, match="damaged"):
        read_mask(path)


BAD = {
    **{
        f"long-{number}.nrrd": NRRD + field + b"x" * 1500 + b"\n\n" + bytes(64)
        for number, field in enumerate((b"content: ", b"space: ", b"kinds:", b"x y: ", b"x"))
    },
    "infinite.nrrd": NRRD.replace(b"4 4 4", b"inf 4 4") + b"\n" + bytes(64),
    "huge.nrrd": NRRD.replace(b"4 4 4", b"1e400 4 4") + b"\n" + bytes(64),
    "no-number.nrrd": NRRD.replace(b"4 4 4", b"nan 4 4") + b"\n" + bytes(64),
    "large.nrrd": NRRD.replace(b"4 4 4", b"99999 99999 99999") + b"\n" + bytes(64),
    "bomb.nrrd": NRRD.replace(b"4 4 4", b"4000 4000 4000").replace(b"raw", b"gzip")
    + b"\n" + zlib.compress(bytes(64)),
    "no-axes.mha": META.format(-1, "").encode() + bytes(64),
    "many-axes.mha": META.format(10**9, "4 4 4").encode() + bytes(64),
    "two-axes.nrrd": NRRD.replace(b"dimension: 3", b"dimension: 2") + b"\n" + bytes(64),
    "neither.mha": b"BinaryData = =True\n" + META.format(3, "4 4 4").encode() + bytes(64),
    "few-words.mha": b"BinaryData = False\n" + META.format(3, "4 4 4").encode() + b"1 2 3\n" * 20,
    "no-words.mha": b"BinaryData = False\n" + META.format(3, "4 4 4").encode() + b"x y z\n" * 30,
    "long-name.mhd": META.format(3, "4 4 4").replace("LOCAL", "f" * 900).encode(),
    "infinite.mha": META.format(3, "inf 4 4").encode() + bytes(64),
    "twice.nrrd": NRRD + b"sizes: 4 4 4\n\n" + bytes(64),
    "twice.mha": b"ElementSpacing = 2 2 2\n" + META.format(3, "4 4 4").encode() + bytes(64),
    "controls.nrrd": NRRD + b"content: \x01\x02\n\n" + bytes(64),
    "controls.mha": b"Comm\x00ent = a\n" + META.format(3, "4 4 4").encode() + bytes(64),
    "offset.mha": b"Offset = 1\n" + META.format(3, "4 4 4").encode() + bytes(64),
    "matrix.mha": b"TransformMatrix = 1 0 0 1\n" + META.format(3, "4 4 4").encode() + bytes(64),
    "more.nrrd": NRRD + b"\n" + bytes(65),
    "more.mha": META.format(3, "4 4 4").encode() + bytes(66),
    "more-words.nrrd": NRRD.replace(b"raw", b"text") + b"\n" + b"1 " * 65,
    "huge-axis.nrrd": NRRD.replace(b"4 4 4", b"4 4 " + b"9" * 400) + b"\n" + bytes(64),
    "small-voxels.nrrd": NRRD.replace(b"1 1 1", b"1 1 1e-30") + b"\n" + bytes(64),
    "large-voxels.nrrd": NRRD.replace(b"1 1 1", b"1 1e30 1") + b"\n" + bytes(64),
    "text.nrrd": b"hello",
    "empty.mha": b"",
    "unknown.png": b"\x89PNG",
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", BAD)
def test_a_header_that_is_none_is_one_sentence(tmp_path: Path, name: str, reader) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(SkullImplantError) as caught:
        reader(path)
    text = str(caught.value)
    assert 20 < len(text) <= 300 and "\n" not in text


@pytest.mark.parametrize(
    ("at", "what"), [(76 + 4, 3.0), (256, 0.5), (268, 40.0), (280 + 12, 25.0), (280, 0.9)]
)
def test_a_mask_in_two_places_is_refused(tmp_path: Path, at: int, what: float) -> None:
    """Its quaternion, its matrix and its spacing may each be changed; no note could tell of it."""
    path = tmp_path / "a.nii"
    sitk.WriteImage(labels(), str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, at, what)
    path.write_bytes(bytes(content))
    with pytest.raises(SkullImplantError, match=r"two positions|contradicts itself"):
        read_labels(path)


@pytest.mark.parametrize("stated", [0.3, 0.6, 0.99])
def test_what_a_decoder_leaves_out_is_seen(tmp_path: Path, stated: float) -> None:
    """ITK reads as many compressed bytes as a MetaImage says, and leaves the other voxels 0."""
    path = tmp_path / "a.mha"
    sitk.WriteImage(labels(), str(path), useCompression=True)
    content = path.read_bytes()
    size = int(content.split(b"CompressedDataSize = ")[1].split(b"\n")[0])
    said = b"CompressedDataSize = %d"
    path.write_bytes(content.replace(said % size, said % int(size * stated)))
    with pytest.raises(SkullImplantError, match="cannot be decoded"):
        read_labels(path)


@pytest.mark.parametrize("pixel", [np.uint8, np.int16, np.float32, np.float64, np.int64])
def test_big_endian_is_read(tmp_path: Path, pixel: type) -> None:
    values = np.arange(64).reshape(4, 4, 4).astype(pixel)
    name = {"uint8": "uint8", "int16": "int16", "int64": "int64", "float32": "float"}
    kind = name.get(np.dtype(pixel).name, "double").encode()
    header = NRRD.replace(b"uint8", kind) + b"endian: big\n\n"
    (tmp_path / "a.nrrd").write_bytes(
        header + values.astype(values.dtype.newbyteorder(">")).tobytes()
    )
    np.testing.assert_array_equal(array_of(read_labels(tmp_path / "a.nrrd")), values)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, np.inf), (2.0, np.nan), (np.inf, 0.0)])
def test_a_scale_that_is_no_number_is_refused(
    tmp_path: Path, slope: float, intercept: float
) -> None:
    path = tmp_path / "a.nii"
    sitk.WriteImage(labels(), str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, slope, intercept)
    path.write_bytes(bytes(content))
    with pytest.raises(SkullImplantError, match="scales its values by what is no number"):
        read_labels(path)


@pytest.mark.parametrize("name", ["words.mha", "words.nrrd"])
def test_voxels_in_words_are_read(tmp_path: Path, name: str) -> None:
    words = b" ".join(b"%d" % (k % 3) for k in range(64)) + b"\n"
    if name.endswith("mha"):
        head = b"ObjectType = Image\nBinaryData = False\n"
        head += META.format(3, "4 4 4").removeprefix("ObjectType = Image\n").encode()
    else:
        head = NRRD.replace(b"raw", b"text") + b"\n"
    (tmp_path / name).write_bytes(head + words)
    found = array_of(read_labels(tmp_path / name))
    np.testing.assert_array_equal(found.ravel(), np.arange(64) % 3)


def test_long_pairs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.nrrd"
    path.write_bytes(
        NRRD + b"Segment0_Tags:=" + b"v" * 5000 + b"\n#" + b"c" * 5000 + b"\n\n" + bytes(64)
    )
    assert read_labels(path).GetSize() == (4, 4, 4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this file system")
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_or_device_is_not_waited_for(tmp_path: Path, reader) -> None:
    os.mkfifo(tmp_path / "pipe.nrrd")
    for path in (tmp_path / "pipe.nrrd", Path("/dev/zero")):
        with pytest.raises(SkullImplantError, match="is a folder, device or pipe"):
            reader(path)
