"""Where bone begins, between the voxels: a field that is zero on its surface, and points on it.

A mask knows bone to a voxel; the CT knows where between two voxels its grey crosses the threshold.
The mask decides what is bone (marrow and air cells closed, posts and left-out bone gone), the CT
decides where between a voxel of bone and one of none the surface passes. A mask alone is blurred
a little, as much as rounds its stairs off, and cut at one half.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of, image_like, index_to_lps_mm
from ..core.interpolation import values_at

# The blur of a mask, in voxels: the least whose surface has no stairs (standard deviation).
MASK_BLUR_VOXELS = 0.7
# Where mask and CT disagree, the surface passes half way between the voxels: the grey is taken so
# far on the mask's side of the threshold, which is about the contrast half a voxel into bone.
DISAGREED_HU = 150.0
# Normals are those of the field smoothed so much, which has neither stairs nor noise.
NORMAL_BLUR_MM = 1.0
FLATTEST = 1e-6  # of a gradient that still has a direction, in the field's unit a millimetre

Vectors = NDArray[np.float64]  # (n, 3)


@dataclass(frozen=True)
class SurfacePoints:
    """Points (n, 3) on a surface, LPS mm, and the unit normals (n, 3) out of the bone there."""

    places_mm: Vectors
    normals: Vectors

    def __len__(self) -> int:
        return len(self.places_mm)

    def at(self, chosen: NDArray[np.bool_ | np.integer] | slice) -> "SurfacePoints":
        """Return the chosen ones."""
        return SurfacePoints(self.places_mm[chosen], self.normals[chosen])

    def moved(self, rotation: Vectors, shift_mm: Vectors) -> "SurfacePoints":
        """Return them turned by `rotation` (3, 3) and then shifted (3,)."""
        return SurfacePoints(self.places_mm @ rotation.T + shift_mm, self.normals @ rotation.T)


def bone_field(
    mask: sitk.Image, ct: sitk.Image | None = None, threshold_hu: float | None = None
) -> sitk.Image:
    """Return a field (float32) that is positive in the bone of `mask` (uint8 0/1), 0 on its surface
    and linear between its voxels; its unit is the CT's, or that of a share.

    ct: the CT on the same grid, with the threshold that the mask was made with; None for a skull
    that was given as a mask.
    """
    bone = array_of(mask) > 0
    if ct is None or threshold_hu is None:
        return image_like(_blurred(bone), mask)
    values = array_of(ct).astype(np.float32) - np.float32(threshold_hu)
    # Grey far from the threshold says how dense bone is, not where it ends.
    values = np.where(
        bone,
        np.where(values > 0.0, values, DISAGREED_HU),
        np.where(values < 0.0, values, -DISAGREED_HU),
    )
    return image_like(values.astype(np.float32), mask)


def _blurred(bone: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the share of bone less one half, float32 (z, y, x); no bone is lost to the blur."""
    values = ndimage.gaussian_filter(bone.astype(np.float32), MASK_BLUR_VOXELS, mode="nearest")
    values -= np.float32(0.5)
    # A plate or rod of one voxel would fall under one half: bone nowhere near what stays, stays.
    near = ndimage.binary_dilation(values > 0.0, np.ones((3, 3, 3)))
    lost = bone & ~near
    values[lost] = np.float32(0.1)
    return values


def surface_points(field: sitk.Image, apart_mm: float | None = None) -> SurfacePoints:
    """Return where `field` (see `bone_field`) crosses zero between neighbouring voxels.

    apart_mm: one point is kept in each cube of this side, the one nearest its middle; None keeps
    them all. Deterministic.
    """
    values = array_of(field)
    inside = values > 0.0
    found = []
    for axis in range(3):
        here = tuple(slice(None, -1) if k == axis else slice(None) for k in range(3))
        there = tuple(slice(1, None) if k == axis else slice(None) for k in range(3))
        voxels = np.argwhere(inside[here] != inside[there])
        low = values[here][tuple(voxels.T)].astype(float)
        high = values[there][tuple(voxels.T)].astype(float)
        crossing = voxels.astype(float)
        crossing[:, axis] += low / (low - high)
        found.append(crossing)
    index: Vectors = np.concatenate(found).astype(np.float64)
    frame = index_to_lps_mm(field)
    places = index[:, ::-1] @ frame[:3, :3].T + frame[:3, 3]
    if apart_mm is not None:
        kept = thinned(places, apart_mm)
        index, places = index[kept], places[kept]
    return SurfacePoints(places, _normals(values, index, frame))


def thinned(places_mm: Vectors, apart_mm: float) -> NDArray[np.intp]:
    """Return, in order, the point nearest the middle of each cube of that side that holds some."""
    cells = np.floor(places_mm / apart_mm)
    off = ((places_mm / apart_mm - cells - 0.5) ** 2).sum(axis=1)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    order = np.lexsort((off, cell.ravel()))
    first = np.r_[True, np.diff(cell.ravel()[order]) > 0] if len(order) else order.astype(bool)
    return np.sort(order[first])


def _normals(values: NDArray[np.float32], index: Vectors, frame: Vectors) -> Vectors:
    """Return the unit normals (n, 3; LPS) of the zero level at indices (n, 3; z, y, x)."""
    spacing = np.linalg.norm(frame[:3, :3], axis=0)[::-1]
    # Near its zero the field tells the place between voxels; dense bone within would turn normals.
    steepness = np.float32(np.median(np.abs(values_at(values, list(np.round(index).T)))))
    level = np.clip(values / max(steepness, np.float32(FLATTEST)), -1.0, 1.0)
    smooth = ndimage.gaussian_filter(level, NORMAL_BLUR_MM / spacing, mode="nearest")
    step = np.eye(3)
    falling = np.stack(
        [
            values_at(smooth, list((index - step[axis]).T))
            - values_at(smooth, list((index + step[axis]).T))
            for axis in range(3)
        ],
        axis=1,
    )
    outward = (falling / spacing)[:, ::-1] @ (frame[:3, :3] / spacing[::-1]).T
    length = np.linalg.norm(outward, axis=1, keepdims=True)
    return np.asarray(outward / np.maximum(length, FLATTEST), np.float64)
