"""What an implant that goes in must show: limits, each on one row of numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

MEDIAN_OFF_MM, LOW_OFF_MM, HIGH_OFF_MM = 0.1, 0.15, 0.5
VAULT_STEP_MM, ORBIT_STEP_OVER_TRUE_MM = 0.7, 0.3
TOUCH_MM = 0.05
EDGES_MM, ASPECT_MOST = (0.3, 1.5), 10.0
VOLUME_OFF_SHARE = 0.001


@dataclass(frozen=True)
class Limit:
    """A line of the summary: what is asked, and whether a row meets it (None: not measured)."""

    words: str
    met: Callable[[Row], bool | None]


def _step(row: Row) -> bool | None:
    step, true = row["step_outer_95"], row["true_step_outer_95"]
    if math.isnan(step):
        return None
    return step <= (true + ORBIT_STEP_OVER_TRUE_MM if row["at_orbit"] else VAULT_STEP_MM)


def _of(name: str, good: Callable[[Any], bool]) -> Callable[[Row], bool | None]:
    return lambda row: None if row.get(name) is None else good(row[name])


LIMITS = (
    Limit(
        "median gap within 0.1 mm of the clearance",
        lambda row: abs(row["gap_median"] - row["clearance"]) <= MEDIAN_OFF_MM,
    ),
    Limit(
        "gap 5 % at least clearance less 0.15 mm",
        lambda row: row["gap_5"] >= row["clearance"] - LOW_OFF_MM,
    ),
    Limit(
        "gap 95 % at most clearance plus 0.5 mm",
        lambda row: row["gap_95"] <= row["clearance"] + HIGH_OFF_MM,
    ),
    Limit(
        "interference 0 mm³, no point deeper than 0.05 mm",
        lambda row: row["interference_mm3"] == 0 and row["interference_depth"] <= TOUCH_MM,
    ),
    Limit(
        "slides out: 0 mm³ blocked, no point deeper than 0.05 mm on its way",
        lambda row: row["blocked_mm3"] == 0 and row["least_on_way"] >= -TOUCH_MM,
    ),
    Limit("genus 0", lambda row: row["genus"] == 0),
    Limit("one piece", lambda row: row["pieces"] == 1),
    Limit("0 mm² of wall under 1 mm", lambda row: row["wall_under_1mm_mm2"] == 0),
    Limit("0 spurs", lambda row: row["spurs"] == 0),
    Limit("outer step 95 %: vault 0.7 mm, orbit the true piece's plus 0.3 mm", _step),
    Limit(
        "outer step 95 %: at most the true piece's plus 0.3 mm (all)",
        lambda row: row["step_outer_95"] <= row["true_step_outer_95"] + ORBIT_STEP_OVER_TRUE_MM,
    ),
    Limit("closed, edges turned alike", lambda row: row["edge_faults"] == 0),
    Limit(
        "edges of 0.3 to 1.5 mm (1 % and 99 %)",
        lambda row: row["edge_1"] >= EDGES_MM[0] and row["edge_99"] <= EDGES_MM[1],
    ),
    Limit("aspect ratio under 10", lambda row: row["aspect_most"] < ASPECT_MOST),
    Limit("0 self-intersections (pymeshlab)", _of("self_intersections", lambda count: count == 0)),
    Limit("admesh changes nothing", _of("admesh_changes", lambda count: count == 0)),
    Limit(
        "PrusaSlicer: G-code without repair or warning, volume within 0.1 %",
        _of("slicer_sound", lambda sound: bool(sound)),
    ),
)


def verdicts(row: Row) -> dict[str, bool | None]:
    """Which limits a row meets; none where there is no implant."""
    if "failed" in row:
        return {limit.words: False for limit in LIMITS}
    return {limit.words: limit.met(row) for limit in LIMITS}
