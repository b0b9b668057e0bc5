"""A check: one criterion with its number, limit, verdict and the place of its worst value."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = tuple[float, float, float]
Limit = float | tuple[float, float]

DECIMALS = 3
# Rounding of float32 coordinates and of sums is no fault.
SLACK = 1e-6


@dataclass(frozen=True)
class Check:
    """One criterion.

    comparison: `=`, `<=`, `>=` or `between` (then `limit` is a pair). sentence: for people. source:
    where the limit comes from. place_mm: LPS, where the worst value is; None where it has no place.
    kind: what it looks at: `fit`, `shape`, `wall` or `mesh`.
    """

    name: str
    value: float
    unit: str
    limit: Limit
    comparison: str
    passed: bool
    sentence: str
    source: str = ""
    place_mm: Place | None = None
    kind: str = "fit"

    def as_json(self) -> dict[str, Any]:
        """Return the check as `design.json` has it, with lists for tuples."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def two_decimals(value: float) -> str:
    """Return a value as a sentence tells it: rounded from what the check keeps, as whoever shows
    that value rounds it.
    """
    return f"{round(float(value), DECIMALS):.2f}"


def judged(
    name: str,
    value: float,
    unit: str,
    comparison: str,
    limit: Limit,
    sentence: str,
    source: str,
    place_mm: NDArray[np.floating] | None = None,
    kind: str = "fit",
) -> Check:
    """Return the check with its verdict; `place_mm` (3,) is LPS."""
    value = float(value)
    if isinstance(limit, tuple):
        passed = limit[0] - SLACK <= value <= limit[1] + SLACK
        limit = (round(float(limit[0]), DECIMALS), round(float(limit[1]), DECIMALS))
    else:
        passed = {
            "=": value == limit,
            "<=": value <= limit + SLACK,
            ">=": value >= limit - SLACK,
        }[comparison]
        limit = round(float(limit), DECIMALS)
    place = None
    if place_mm is not None:
        x, y, z = (round(float(along), 1) for along in place_mm)
        place = (x, y, z)
    return Check(
        name,
        round(value, DECIMALS),
        unit,
        limit,
        comparison,
        bool(passed),
        sentence,
        source,
        place,
        kind,
    )
