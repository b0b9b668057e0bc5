"""Frames that were compressed by the programs archives use, and what their pixels are by formula.

`code_streams.zip` is made by `make_code_streams.py`; its members are named WRITER/LAYOUT/FRAME.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    CTImageStorage,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    generate_uid,
)

ARCHIVE = Path(__file__).with_suffix(".zip")
# Odd, so that pixels of 8 bits need a byte of padding.
ROWS, COLUMNS, FRAMES = 17, 21, 2
# The syntax of each writer's streams.
EXACT = {
    "dcmtk-sv1": JPEGLosslessSV1,
    **{f"dcmtk-predictor-{n}": JPEGLossless for n in range(2, 8)},
    "lj92": JPEGLosslessSV1,
    "dcmtk-jpeg-ls": JPEGLSLossless,
    "charls": JPEGLSLossless,
    "openjpeg": JPEG2000Lossless,
    "openjph-lrcp": HTJ2KLossless,
    "openjph-rpcl": HTJ2KLosslessRPCL,
}
# And by what share of all values a pixel may differ where the writer was told to lose some.
LOSSY = {
    "dcmtk-baseline": (JPEGBaseline8Bit, 0.05),
    "dcmtk-extended": (JPEGExtended12Bit, 0.005),
    "dcmtk-jpeg-ls-near": (JPEGLSNearLossless, 0.0),  # but for NEAR
    "openjpeg-lossy": (JPEG2000, 0.02),
    "openjph-lossy": (HTJ2K, 0.02),
}
NEAR = 3


@dataclass(frozen=True)
class Layout:
    """How pixels are stored."""

    allocated: int
    stored: int
    signed: bool

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.stored}"


LAYOUTS = {
    str(layout): layout
    for layout in (
        Layout(16, 16, False), Layout(16, 16, True), Layout(16, 12, False), Layout(16, 12, True),
        Layout(8, 8, False), Layout(8, 8, True),
    )
}  # fmt: skip


def pixels(layout: Layout, frame: int) -> np.ndarray:
    """Return a frame's pixels (ROWS, COLUMNS; int64): slopes, a texture, and every extreme.

    The extremes lie beside each other, so that the largest differences are there.
    """
    y, x = np.mgrid[:ROWS, :COLUMNS]
    whole = 1 << layout.stored
    slope = (x * x + 3 * y * (frame + 1)) * whole // 1024 + (x * y * (7 + frame)) % 11
    values = slope % whole
    values[3, 4:8] = 0, whole - 1, whole // 2, whole // 2 - 1
    return values - whole // 2 if layout.signed else values


@cache
def streams() -> dict[tuple[str, str, int], bytes]:
    """Return all frames by writer, layout and number."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        return {
            (writer, layout, int(frame)): archive.read(name)
            for name in archive.namelist()
            for writer, layout, frame in [name.split("/")]
        }


def kinds(writers: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the writers and layouts that there are."""
    for writer, layout, frame in streams():
        if writer in writers and frame == 0:
            yield writer, layout


def dataset_of(layout: Layout, syntax: str, pixel_data: bytes, frames: int = 1) -> Dataset:
    """Return a data set with pixels that are compressed, in fragments."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = UID(syntax)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.NumberOfFrames, dataset.SamplesPerPixel = frames, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated, dataset.BitsStored = layout.allocated, layout.stored
    dataset.HighBit, dataset.PixelRepresentation = layout.stored - 1, int(layout.signed)
    dataset.PixelData = pixel_data
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def compressed(writer: str, layout: str, frames: Sequence[int] = (0,)) -> Dataset:
    """Return a data set of these frames of a writer, a fragment each."""
    syntax = EXACT[writer] if writer in EXACT else LOSSY[writer][0]
    data = encapsulate([streams()[writer, layout, frame] for frame in frames])
    return dataset_of(LAYOUTS[layout], syntax, data, len(frames))
