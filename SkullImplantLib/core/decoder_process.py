"""The process that ITK's, GDCM's and others' decoders run in: requests in, images out, by pipes.

It is run as a script and imports nothing of this library, so that it starts at once. Each request
is a line of JSON; each answer a line of JSON and, where there is an image, its voxels' bytes.
`decoding` is the other end, and says what the fields are.
"""

import json
import math
import os
import sys
from contextlib import suppress
from typing import Any


def main() -> None:
    """Answer requests until standard input ends."""
    here = os.path.dirname(os.path.realpath(__file__))  # its modules may have names of packages
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != here]
    _be_quiet()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := requests.readline():
        request = json.loads(line)
        voxels: Any = b""
        owner = None  # the voxels are a view into it
        try:
            _limit(request["memory_bytes"], request["seconds"])
            answer, voxels, owner = _decoded(request)
        except MemoryError:
            answer = {"error": "memory"}
        except Exception as error:  # decoders raise what they like
            no_memory = "memory" in str(error).lower() and "alloc" in str(error).lower()
            answer = {"error": "memory" if no_memory else "undecodable"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.write(voxels)
        answers.flush()
        del voxels, owner


def _decoded(request: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Return what to say of the image asked for, its voxels, and what holds them."""
    if request["image_io"] == "pydicom":
        return *_by_pydicom(request["path"]), None
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(request["image_io"])
    reader.SetFileName(request["path"])
    image = reader.Execute()
    view: Any = sitk.GetArrayViewFromImage(image)
    answer = {
        "size": image.GetSize(),
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
        "pixel": image.GetPixelID(),
        "pixel_name": image.GetPixelIDTypeAsString(),
        "components": image.GetNumberOfComponentsPerPixel(),
        "type": view.dtype.str,
    }
    return answer, memoryview(view).cast("B"), image


def _by_pydicom(path: str) -> tuple[dict[str, Any], Any]:
    """Return what to say of a DICOM file's one frame, and its values, by whatever decoder it is."""
    import pydicom
    from pydicom.pixels.decoders.base import get_decoder

    dataset = pydicom.dcmread(path)
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    array, _ = decoder.as_array(dataset, index=0, raw=True)
    return {"size": array.shape[::-1], "type": array.dtype.str}, array.tobytes()


def _limit(memory_bytes: int, seconds: float) -> None:
    """Let the system end this process beyond so much memory or time (Linux; in part elsewhere)."""
    try:
        import resource  # not on Windows
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = math.ceil(used.ru_utime + used.ru_stime + seconds * (os.cpu_count() or 1))
    for what, wanted in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        with suppress(OSError, ValueError):
            allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(what, (allowed, hard))


def _be_quiet() -> None:
    """Let a crash end the process without a window to close (Windows)."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)  # critical errors, faults


if __name__ == "__main__":
    main()
