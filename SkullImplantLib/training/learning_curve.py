"""The learning curve of a training as a picture: its log, loss above and validation Dice below."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from ..core.drawing import FINER, draw_line, write_text
from ..core.files import atomic_path
from .log import LogRow

SIZE = (960, 720)  # pixels of the picture
LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 84, 24, 40, 56, 66
MOST_TICKS = 6
MARK_RADIUS = 3.5
INK, FAINT, GRID, PAPER = (38, 44, 50), (110, 118, 126), (226, 230, 233), (255, 255, 255)
LOSS, NETWORK, PRIOR, SKULL = (196, 78, 30), (20, 120, 140), (150, 150, 150), (120, 80, 160)


@dataclass(frozen=True)
class Line:
    """A column of the log over its iterations."""

    name: str
    column: str
    colour: tuple[int, int, int]


LOSS_LINES = (Line("training loss", "loss", LOSS),)
DICE_LINES = (
    Line("validation Dice of the network", "network_dice", NETWORK),
    Line("of the prior alone", "prior_dice", PRIOR),
    Line("of the whole skull", "skull_dice", SKULL),
)


def draw_learning_curve(rows: Sequence[LogRow], picture: Path) -> None:
    """Draw the log of a training, at least one row of it, as a PNG; Dice where it was validated.

    Raises `ValueError` where there is no row.
    """
    if not rows:
        raise ValueError("there is no row to draw")
    image = Image.new("RGB", (SIZE[0] * FINER, SIZE[1] * FINER), PAPER)
    pen = ImageDraw.Draw(image)
    validated = any(math.isfinite(row.network_dice) for row in rows)
    told = tuple(
        line for line in DICE_LINES if any(math.isfinite(getattr(r, line.column)) for r in rows)
    )
    panels = (LOSS_LINES, told) if validated else (LOSS_LINES,)
    height = (SIZE[1] - TOP - BOTTOM - BETWEEN * (len(panels) - 1)) / len(panels)
    across = _nice_ticks(0.0, max(row.iteration for row in rows))
    for number, lines in enumerate(panels):
        top = TOP + number * (height + BETWEEN)
        _panel(pen, (LEFT, top, SIZE[0] - RIGHT, top + height), rows, lines, across)
    write_text(pen, ((LEFT + SIZE[0] - RIGHT) / 2, SIZE[1] - 16), "iteration", INK, "ms")
    with atomic_path(picture) as temporary:
        image.resize(SIZE, Image.Resampling.LANCZOS).save(temporary, "PNG")


def _panel(
    pen: ImageDraw.ImageDraw,
    frame: tuple[float, float, float, float],
    rows: Sequence[LogRow],
    lines: tuple[Line, ...],
    across: list[float],
) -> None:
    """Draw axes, grid, legend and `lines` into `frame` (left, top, right, bottom) in pixels."""
    left, top, right, bottom = frame
    values = {line.column: [getattr(row, line.column) for row in rows] for line in lines}
    finite = [v for column in values.values() for v in column if math.isfinite(v)] or [0.0]
    up = _nice_ticks(min(finite), max(finite))

    def place(iteration: float, value: float) -> tuple[float, float]:
        x = left + (iteration - across[0]) / (across[-1] - across[0]) * (right - left)
        return x, bottom - (value - up[0]) / (up[-1] - up[0]) * (bottom - top)

    for tick in up:
        y = place(0.0, tick)[1]
        draw_line(pen, [(left, y), (right, y)], GRID, 1)
        write_text(pen, (left - 8, y), _written(tick, up), FAINT, "rm")
    for tick in across:
        x = place(tick, up[0])[0]
        draw_line(pen, [(x, bottom), (x, bottom + 5)], INK, 1)
        write_text(pen, (x, bottom + 9), _written(tick, across), FAINT, "mt")
    draw_line(pen, [(left, top), (left, bottom), (right, bottom)], INK, 1)
    for line in reversed(lines):  # the first one lies uppermost
        points = [
            place(row.iteration, value)
            for row, value in zip(rows, values[line.column])
            if math.isfinite(value)
        ]
        draw_line(pen, points, line.colour, 2.5)
        for x, y in points:
            corners = [(v + r) * FINER for r in (-MARK_RADIUS, MARK_RADIUS) for v in (x, y)]
            pen.ellipse(corners, fill=line.colour)
    start = left
    for line in lines:
        draw_line(pen, [(start, top - 16), (start + 24, top - 16)], line.colour, 2.5)
        text = f"{line.name}, last {values[line.column][-1]:.3f}"
        end = write_text(pen, (start + 32, top - 16), text, INK, "lm")
        start = end + 32


def _nice_ticks(low: float, high: float) -> list[float]:
    """Return at most about `MOST_TICKS` even round numbers that enclose `low` and `high`."""
    span = max(high - low, 1e-3 * max(abs(high), 1.0))
    rough = span / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * k for k in range(first, max(last, first + 1) + 1)]


def _written(tick: float, ticks: list[float]) -> str:
    step = ticks[1] - ticks[0]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{tick:.{digits + (round(step * 10**digits, 6) % 1 > 0)}f}"
