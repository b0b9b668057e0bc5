"""The header of a NIfTI-1 file (nifti.nimh.nih.gov/nifti-1), plain or gzipped."""

import math
import struct
import zlib
from pathlib import Path

import numpy as np

from .header_parts import (
    MAX_HEADER_BYTES,
    UNORIENTED,
    ImageHeader,
    checked_spacing,
    head_of,
    not_of_its_kind,
    unusable,
)

NIFTI1_BYTES = 352
# Bits per voxel of its datatypes: integers, floats, colours.
_NIFTI_BITS = {2: 8, 256: 8, 4: 16, 512: 16, 8: 32, 768: 32, 1024: 64, 1280: 64}
_NIFTI_BITS |= {16: 32, 64: 64, 128: 24, 2304: 32}


def read_nifti(path: Path) -> ImageHeader:
    """Read a NIfTI-1 header (nifti.nimh.nih.gov/nifti-1), plain or gzipped."""
    head = head_of(path)
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
        raise not_of_its_kind(path, "NIfTI-1")
    if head[344:347] != b"n+1":
        raise unusable(path, "it is not a NIfTI-1 file with header and voxels in one")
    dims = struct.unpack_from(order + "8h", head, 40)
    if not 1 <= dims[0] <= 7 or min(dims[1 : 1 + dims[0]]) < 1:
        raise unusable(path, "its header states no usable size")
    size = tuple(dims[1 : 1 + dims[0]])
    pixdim = struct.unpack_from(order + "8f", head, 76)
    datatype, bits = struct.unpack_from(order + "2h", head, 70)
    (voxel_offset,) = struct.unpack_from(order + "f", head, 108)
    stored = _NIFTI_BITS.get(datatype) == bits
    if not (stored and NIFTI1_BYTES <= voxel_offset <= MAX_HEADER_BYTES):
        raise unusable(path, "its header does not say how its voxels are stored")
    slope, intercept = struct.unpack_from(order + "2f", head, 112)
    scaled = slope not in (0.0, 1.0) or intercept != 0.0
    if scaled and not (math.isnan(slope) or np.isfinite([slope, intercept]).all()):
        raise unusable(path, "its header scales its values by what is no number")
    unit_mm = {1: 1000.0, 3: 0.001}.get(head[123] & 7, 1.0)
    spacing = checked_spacing(path, [p * unit_mm for p in pixdim[1 : 1 + min(len(size), 3)]])
    qform_code, sform_code = struct.unpack_from(order + "2h", head, 252)
    claims = []
    if qform_code > 0:
        claims.append(_nifti_qform(struct.unpack_from(order + "6f", head, 256), pixdim, unit_mm))
    if sform_code > 0:
        rows = np.reshape(struct.unpack_from(order + "12f", head, 280), (3, 4)) * unit_mm
        claims.append(np.vstack([rows, [0, 0, 0, 1]]))
    if not all(np.isfinite(claim).all() for claim in claims):
        raise unusable(path, "its position or orientation is not a finite number")
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
        before_voxels=offset,
        floats=np.dtype(f"{order}f{bits // 8}") if datatype in (16, 64) else None,
        as_stored=not scaled and len(size) == 3 and bits in (8, 16, 32, 64) and datatype != 2304,
        claims=tuple(ras_to_lps @ claim for claim in claims),
        notes=() if claims else (UNORIENTED,),
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
