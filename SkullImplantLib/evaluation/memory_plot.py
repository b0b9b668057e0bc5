"""The memory benchmark as a picture: memory and operations over resolution, memory over batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from ..core.drawing import FINER, draw_line, write_text
from ..core.files import atomic_path
from .memory_table import Row, called, kind_of, kinds, memory_gib, slides_gb

SIZE = (1500, 620)  # pixels of the picture
LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 70, 20, 190, 50, 90
MARK_RADIUS = 3.5
TEXT_SIZE, LINE_HEIGHT = 13, 19
INK, FAINT, GRID, PAPER = (38, 44, 50), (110, 118, 126), (226, 230, 233), (255, 255, 255)
COLOURS = {
    ("sparse", "train"): (196, 78, 30),
    ("sparse", "test"): (20, 120, 140),
    ("dense", "train"): (120, 90, 160),
    ("dense", "test"): (90, 130, 60),
}
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """Points (x, y) of a curve, both positive; `faint` for the slides'."""

    name: str
    points: Points
    colour: tuple[int, int, int]
    faint: bool = False


def draw_memory(rows: Sequence[Row], picture: Path) -> None:
    """Draw the rows of network ch1 as a PNG with three panels, axes logarithmic."""
    mine = [row for row in rows if row["network"] == "ch1" and "refused" not in row]
    single = [row for row in mine if row["batch"] == 1]
    least = min((row["resolution"] for row in mine), default=0)
    batched = [
        row
        for row in mine
        if row["resolution"] == least and row["mode"] == "train" and row["memory"] == "plain"
    ]
    panels = [
        ("memory (GiB; slides: GB) over resolution", _lines(single, "resolution")),
        (f"memory of training over batch, at {least}", _lines(batched, "batch")),
        ("useful GFLOP of a step over resolution", _operations(single)),
    ]
    image = Image.new("RGB", (SIZE[0] * FINER, SIZE[1] * FINER), PAPER)
    pen = ImageDraw.Draw(image)
    width = (SIZE[0] - LEFT - RIGHT - BETWEEN * (len(panels) - 1)) / len(panels)
    for number, (title, lines) in enumerate(panels):
        left = LEFT + number * (width + BETWEEN)
        _panel(pen, (left, TOP, left + width, SIZE[1] - BOTTOM), title, lines)
    with atomic_path(picture) as temporary:
        image.resize(SIZE, Image.Resampling.LANCZOS).save(temporary, "PNG")


def _lines(rows: Sequence[Row], size: str) -> list[Line]:
    """Return ours and the slides' memory over `size`."""
    result = []
    for kind in kinds(rows):
        some = sorted((row for row in rows if kind_of(row) == kind), key=lambda r: r[size])
        colour = COLOURS[kind[0], kind[2]]
        lighter = kind[3] != "plain"
        ours = [(row[size], memory_gib(row) or 0.0) for row in some]
        result.append(Line(called(kind), ours, _mixed(colour) if lighter else colour))
        theirs = [(row[size], slides_gb(row) or 0.0) for row in some]
        if not lighter and any(y for _, y in theirs):
            result.append(Line(f"slides: {called(kind)}", theirs, colour, True))
    return result


def _operations(rows: Sequence[Row]) -> list[Line]:
    result = []
    for kind in kinds(rows):
        if kind[3] == "plain":
            some = sorted((r for r in rows if kind_of(r) == kind), key=lambda r: r["resolution"])
            points = [(row["resolution"], row["useful_gflop"]) for row in some]
            result.append(Line(called(kind), points, COLOURS[kind[0], kind[2]]))
    return result


def _mixed(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the colour, half as strong."""
    red, green, blue = ((value + 255) // 2 for value in colour)
    return red, green, blue


def _panel(
    pen: ImageDraw.ImageDraw,
    frame: tuple[float, float, float, float],
    title: str,
    lines: Sequence[Line],
) -> None:
    """Draw axes, grid, legend and `lines` into `frame` (left, top, right, bottom) in pixels."""
    left, top, right, bottom = frame
    write_text(pen, (left, 22), title, INK, "lm", TEXT_SIZE)
    lines = [_positive(line) for line in lines]
    points = [point for line in lines for point in line.points]
    if not points:
        return
    across = sorted({x for x, _ in points})
    low = math.floor(math.log10(min(y for _, y in points)))
    high = max(math.ceil(math.log10(max(y for _, y in points))), low + 1)
    first, last = math.log(across[0]), math.log(max(across[-1], across[0] + 1))

    def place(x: float, y: float) -> tuple[float, float]:
        along = (math.log(x) - first) / (last - first)
        up = (math.log10(y) - low) / (high - low)
        return left + along * (right - left), bottom - up * (bottom - top)

    for decade in range(low, high + 1):
        y = place(across[0], 10.0**decade)[1]
        draw_line(pen, [(left, y), (right, y)], GRID, 1)
        write_text(pen, (left - 8, y), f"{10.0**decade:g}", FAINT, "rm", TEXT_SIZE)
    for x in across:
        at = place(x, 10.0**low)[0]
        draw_line(pen, [(at, bottom), (at, bottom + 5)], INK, 1)
        write_text(pen, (at, bottom + 9), f"{x:g}", FAINT, "mt", TEXT_SIZE)
    draw_line(pen, [(left, top), (left, bottom), (right, bottom)], INK, 1)
    for number, line in enumerate(lines):
        places = [place(*point) for point in line.points]
        width = 1 if line.faint else 2.5
        draw_line(pen, places, line.colour, width)
        for x, y in places:
            _mark(pen, x, y, line)
        y = 42 + LINE_HEIGHT * (number % 7)
        x = left + (right - left) / 2 * (number // 7)
        draw_line(pen, [(x, y), (x + 22, y)], line.colour, width)
        _mark(pen, x + 11, y, line)
        write_text(pen, (x + 28, y), line.name, INK, "lm", TEXT_SIZE)


def _positive(line: Line) -> Line:
    points = [point for point in line.points if point[1] > 0.0]
    return Line(line.name, points, line.colour, line.faint)


def _mark(pen: ImageDraw.ImageDraw, x: float, y: float, line: Line) -> None:
    corners = [(v + r) * FINER for r in (-MARK_RADIUS, MARK_RADIUS) for v in (x, y)]
    pen.ellipse(corners, fill=PAPER if line.faint else line.colour, outline=line.colour, width=2)
