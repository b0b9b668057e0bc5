"""The best, the median and the worst case of each kind, to look at: one PNG a kind and model.

A row a case: the implant in the skull, the implant coloured by its distance to the truth (and dark
what it lacks of the truth), and a slice with both outlines.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont

from ..core.files import atomic_path
from ..core.image_files import read_mask
from ..core.images import array_of, bounding_box, crop, index_to_lps_mm
from ..core.stages import StageReport, no_report
from ..export.drawn import FULL_DISTANCE_MM, distance_colours
from ..export.picture_mesh import picture_mesh
from ..export.renders import (
    PicturesUnavailable,
    farther_than,
    render,
    three_quarter_view,
    with_distances,
)
from ..export.slices import PLANES, Layer, Plane, layers_picture
from ..implant.surface import surface_of_mask
from .judging import Trial
from .suite_cases import CaseInput, JudgedCase

Row = dict[str, Any]
Judged = tuple[JudgedCase, Row]

SIDE = 440  # pixels of a picture
GAP = 8
LINE = 30  # height of a line of text
INK, FAINT_INK = (38, 44, 50), (110, 118, 126)
TRUTH_RGB, MADE_RGB = np.array([0.30, 0.90, 0.35]), np.array([1.00, 0.35, 0.75])
SLICE_MARGIN_MM = 18.0  # around the truth
LEGEND_PX = 220
COLOURS = 255


def chosen_cases(judged: Sequence[Judged]) -> dict[str, list[tuple[str, Judged]]]:
    """Return, by kind, the best, the median and the worst of the designs by Dice."""
    chosen: dict[str, list[tuple[str, Judged]]] = {}
    designs = [one for one in judged if "dice" in one[1] and "error" not in one[1]]
    for kind in dict.fromkeys(row["kind"] for _, row in designs):
        ranked = sorted(
            (one for one in designs if one[1]["kind"] == kind), key=lambda one: -one[1]["dice"]
        )
        places = {len(ranked) // 2: "median", len(ranked) - 1: "worst", 0: "best"}
        chosen[kind] = [(places[place], ranked[place]) for place in sorted(places)]
    return chosen


def write_pictures(
    judged: Sequence[Judged], trial: Trial, report: StageReport = no_report
) -> list[Path]:
    """Write `pictures/KIND-MODEL.png` into the output, and return the paths.

    Cases are made again, which is deterministic; implants are those that were kept. Without OpenGL
    there are only the slices.
    """
    chosen = chosen_cases(judged)
    total = sum(len(some) for some in chosen.values())
    # Those of one skull one after the other: it is read once.
    order = sorted(
        ((kind, label, one) for kind, some in chosen.items() for label, one in some),
        key=lambda item: item[2][0].skull,
    )
    rows: dict[tuple[str, str], np.ndarray] = {}
    for done, (kind, label, (case, row)) in enumerate(order):
        report("pictures", done / total, case.name)
        rows[kind, label] = _row_of(case, row, label, trial)
    folder = trial.output / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    model = Path(trial.options.model).stem
    paths = []
    for kind, some in chosen.items():
        pictures = [rows[kind, label] for label, _ in some]
        width = pictures[0].shape[1]
        sheet = np.concatenate(
            [_line(f"{kind}, model {model}", width, 20), *pictures, _legend(width)]
        )
        path = folder / f"{kind}-{model}.png"
        with atomic_path(path) as temporary:
            _with_palette(Image.fromarray(sheet)).save(temporary, "PNG", optimize=True)
        paths.append(path)
    report("pictures", 1.0, f"{len(paths)} pictures")
    return paths


def _with_palette(picture: Image.Image) -> Image.Image:
    """Return the picture in 255 colours of its own, dithered: half the size, no bands."""
    palette = picture.quantize(COLOURS, kmeans=1)
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def _row_of(case: JudgedCase, row: Row, label: str, trial: Trial) -> np.ndarray:
    """Return the pictures of one case with a line of text above, RGB uint8."""
    made = case.load()
    assert made.truth is not None  # only what was judged is drawn
    implant = read_mask(trial.implant_path(case))
    pictures = [_slice_of(made, made.truth, implant)]
    if array_of(implant).any():
        with suppress(PicturesUnavailable):
            pictures = [*_renders_of(made, made.truth, implant), *pictures]
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    panel = np.concatenate([part for one in pictures for part in (one, gap)][:-1], axis=1)
    flagged = {True: "flagged", False: "not flagged", None: ""}[row.get("flagged")]
    facts = [
        label,
        f"{case.name}, {row['area_cm2']:.0f} cm2" if "area_cm2" in row else case.name,
        f"Dice {row['dice']:.3f}, border {row['border_dice_10mm']:.3f}",
        "" if row.get("hd95_mm") is None else f"HD95 {row['hd95_mm']:.2f} mm",
        "" if row.get("outer_error_mm") is None else f"outer {row['outer_error_mm']:.2f} mm",
        flagged,
    ]
    return np.concatenate(
        [_line("    ".join(fact for fact in facts if fact), panel.shape[1], 16), panel]
    )


def _renders_of(case: CaseInput, truth_mask: sitk.Image, implant: sitk.Image) -> list[np.ndarray]:
    """Return the implant in the skull, and, nearer, coloured by its distance to the truth.

    Raises `PicturesUnavailable` where VTK cannot draw.
    """
    skull, mesh = picture_mesh(case.defective), surface_of_mask(implant != 0)
    box = bounding_box(array_of(truth_mask), 1)
    truth = surface_of_mask(crop(truth_mask, box))
    coloured = with_distances(mesh, truth)
    lacking = farther_than(with_distances(truth, mesh), FULL_DISTANCE_MM)
    view = three_quarter_view(skull, truth)
    (seated,) = render(skull, mesh, [(view, (SIDE, SIDE))])
    (near,) = render(skull, coloured, [(view, (SIDE, SIDE))], lacking, truth)
    return [seated, near]


def _slice_of(case: CaseInput, truth_mask: sitk.Image, implant: sitk.Image) -> np.ndarray:
    """Return the slice across the middle of the truth, with the outlines of truth and implant."""
    low, high = _corners_mm(truth_mask)
    middle = (low + high) / 2
    plane = _plane_across(case, middle)
    across = max((high - low)[plane.right], (high - low)[plane.down]) + 2 * SLICE_MARGIN_MM
    layers = (Layer(truth_mask, TRUTH_RGB), Layer(implant, MADE_RGB))
    return layers_picture(case.source.image, layers, plane, middle, across, (SIDE, SIDE))


def _plane_across(case: CaseInput, middle_mm: np.ndarray) -> Plane:
    """Return the plane that cuts the bone most squarely: outward lies in it."""
    centre = middle_mm * 0 if case.centre_mm is None else case.centre_mm
    outward = np.abs(middle_mm - centre)
    return min(PLANES, key=lambda plane: float(outward[plane.normal]))


def _corners_mm(mask: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest corner (LPS, mm) of the voxels of a mask."""
    box = bounding_box(array_of(mask))
    corners = np.array(np.meshgrid(*[(s.start, s.stop - 1) for s in box[::-1]])).reshape(3, -1)
    frame = index_to_lps_mm(mask)
    points = frame[:3, :3] @ corners + frame[:3, 3:]
    return points.min(axis=1), points.max(axis=1)


def _line(text: str, width: int, points: int) -> np.ndarray:
    """Return a line of text on white, RGB uint8."""
    canvas = Image.new("RGB", (width, LINE), (255, 255, 255))
    font = ImageFont.load_default(points)
    ImageDraw.Draw(canvas).text((6, LINE / 2), text, INK, font, anchor="lm")
    return np.asarray(canvas)


def _legend(width: int) -> np.ndarray:
    """Return what the colours mean, RGB uint8."""
    canvas = Image.new("RGB", (width, 2 * LINE), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(14)
    left = max((width - LEGEND_PX) // 2, 0)
    distance = np.linspace(-FULL_DISTANCE_MM, FULL_DISTANCE_MM, LEGEND_PX)
    ramp = (distance_colours(distance) * 255).round().astype(np.uint8)
    canvas.paste(Image.fromarray(np.repeat(ramp[None], 14, axis=0)), (left, 8))
    for text, share, anchor in (
        (f"-{FULL_DISTANCE_MM:g} mm (within the truth)", 0.0, "ra"),
        ("0", 0.5, "ma"),
        (f"+{FULL_DISTANCE_MM:g} mm (outside)", 1.0, "la"),
    ):
        draw.text((left + share * LEGEND_PX, 28), text, FAINT_INK, font, anchor)
    end = width - 8
    for text, rgb in (("implant", MADE_RGB), ("truth", TRUTH_RGB)):
        colour = tuple(int(v) for v in (rgb * 200).round())
        draw.text((end, 8), text, colour, ImageFont.load_default(16), "ra")
        end -= 80
    draw.text(
        (6, 8),
        f"dark: the truth, more than {FULL_DISTANCE_MM:g} mm outside of the implant",
        FAINT_INK,
        font,
    )
    return np.asarray(canvas)
