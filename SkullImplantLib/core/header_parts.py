"""What the headers of image files have in common: what they tell, and plain checks of it."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import SkullImplantError

# Hold the whole header of any file met in practice, segment tables of hundreds of rows included.
MAX_HEADER_BYTES = 4 << 20
# No image has more voxels along an axis; a product of a few still is a number to reckon with.
MAX_COUNT = 2**32
# What no text holds, but tabulators and the ends of lines.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

UNORIENTED = (
    "The file does not say how its axes lie in the patient; left and right were taken from the "
    "order of its voxels: check them."
)


@dataclass(frozen=True)
class ImageHeader:
    """The header of one image file.

    size: voxels per axis, first axis fastest; a list of values per voxel counts as an axis.
    spacing_mm: along the axes of space (and, in some files, time).
    claims: the index-to-LPS matrices (4x4, mm) the header states, where it may state several.
    fields: the key/value pairs of an NRRD file.
    data, offset, encoding, data_bytes: where the voxels lie, how they are packed ("raw", "gzip",
    "zlib", "text"), and how many bytes they must come to once unpacked.
    floats: the voxels' type where they are floats that ITK would silently set to 0 if not finite;
    they are the last bytes of the data. before_voxels: bytes of the data before the first voxel.
    as_stored: the voxels are the last bytes of the data, one value each, in the order in which they
    are kept in an image, and nothing is to be calculated of them; their bytes may be swapped.
    """

    format: str
    image_io: str
    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    data: Path
    offset: int
    encoding: str
    data_bytes: int
    floats: np.dtype | None = None
    as_stored: bool = False
    before_voxels: int = 0
    claims: tuple[np.ndarray, ...] = ()
    fields: dict[str, str] | None = None
    notes: tuple[str, ...] = ()


def head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_HEADER_BYTES)


def words_of(path: Path, header: bytes) -> str:
    """Return a header of words; text of another encoding than UTF-8 may stand in its comments."""
    words = header.decode("utf-8", "replace")
    if _CONTROLS.search(words):
        raise unusable(path, "its header is damaged (it holds what is no text)")
    return words


def once(path: Path, fields: dict[str, str], key: str, value: str) -> None:
    """Enter a field that a header may state once."""
    if key in fields:
        raise unusable(path, f"its header states {key[:30]!r} twice")
    fields[key] = value


def data_file(path: Path, name: str) -> Path:
    """Return the one file that a detached header names for its voxels."""
    if name.upper().startswith("LIST") or "%" in name:
        raise unusable(path, "its voxels are spread over several files")
    data = path.parent / name
    try:
        is_there = data.is_file()
    except OSError:  # no name of a file
        is_there = False
    if not is_there:
        raise SkullImplantError(
            f"{path.name} is only a header and the file of voxels that it names is missing; "
            "put both into one folder."
        )
    return data


def numbers(path: Path, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError as error:
        raise unusable(path, "its header has words where numbers belong") from error


def whole_numbers(path: Path, text: str) -> tuple[int, ...]:
    found = numbers(path, text)
    if not found or not all(1 <= n <= MAX_COUNT and n.is_integer() for n in found):
        raise unusable(path, "its header states no usable size")
    return tuple(int(n) for n in found)


def check_axes(path: Path, count: str, size: tuple[int, ...]) -> None:
    """Refuse a header whose number of axes is not that of its sizes."""
    if whole_numbers(path, count) != (len(size),):
        raise unusable(path, "its header contradicts itself about the number of axes")


def checked_spacing(path: Path, spacing_mm: list[float]) -> tuple[float, ...]:
    """Return the spacing where every value is a positive number; ITK would put 1 mm instead."""
    if not spacing_mm:
        raise unusable(path, "its header does not state the size of a voxel")
    if not all(math.isfinite(s) and s != 0 for s in spacing_mm):
        raise unusable(path, "its header states a voxel size that is zero or not a number")
    if min(spacing_mm) < 0:
        raise unusable(path, "its header states a negative voxel size")
    return tuple(spacing_mm)


def bytes_of(path: Path, types: dict[int, str], name: str) -> int:
    for count, names in types.items():
        if name in names.split("|"):
            return count
    raise unusable(path, f"its voxels are of the unknown type {name[:30]!r}")


def not_of_its_kind(path: Path, kind: str) -> SkullImplantError:
    return SkullImplantError(
        f"{path.name} is not the {kind} file that its name says; check which file this is."
    )


def unusable(path: Path, reason: str) -> SkullImplantError:
    return SkullImplantError(
        f"{path.name} cannot be used because {reason}; export the image again, best as NRRD."
    )
