"""The preview: the implant seated in the skull above, three slices through it below."""

import io
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.progress import Progress, silent
from ..core.working_axes import as_working
from ..implant.meshes import mesh_health
from .renders import (
    ABOVE,
    FRONT,
    UNAVAILABLE,
    PicturesUnavailable,
    render,
    rendering_works,
    three_quarter_view,
)
from .shown_skull import ShownSkull
from .slices import slice_panel

WIDTH = 1600
GAP = 8
LARGE_VIEW = (1040, 780)
SLICES_HEIGHT = 500
CAPTION_HEIGHT = 44
INK, FAINT_INK = (38, 44, 50), (110, 118, 126)
CAPTION = "Proposal for review by a qualified person; not a medical device."


@dataclass(frozen=True)
class Preview:
    """A preview as PNG, and a sentence on what it lacks, if anything."""

    png: bytes
    lacks: str | None = None


def compose_preview(
    background: sitk.Image,
    skull: sitk.Image,
    implant: sitk.Image,
    mesh: vtkPolyData,
    progress: Progress = silent,
    shown: ShownSkull | None = None,
) -> Preview:
    """Return the preview, 1600 pixels wide.

    background: the CT in HU or the skull mask; skull, implant: uint8 masks; mesh: the implant's
    mesh in LPS mm; shown: the skull's surface, where others need it too. Where VTK cannot draw, the
    preview has the slices alone.
    """
    background, skull, implant = (as_working(image) for image in (background, skull, implant))
    rows, lacks = [], None
    try:
        rows.append(_renders(shown or ShownSkull(skull), mesh, progress))
    except PicturesUnavailable as error:
        lacks = str(error)
    progress(0.8, "slices")
    rows.append(slice_panel(background, skull, implant, (WIDTH, SLICES_HEIGHT), GAP))
    rows.append(_caption(mesh))
    spaced = [part for row in rows for part in (row, np.full((GAP, WIDTH, 3), 255, np.uint8))]
    progress(0.95, "preview")
    content = io.BytesIO()
    Image.fromarray(np.concatenate(spaced[:-1])).save(content, "PNG")
    progress(1.0)
    return Preview(content.getvalue(), lacks)


def _renders(shown: ShownSkull, mesh: vtkPolyData, progress: Progress) -> np.ndarray:
    """Return the upper row, the implant from outside, large, and from the front and above.

    Raises `PicturesUnavailable` where VTK cannot draw.
    """
    if not rendering_works():
        raise PicturesUnavailable(UNAVAILABLE)
    progress(0.05, "skull for pictures")
    bone = shown.surface()
    progress(0.4, "renders")
    width, height = LARGE_VIEW
    small = (WIDTH - width - GAP, (height - GAP) // 2)
    views = [(three_quarter_view(bone, mesh), LARGE_VIEW), (FRONT, small), (ABOVE, small)]
    large, front, above = render(bone, mesh, views)
    row = np.full((height, WIDTH, 3), 255, np.uint8)
    row[:, :width] = large
    row[: small[1], width + GAP :] = _named(front, "Front")
    row[small[1] + GAP :, width + GAP :] = _named(above, "Above")
    return row


def _named(picture: np.ndarray, name: str) -> np.ndarray:
    """Return `picture` with its name and the patient's sides."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(18)
    draw.text((14, 10), name, INK, font)
    sides = ("R", "L") if name == "Front" else ("L", "R")
    draw.text((14, canvas.height / 2), sides[0], FAINT_INK, font, anchor="lm")
    draw.text((canvas.width - 14, canvas.height / 2), sides[1], FAINT_INK, font, anchor="rm")
    return np.asarray(canvas)


def _caption(mesh: vtkPolyData) -> np.ndarray:
    """Return the line under the pictures: the size of the implant, and what this is."""
    health = mesh_health(mesh)
    bounds = np.reshape(mesh.GetBounds(), (3, 2))
    extent = " x ".join(f"{high - low:.0f}" for low, high in bounds)
    canvas = Image.new("RGB", (WIDTH, CAPTION_HEIGHT), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(19)
    facts = f"Implant {health.volume_cm3:.1f} ml, {extent} mm"
    draw.text((12, CAPTION_HEIGHT / 2), facts, INK, font, anchor="lm")
    draw.text((WIDTH - 12, CAPTION_HEIGHT / 2), CAPTION, FAINT_INK, font, anchor="rm")
    return np.asarray(canvas)
