"""The CT that a design came from, read again from where it lies: a folder may hold several series.

Which of them it was is told by its bytes; where the design was made of a volume that a viewer had
read from them, its bytes are others, and the caller has to tell.
"""

from collections.abc import Iterator
from pathlib import Path

from ..core.progress import Progress, part, silent
from ..errors import SkullImplantError
from .input import Input, read_input

# Of the progress; the likeliest is mostly the one.
FIRST = 0.6


def inputs_in(path: Path, progress: Progress = silent) -> Iterator[Input]:
    """Read the CT in a file, or those of a folder's series that are a volume, the likeliest first.

    Raises `SkullImplantError` where there is no CT at all.
    """
    fault, first = None, None
    try:
        first = read_input(path, "ct", progress=part(progress, 0.0, FIRST))
        yield first
    except SkullImplantError as error:
        fault = error
    if path.is_dir():
        from .dicom_study import DicomSeries, find_series  # pydicom, which no file needs

        series = sorted(
            (one for one in find_series(path, silent).series if one.headers),
            key=DicomSeries.rank,
            reverse=True,
        )
        seen = set(first.files if first else ())
        others = [one for one in series if not seen & {file for file, _ in one.headers}]
        # With one series alone its fault is the answer.
        for number, one in enumerate(others if len(series) > 1 else []):
            done = (FIRST + (1.0 - FIRST) * k / len(others) for k in (number, number + 1))
            try:
                found = read_input(path, "ct", one.uid, part(progress, *done))
            except SkullImplantError:
                continue
            fault = None
            yield found
    if fault is not None:
        raise fault


def read_same_ct(path: Path, sha256: str | None, progress: Progress = silent) -> Input:
    """Return the CT whose bytes have this SHA-256 (hex, see `Input`); of others, or where it is
    not known, the likeliest. Raises `SkullImplantError` where there is none.
    """
    first = None
    for found in inputs_in(path, progress):
        if sha256 is None or found.sha256 == sha256:
            return found
        first = first or found
    assert first is not None
    return first
