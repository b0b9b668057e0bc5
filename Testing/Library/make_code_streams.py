"""Make `code_streams.zip`: the frames of `code_streams.py`, compressed.

Needs dcmtk (made with 3.6.7), OpenJPH's `ojph_compress` (made with 0.9.0) and, in Python, pydicom
and imagecodecs (made with 2026.3.6: CharLS 2.4.3, liblj92, OpenJPEG 2.5.4, OpenJPH 0.26.3):

    python Testing/Library/make_code_streams.py
"""

import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from code_streams import (
    ARCHIVE,
    COLUMNS,
    FRAMES,
    LAYOUTS,
    ROWS,
    Layout,
    dataset_of,
    pixels,
)

Writer = Callable[[Layout, np.ndarray, Path], bytes]


def native(layout: Layout, values: np.ndarray, signed: bool | None = None) -> np.ndarray:
    signed = layout.signed if signed is None else signed
    if not signed:
        values = values & ((1 << layout.stored) - 1)
    return values.astype(f"<{'i' if signed else 'u'}{layout.allocated // 8}")


def by_dcmtk(*command: str) -> Writer:
    def write(layout: Layout, values: np.ndarray, folder: Path) -> bytes:
        dataset = dataset_of(layout, ExplicitVRLittleEndian, b"")
        dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
        del dataset.NumberOfFrames
        data = native(layout, values).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OB" if layout.allocated == 8 else "OW"
        dataset["PixelData"].is_undefined_length = False
        dataset.save_as(folder / "in", enforce_file_format=True)
        subprocess.run([*command, folder / "in", folder / "out"], check=True)
        (frame,) = generate_frames(pydicom.dcmread(folder / "out").PixelData, number_of_frames=1)
        return frame

    return write


def by_openjph(*options: str) -> Writer:
    def write(layout: Layout, values: np.ndarray, folder: Path) -> bytes:
        (folder / "in.yuv").write_bytes(native(layout, values).tobytes())
        command = [
            "ojph_compress", "-i", folder / "in.yuv", "-o", folder / "out.jph", "-dims",
            f"{{{COLUMNS},{ROWS}}}", "-num_comps", "1", "-signed", "false", "-bit_depth",
            str(layout.stored), "-downsamp", "{1,1}", "-num_decomps", "2", *options,
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return (folder / "out.jph").read_bytes()

    return write


def by_charls(layout: Layout, values: np.ndarray, folder: Path) -> bytes:
    return imagecodecs.jpegls_encode(native(layout, values, signed=False))


def by_lj92(layout: Layout, values: np.ndarray, folder: Path) -> bytes:
    words = native(layout, values, signed=False)
    return imagecodecs.ljpeg_encode(words, bitspersample=layout.stored)


def by_openjph_library(reversible: bool) -> Writer:
    """Its command takes no signed pixels; its order is by resolution (RPCL)."""

    def write(layout: Layout, values: np.ndarray, folder: Path) -> bytes:
        level = None if reversible else 0.001
        return imagecodecs.htj2k_encode(
            native(layout, values), level, reversible=reversible, resolutions=2
        )

    return write


def by_openjpeg(layout: Layout, values: np.ndarray, folder: Path) -> bytes:
    return imagecodecs.jpeg2k_encode(
        native(layout, values), codecformat="j2k", bitspersample=layout.stored, reversible=True,
        level=0, resolutions=2,
    )  # fmt: skip


def by_openjpeg_lossy(layout: Layout, values: np.ndarray, folder: Path) -> bytes:
    return imagecodecs.jpeg2k_encode(
        native(layout, values), codecformat="j2k", bitspersample=layout.stored, reversible=False,
        level=50, resolutions=2,
    )  # fmt: skip


ALL = tuple(LAYOUTS)
WRITERS: dict[str, tuple[tuple[str, ...], Writer]] = {
    "dcmtk-sv1": (ALL, by_dcmtk("dcmcjpeg", "+e1")),
    **{
        f"dcmtk-predictor-{n}": (("u16", "s12"), by_dcmtk("dcmcjpeg", "+el", "+sv", str(n)))
        for n in range(2, 8)
    },
    "lj92": (ALL, by_lj92),
    "dcmtk-jpeg-ls": (ALL, by_dcmtk("dcmcjpls", "+el")),
    "charls": (ALL, by_charls),
    "openjpeg": (ALL, by_openjpeg),
    "openjph-lrcp": (
        ("u16", "u12", "u8"),
        by_openjph("-reversible", "true", "-prog_order", "LRCP"),
    ),
    "openjph-rpcl": (ALL, by_openjph_library(True)),
    "dcmtk-baseline": (("u8",), by_dcmtk("dcmcjpeg", "+eb")),
    "dcmtk-extended": (("u12",), by_dcmtk("dcmcjpeg", "+ee")),
    "dcmtk-jpeg-ls-near": (("u16", "u12", "u8"), by_dcmtk("dcmcjpls", "+en", "+md", "3")),
    "openjpeg-lossy": (("u12", "s12", "s16"), by_openjpeg_lossy),
    "openjph-lossy": (("u12", "s12", "s16"), by_openjph_library(False)),
}


def main() -> None:
    with (
        zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive,
        tempfile.TemporaryDirectory() as folder,
    ):
        for writer, (layouts, write) in WRITERS.items():
            for name in layouts:
                for frame in range(FRAMES):
                    layout = LAYOUTS[name]
                    stream = write(layout, pixels(layout, frame), Path(folder))
                    # A date of its own would make another archive of the same frames.
                    archive.writestr(zipfile.ZipInfo(f"{writer}/{name}/{frame}"), stream)


if __name__ == "__main__":
    main()
