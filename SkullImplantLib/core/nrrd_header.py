"""The header of an NRRD file, attached or detached (teem.sourceforge.net/nrrd/format.html)."""

import math
import re
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
from .nrrd_space import index_to_lps, names_left, unusable_space

# ITK's reader of NRRD ends the process at a field's line of over 1 KB; pairs may be longer.
MAX_NRRD_LINE = 1000
_PAIR = re.compile(r"[^:]*:=")

_NRRD_TYPE_BYTES = {
    1: "signed char|int8|int8_t|uchar|unsigned char|uint8|uint8_t",
    2: "short|short int|signed short|signed short int|int16|int16_t"
    "|ushort|unsigned short|unsigned short int|uint16|uint16_t",
    4: "int|signed int|int32|int32_t|uint|unsigned int|uint32|uint32_t|float",
    8: "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t"
    "|ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t|double",
}


def read_nrrd(path: Path) -> ImageHeader:
    """Read an NRRD header (teem.sourceforge.net/nrrd/format.html), attached or detached."""
    head = head_of(path)
    if not head.startswith(b"NRRD"):
        raise not_of_its_kind(path, "NRRD")
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and not path.name.lower().endswith(".nhdr"):
        raise unusable(path, "its header has no end")
    text = words_of(path, head[: end.start()] if end else head)
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#"):
            continue
        if len(line.encode()) > MAX_NRRD_LINE and not _PAIR.match(line):
            raise unusable(path, "a line of its header is longer than any program writes")
        if ":=" in line:
            key, value = line.split(":=", 1)
            pairs[key.strip()] = value.strip()
        elif ":" in line:
            key, value = line.split(":", 1)
            once(path, fields, key.strip().lower().replace(" ", ""), value.strip())
    size = whole_numbers(path, fields.get("sizes", ""))
    check_axes(path, fields.get("dimension", ""), size)
    if reason := unusable_space(fields):
        raise unusable(path, reason)
    spacing = _nrrd_spacing(path, fields)
    claim = index_to_lps(fields)
    encoding = {
        "raw": "raw",
        "gz": "gzip",
        "gzip": "gzip",
        "txt": "text",
        "text": "text",
        "ascii": "text",
    }.get(fields.get("encoding", "").lower() or "raw")
    if encoding is None:
        raise unusable(path, f"its encoding {fields['encoding']!r} is not raw, gzip or text")
    if any(fields.get(skip, "0") != "0" for skip in ("lineskip", "byteskip")):
        raise unusable(path, "its header skips lines or bytes of the data")
    data, offset = path, end.end() if end else 0
    if detached := fields.get("datafile", ""):
        data, offset = data_file(path, detached), 0
    return ImageHeader(
        format="NRRD",
        image_io="NrrdImageIO",
        size=size,
        spacing_mm=spacing,
        data=data,
        offset=offset,
        encoding=encoding,
        data_bytes=math.prod(size) * bytes_of(path, _NRRD_TYPE_BYTES, fields.get("type", "")),
        as_stored=encoding != "text" and len(size) == 3,
        claims=() if claim is None else (claim,),
        fields=pairs,
        notes=() if names_left(fields) else (UNORIENTED,),
    )


def _nrrd_spacing(path: Path, fields: dict[str, str]) -> tuple[float, ...]:
    """Return the spacings along the axes of space."""
    if directions := fields.get("spacedirections"):
        vectors = re.findall(r"\(([^)]*)\)", directions)
        lengths = [float(np.linalg.norm(numbers(path, v.replace(",", " ")))) for v in vectors]
        return checked_spacing(path, lengths)
    spacing = [s for s in numbers(path, fields.get("spacings", "")) if not math.isnan(s)]
    return checked_spacing(path, spacing)
