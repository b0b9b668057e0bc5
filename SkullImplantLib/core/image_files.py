"""Image files read: header and data are checked, and only then a decoder sees them."""

from pathlib import Path

import SimpleITK as sitk

from ..errors import SkullImplantError
from .decoding import DecodingError, decoder
from .files import checked_file, for_native
from .header_parts import ImageHeader
from .headers import check_size, read_header
from .images import array_of, straighten_axes
from .placement import check_place, check_voxel_size
from .progress import Progress, silent
from .voxel_data import check_data


def read_mask(path: Path) -> sitk.Image:
    """Return a mask from a file (uint8; every non-zero voxel is 1); it may be small or empty.

    Raises `SkullImplantError` as `read_labels` does.
    """
    labels = read_labels(path)
    # What is a mask already is not copied.
    return labels if array_of(labels).max(initial=0) <= 1 else labels != 0


def read_labels(path: Path) -> sitk.Image:
    """Return the labels in an NRRD, NIfTI or MetaImage file (uint8; what is no integer of 0 to 255
    is 1 where it is not 0).

    Raises `SkullImplantError` where it cannot be read, is damaged, or is not one volume with axes
    at right angles in one place.
    """
    for_native(checked_file(path))
    header = read_header(path)
    check_size(header)
    image, _ = checked_image(path, header)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise SkullImplantError(f"{path.name} is not a mask in three dimensions; check the file.")
    check_voxel_size(image)
    if check_place(header, image):
        raise SkullImplantError(
            f"{path.name} states two positions in its header; export the mask again, best as NRRD."
        )
    straighten_axes(image)
    return image if image.GetPixelID() == sitk.sitkUInt8 else _as_labels(image)


def checked_image(
    path: Path, header: ImageHeader, progress: Progress = silent
) -> tuple[sitk.Image, str]:
    """Return the image of a file once its data is seen to be whole, and the data's SHA-256 in hex.

    It has no metadata, which may name the patient. What a decoder returned is held against what was
    seen in the file: some stop early and leave the rest empty. Raises `SkullImplantError` where the
    data is damaged or cannot be decoded, or its voxels are complex numbers.
    """
    undecodable = SkullImplantError(
        f"{path.name} cannot be decoded as {header.format}; export the image again, best as NRRD."
    )
    with decoder() as process:
        seen = check_data(path, header, progress)
        try:
            image = process.image(path, header.image_io, header.data_bytes)
        except DecodingError as error:
            raise undecodable from error
    if "complex" in image.GetPixelIDTypeAsString():
        raise SkullImplantError(f"{path.name} has complex voxels; give a CT or a mask.")
    if header.as_stored and not seen.is_of(array_of(image)):
        raise undecodable
    return image, seen.sha256


def _as_labels(image: sitk.Image) -> sitk.Image:
    labels: sitk.Image = sitk.Cast(image, sitk.sitkUInt8)
    same = sitk.Cast(labels, image.GetPixelID()) == image
    return sitk.Mask(labels, same) + sitk.Mask(image != 0, same == 0)
