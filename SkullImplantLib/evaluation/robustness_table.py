"""What the robustness rows say together: an entry and a line a degradation, and what went wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST_FALL = 0.05  # of Dice against the same case undegraded
# What is summed up, and which of its values is the worst.
WORST: dict[str, Callable[[Sequence[float]], float]] = {
    "dice": min,
    "fall": max,
    "hd95_mm": max,
    "dice_as_it_was": min,
    "dice_at_best": min,
}
HEADER = (
    "| input | degradation | cases | Dice mean | worst | fall mean | worst | HD95 mm median "
    "| worst | refused | flagged | silent |"
)

Row = dict[str, Any]


def summary_of(rows: Sequence[Row]) -> list[Row]:
    """Return one entry a degradation and kind of input, in the order of the rows.

    A refused case counts as refused, not into the means.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["input"], row["degradation"]), []).append(row)
    return [
        _summary_of_one(some) for _, some in sorted(groups.items(), key=lambda item: item[0][0])
    ]


def _summary_of_one(rows: Sequence[Row]) -> Row:
    tried = [row for row in rows if not row.get("as_is")]
    made = [row for row in tried if "error" not in row]
    entry: Row = {key: rows[0][key] for key in ("input", "degradation", "title")}
    entry |= {"cases": len(tried), "refused": len(tried) - len(made)}
    if made:
        entry["flagged"] = sum(row["flagged"] for row in made)
    entry["silent"] = sum(row.get("silent", False) for row in tried)
    for key, worst in WORST.items():
        values = [row[key] for row in made if row.get(key) is not None]
        if values:
            entry[f"{key}_mean"] = round(float(np.mean(values)), 3)
            entry[f"{key}_median"] = round(float(np.median(values)), 3)
            entry[f"{key}_worst"] = round(float(worst(values)), 3)
    return entry


def table_of(rows: Sequence[Row], model: str, not_made: int = 0) -> str:
    """Return a line a degradation, the threshold's second truth, and what went wrong: Markdown.

    not_made: how many defects found no place on their skull.
    """
    summary = summary_of(rows)
    lines = [
        f"Model `{Path(model).stem}`, no clearance, on each degraded input's own grid. Silent: the "
        f"Dice fell by more than {MOST_FALL} and the case was neither refused nor flagged.",
        "",
        HEADER,
        "|---" * HEADER.count(" |") + "|",
        *(_line_of(entry) for entry in summary),
        *_second_truth([entry for entry in summary if "dice_as_it_was_mean" in entry]),
    ]
    if not_made:
        lines += ["", f"{not_made} defects found no place on their skull."]
    refused = [f"- {_name_of(row)}: {row['error']}" for row in rows if "error" in row]
    silent = [
        f"- {_name_of(row)}: Dice {row['dice']:.3f}, a fall of {row['fall']:.3f}"
        for row in rows
        if row.get("silent")
    ]
    for title, some in (("Refused:", refused), ("Silent falls:", silent)):
        if some:
            lines += ["", title, "", *some]
    return "\n".join(lines)


def _line_of(entry: Row) -> str:
    cells: list[Any] = [entry["input"], entry["title"], entry["cases"] or "as is"]
    for key in ("dice_mean", "dice_worst", "fall_mean", "fall_worst"):
        cells.append(_cell(entry.get(key), 3))
    cells += [_cell(entry.get(key), 2) for key in ("hd95_mm_median", "hd95_mm_worst")]
    cells += [entry["refused"], entry.get("flagged", "-"), entry["silent"]]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _second_truth(shifted: Sequence[Row]) -> list[str]:
    """Return the lines on thresholds that are off, judged by the piece as it was."""
    if not shifted:
        return []
    lines = [
        "",
        "A threshold that is off makes the skull itself thicker or thinner. Against the piece "
        "as it was, and what a perfect completion of the skull at that threshold would have:",
        "",
        "| degradation | Dice mean | worst | at best |",
        "|---|---|---|---|",
    ]
    for entry in shifted:
        keys = ("dice_as_it_was_mean", "dice_as_it_was_worst", "dice_at_best_mean")
        numbers = " | ".join(_cell(entry[key], 3) for key in keys)
        lines.append(f"| {entry['title']} | {numbers} |")
    return lines


def _name_of(row: Row) -> str:
    return f"{row['skull']}, {row['kind']} {row['number']}, {row['title']}"


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
