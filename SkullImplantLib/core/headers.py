"""What an image file says of itself, read before ITK mends it.

ITK fills a cut-off NIfTI with zeros, turns a zero spacing into 1 mm and believes a header that
contradicts itself; an implant made from such a file would not fit. So the header of NRRD, NIfTI
and MetaImage is read here, plainly; `voxel_data` then sees that the voxels are whole.
"""

import math
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import SkullImplantError
from .nrrd_space import index_to_lps, names_left, unusable_space

# Hold the whole header of any file met in practice, segment tables of hundreds of rows included.
MAX_HEADER_BYTES = 4 << 20

NIFTI1_BYTES = 352

# A 1024^3 image, a head at 0.25 mm; beyond it the stages after would not fit into memory.
MAX_VOXELS = 2**30
MAX_BYTES = 4 * 2**30

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
_METAIMAGE_TYPE_BYTES = {
    1: "MET_CHAR|MET_UCHAR",
    2: "MET_SHORT|MET_USHORT",
    4: "MET_INT|MET_UINT|MET_FLOAT|MET_LONG|MET_ULONG",
    8: "MET_LONG_LONG|MET_ULONG_LONG|MET_DOUBLE",
}
# Bits per voxel of its datatypes: integers, floats, colours.
_NIFTI_BITS = {2: 8, 256: 8, 4: 16, 512: 16, 8: 32, 768: 32, 1024: 64, 1280: 64}
_NIFTI_BITS |= {16: 32, 64: 64, 128: 24, 2304: 32}


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
    they are the last bytes of the data.
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
    claims: tuple[np.ndarray, ...] = ()
    fields: dict[str, str] | None = None
    notes: tuple[str, ...] = ()


def read_header(path: Path) -> ImageHeader:
    """Read and check the header of the image file `path`, its format told by its name.

    Raises `SkullImplantError` where the file is of no known format, is not what its name says,
    or has a header without a usable size and spacing; `OSError` where it cannot be opened.
    """
    name = path.name.lower()
    if name.endswith((".nrrd", ".nhdr")):
        return _read_nrrd(path)
    if name.endswith((".nii", ".nii.gz")):
        return _read_nifti(path)
    if name.endswith((".mha", ".mhd")):
        return _read_metaimage(path)
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


def _read_nrrd(path: Path) -> ImageHeader:
    """Read an NRRD header (teem.sourceforge.net/nrrd/format.html), attached or detached."""
    head = _head(path)
    if not head.startswith(b"NRRD"):
        raise _not_of_its_kind(path, "NRRD")
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and not path.name.lower().endswith(".nhdr"):
        raise _unusable(path, "its header has no end")
    text = (head[: end.start()] if end else head).decode("utf-8", "replace")
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#"):
            continue
        if len(line.encode()) > MAX_NRRD_LINE and not _PAIR.match(line):
            raise _unusable(path, "a line of its header is longer than any program writes")
        if ":=" in line:
            key, value = line.split(":=", 1)
            pairs[key.strip()] = value.strip()
        elif ":" in line:
            key, value = line.split(":", 1)
            fields[key.strip().lower().replace(" ", "")] = value.strip()
    size = _whole_numbers(path, fields.get("sizes", ""))
    _check_axes(path, fields.get("dimension", ""), size)
    if reason := unusable_space(fields):
        raise _unusable(path, reason)
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
        raise _unusable(path, f"its encoding {fields['encoding']!r} is not raw, gzip or text")
    if any(fields.get(skip, "0") != "0" for skip in ("lineskip", "byteskip")):
        raise _unusable(path, "its header skips lines or bytes of the data")
    data, offset = path, end.end() if end else 0
    if detached := fields.get("datafile", ""):
        data, offset = _data_file(path, detached), 0
    return ImageHeader(
        format="NRRD",
        image_io="NrrdImageIO",
        size=size,
        spacing_mm=spacing,
        data=data,
        offset=offset,
        encoding=encoding,
        data_bytes=math.prod(size) * _bytes_of(path, _NRRD_TYPE_BYTES, fields.get("type", "")),
        claims=() if claim is None else (claim,),
        fields=pairs,
        notes=() if names_left(fields) else (_UNORIENTED,),
    )


def _nrrd_spacing(path: Path, fields: dict[str, str]) -> tuple[float, ...]:
    """Return the spacings along the axes of space."""
    if directions := fields.get("spacedirections"):
        vectors = re.findall(r"\(([^)]*)\)", directions)
        lengths = [float(np.linalg.norm(_numbers(path, v.replace(",", " ")))) for v in vectors]
        return _checked_spacing(path, lengths)
    spacing = [s for s in _numbers(path, fields.get("spacings", "")) if not math.isnan(s)]
    return _checked_spacing(path, spacing)


def _read_nifti(path: Path) -> ImageHeader:
    """Read a NIfTI-1 header (nifti.nimh.nih.gov/nifti-1), plain or gzipped."""
    head = _head(path)
    gzipped = head.startswith(b"\x1f\x8b")
    if gzipped:
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, NIFTI1_BYTES)
        except zlib.error:
            head = b""
    for order in "<>":
        if len(head) >= NIFTI1_BYTES and struct.unpack_from(order + "i", head)[0] == 348:
            break
    else:
        raise _not_of_its_kind(path, "NIfTI-1")
    if head[344:347] != b"n+1":
        raise _unusable(path, "it is not a NIfTI-1 file with header and voxels in one")
    dims = struct.unpack_from(order + "8h", head, 40)
    if not 1 <= dims[0] <= 7 or min(dims[1 : 1 + dims[0]]) < 1:
        raise _unusable(path, "its header states no usable size")
    size = tuple(dims[1 : 1 + dims[0]])
    pixdim = struct.unpack_from(order + "8f", head, 76)
    datatype, bits = struct.unpack_from(order + "2h", head, 70)
    (voxel_offset,) = struct.unpack_from(order + "f", head, 108)
    stored = _NIFTI_BITS.get(datatype) == bits
    if not (stored and NIFTI1_BYTES <= voxel_offset <= MAX_HEADER_BYTES):
        raise _unusable(path, "its header does not say how its voxels are stored")
    unit_mm = {1: 1000.0, 3: 0.001}.get(head[123] & 7, 1.0)
    spacing = _checked_spacing(path, [p * unit_mm for p in pixdim[1 : 1 + min(len(size), 3)]])
    qform_code, sform_code = struct.unpack_from(order + "2h", head, 252)
    claims = []
    if qform_code > 0:
        claims.append(_nifti_qform(struct.unpack_from(order + "6f", head, 256), pixdim, unit_mm))
    if sform_code > 0:
        rows = np.reshape(struct.unpack_from(order + "12f", head, 280), (3, 4)) * unit_mm
        claims.append(np.vstack([rows, [0, 0, 0, 1]]))
    if not all(np.isfinite(claim).all() for claim in claims):
        raise _unusable(path, "its position or orientation is not a finite number")
    ras_to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    offset = int(voxel_offset)
    voxel_bytes = math.prod(size) * (bits // 8)
    return ImageHeader(
        format="NIfTI",
        image_io="NiftiImageIO",
        size=size,
        spacing_mm=spacing,
        data=path,
        offset=0,
        encoding="gzip" if gzipped else "raw",
        data_bytes=offset + voxel_bytes,
        floats=np.dtype(f"{order}f{bits // 8}") if datatype in (16, 64) else None,
        claims=tuple(ras_to_lps @ claim for claim in claims),
        notes=() if claims else (_UNORIENTED,),
    )


def _nifti_qform(
    quaternion_and_offset: tuple[float, ...], pixdim: tuple[float, ...], unit_mm: float
) -> np.ndarray:
    """Return the index-to-RAS matrix (4x4, mm) of the header's quaternion ("method 2")."""
    b, c, d, *offset = quaternion_and_offset
    a = math.sqrt(max(1.0 - b * b - c * c - d * d, 0.0))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    matrix[:3, :3] *= np.array([pixdim[1], pixdim[2], handedness * pixdim[3]]) * unit_mm
    matrix[:3, 3] = np.array(offset) * unit_mm
    return matrix


def _read_metaimage(path: Path) -> ImageHeader:
    """Read a MetaImage header (itk.org/Wiki/ITK/MetaIO), attached or detached."""
    head = _head(path)
    fields: dict[str, str] = {}
    offset = 0
    while "elementdatafile" not in fields:
        end = head.find(b"\n", offset)
        key, equals, value = head[offset : end if end >= 0 else None].partition(b"=")
        if not equals:
            raise _not_of_its_kind(path, "MetaImage")
        fields[key.decode("latin-1").strip().lower()] = value.decode("utf-8", "replace").strip()
        offset = end + 1 if end >= 0 else len(head)
    size = _whole_numbers(path, fields.get("dimsize", ""))
    _check_axes(path, fields.get("ndims", ""), size)
    spacing = _checked_spacing(
        path, _numbers(path, fields.get("elementspacing") or fields.get("elementsize") or "")[:3]
    )
    matrix = fields.get("transformmatrix") or fields.get("rotation") or fields.get("orientation")
    corner = fields.get("offset") or fields.get("position") or fields.get("origin") or ""
    if not np.isfinite(_numbers(path, f"{matrix or ''} {corner}")).all():
        raise _unusable(path, "its position or orientation is not a finite number")
    if fields.get("headersize", "0") not in ("0", "-1"):
        raise _unusable(path, "its voxels follow another program's header")
    data = path
    if (name := fields["elementdatafile"]).upper() != "LOCAL":
        data, offset = _data_file(path, name), 0
    encoding = "raw" if _is_true(path, fields.get("binarydata", "true")) else "text"
    if _is_true(path, fields.get("compresseddata", "false")):
        encoding = "zlib"
    channels = _whole_numbers(path, fields.get("elementnumberofchannels", "1"))[0]
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
        * _bytes_of(path, _METAIMAGE_TYPE_BYTES, fields.get("elementtype", "")),
        notes=() if matrix else (_UNORIENTED,),
    )


_UNORIENTED = (
    "The file does not say how its axes lie in the patient; left and right were taken from the "
    "order of its voxels: check them."
)


def _is_true(path: Path, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _unusable(path, "its header does not say how its voxels are stored")
    return text.lower() == "true"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_HEADER_BYTES)


def _data_file(path: Path, name: str) -> Path:
    """Return the one file that a detached header names for its voxels."""
    if name.upper().startswith("LIST") or "%" in name:
        raise _unusable(path, "its voxels are spread over several files")
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


def _numbers(path: Path, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError as error:
        raise _unusable(path, "its header has words where numbers belong") from error


def _whole_numbers(path: Path, text: str) -> tuple[int, ...]:
    numbers = _numbers(path, text)
    if not numbers or not all(n >= 1 and n.is_integer() for n in numbers):
        raise _unusable(path, "its header states no usable size")
    return tuple(int(n) for n in numbers)


def _check_axes(path: Path, count: str, size: tuple[int, ...]) -> None:
    """Refuse a header whose number of axes is not that of its sizes."""
    if _whole_numbers(path, count) != (len(size),):
        raise _unusable(path, "its header contradicts itself about the number of axes")


def _checked_spacing(path: Path, spacing_mm: list[float]) -> tuple[float, ...]:
    """Return the spacing where every value is a positive number; ITK would put 1 mm instead."""
    if not spacing_mm:
        raise _unusable(path, "its header does not state the size of a voxel")
    if not all(math.isfinite(s) and s != 0 for s in spacing_mm):
        raise _unusable(path, "its header states a voxel size that is zero or not a number")
    if min(spacing_mm) < 0:
        raise _unusable(path, "its header states a negative voxel size")
    return tuple(spacing_mm)


def _bytes_of(path: Path, types: dict[int, str], name: str) -> int:
    for count, names in types.items():
        if name in names.split("|"):
            return count
    raise _unusable(path, f"its voxels are of the unknown type {name[:30]!r}")


def _not_of_its_kind(path: Path, kind: str) -> SkullImplantError:
    return SkullImplantError(
        f"{path.name} is not the {kind} file that its name says; check which file this is."
    )


def _unusable(path: Path, reason: str) -> SkullImplantError:
    return SkullImplantError(
        f"{path.name} cannot be used because {reason}; export the image again, best as NRRD."
    )
