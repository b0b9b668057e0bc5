"""The numbers of the accuracy tables, on rows made by hand."""

import csv
from pathlib import Path
from typing import Any

import pytest

from SkullImplantLib.evaluation.tables import flag_statistics, summary_of, table_of, write_tables


def row(
    kind: str, dice: float, hd95: float | None, given: str = "ct", **more: Any
) -> dict[str, Any]:
    return {
        "skull": "anna", "kind": kind, "number": 0, "input": given, "area_cm2": 50.0, "dice": dice,
        "border_dice_10mm": dice, "border_dice_10vox": dice, "coverage_2mm": 0.9,
        "volume_ratio": 1.0, "hd95_mm": hd95, "surface_distance_mm": 0.5, "outer_error_mm": 0.4,
        "outer_error95_mm": 1.1, "overlap_cm3": 0.0, "flagged": None, "expected_hd95_mm": None,
        "reasons": [], "seconds": 3.0, "peak_memory_gib": 0.5, "checks_failed": ["rim", "gap"],
        "code": "abc", **more,
    }  # fmt: skip


def refusal(kind: str, given: str = "ct") -> dict[str, Any]:
    return {
        "skull": "bert", "kind": kind, "input": given, "error": "No defect was found; look.",
        "dice": 0.0, "border_dice_10mm": 0.0, "border_dice_10vox": 0.0, "coverage_2mm": 0.0,
    }  # fmt: skip


ROWS = [
    row("bilateral", 0.9, 1.0, volume_ratio=0.5),
    row("random_1", 0.8, 2.0, volume_ratio=1.4),
    row("random_1", 0.5, 9.0, "skull", flagged=True, expected_hd95_mm=7.0, reasons=["Low."]),
    refusal("random_2"),
    row("frontoorbital", 0.7, 5.0),
    {"skull": "cora", "kind": "bilateral", "not_made": "No bilateral defect fits."},
]


def test_groups_have_their_cases_and_their_numbers() -> None:
    groups = summary_of(ROWS)["groups"]
    vault = groups["calvarial, all"]
    assert (vault["cases"], vault["no_design"], vault["under_0.60"]) == (4, 1, 2)
    assert vault["dice_mean"] == pytest.approx((0.9 + 0.8 + 0.5 + 0.0) / 4)
    assert vault["dice_median"] == pytest.approx(0.65)
    assert vault["dice_worst"] == 0.0
    assert vault["hd95_mm_mean"] == 4.0  # of the designs: a refusal has no distance
    assert (vault["hd95_mm_median"], vault["hd95_mm_worst"]) == (2.0, 9.0)
    assert vault["volume_ratio_worst"] == 0.5  # half is worse than 1.4 times
    assert groups["calvarial, ct"]["cases"] == 3 and groups["calvarial, skull"]["cases"] == 1
    assert groups["random_1, all"]["cases"] == 2 and groups["bilateral, all"]["cases"] == 1
    # One input alone is not told apart from all.
    assert "frontoorbital, all" in groups and "frontoorbital, ct" not in groups
    assert summary_of(ROWS)["not_made"] == 1


def test_failures_say_whether_the_tool_knew() -> None:
    failures = summary_of([*ROWS, row("random_2", 0.55, 8.0, flagged=False)])["failures"]
    assert [(f["dice"], f["flagged"]) for f in failures] == [
        (0.0, True),
        (0.5, True),
        (0.55, False),
    ]
    assert failures[0]["reasons"] == ["No defect was found; look."]
    assert failures[1]["reasons"] == ["Low."]


def test_flags_are_counted_on_designs_that_speak() -> None:
    rows = [
        row("bilateral", 0.5, 4.01, flagged=True, expected_hd95_mm=5.01),
        row("bilateral", 0.5, None, flagged=True, expected_hd95_mm=9.0),  # an empty implant
        row("bilateral", 0.7, 6.0, flagged=False, expected_hd95_mm=3.0),
        row("bilateral", 0.9, 4.0, flagged=False, expected_hd95_mm=2.0),
        row("bilateral", 0.9, 1.0, flagged=True, expected_hd95_mm=5.0),
        row("bilateral", 0.9, 1.0),
        refusal("bilateral"),
    ]
    assert flag_statistics(rows) == {
        "bad": 3, "caught": 2, "caught_share": 0.667, "good": 2, "false_alarms": 1,
        "false_alarm_share": 0.5, "expectation_error_mm": 2.5, "silent": 1,
    }  # fmt: skip
    assert flag_statistics([refusal("bilateral")])["caught_share"] is None


def test_the_table_is_markdown_and_the_csv_has_everything(tmp_path: Path) -> None:
    table = table_of(ROWS, "folder/mine.npz")
    assert "Model `mine`" in table and "versions of the program's code" not in table
    blocks = [block.splitlines() for block in table.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 5  # overlaps, distances, flags, failures, cases
    for lines in blocks:
        assert len({line.count("|") for line in lines}) == 1
    assert "| calvarial, ct | 3 | 1 | 1 | 0.567 / 0.800 / 0.000 |" in table
    assert "| all | 2 | 1 " not in table  # one word on itself, of one bad design
    assert "| all | 1 | 1 (100%) | 0 | 0 | 2.00 | 3 |" in table
    assert "no design" in table and "not made" in table
    assert "1 defects found no place on their skull" in table

    write_tables(ROWS, table, tmp_path)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        stored = list(csv.DictReader(file))
    assert len(stored) == len(ROWS)
    assert stored[2]["reasons"] == "Low." and stored[2]["checks_failed"] == "rim; gap"
    assert stored[3]["error"] == "No defect was found; look." and stored[3]["hd95_mm"] == ""
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == table + "\n"


def test_the_table_warns_of_what_would_fool() -> None:
    table = table_of([row("bilateral", 0.9, 1.0, seen_in_training=True)], "net")
    assert "trained with these skulls: anna" in table
    table = table_of([row("bilateral", 0.9, 1.0), row("random_1", 0.9, 1.0, code="abd")], "net")
    assert "made by 2 versions of the program's code" in table
