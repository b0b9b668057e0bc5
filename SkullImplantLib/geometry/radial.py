"""Radial maps: functions of direction from the vault centre, on an azimuthal-equidistant grid.

A map is an array (SIZE, SIZE) in the standard frame (x Left, y Posterior, z Superior). Its middle
is the vertex (+z), the distance from the middle is the polar angle, rows run along y (top row
anterior) and columns along x, so mirroring left and right is `map[:, ::-1]`. The projection keeps
the polar angle exact and stretches sideways by angle / sin(angle), 1.7 times at 105 degrees.
"""

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.blocks import FULL
from ..core.images import array_of, image_like, index_to_lps_mm, shares_in_blocks
from ..core.interpolation import values_at

SIZE = 208
# 1.1 degrees a pixel: 1.6 mm at the 85 mm mean radius of a vault.
POLAR_MAX_RAD = np.deg2rad(115.0)
MEAN_RADIUS_MM = 85.0
PIXEL_RAD = 2 * POLAR_MAX_RAD / SIZE
PIXEL_MM = PIXEL_RAD * MEAN_RADIUS_MM
# Polar angles: where everybody has a vault, and down to where maps are used at all.
VAULT_RAD = np.deg2rad(99.0)
FLOOR_RAD = np.deg2rad(112.0)
SHELL_RADII_MM = np.arange(45.0, 132.0, 0.5)
RAY_MM = 1.0  # spacing of the shares of bone that rays are cast through: as fine as maps need
THICKEST_MM = 22.0  # no vault is thicker along a ray, frontal sinus included


Map = NDArray[np.floating]
Pixels = tuple[NDArray[np.intp], ...]  # rows and columns


def map_directions(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unit vectors (size, size, 3) and polar angles (size, size) of a map of even size."""
    ticks = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = np.meshgrid(ticks, ticks, indexing="ij")
    from_pole = np.hypot(x, y)
    polar = from_pole * POLAR_MAX_RAD
    sine = np.sin(polar) / from_pole  # the size is even: no pixel lies on the pole
    return np.stack([x * sine, y * sine, np.cos(polar)], axis=-1), polar


DIRECTIONS, POLAR_RAD = map_directions(SIZE)
DISC = POLAR_RAD <= POLAR_MAX_RAD
STERADIANS = (2 * POLAR_MAX_RAD / SIZE) ** 2 * np.sin(POLAR_RAD) / POLAR_RAD * DISC


def to_map(points: NDArray[np.floating]) -> tuple[Map, Map, Map]:
    """Return (row, column, radius in mm) of standard-frame points (..., 3); fractional pixels."""
    radius = np.sqrt((points * points).sum(axis=-1))
    level = np.hypot(points[..., 0], points[..., 1])
    scale = np.arctan2(level, points[..., 2]) / (POLAR_MAX_RAD * np.maximum(level, 1e-6))
    half = SIZE / 2
    return (
        (points[..., 1] * scale + 1) * half - 0.5,
        (points[..., 0] * scale + 1) * half - 0.5,
        radius,
    )


def look_up(values: Map, rows: Map, columns: Map) -> Map:
    """Return the map `values` (without NaN) between pixels, bilinearly; its edge outside."""
    return ndimage.map_coordinates(values, [rows, columns], order=1, mode="nearest")


def with_gradient(
    distance: Callable[[NDArray[np.float64]], Map], points: NDArray[np.float64], step_mm: float
) -> tuple[Map, NDArray[np.floating]]:
    """Return `distance` at the points (..., 3) and its gradient there (..., 3).

    By central differences over `step_mm` each way. `distance` takes points (n, ..., 3) at once.
    """
    steps = step_mm * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    values = distance(points + steps.reshape(7, *[1] * (points.ndim - 1), 3))
    return values[0], np.moveaxis((values[1:4] - values[4:]) / (2 * step_mm), 0, -1)


def cast_rays(
    image: sitk.Image,
    origin_mm: NDArray[np.float64],
    directions: NDArray[np.float64],
    radii_mm: NDArray[np.float64],
    outside: float = 0.0,
) -> NDArray[np.float32]:
    """Return `image` (float32) along rays, trilinearly, shape (rays, radii).

    `origin_mm` (3,) and `directions` (rays, 3) are in LPS; `outside` stands beyond the voxels.
    """
    to_index = np.linalg.inv(index_to_lps_mm(image))
    start = (to_index[:3, :3] @ origin_mm + to_index[:3, 3]).astype(np.float32)
    step = (directions @ to_index[:3, :3].T).astype(np.float32)
    radii = np.asarray(radii_mm, dtype=np.float32)
    x, y, z = (step[:, k, None] * radii + start[k] for k in range(3))
    return values_at(np.asarray(array_of(image), np.float32), (z, y, x), outside)


def fill_nearest(values: Map, known: NDArray[np.bool_]) -> Map:
    """Return `values` with every pixel that is not `known` taking the nearest known one's value."""
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[tuple(nearest)]


def shell_of(
    image: sitk.Image, rotation: NDArray[np.float64], centre_mm: NDArray[np.float64]
) -> tuple[Map, Map, NDArray[np.bool_]]:
    """Return the outer radius and inner radius (mm) of the vault's bone, and where there is any.

    `image` holds the share of bone, 0 to 1; the standard frame lies at `rotation` and `centre_mm`
    in its LPS space. Along every ray the outermost bone sets the outer radius, and the innermost
    bone at most `THICKEST_MM` below it the inner one, so the pores of the diploe and the frontal
    sinus count as inside. Maps are (SIZE, SIZE), zero where there is no bone.
    """
    values = cast_rays(image, centre_mm, DIRECTIONS[DISC] @ rotation.T, SHELL_RADII_MM)
    bone = values >= 0.5
    bone[:, [0, -1]] = False
    met = bone.any(axis=1)
    values, bone = values[met], bone[met]
    count = bone.shape[1]
    last = count - 1 - bone[:, ::-1].argmax(axis=1)
    depth = int(THICKEST_MM / (SHELL_RADII_MM[1] - SHELL_RADII_MM[0]))
    first = (bone & (np.arange(count) >= (last - depth)[:, None])).argmax(axis=1)
    outer, inner, known = np.zeros(DISC.shape), np.zeros(DISC.shape), np.zeros(DISC.shape, bool)
    where = tuple(index[met] for index in np.nonzero(DISC))
    outer[where] = _crossing(values, last, last + 1)
    inner[where] = _crossing(values, first, first - 1)
    known[where] = True
    return outer, inner, known


def _crossing(
    values: NDArray[np.float32], inside: NDArray[np.intp], beyond: NDArray[np.intp]
) -> NDArray[np.floating]:
    """Return the radius where each ray falls through one half from sample `inside` to `beyond`."""
    ray = np.arange(len(values))
    high, low = values[ray, inside], values[ray, beyond]
    # Bone that goes on below the thickest vault has no crossing; it ends at that sample.
    share = np.where(low < 0.5, (high - 0.5) / np.maximum(high - low, 1e-6), 0.0)
    return SHELL_RADII_MM[inside] + share * (SHELL_RADII_MM[beyond] - SHELL_RADII_MM[inside])


def share_of_bone(mask: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Return the share of bone (float32, 0 to 1) of a mask in voxels of about `spacing_mm`.

    Axes already coarser keep their spacing.
    """
    levels = shares_in_blocks(mask, spacing_mm)
    return image_like(np.divide(array_of(levels), np.float32(FULL), dtype=np.float32), levels)


def distance_mm(mask: NDArray[np.bool_]) -> Map:
    """Return each pixel's distance in mm from `mask`, about, on the mean sphere."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask) * PIXEL_MM
