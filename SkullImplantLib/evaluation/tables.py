"""What the cases say together: statistics by group, flags, and the tables that are published.

A case for which the tool refused to design counts with Dice, border Dice and coverage 0; distances
and volumes, which it has not, are left out. A case that could not be made is no case; what could
not be read is told, as is what has no truth. Time and memory, which are others in each run, have a
table of their own: the others are the same bytes however the cases were worked through.
"""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.defects import KINDS
from ..completion.trust import OFF_MM
from ..core.files import atomic_path

# Defects of the vault; the orbit's is reported apart, being another problem altogether.
CALVARIAL_KINDS = tuple(kind for kind in KINDS if kind != "frontoorbital")
# Below this Dice a case is a failure that the tool must have flagged itself.
FAILURE_DICE = 0.60
INPUTS = ("all", "ct", "skull")

Row = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """A column of a row: its title, the digits shown, and how bad a value is (larger is worse)."""

    key: str
    title: str
    digits: int
    badness: Callable[[float], float]


def _low(value: float) -> float:
    return -value


def _high(value: float) -> float:
    return value


def _far_from_one(value: float) -> float:
    return abs(math.log(max(value, 1e-6)))


OVERLAPS = (
    Measure("dice", "Dice", 3, _low),
    Measure("border_dice_10mm", "border Dice, 10 mm", 3, _low),
    Measure("border_dice_10vox", "border Dice, 10 voxels", 3, _low),
    Measure("coverage_2mm", "covered within 2 mm", 3, _low),
    Measure("volume_ratio", "volume ratio", 2, _far_from_one),
)
DISTANCES = (
    Measure("hd95_mm", "HD95, mm", 2, _high),
    Measure("surface_distance_mm", "surface distance, mm", 2, _high),
    Measure("outer_error_mm", "outer surface, mm", 2, _high),
    Measure("outer_error95_mm", "outer surface 95 %, mm", 2, _high),
    Measure("overlap_cm3", "on intact bone, cm³", 2, _high),
)
CASE_COLUMNS = (
    ("dice", "Dice", 3),
    ("border_dice_10mm", "border Dice", 3),
    ("hd95_mm", "HD95 mm", 2),
    ("surface_distance_mm", "ASD mm", 2),
    ("outer_error_mm", "outer mm", 2),
    ("coverage_2mm", "covered", 3),
    ("volume_ratio", "volume", 2),
    ("flagged", "flagged", 0),
)
TIMES = ("seconds", "peak_memory_gib")
NO_COLUMNS = (*TIMES, "features")  # of the table with everything else
# What stands in a case's line instead of its measures.
INSTEAD = (("not_made", "not made"), ("not_read", "not read"), ("error", "no design"),
           ("no_truth", "no truth"))  # fmt: skip
# What names a case.
NAMED_BY = ("skull", "kind", "number", "patient")


def summary_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the statistics of each group and of the flags, and the failures.

    `groups`: for calvarial and fronto-orbital defects and each kind, for masks and CTs together and
    apart: `cases`, `no_design`, `under_0.60`, and `MEASURE_mean`, `_median` and `_worst`. `flags`:
    see `flag_statistics`. `failures`: the cases below a Dice of 0.60, worst first. `not_read`: what
    is said of the cases that could not be read. `no_truth`: how many were designed and not judged.
    """
    made = judged_of(rows)
    return {
        "groups": {name: _statistics(some) for name, some in _groups(made)},
        "flags": {given: flag_statistics(some) for given, some in _by_input(made)},
        "failures": [
            {key: row.get(key) for key in ("skull", "kind", "number", "dice", "hd95_mm")}
            | {"flagged": is_flagged(row), "reasons": row.get("reasons", []) or [row.get("error")]}
            for row in sorted(made, key=lambda row: row["dice"])
            if row["dice"] < FAILURE_DICE
        ],
        "not_made": sum("not_made" in row for row in rows),
        "not_read": [str(row["not_read"]) for row in rows if "not_read" in row],
        "no_truth": sum("no_truth" in row for row in rows),
    }


def judged_of(rows: Sequence[Row]) -> list[Row]:
    """Return the cases that were judged: designed or refused, and with a truth."""
    return [row for row in rows if "dice" in row]


def is_flagged(row: Row) -> bool | None:
    """Say whether the tool warned of this case; a refusal is a warning, None: it does not say."""
    return True if "error" in row else row.get("flagged")


def flag_statistics(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how well the flags of designs tell HD95 above 4 mm.

    `bad` of them, `caught` of those, and `caught_share`; `good`, `false_alarms` and
    `false_alarm_share`; `expectation_error_mm`, the median of how far the expected HD95 is off;
    `silent`, the designs that say nothing of themselves, which are not counted elsewhere.
    """
    designs = [row for row in rows if "error" not in row]
    told = [row for row in designs if row.get("flagged") is not None]
    bad = [row for row in told if _is_bad(row)]
    good = [row for row in told if not _is_bad(row)]
    caught, alarms = (sum(bool(row["flagged"]) for row in some) for some in (bad, good))
    off = [
        abs(row["expected_hd95_mm"] - row["hd95_mm"])
        for row in told
        if row.get("expected_hd95_mm") is not None and row.get("hd95_mm") is not None
    ]
    return {
        "bad": len(bad),
        "caught": caught,
        "caught_share": round(caught / len(bad), 3) if bad else None,
        "good": len(good),
        "false_alarms": alarms,
        "false_alarm_share": round(alarms / len(good), 3) if good else None,
        "expectation_error_mm": round(float(np.median(off)), 2) if off else None,
        "silent": len(designs) - len(told),
    }


def _is_bad(row: Row) -> bool:
    # No HD95 is an infinite one: the implant is empty.
    return row.get("hd95_mm") is None or row["hd95_mm"] > OFF_MM


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield the groups that have a case; masks and CTs apart where there are both."""
    places = [("calvarial", CALVARIAL_KINDS), ("frontoorbital", ("frontoorbital",))]
    others = dict.fromkeys(row["kind"] for row in rows if row["kind"] != "frontoorbital")
    for place, kinds in places + [(kind, (kind,)) for kind in others]:
        for given, some in _by_input([row for row in rows if row["kind"] in kinds]):
            yield f"{place}, {given}", some


def _by_input(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    inputs = {row.get("input") for row in rows}
    for given in INPUTS:
        some = [row for row in rows if given in ("all", row.get("input"))]
        if some and (given == "all" or len(inputs) > 1):
            yield given, some


def _statistics(rows: Sequence[Row]) -> dict[str, float]:
    numbers: dict[str, float] = {
        "cases": len(rows),
        "no_design": sum("error" in row for row in rows),
        f"under_{FAILURE_DICE:.2f}": sum(row["dice"] < FAILURE_DICE for row in rows),
    }
    for measure in OVERLAPS + DISTANCES:
        values = [row[measure.key] for row in rows if row.get(measure.key) is not None]
        if values:
            numbers[f"{measure.key}_mean"] = round(float(np.mean(values)), 4)
            numbers[f"{measure.key}_median"] = round(float(np.median(values)), 4)
            numbers[f"{measure.key}_worst"] = max(values, key=measure.badness)
    return numbers


def table_of(rows: Sequence[Row], model: str) -> str:
    """Return the summary, the flags, the failures and the cases, a line each, as Markdown."""
    summary = summary_of(rows)
    parts = [
        f"Model `{Path(model).stem}`, no clearance, on each input's own grid; "
        f"{len(judged_of(rows))} cases. Cells are mean / median / worst. A refused case "
        "counts with overlaps and coverage of 0, and not in the distances.",
    ]
    codes = {row["code"] for row in rows if "code" in row}
    if len(codes) > 1:
        parts.append(
            f"**The cases were made by {len(codes)} versions of the program's code; remove the "
            "folder `cases` and run again for one.**"
        )
    seen = dict.fromkeys(row["skull"] for row in rows if row.get("seen_in_training"))
    if seen:
        parts.append(f"**The network was trained with these skulls: {', '.join(seen)}.**")
    parts += [_group_table(summary["groups"], some) for some in (OVERLAPS, DISTANCES)]
    parts.append(_flag_table(summary["flags"]))
    parts.append(_failure_table(summary["failures"]))
    if summary["not_made"]:
        parts.append(f"{summary['not_made']} defects found no place on their skull.")
    if summary["no_truth"]:
        parts.append(f"{summary['no_truth']} cases have no public truth: designed, not judged.")
    if summary["not_read"]:
        said = "".join(f"\n- {sentence}" for sentence in summary["not_read"])
        parts.append(f"**{len(summary['not_read'])} cases could not be read:**\n{said}")
    parts.append(_case_table(rows))
    return "\n\n".join(parts)


def _group_table(groups: dict[str, dict[str, float]], measures: Sequence[Measure]) -> str:
    failures = f"under_{FAILURE_DICE:.2f}"
    head = ["group", "cases", "no design", f"Dice < {FAILURE_DICE:.2f}"]
    lines = [head + [measure.title for measure in measures]]
    for group, numbers in groups.items():
        cells = [group, *(f"{numbers[key]}" for key in ("cases", "no_design", failures))]
        for measure in measures:
            three = [numbers.get(f"{measure.key}_{name}") for name in ("mean", "median", "worst")]
            cells.append(" / ".join(cell(value, measure.digits) for value in three))
        lines.append(cells)
    return markdown(lines)


def _flag_table(flags: dict[str, dict[str, Any]]) -> str:
    lines = [
        [
            "flag, by input", f"HD95 > {OFF_MM:g} mm", "flagged of them", "other cases",
            "false alarms", "expected HD95 off by (median), mm", "without a word",
        ]
    ]  # fmt: skip
    for given, numbers in flags.items():
        shares = [
            f"{numbers[count]}" + ("" if numbers[share] is None else f" ({numbers[share]:.0%})")
            for count, share in (
                ("caught", "caught_share"),
                ("false_alarms", "false_alarm_share"),
            )
        ]
        off = cell(numbers["expectation_error_mm"], 2)
        counts = f"{numbers['bad']}", shares[0], f"{numbers['good']}", shares[1]
        lines.append([given, *counts, off, f"{numbers['silent']}"])
    return markdown(lines)


def _failure_table(failures: Sequence[dict[str, Any]]) -> str:
    if not failures:
        return f"No case has a Dice below {FAILURE_DICE:.2f}."
    lines = [[f"Dice < {FAILURE_DICE:.2f}", "kind", "Dice", "HD95 mm", "flagged", "what it said"]]
    for row in failures:
        said = "; ".join(str(reason) for reason in row["reasons"] if reason) or "-"
        numbers = [cell(row["dice"], 3), cell(row["hd95_mm"], 2), cell(row["flagged"], 0)]
        lines.append([row["skull"], _kind(row), *numbers, said.replace("|", "/")])
    return markdown(lines)


def _case_table(rows: Sequence[Row]) -> str:
    lines = [["skull", "kind", "cm²", *(title for _, title, _ in CASE_COLUMNS)]]
    for row in rows:
        cells = [row["skull"], _kind(row), cell(row.get("area_cm2"), 1)]
        told = next((word for key, word in INSTEAD if key in row), None)
        if told is not None:
            cells += [told] + ["-"] * (len(CASE_COLUMNS) - 1)
        else:
            cells += [cell(row.get(key), digits) for key, _, digits in CASE_COLUMNS]
        lines.append(cells)
    return markdown(lines)


def _kind(row: Row) -> str:
    number = row.get("number")
    return row["kind"] if number is None else f"{row['kind']} {number}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells, of which the first is the head, as a Markdown table."""
    rule = ["---"] * len(lines[0])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [lines[0], rule, *lines[1:]])


def cell(value: float | None, digits: int) -> str:
    """Return what stands for a number, or none, in a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}f}"


def write_tables(rows: Sequence[Row], table: str, output: Path) -> None:
    """Write `table.md`; `table.csv` with everything that is known of each case; and `times.csv`
    with the time and memory that each took.
    """
    with atomic_path(output / "table.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    known = dict.fromkeys(key for row in rows for key in row)
    _write_csv(output / "table.csv", rows, [key for key in known if key not in NO_COLUMNS])
    _write_csv(output / "times.csv", rows, [key for key in (*NAMED_BY, *TIMES) if key in known])


def _write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: "; ".join(v) if isinstance(v, list) else v for k, v in row.items()})
