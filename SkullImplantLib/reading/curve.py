"""A closed curve drawn on the skull: the file of Slicer's markups (`.mrk.json`)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.checksums import sha256_of
from ..core.files import checked_file
from ..errors import SkullImplantError

# Slicer's schema of markups: an old file numbers the systems as RAS 0 and LPS 1.
TO_LPS = {"LPS": (1.0, 1.0, 1.0), "1": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)}
TO_LPS["0"] = TO_LPS["RAS"]
LEAST_POINTS = 3
MOST_BYTES = 20_000_000  # a curve has some hundred points; more is another file


@dataclass(frozen=True, eq=False)
class Curve:
    """The control points (n, 3; LPS mm) of a closed curve, in order, and its file's SHA-256."""

    points_mm: NDArray[np.float64]
    sha256: str = ""


def read_curve(path: Path | str) -> Curve:
    """Read the closed curve in a markups file of Slicer; points that were not placed do not count.

    Raises `SkullImplantError` where it holds none or more than one, or fewer than three points.
    """
    path = checked_file(Path(path))
    no_curve = SkullImplantError(
        f"{path.name} is no closed curve; save one as .mrk.json in Slicer's Markups module."
    )
    if path.stat().st_size > MOST_BYTES:
        raise no_curve
    try:
        markups = json.loads(path.read_text(encoding="utf-8"))["markups"]
        curves = [markup for markup in markups if markup["type"] == "ClosedCurve"]
        if len(curves) == 1:
            points = _points_of(curves[0])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise no_curve from error
    if len(curves) > 1:
        raise SkullImplantError(f"{path.name} holds {len(curves)} closed curves; save each alone.")
    if not curves:
        raise no_curve
    if len(points) < LEAST_POINTS or not np.isfinite(points).all():
        raise SkullImplantError(
            f"The curve in {path.name} has fewer than {LEAST_POINTS} points; draw it around a "
            "region of the skull."
        )
    return Curve(points, sha256_of(path))


def _points_of(curve: dict[str, Any]) -> NDArray[np.float64]:
    """Return the placed points of a markup in LPS mm; raises what Python does where it is none."""
    to_lps = TO_LPS[str(curve.get("coordinateSystem", "LPS"))]
    if curve.get("coordinateUnits", "mm") not in ("mm", ["mm", "UCUM", "millimeter"]):
        raise ValueError
    placed = [
        point["position"]
        for point in curve["controlPoints"]
        if point.get("positionStatus", "defined") == "defined"
    ]
    return np.array(placed, np.float64).reshape(-1, 3) * to_lps
