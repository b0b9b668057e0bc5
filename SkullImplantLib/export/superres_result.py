"""What super-resolution leaves on disk: the finer mask, a picture of it, and what was done."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PIL import Image

from ..core.files import atomic_path
from ..core.images import array_of, index_to_lps_mm, write_image
from .slices import IMPLANT_RGB, PLANES, SKULL_RGB, Layer, layers_picture

SUPERRES_FILES = ("superres.nrrd", "superres.json", "preview.png")
PANEL_PX, GAP_PX = 520, 8
# The upper row shows the head, the lower one so much around a place of its wall.
HEAD_MARGIN_MM, CLOSE_UP_MM = 10.0, 50.0


def write_superres(
    coarse: sitk.Image, fine: sitk.Image, told: dict[str, Any], folder: Path
) -> None:
    """Write the files of a refined mask (uint8 0/1) into a folder that exists."""
    write_image(fine, folder / "superres.nrrd")
    with atomic_path(folder / "preview.png") as temporary:
        temporary.write_bytes(superres_picture(coarse, fine))
    with atomic_path(folder / "superres.json") as temporary:
        text = json.dumps(told, indent=2, allow_nan=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def superres_picture(coarse: sitk.Image, fine: sitk.Image) -> bytes:
    """Return a PNG: the fine mask (outlined in blue) over the coarse one (in yellow), in three
    slices through the head, and closer at a place of its wall.
    """
    places = _places(coarse)
    low, high = places.min(axis=0), places.max(axis=0)
    middle = (low + high) / 2.0
    # Where the vault is widest on the patient's left: a wall that all three slices cut across.
    upper = places[places[:, 2] >= middle[2]]
    wall = upper[upper[:, 0].argmax()]
    layers = (Layer(_as_it_came(coarse, fine), SKULL_RGB), Layer(fine, IMPLANT_RGB))
    across = float((high - low).max()) + 2 * HEAD_MARGIN_MM
    size = (PANEL_PX, PANEL_PX)
    rows = []
    for centre, width in ((middle, across), (wall, CLOSE_UP_MM)):
        panels = []
        for plane in PLANES:
            panels.append(layers_picture(coarse, layers, plane, centre, width, size))
            panels.append(np.full((PANEL_PX, GAP_PX, 3), 255, np.uint8))
        rows.append(np.concatenate(panels[:-1], axis=1))
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    content = io.BytesIO()
    Image.fromarray(np.concatenate([rows[0], gap, rows[1]])).save(content, "PNG")
    return content.getvalue()


def _places(mask: sitk.Image) -> np.ndarray:
    """Return where (n, 3; LPS mm) a mask is set."""
    index = np.argwhere(array_of(mask))[:, ::-1]
    frame = index_to_lps_mm(mask)
    return np.asarray(index @ frame[:3, :3].T + frame[:3, 3])


def _as_it_came(coarse: sitk.Image, fine: sitk.Image) -> sitk.Image:
    """Return the coarse mask on the fine grid with its steps, so that its outline shows them."""
    return sitk.Resample(coarse, fine, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
