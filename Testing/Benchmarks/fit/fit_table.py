"""The tables of how implants fit: `fit.json` for programs, `fit.md` to read."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fit_limits import LIMITS, Row, verdicts
from other_tools import missing_tools

DICE_WORSE, HD95_WORSE_MM = 0.005, 0.1
DECIMALS = 4

SHORT_HEAD = (
    "case @ clearance | gap 5/50/95/max | interf. mm3 (depth) | blocked mm3, least | "
    "step outer, inner (true) | wall<1 mm2, least | genus pieces spurs | dice hd95"
)
COLUMNS = (
    ("case", lambda row: row["case"] + (f" ({row['implant']})" if row["implants"] > 1 else "")),
    ("clearance", lambda row: f"{row['clearance']:g}"),
    (
        "gap 5 / 50 / 95 % / most",
        lambda row: _slashed(row, "gap_5", "gap_median", "gap_95", "gap_most"),
    ),
    (
        "in bone mm³ (deepest mm)",
        lambda row: f"{row['interference_mm3']:.1f} ({row['interference_depth']:.2f})",
    ),
    (
        "way out: blocked mm³, least mm",
        lambda row: f"{row['blocked_mm3']:.1f}, {row['least_on_way']:.2f}",
    ),
    (
        "direction off normal °",
        lambda row: f"{row['direction_off_normal_deg']:.0f}"
        + ("" if row["direction_told"] else " (found)"),
    ),
    (
        "step outer, inner 95 % (true)",
        lambda row: (
            f"{row['step_outer_95']:.2f} ({row['true_step_outer_95']:.2f}), "
            f"{row['step_inner_95']:.2f} ({row['true_step_inner_95']:.2f})"
        ),
    ),
    ("thickness 5 / 50 %", lambda row: _slashed(row, "thickness_5", "thickness_median")),
    ("least wall", lambda row: f"{row['least_wall']:.2f}"),
    ("wall < 1 mm, mm²", lambda row: f"{row['wall_under_1mm_mm2']:.1f}"),
    ("genus, pieces", lambda row: f"{row['genus']:g}, {row['pieces']}"),
    ("spurs (longest)", lambda row: f"{row['spurs']} ({row['spur_longest']:.1f})"),
    ("sharp edges mm", lambda row: f"{row['sharp_edges_mm']:.0f}"),
    (
        "edges least / 1 / 99 % / most",
        lambda row: _slashed(row, "edge_least", "edge_1", "edge_99", "edge_most"),
    ),
    ("aspect", lambda row: f"{row['aspect_most']:.0f}"),
    (
        "Dice, inner",
        lambda row: f"{row['dice']:.3f}, {row['dice_inner']:.3f}" if "dice" in row else "",
    ),
    ("HD95", lambda row: f"{row['hd95']:.2f}" if "dice" in row else ""),
    (
        "self-intersections, admesh, slicer",
        lambda row: ", ".join(
            str(row.get(name, "-"))
            for name in ("self_intersections", "admesh_changes", "slicer_sound")
        ),
    ),
    ("cm³", lambda row: f"{row['volume_cm3']:.1f}"),
    ("triangles", lambda row: f"{row['triangles']}"),
    (
        "design s (fit), GiB",
        lambda row: f"{row['design_s']:.1f} ({row['fit_s']:.1f}), {row['peak_gib']:.2f}",
    ),
)


def short_line(row: Row) -> str:
    """A row in one line, for the terminal."""
    head = f"{row['case']} @ {row['clearance']:g}"
    if "failed" in row:
        return f"{head} | failed: {row['failed']}"
    return " | ".join(
        [
            head + (f" ({row['implant']} of {row['implants']})" if row["implants"] > 1 else ""),
            _slashed(row, "gap_5", "gap_median", "gap_95", "gap_most"),
            f"{row['interference_mm3']:.1f} ({row['interference_depth']:.2f})",
            f"{row['blocked_mm3']:.1f}, {row['least_on_way']:.2f}",
            f"{row['step_outer_95']:.2f} ({row['true_step_outer_95']:.2f}), "
            f"{row['step_inner_95']:.2f} ({row['true_step_inner_95']:.2f})",
            f"{row['wall_under_1mm_mm2']:.1f}, {row['least_wall']:.2f}",
            f"{row['genus']:g} {row['pieces']} {row['spurs']}",
            f"{row.get('dice', math.nan):.3f} {row.get('hd95', math.nan):.2f}",
        ]
    )


def _slashed(row: Row, *names: str) -> str:
    return " / ".join(f"{row[name]:.2f}" for name in names)


def write_tables(rows: Sequence[Row], folder: Path, before: Any = None) -> None:
    """Write `fit.json` (all numbers) and `fit.md` (summary, then a row a case and clearance)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(_rounded(row)) for row in rows)
    (folder / "fit.json").write_text(f'{{"rows": [\n{lines}\n]}}\n', encoding="utf-8")
    (folder / "fit.md").write_text(readable(rows, before), encoding="utf-8")


def _rounded(row: Row) -> Row:
    """Numbers to 4 decimals; none for what is not a number, which JSON does not know."""
    return {
        name: None
        if isinstance(value, float) and not math.isfinite(value)
        else round(value, DECIMALS)
        if isinstance(value, float)
        else value
        for name, value in row.items()
    }


def readable(rows: Sequence[Row], before: Any = None) -> str:
    """The text of `fit.md`."""
    lines = ["# How implants fit, measured from outside", "", *summary(rows), ""]
    if before is not None:
        lines += [*comparison(rows, before["rows"]), ""]
    lines += [f"- {sentence}" for sentence in missing_tools()] + [""]
    clearances = sorted({row["clearance"] for row in rows})
    for clearance in clearances:
        lines += [f"## Asked for a clearance of {clearance:g} mm", ""]
        lines.append("| " + " | ".join(name for name, _ in COLUMNS) + " |")
        lines.append("|" + "---|" * len(COLUMNS))
        for row in rows:
            if row["clearance"] != clearance:
                continue
            if "failed" in row:
                lines.append(f"| {row['case']} | {clearance:g} | failed: {row['failed']} |")
            else:
                lines.append("| " + " | ".join(cell(row) for _, cell in COLUMNS) + " |")
        lines.append("")
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> list[str]:
    """How many cases meet each line, by clearance; a case of several implants if all of them do."""
    clearances = sorted({row["clearance"] for row in rows})
    lines = ["| what is asked | " + " | ".join(f"{each:g} mm" for each in clearances) + " |"]
    lines.append("|---|" + "---|" * len(clearances))
    for limit in LIMITS:
        cells = []
        for clearance in clearances:
            by_case: dict[str, list[bool | None]] = {}
            for row in rows:
                if row["clearance"] == clearance:
                    by_case.setdefault(row["case"], []).append(verdicts(row)[limit.words])
            known = [found for found in by_case.values() if None not in found]
            met = sum(all(found) for found in known)
            cells.append(f"{met} of {len(known)}" if known else "not measured")
        lines.append(f"| {limit.words} | " + " | ".join(cells) + " |")
    return lines


def comparison(rows: Sequence[Row], before: Sequence[Row]) -> list[str]:
    """How Dice and HD95 changed against an earlier run, case by case."""
    earlier = {(row["case"], row["clearance"]): row for row in before if "dice" in row}
    lines = [
        "| clearance | cases | Dice, mean before | now | no worse by more than 0.005 "
        "| HD95, mean before | now | no worse by more than 0.1 mm |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for clearance in sorted({row["clearance"] for row in rows}):
        pairs = [
            (earlier[key], row)
            for row in rows
            if "dice" in row
            and row["clearance"] == clearance
            and (key := (row["case"], clearance)) in earlier
        ]
        if not pairs:
            continue
        dice, hd95 = (
            np.array([[row[name] for row in pair] for pair in pairs]) for name in ("dice", "hd95")
        )
        kept_dice = (dice[:, 1] >= dice[:, 0] - DICE_WORSE).sum()
        kept_hd95 = (hd95[:, 1] <= hd95[:, 0] + HD95_WORSE_MM).sum()
        lines.append(
            f"| {clearance:g} | {len(pairs)} | {dice[:, 0].mean():.4f} | {dice[:, 1].mean():.4f} "
            f"| {kept_dice} of {len(pairs)} | {hd95[:, 0].mean():.2f} | {hd95[:, 1].mean():.2f} "
            f"| {kept_hd95} of {len(pairs)} |"
        )
    return lines
