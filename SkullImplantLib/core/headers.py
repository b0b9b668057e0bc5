"""What an image file says of itself, read before ITK mends it.

ITK fills a cut-off NIfTI with zeros, turns a zero spacing into 1 mm and believes a header that
contradicts itself; an implant made from such a file would not fit. So the header of NRRD, NIfTI
and MetaImage is read plainly; `voxel_data` then sees that the voxels are whole.
"""

import math
import re
from pathlib import Path

from ..errors import SkullImplantError
from .header_parts import ImageHeader
from .metaimage_header import read_metaimage
from .nifti_header import read_nifti
from .nrrd_header import read_nrrd

# A 1024^3 image, a head at 0.25 mm; beyond it the stages after would not fit into memory.
MAX_VOXELS = 2**30
MAX_BYTES = 4 * 2**30


def read_header(path: Path) -> ImageHeader:
    """Read and check the header of the image file `path`, its format told by its name.

    Raises `SkullImplantError` where the file is of no known format, is not what its name says,
    or has a header without a usable size and spacing; `OSError` where it cannot be opened.
    """
    name = path.name.lower()
    if name.endswith((".nrrd", ".nhdr")):
        return read_nrrd(path)
    if name.endswith((".nii", ".nii.gz")):
        return read_nifti(path)
    if name.endswith((".mha", ".mhd")):
        return read_metaimage(path)
    raise SkullImplantError(
        f"{path.name} is of no known format; give a DICOM folder, or an NRRD (.nrrd, .nhdr), "
        "NIfTI (.nii, .nii.gz) or MetaImage (.mha, .mhd) file."
    )


def check_size(header: ImageHeader) -> None:
    """Raise `SkullImplantError`, before voxels are loaded, where they would not fit into memory."""
    voxels = math.prod(header.size)
    if voxels > MAX_VOXELS or header.data_bytes > MAX_BYTES:
        raise SkullImplantError(
            f"The image is too large ({voxels / 1e9:.1f} billion voxels); crop it to the head or "
            "resample it to 0.4 mm."
        )


def is_dicom(path: Path) -> bool:
    """Say whether a file is DICOM, by its preamble or, in old files without one, its first tag."""
    with path.open("rb") as file:
        head = file.read(132)
    if head[128:] == b"DICM":
        return True
    # Group 0008, one of its first elements, then two letters (explicit) or a short length.
    return head[:2] == b"\x08\x00" and bool(
        re.match(rb"[\x00-\x18]\x00([A-Z]{2}|.\x00\x00\x00)", head[2:8], re.DOTALL)
    )
