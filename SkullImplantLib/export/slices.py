"""Three orthogonal slices through the implant, drawn as a radiologist reads them.

Axial and coronal with the patient's right on the left of the picture, sagittal with anterior on
the left; whatever the image's own axes are, each slice is sampled along LPS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ..core import images

# A wide bone window: level 500, width 2300 HU.
WINDOW_HU = (-650.0, 1650.0)
# Grey of bone where the background is a mask and has no values of its own.
MASK_GREY = 0.62
SKULL_RGB = np.array([1.00, 0.72, 0.25])
IMPLANT_RGB = np.array([0.16, 0.80, 0.86])
TEXT_RGB = (235, 238, 240)
FAINT_RGB = (150, 158, 166)
OUTLINE_PX = 1.6
FILL_OPACITY = 0.38
CROSSHAIR_OPACITY = 0.22
SCALE_BAR_MM = 50.0
SHORT_BAR_MM = 20.0  # of a slice that shows a part of the head only
# Blur of a mask before it is outlined, in its own voxels: takes the steps out of the line.
OUTLINE_BLUR_VOXELS = 0.7
# Slices leave this much air around the skull.
MARGIN_MM = 10.0
# Jaw and neck farther than this below the implant say nothing about it and are not shown.
BELOW_IMPLANT_MM = 75.0


@dataclass(frozen=True)
class Plane:
    """A slice's orientation: LPS axes to the right and down, their signs, and the letters."""

    name: str
    normal: int
    right: int
    down: int
    down_sign: int
    letters: tuple[str, str, str, str]  # left, right, top, bottom


PLANES = (
    Plane("Axial", normal=2, right=0, down=1, down_sign=1, letters=("R", "L", "A", "P")),
    Plane("Coronal", normal=1, right=0, down=2, down_sign=-1, letters=("R", "L", "S", "I")),
    Plane("Sagittal", normal=0, right=1, down=2, down_sign=-1, letters=("A", "P", "S", "I")),
)


@dataclass(frozen=True)
class Layer:
    """A mask drawn over a slice: its outline in `rgb` (0 to 1), its inside with opacity `fill`."""

    mask: sitk.Image
    rgb: np.ndarray
    fill: float = 0.0


def layers_picture(
    background: sitk.Image,
    layers: Sequence[Layer],
    plane: Plane,
    centre_mm: np.ndarray,
    across_mm: float,
    size: tuple[int, int],
    window_hu: tuple[float, float] = WINDOW_HU,
) -> np.ndarray:
    """Return one slice, RGB uint8 of shape (height, width, 3), with the outlines of the layers.

    The slice passes through `centre_mm` (LPS), which is in its middle; the shorter side of `size`
    (width, height) is `across_mm` long. `background` as for `slice_panel`; a CT is black at the
    first HU of the window and white at the second.
    """
    mm_per_px = across_mm / min(size)
    grid = _grid(plane, centre_mm, centre_mm, size, mm_per_px)
    picture = _slice(background, layers, grid, plane, window_hu)
    return _labelled(picture, plane, centre_mm, mm_per_px, SHORT_BAR_MM)


def slice_panel(
    background: sitk.Image,
    skull: sitk.Image,
    implant: sitk.Image,
    size: tuple[int, int],
    gap: int = 8,
) -> np.ndarray:
    """Return three slices side by side, RGB uint8 of shape (height, width, 3).

    background: a CT in HU, shown in a bone window, or a 0/1 mask. skull, implant: uint8 masks, each
    with its own geometry in the same LPS space; the implant's may have labels. size: (width,
    height) of the whole in pixels.
    All three slices have one scale and pass through the implant's voxel nearest to its centroid.
    """
    width, height = size
    each = (width - 2 * gap) // 3
    through = _middle_of(implant)
    low, high = _extent_mm(skull)
    low[2] = max(low[2], _extent_mm(implant)[0][2] - BELOW_IMPLANT_MM)
    mm_per_px = max(
        max((high - low)[plane.right] / each, (high - low)[plane.down] / height) for plane in PLANES
    )
    panel = np.full((height, width, 3), 255, np.uint8)
    layers = (Layer(skull, SKULL_RGB), Layer(implant != 0, IMPLANT_RGB, FILL_OPACITY))
    for number, plane in enumerate(PLANES):
        left = number * (each + gap)
        grid = _grid(plane, (low + high) / 2.0, through, (each, height), mm_per_px)
        picture = _slice(background, layers, grid, plane)
        _crosshair(picture, grid, plane, through)
        panel[:, left : left + each] = _labelled(picture, plane, through, mm_per_px)
    return panel


def _places(mask: sitk.Image, every_mm: float) -> np.ndarray:
    """Return where (n, 3; LPS mm) the mask is set, looking at about one voxel in `every_mm`."""
    stride = [max(1, int(every_mm / s)) for s in mask.GetSpacing()]
    values = images.array_of(mask)[:: stride[2], :: stride[1], :: stride[0]]
    if not values.any():  # thin enough to fall between
        stride, values = [1, 1, 1], images.array_of(mask)
    index = np.argwhere(values)[:, ::-1] * stride
    frame = images.index_to_lps_mm(mask)
    return np.asarray(index @ frame[:3, :3].T + frame[:3, 3])


def _middle_of(mask: sitk.Image) -> np.ndarray:
    """Return the place (LPS mm) of the mask's voxel nearest to its centroid, to a millimetre."""
    places = _places(mask, every_mm=1.0)
    return np.asarray(places[np.linalg.norm(places - places.mean(axis=0), axis=1).argmin()])


def _extent_mm(mask: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners, lowest and highest, of the box along LPS around the mask."""
    places = _places(mask, every_mm=MARGIN_MM / 4.0)
    return places.min(axis=0) - MARGIN_MM, places.max(axis=0) + MARGIN_MM


def _grid(
    plane: Plane, middle: np.ndarray, through: np.ndarray, size: tuple[int, int], mm_per_px: float
) -> sitk.Image:
    """Return an empty image one voxel thick along LPS, each voxel a pixel of the picture."""
    count, origin = [1, 1, 1], through.copy()
    for axis, pixels in ((plane.right, size[0]), (plane.down, size[1])):
        count[axis] = pixels
        origin[axis] = middle[axis] - mm_per_px * (pixels - 1) / 2.0
    grid = sitk.Image(count, sitk.sitkUInt8)
    grid.SetSpacing([mm_per_px] * 3)
    grid.SetOrigin([float(v) for v in origin])
    return grid


def _sampled(image: sitk.Image, grid: sitk.Image, plane: Plane, outside: float) -> np.ndarray:
    """Return `image` on the slice as the picture has it: rows downward, columns to the right."""
    array = sitk.GetArrayFromImage(
        images.resample(image, grid, sitk.sitkLinear, outside, sitk.sitkFloat32)
    )
    # Of the axes (z, y, x) one has length 1; what remains is (down, right) for all three planes.
    array = array.squeeze(axis=2 - plane.normal)
    return array if plane.down_sign > 0 else array[::-1]


def _slice(
    background: sitk.Image,
    layers: Sequence[Layer],
    grid: sitk.Image,
    plane: Plane,
    window_hu: tuple[float, float] = WINDOW_HU,
) -> np.ndarray:
    """Return the slice as RGB in 0 to 1: the background, and over it the layers."""
    if background.GetPixelID() == sitk.sitkUInt8:
        grey = MASK_GREY * _sampled(background, grid, plane, 0.0)
    else:
        low, high = window_hu
        grey = (_sampled(background, grid, plane, low) - low) / (high - low)
    picture = np.repeat(np.clip(grey, 0.0, 1.0)[..., None], 3, axis=2)
    for layer in layers:
        steps = OUTLINE_BLUR_VOXELS * min(layer.mask.GetSpacing()) / grid.GetSpacing()[0]
        inside = ndimage.gaussian_filter(_sampled(layer.mask, grid, plane, 0.0), max(steps, 0.6))
        slope = np.hypot(*np.gradient(inside))
        # Distance to the line where `inside` is a half, to first order, in pixels.
        away = np.abs(inside - 0.5) / np.maximum(slope, 1e-3)
        line = np.clip(0.5 * OUTLINE_PX + 0.5 - away, 0.0, 1.0)
        filled = np.clip((inside - 0.5) / np.maximum(slope, 1e-3), 0, 1)
        opacity = np.maximum(line, layer.fill * filled)
        picture += opacity[..., None] * (layer.rgb - picture)
    return picture


def _crosshair(picture: np.ndarray, grid: sitk.Image, plane: Plane, through: np.ndarray) -> None:
    """Mark in `picture` (rows, columns, RGB) where the other two slices lie, faintly."""
    place = (through - np.array(grid.GetOrigin())) / grid.GetSpacing()[0]
    column, row = round(place[plane.right]), round(place[plane.down])
    row = row if plane.down_sign > 0 else picture.shape[0] - 1 - row
    for line in (picture[row, :], picture[:, column]):
        line += CROSSHAIR_OPACITY * (1.0 - line)


def _labelled(
    picture: np.ndarray,
    plane: Plane,
    through: np.ndarray,
    mm_per_px: float,
    bar_mm: float = SCALE_BAR_MM,
) -> np.ndarray:
    """Return `picture` (RGB, 0 to 1) as uint8 with name, letters and scale bar."""
    canvas = Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))
    width, height = canvas.size
    draw = ImageDraw.Draw(canvas)
    large, small = ImageFont.load_default(20), ImageFont.load_default(14)

    def write(x: float, y: float, text: str, anchor: str, bright: bool = True) -> None:
        font, ink = (large, TEXT_RGB) if bright else (small, FAINT_RGB)
        draw.text((x, y), text, ink, font, anchor, stroke_width=2, stroke_fill=(0, 0, 0))

    write(12, 10, plane.name, "la")
    write(12, 36, f"{'xyz'[plane.normal]} = {through[plane.normal]:.1f} mm (LPS)", "la", False)
    left, right, top, bottom = plane.letters
    write(10, height / 2, left, "lm")
    write(width - 10, height / 2, right, "rm")
    write(width / 2, 8, top, "mt")
    write(width / 2, height - 8, bottom, "mb")
    length = bar_mm / mm_per_px
    end, level = width - 14, height - 14
    draw.line([(end - length, level), (end, level)], TEXT_RGB, 2)
    for place in (end - length, end):
        draw.line([(place, level - 5), (place, level + 1)], TEXT_RGB, 2)
    write(end - length / 2, level - 6, f"{bar_mm:.0f} mm", "mb", False)
    return np.asarray(canvas)
