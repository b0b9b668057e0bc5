"""Images decoded in a process of their own, so that a decoder that ends or hangs ends only that.

ITK's readers of NRRD, NIfTI and MetaImage and the codecs of DICOM are native code, and a damaged
file can end them or keep them for ever. `decoder_process` runs them within limits of memory and
time; what comes of it here is an image or an error.
"""

import ctypes
import errno
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import SkullImplantError
from .files import for_native

SCRIPT = Path(__file__).with_name("decoder_process.py")
# Address space of Python with SimpleITK, and of the threads' stacks and arenas on large machines.
BASE_BYTES = 8 << 30
# Voxels as stored, as unpacked and as read, and one copy more where a codec changes their type.
COPIES = 4
# The start of a process on a busy machine; then as slow as a disk of a slow network.
BASE_S = 60.0
BYTES_PER_S = 4e6
# Of a process, on Windows.
NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)


class DecodingError(Exception):
    """The decoder returned no image: it refused, ended, or took longer than any whole file does."""


@contextmanager
def decoder() -> Iterator["Decoder"]:
    """Yield a process that decodes images; at the end of the block it is gone.

    It loads its libraries while the caller checks the file.
    """
    process = _started()
    try:
        yield Decoder(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


class Decoder:
    """Asks a process for images; once it has raised it is not to be asked again."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def image(self, path: Path, image_io: str, data_bytes: int) -> sitk.Image:
        """Return the image in a file, read by ITK's reader of the name `image_io`.

        data_bytes: what its voxels come to. Raises `DecodingError`, or `MemoryError` where it
        does not fit into memory.
        """
        with self._asked(path, image_io, data_bytes) as answer:
            components = answer["components"] if "vector" in answer["pixel_name"] else 0
            image = sitk.Image(answer["size"], answer["pixel"], components)
            image.SetSpacing(answer["spacing"])
            image.SetOrigin(answer["origin"])
            image.SetDirection(answer["direction"])
            self._fill(sitk.GetArrayViewFromImage(image))
        return image

    def plane(self, path: Path, image_io: str, data_bytes: int) -> NDArray[Any]:
        """Return the values (y, x) in a DICOM file of one frame; raises as `image` does.

        image_io: "GDCMImageIO", or "pydicom" for whatever decoder pydicom finds.
        """
        with self._asked(path, image_io, data_bytes) as answer:
            values = np.empty(answer["size"][::-1], np.dtype(answer["type"]))
            self._fill(values)
        return values[0] if values.ndim == 3 and values.shape[0] == 1 else values

    @contextmanager
    def _asked(self, path: Path, image_io: str, data_bytes: int) -> Iterator[dict[str, Any]]:
        """Yield the answer to a request, after which its voxels are to be read, within its time."""
        seconds = BASE_S + data_bytes / BYTES_PER_S
        request = {
            "path": for_native(path),
            "image_io": image_io,
            "memory_bytes": BASE_BYTES + COPIES * data_bytes,
            "seconds": seconds,
        }
        to_it, from_it = self._process.stdin, self._process.stdout
        assert to_it and from_it
        watch = threading.Timer(seconds, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            to_it.write(json.dumps(request).encode() + b"\n")
            to_it.flush()
            answer = json.loads(from_it.readline() or b"{}")
            if answer.get("error") == "memory":
                raise MemoryError
            if "size" not in answer:
                raise DecodingError
            yield answer
        except (OSError, ValueError) as error:
            raise DecodingError from error
        finally:
            watch.cancel()

    def _fill(self, values: NDArray[Any]) -> None:
        """Read the voxels that follow an answer into `values`, also into a view that ITK locks."""
        assert self._process.stdout
        address = values.__array_interface__["data"][0]
        rest = memoryview((ctypes.c_char * values.nbytes).from_address(address)).cast("B")
        while rest:
            read = self._process.stdout.readinto(rest)  # type: ignore[attr-defined]
            if not read:
                raise DecodingError
            rest = rest[read:]


def _started() -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=NO_WINDOW,
        )
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        raise SkullImplantError(
            f"The process that decodes images could not be started ({error.strerror}); install "
            "this program again."
        ) from error
