"""Every bad input we know of, built small: name -> function that makes it and returns its path.

`BAD_INPUTS` is the table; `SAYS` has, for each, words that its one-sentence error must contain.
"""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from dicom_files import small_head, write_series

SPACING_MM = (3.5, 3.25, 3.0)

BAD_INPUTS: dict[str, Callable[[Path], Path]] = {}
SAYS: dict[str, str] = {}


def bad(says: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Enter a builder into the table under its name."""

    def enter(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
        BAD_INPUTS[build.__name__] = build
        SAYS[build.__name__] = says
        return build

    return enter


def ct_image(head: np.ndarray | None = None) -> sitk.Image:
    """Return the small head as a CT image in LPS mm."""
    image = sitk.GetImageFromArray(small_head() if head is None else head)
    if image.GetDimension() == 3:
        image.SetSpacing(SPACING_MM)
    return image


def mask_image() -> sitk.Image:
    """Return the small head's skull as a mask."""
    return ct_image() > 500


def _written(image: sitk.Image, path: Path, compress: bool = False) -> Path:
    sitk.WriteImage(image, str(path), compress)
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    return path


def _nifti_with(path: Path, *changes: tuple[int, str, float]) -> Path:
    """Write the CT as NIfTI and overwrite header fields: (byte offset, struct format, value)."""
    _written(ct_image(), path)
    data = bytearray(path.read_bytes())
    for offset, form, value in changes:
        struct.pack_into("<" + form, data, offset, value)
    path.write_bytes(data)
    return path


# --- files that are not what they should be ---


@bad("does not exist")
def missing_path(folder: Path) -> Path:
    return folder / "nowhere.nrrd"


@bad("is empty")
def empty_file(folder: Path) -> Path:
    (folder / "head.nrrd").touch()
    return folder / "head.nrrd"


@bad("not the NRRD file")
def text_as_nrrd(folder: Path) -> Path:
    (folder / "head.nrrd").write_text("Dear colleague,\n\nplease find attached the scan.\n")
    return folder / "head.nrrd"


@bad("not the NIfTI-1 file")
def text_as_nifti(folder: Path) -> Path:
    (folder / "head.nii.gz").write_bytes(gzip.compress(b"Dear colleague, " * 100))
    return folder / "head.nii.gz"


@bad("not the MetaImage file")
def text_as_metaimage(folder: Path) -> Path:
    (folder / "head.mha").write_text("Dear colleague,\nplease find attached the scan.\n")
    return folder / "head.mha"


@bad("no known format")
def surface_model(folder: Path) -> Path:
    (folder / "head.stl").write_text("solid head\nendsolid head\n")
    return folder / "head.stl"


@bad("single DICOM file")
def single_dicom_file(folder: Path) -> Path:
    return sorted(write_series(folder / "series").iterdir())[0]


# --- files cut short or damaged ---


@bad("cut short")
def truncated_nrrd(folder: Path) -> Path:
    return cut(_written(ct_image(), folder / "head.nrrd"))


@bad("cut short")
def truncated_compressed_nrrd(folder: Path) -> Path:
    return cut(_written(ct_image(), folder / "head.nrrd", compress=True))


@bad("cut short")
def truncated_nifti(folder: Path) -> Path:
    return cut(_written(ct_image(), folder / "head.nii"))


@bad("cut short")
def truncated_compressed_nifti(folder: Path) -> Path:
    return cut(_written(ct_image(), folder / "head.nii.gz"))


@bad("cut short")
def truncated_metaimage(folder: Path) -> Path:
    return cut(_written(ct_image(), folder / "head.mha"))


@bad("damaged")
def flipped_bits(folder: Path) -> Path:
    path = _written(ct_image(), folder / "head.mha", compress=True)
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 0x55
    path.write_bytes(data)
    return path


@bad("is missing")
def header_without_voxels(folder: Path) -> Path:
    path = _written(ct_image(), folder / "head.mhd")
    (folder / "head.raw").unlink()
    return path


@bad("no usable size")
def header_without_size(folder: Path) -> Path:
    return replaced(_written(ct_image(), folder / "head.nrrd"), b"sizes: 44 48 40\n", b"")


# --- impossible geometry ---


@bad("zero or not a number")
def zero_spacing_nrrd(folder: Path) -> Path:
    return replaced(_written(ct_image(), folder / "head.nrrd"), b"(0,0,3)", b"(0,0,0)")


@bad("zero or not a number")
def zero_spacing_nifti(folder: Path) -> Path:
    return _nifti_with(folder / "head.nii", (88, "f", 0.0))


@bad("not state the size of a voxel")
def no_spacing(folder: Path) -> Path:
    path = _written(ct_image(), folder / "head.mha")
    return replaced(path, b"ElementSpacing = 3.5 3.25 3\n", b"")


@bad("not a finite number")
def nan_origin(folder: Path) -> Path:
    return _nifti_with(folder / "head.nii", (280 + 12, "f", float("nan")))


@bad("contradicts itself")
def contradictory_header(folder: Path) -> Path:
    """The affine says 7 mm where the voxel size says 3.5; ITK would silently take the latter."""
    return _nifti_with(folder / "head.nii", (252, "h", 0), (280, "f", -7.0))


@bad("right angles")
def sheared_axes(folder: Path) -> Path:
    return replaced(_written(ct_image(), folder / "head.nrrd"), b"(0,0,3)", b"(0,1,3)")


@bad("not plausible")
def metres_for_millimetres(folder: Path) -> Path:
    image = ct_image()
    image.SetSpacing([s / 1000 for s in SPACING_MM])
    return _written(image, folder / "head.nrrd")


@bad("too small")
def too_small(folder: Path) -> Path:
    image = ct_image()
    image.SetSpacing((1.0, 1.0, 1.0))
    return _written(image, folder / "head.nrrd")


@bad("too large")
def too_large(folder: Path) -> Path:
    path = _written(ct_image(), folder / "head.nrrd")
    return replaced(path, b"sizes: 44 48 40", b"sizes: 4400 4800 4000")


@bad("not a volume")
def two_dimensional(folder: Path) -> Path:
    return _written(ct_image()[:, :, 20], folder / "head.nrrd")


@bad("not a volume")
def single_slice(folder: Path) -> Path:
    return _written(ct_image()[:, :, 20:21], folder / "head.nii.gz")


@bad("points in time")
def several_time_points(folder: Path) -> Path:
    image = sitk.JoinSeries([ct_image(), ct_image()])
    return _written(image, folder / "head.nii.gz")


# --- voxels that are neither a CT nor a skull ---


@bad("NaN")
def nan_voxels(folder: Path) -> Path:
    head = small_head().astype(np.float32)
    head[3, 4, 5] = np.nan
    return _written(ct_image(head), folder / "head.nii.gz")


@bad("NaN or infinite")
def infinite_voxels(folder: Path) -> Path:
    head = small_head().astype(np.float32)
    head[3, 4, 5] = np.inf
    return _written(ct_image(head), folder / "head.mha")


@bad("nor a mask of two values")
def mr_image(folder: Path) -> Path:
    head = np.where(small_head() > 0, 400, 15) + np.indices((40, 48, 44))[0]
    return _written(ct_image(head.astype(np.int16)), folder / "head.nii.gz")


@bad("nor a mask of two values")
def eight_bit_image(folder: Path) -> Path:
    head = np.clip(small_head() / 10 + 100, 0, 255).astype(np.uint8)
    return _written(ct_image(head), folder / "head.nrrd")


@bad("offset of 1024")
def lost_offset(folder: Path) -> Path:
    head = (small_head().astype(int) + 1024).astype(np.uint16)
    return _written(ct_image(head), folder / "head.nrrd")


@bad("mask is empty")
def empty_mask(folder: Path) -> Path:
    return _written(mask_image() * 0, folder / "skull.nrrd")


@bad("the same value")
def all_ones_mask(folder: Path) -> Path:
    return _written(mask_image() * 0 + 1, folder / "skull.nrrd")


@bad("invert it")
def inverted_mask(folder: Path) -> Path:
    return _written(1 - mask_image(), folder / "skull.nrrd")


@bad("map of the labels 2 and 3")
def several_labels(folder: Path) -> Path:
    labels = (ct_image() > 500) + (ct_image() > 0) * 2
    return _written(labels, folder / "labels.nrrd")


@bad("'mandible', 'teeth'")
def segmentation_without_skull(folder: Path) -> Path:
    return segmentation(folder / "head.seg.nrrd", ["mandible", "teeth"])


@bad("several values per voxel")
def colour_image(folder: Path) -> Path:
    image = sitk.Compose([mask_image()] * 3)
    return _written(image, folder / "head.nrrd")


def segmentation(path: Path, names: list[str], layers: bool = False) -> Path:
    """Write a segmentation as 3D Slicer does: label n + 1 (or, in layers, layer n) is names[n].

    Segment 0 is the skull's bone; the others lie inside it.
    """
    bone = mask_image()
    inside = sitk.BinaryErode(sitk.BinaryFillhole(bone), (8, 8, 8))
    masks = [bone, *[inside] * (len(names) - 1)]
    if layers:
        image = sitk.Compose(masks)
    else:
        labels = sum(
            (n + 1) * sitk.GetArrayFromImage(m).astype(np.uint8) for n, m in enumerate(masks[:2])
        )
        image = ct_image(labels.astype(np.uint8))
    for n, name in enumerate(names):
        image.SetMetaData(f"Segment{n}_ID", f"Segment_{n + 1}")
        image.SetMetaData(f"Segment{n}_Name", name)
        image.SetMetaData(f"Segment{n}_LabelValue", "1" if layers else str(n + 1))
        image.SetMetaData(f"Segment{n}_Layer", str(n) if layers else "0")
    sitk.WriteImage(image, str(path), True)
    return path


# --- DICOM folders ---


@bad("no DICOM files")
def folder_without_dicom(folder: Path) -> Path:
    (folder / "study").mkdir()
    (folder / "study" / "README.txt").write_text("nothing here")
    return folder / "study"
