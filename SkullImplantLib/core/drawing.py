"""Lines and words for charts, drawn larger and made smaller, which smooths them."""

from collections.abc import Sequence

from PIL import ImageDraw, ImageFont

FINER = 2  # drawn so many times larger
Colour = tuple[int, int, int]


def draw_line(
    pen: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    colour: Colour,
    width: float,
) -> None:
    """Draw a line through points, in pixels of the picture; a single point makes none."""
    if len(points) > 1:
        larger = [(x * FINER, y * FINER) for x, y in points]
        pen.line(larger, fill=colour, width=round(width * FINER), joint="curve")


def write_text(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    colour: Colour,
    anchor: str,
    size: int = 15,
) -> float:
    """Write `text` and return where it ends on the right, in pixels of the picture."""
    font = ImageFont.load_default(size * FINER)
    place = (at[0] * FINER, at[1] * FINER)
    pen.text(place, text, fill=colour, font=font, anchor=anchor)
    return pen.textbbox(place, text, font=font, anchor=anchor)[2] / FINER
