"""What a reference looks like to a design: another scan of the head, its flap, a wrong scale."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

SPACING_MM = (0.8, 0.8, 1.5)
FLAP_SPACING_MM = (0.7, 0.7, 1.0)
MOST_TURN_DEG, MOST_SHIFT_MM = 30.0, 60.0
NOISE_HU, AIR_HU, RANGE_HU = 20.0, -1000.0, (-1024, 3071)
BITE_MM = 9.0  # radius of the bit that is missing of a flap's edge
AROUND_MM = 6.0  # a flap's image reaches so far beyond it
SOFT_HU, CERTAIN_BONE_HU = 40.0, 500.0


def _values(image: sitk.Image) -> NDArray:
    return sitk.GetArrayFromImage(image)


def _like(values: NDArray, image: sitk.Image) -> sitk.Image:
    made = sitk.GetImageFromArray(values)
    made.CopyInformation(image)
    return made


def reposed(image: sitk.Image, rng: np.random.Generator) -> sitk.Image:
    """The image turned by up to 30 degrees about each axis, and shifted: by its header alone."""
    angles = rng.uniform(-MOST_TURN_DEG, MOST_TURN_DEG, 3)
    rotation = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    moved = sitk.Image(image)
    direction = rotation @ np.reshape(image.GetDirection(), (3, 3))
    moved.SetDirection(direction.ravel().tolist())
    origin = rotation @ np.array(image.GetOrigin()) + rng.uniform(-MOST_SHIFT_MM, MOST_SHIFT_MM, 3)
    moved.SetOrigin(origin.tolist())
    return moved


def straight_grid(image: sitk.Image, spacing_mm: tuple[float, float, float]) -> sitk.Image:
    """An empty grid along LPS that holds all of a turned image."""
    last = np.array(image.GetSize()) - 1
    corners = np.array(
        [
            image.TransformIndexToPhysicalPoint([int(k) for k in last * np.array(bits)])
            for bits in np.ndindex(2, 2, 2)
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    grid = sitk.Image([int(n) for n in np.ceil((high - low) / spacing_mm)], sitk.sitkUInt8)
    grid.SetSpacing(list(spacing_mm))
    grid.SetOrigin(low.tolist())
    return grid


def another_scan(ct: sitk.Image, rng: np.random.Generator) -> sitk.Image:
    """The head scanned again: another pose, spacing and noise."""
    moved = reposed(ct, rng)
    grid = straight_grid(moved, SPACING_MM)
    again = sitk.Resample(moved, grid, sitk.Transform(), sitk.sitkBSpline, AIR_HU, sitk.sitkFloat32)
    values = _values(again)
    values += rng.normal(0.0, NOISE_HU, values.shape).astype(np.float32)
    return _like(np.clip(np.rint(values), *RANGE_HU).astype(np.int16), again)


def in_air(hu: NDArray, piece: NDArray, whole: NDArray) -> NDArray:
    """The CT (HU) of a piece of bone in air: what bone fills of a voxel on its surface is as in the
    head, the rest is air and no soft tissue. whole: the piece before the saw, whose cut is sharp.
    """
    cortical = float(np.median(hu[piece & (hu > CERTAIN_BONE_HU)]))
    share = np.clip((hu - SOFT_HU) / (cortical - SOFT_HU), 0.0, 1.0)
    beside = ndimage.binary_dilation(piece) & ~piece & ~whole
    surface = (piece & ~ndimage.binary_erosion(piece)) | beside
    filled = np.where(surface, AIR_HU + share * (cortical - AIR_HU), np.where(piece, hu, AIR_HU))
    return filled.astype(np.float32)


def flap_of(
    ct: sitk.Image, truth: sitk.Image, defective: sitk.Image, kerf_mm: float, as_ct: bool,
    rng: np.random.Generator,
) -> sitk.Image:  # fmt: skip
    """The piece that was taken out, less a saw's kerf along the bone and a bit of its edge, in a
    pose of its own: a CT of it in air, or a mask.
    """
    spacing = truth.GetSpacing()[::-1]
    whole = _values(truth) != 0
    to_bone = ndimage.distance_transform_edt(_values(defective) == 0, sampling=spacing)
    piece = whole & (to_bone > kerf_mm)
    places = np.argwhere(piece)
    edge = places[to_bone[tuple(places.T)] < kerf_mm + 2.0]
    bite = edge[rng.integers(len(edge))]
    far = np.linalg.norm((places - bite) * np.array(spacing), axis=1) > BITE_MM
    piece = np.zeros_like(piece)
    piece[tuple(places[far].T)] = True
    margin = np.ceil(AROUND_MM / np.array(spacing)).astype(int)
    low = np.maximum(places.min(axis=0) - margin, 0)
    high = np.minimum(places.max(axis=0) + margin + 1, piece.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    start, size = [int(a) for a in low[::-1]], [int(b - a) for a, b in zip(low[::-1], high[::-1])]
    region = sitk.RegionOfInterest(truth, size, start)
    if as_ct:
        values = in_air(_values(ct)[box].astype(np.float32), piece[box], whole[box])
    else:
        values = piece[box].astype(np.float32)
    moved = reposed(_like(values.astype(np.float32), region), rng)
    grid = straight_grid(moved, FLAP_SPACING_MM)
    outside = AIR_HU if as_ct else 0.0
    again = sitk.Resample(moved, grid, sitk.Transform(), sitk.sitkLinear, outside)
    if not as_ct:
        return again > 0.5
    noisy = _values(again) + rng.normal(0.0, NOISE_HU, _values(again).shape)
    return _like(np.clip(np.rint(noisy), *RANGE_HU).astype(np.int16), again)


def scaled(image: sitk.Image, by: float) -> sitk.Image:
    """The image with a wrong voxel size."""
    wrong = sitk.Image(image)
    wrong.SetSpacing([by * s for s in image.GetSpacing()])
    return wrong
