"""The log of a training and its picture: all lines are in it, and a damaged log is named."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.training.learning_curve import (
    LOSS,
    NETWORK,
    PRIOR,
    SIZE,
    SKULL,
    _nice_ticks,
    draw_learning_curve,
)
from SkullImplantLib.training.log import LogRow, read_log, write_log

ROWS = [
    LogRow(250, 0.9, 0.6, 0.82, 1.0, 0.91),
    LogRow(500, 0.4, 0.84, 0.82, 2.0, 0.92),
    LogRow(750, 0.3, 0.9, 0.82, 3, 0.95),
]
OLDER = [replace(row, skull_dice=math.nan) for row in ROWS]


def pixels_of(picture: Path, colour: tuple[int, int, int]) -> np.ndarray:
    rgb = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    return np.argwhere(np.abs(rgb - colour).max(axis=-1) < 30)


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", ROWS)
    assert read_log(tmp_path / "log.csv") == ROWS
    assert (tmp_path / "log.csv").read_text().startswith("iteration,loss,network_dice,prior_dice")


def test_older_logs_know_no_dice_of_the_whole_skull(tmp_path: Path) -> None:
    older = "iteration,loss,network_dice,prior_dice,minutes\n250,0.9,0.6,0.82,1.0\n"
    (tmp_path / "log.csv").write_text(older)
    (row,) = read_log(tmp_path / "log.csv")
    assert row.minutes == 1.0 and math.isnan(row.skull_dice)


def test_only_what_was_validated_is_drawn(tmp_path: Path) -> None:
    alone = [replace(row, prior_dice=math.nan) for row in ROWS]
    counts = []
    for rows in (alone, OLDER):
        draw_learning_curve(rows, tmp_path / "curve.png")
        counts.append([len(pixels_of(tmp_path / "curve.png", c)) for c in (SKULL, PRIOR)])
    (skull, no_prior), (no_skull, prior) = counts  # ink that is half as dark as black is grey too
    assert skull > no_skull + 500 and prior > no_prior + 500


@pytest.mark.parametrize("text", ["iteration,loss\n1,2\n", "iteration,loss\n1,much\n"])
def test_a_damaged_log_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(SkullImplantError, match=r"log\.csv is damaged"):
        read_log(tmp_path / "log.csv")
    with pytest.raises(SkullImplantError, match=r"none\.csv is damaged"):
        read_log(tmp_path / "none.csv")


def test_the_lines_go_up_and_down_as_the_log_does(tmp_path: Path) -> None:
    picture = tmp_path / "learning-curve.png"
    draw_learning_curve(ROWS, picture)
    assert Image.open(picture).size == SIZE
    for colour, falls in ((LOSS, True), (NETWORK, False)):
        y, x = pixels_of(picture, colour).T
        y, x = y[x > 300], x[x > 300]  # without the legend
        assert len(y) > 200
        first, last = y[x < 400].mean(), y[x > x.max() - 60].mean()
        assert (last > first) == falls
    assert np.bincount(pixels_of(picture, PRIOR)[:, 0]).max() > 400  # a level line


@pytest.mark.parametrize(
    "rows",
    [
        [LogRow(4, 1.0, 0.0, 0.0, 0.1)],
        [LogRow(4, float("nan"), 0.5, 0.5, 0.1), LogRow(8, 0.5, 0.5, 0.5, 0.2)],
    ],
)
def test_one_row_or_a_flat_line_will_do(tmp_path: Path, rows: list[LogRow]) -> None:
    draw_learning_curve(rows, tmp_path / "curve.png")
    assert len(pixels_of(tmp_path / "curve.png", NETWORK)) > 10


@pytest.mark.parametrize(
    ("low", "high"), [(0, 3000), (0.612, 0.874), (0.82, 0.82), (0, 1), (-3, 7)]
)
def test_ticks_are_round_and_enclose(low: float, high: float) -> None:
    ticks = _nice_ticks(low, high)
    assert ticks[0] <= low + 1e-9 and ticks[-1] >= high - 1e-9 and 2 <= len(ticks) <= 8
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0])
