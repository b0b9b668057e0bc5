"""The table that a public data set is published with, and below it what others published."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..cases.cohort import Cohort
from ..cases.defects import KINDS
from .published_rows import PublishedRow, published_rows
from .suite_cases import UNNAMED
from .tables import FAILURE_DICE, cell, judged_of, markdown, table_of

Row = dict[str, Any]
ALL = "all"
# Keys, titles and digits of what data sets are published with.
MEASURES = (
    ("dice", "Dice", 3),
    ("border_dice_10vox", "border Dice, 10 voxels", 3),
    ("border_dice_10mm", "border Dice, 10 mm", 3),
    ("hd95_mm", "HD95, mm", 2),
    ("hd95_vox", "HD95, voxels", 2),
)
DEFINITIONS = """\
**Definitions.** *Dice*: of the implant's voxels and the truth's, on the input's own grid; of the \
implant, never of the whole skull. *Border Dice*: Dice of the voxels no farther from the defective \
skull than 10 voxels (AutoImplant 2021, eq. 1) or 10 mm (PCDiff). *HD95*: the 95th percentile of \
the distances between the surface voxels of both, in both directions pooled, as the challenges' \
code has it; in mm, or in voxels where no spacing is given to that code. A refused case counts \
with a Dice and border Dice of 0 and has no HD95; how others count failures is not known here."""


def cohort_statistics(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return, for each kind of defects and all, `skulls`, `cases`, `no_design`, `under_0.60`, and
    `MEASURE_mean` and `_median` of `MEASURES`.
    """
    return {kind: _statistics(some) for kind, some in _by_kind(judged_of(rows))}


def _by_kind(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    there = dict.fromkeys(row["kind"] for row in rows)
    kinds = [*(kind for kind in KINDS if kind in there), *(k for k in there if k not in KINDS)]
    if kinds != [UNNAMED]:
        for kind in kinds:
            yield kind, [row for row in rows if row["kind"] == kind]
    if rows:
        yield ALL, list(rows)


def _statistics(rows: Sequence[Row]) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "skulls": len({row["skull"] for row in rows}),
        "cases": len(rows),
        "no_design": sum("error" in row for row in rows),
        f"under_{FAILURE_DICE:.2f}": sum(row["dice"] < FAILURE_DICE for row in rows),
    }
    for key, _, _ in MEASURES:
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            numbers[f"{key}_mean"] = round(float(np.mean(values)), 4)
            numbers[f"{key}_median"] = round(float(np.median(values)), 4)
    return numbers


def cohort_table(rows: Sequence[Row], cohort: Cohort, model: str, notes: Sequence[str]) -> str:
    """Return the published table of a data set, what others published, the definitions, and
    everything that is known of the cases (`tables.table_of`), as Markdown.
    """
    data_set = cohort.data_set
    published = published_rows(data_set.key)
    parts = [
        f"# {data_set.title}",
        f"{data_set.source}; {data_set.terms}. {' '.join(notes)}".strip(),
    ]
    if data_set.truth:
        parts.append(f"**The truth is {data_set.truth}.**")
    statistics = cohort_statistics(rows)
    parts.append(_own_table(statistics))
    parts.append("Cells are mean / median. Cases of one skull are never split between parts.")
    parts.append("## Published by others on the same data set")
    if published:
        parts.append(_published_table(published, statistics.get(ALL)))
        parts.append(
            "Means, none of them measured here. Compare like with like: the same cases, the same "
            "unit, failures counted."
        )
    else:
        parts.append("No row is known that was measured on it.")
    parts += [DEFINITIONS, "## All that is known of the cases", table_of(rows, model)]
    return "\n\n".join(parts)


def _own_table(statistics: dict[str, dict[str, Any]]) -> str:
    failures = f"under_{FAILURE_DICE:.2f}"
    head = ["defects", "skulls", "cases", "no design", f"Dice < {FAILURE_DICE:.2f}"]
    lines = [head + [title for _, title, _ in MEASURES]]
    for kind, numbers in statistics.items():
        counts = [f"{numbers[key]}" for key in ("skulls", "cases", "no_design", failures)]
        pairs = (
            [cell(numbers.get(f"{key}_{name}"), digits) for name in ("mean", "median")]
            for key, _, digits in MEASURES
        )
        lines.append([kind, *counts, *(" / ".join(pair) for pair in pairs)])
    return markdown(lines)


def _published_table(published: Sequence[PublishedRow], own: dict[str, Any] | None) -> str:
    lines = [["method", "Dice", "border Dice", "HD95", "cases", "how it is known", "source"]]
    if own is not None:
        borders = [
            f"{cell(own.get(f'border_dice_{key}_mean'), 3)} ({unit})"
            for key, unit in (("10vox", "voxels"), ("10mm", "mm"))
        ]
        distances = [
            f"{cell(own.get(f'hd95_{key}_mean'), 2)} {unit}"
            for key, unit in (("mm", "mm"), ("vox", "voxels"))
        ]
        cells = [cell(own.get("dice_mean"), 3), ", ".join(borders), ", ".join(distances)]
        lines.append(["**this program**", *cells, f"{own['cases']}", "measured", "this table"])
    for row in published:
        border = "-" if row.border_dice is None else row.border_dice
        if row.border_dice is not None:
            border += f" ({row.border or 'unit not known here'})"
        hd95 = "-" if row.hd95 is None else f"{row.hd95} {row.hd95_unit}"
        lines.append([row.method, row.dice, border, hd95, row.cases, row.known, row.source])
    return markdown(lines)
