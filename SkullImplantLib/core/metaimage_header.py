"""The header of a MetaImage file (itk.org/Wiki/ITK/MetaIO), attached or detached."""

import math
from pathlib import Path

import numpy as np

from .header_parts import (
    UNORIENTED,
    ImageHeader,
    bytes_of,
    check_axes,
    checked_spacing,
    data_file,
    head_of,
    not_of_its_kind,
    numbers,
    once,
    unusable,
    whole_numbers,
    words_of,
)

_METAIMAGE_TYPE_BYTES = {
    1: "MET_CHAR|MET_UCHAR",
    2: "MET_SHORT|MET_USHORT",
    4: "MET_INT|MET_UINT|MET_FLOAT|MET_LONG|MET_ULONG",
    8: "MET_LONG_LONG|MET_ULONG_LONG|MET_DOUBLE",
}


def read_metaimage(path: Path) -> ImageHeader:
    """Read a MetaImage header (itk.org/Wiki/ITK/MetaIO), attached or detached."""
    head = head_of(path)
    fields: dict[str, str] = {}
    offset = 0
    while "elementdatafile" not in fields:
        end = head.find(b"\n", offset)
        key, equals, value = head[offset : end if end >= 0 else None].partition(b"=")
        if not equals:
            raise not_of_its_kind(path, "MetaImage")
        once(path, fields, words_of(path, key).strip().lower(), words_of(path, value).strip())
        offset = end + 1 if end >= 0 else len(head)
    size = whole_numbers(path, fields.get("dimsize", ""))
    check_axes(path, fields.get("ndims", ""), size)
    dimension = len(size)
    stated = fields.get("elementspacing") or fields.get("elementsize") or ""
    spacing = checked_spacing(path, _of_length(path, stated, dimension)[:3])
    matrix = fields.get("transformmatrix") or fields.get("rotation") or fields.get("orientation")
    corner = fields.get("offset") or fields.get("position") or fields.get("origin") or ""
    placed = _of_length(path, corner, dimension) or [0.0] * dimension
    turned = _of_length(path, matrix or "", dimension**2) or np.eye(dimension).ravel().tolist()
    if not np.isfinite([*turned, *placed]).all():
        raise unusable(path, "its position or orientation is not a finite number")
    if fields.get("headersize", "0") not in ("0", "-1"):
        raise unusable(path, "its voxels follow another program's header")
    data = path
    if (name := fields["elementdatafile"]).upper() != "LOCAL":
        data, offset = data_file(path, name), 0
    encoding = "raw" if _is_true(path, fields.get("binarydata", "true")) else "text"
    if _is_true(path, fields.get("compresseddata", "false")):
        encoding = "zlib"
    channels = whole_numbers(path, fields.get("elementnumberofchannels", "1"))[0]
    return ImageHeader(
        format="MetaImage",
        image_io="MetaImageIO",
        size=size if channels == 1 else (channels, *size),
        spacing_mm=spacing,
        data=data,
        offset=offset,
        encoding=encoding,
        data_bytes=math.prod(size)
        * channels
        * bytes_of(path, _METAIMAGE_TYPE_BYTES, fields.get("elementtype", "")),
        as_stored=encoding != "text" and channels == 1,
        claims=(_index_to_lps(spacing, turned, placed),) if dimension == 3 else (),
        notes=() if matrix else (UNORIENTED,),
    )


def _of_length(path: Path, text: str, count: int) -> list[float]:
    """Return the numbers of a field, all of them or, where it is empty, none."""
    found = numbers(path, text)
    if len(found) not in (0, count):
        raise unusable(path, "its header contradicts itself about the number of axes")
    return found


def _index_to_lps(
    spacing_mm: tuple[float, ...], turned: list[float], placed_mm: list[float]
) -> np.ndarray:
    """Return the matrix (4x4, mm) from a voxel index to LPS; `turned` has an axis in each row."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(turned, (3, 3)).T * np.array(spacing_mm)
    matrix[:3, 3] = placed_mm
    return matrix


def _is_true(path: Path, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise unusable(path, "its header does not say how its voxels are stored")
    return text.lower() == "true"
