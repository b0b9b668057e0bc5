"""A plate, such as an implant or the bone beside it: the sheet it lies along, and its thickness.

Places and normals are (n, 3) arrays in the order (z, y, x), in mm from the first voxel's centre.
"""

from dataclasses import dataclass

import numpy as np

# Bone is no thicker than this in the vault; what is, is the base.
THICKEST_MM = 20.0


@dataclass(frozen=True)
class Sheet:
    """A quadratic surface fitted to a plate: heights over its plane of least spread.

    Fitted along the heights, so that the plate's thickness is not taken for curvature.
    """

    middle: np.ndarray
    axes: np.ndarray
    """Columns: two along the plate, then its mean normal."""
    slopes: np.ndarray
    """Of the height: constant, u, v in one row for each of the two axes along the plate."""

    @staticmethod
    def through(places: np.ndarray) -> "Sheet":
        """Return the sheet through points (n, 3)."""
        middle = places.mean(axis=0)
        local = places - middle
        axes = np.linalg.eigh(local.T @ local)[1][:, ::-1]
        u, v, height = (local @ axes).T
        terms = np.column_stack([np.ones(len(u)), u, v, u * u, u * v, v * v])
        _, a, b, c, d, e = np.linalg.lstsq(terms, height, rcond=None)[0]
        return Sheet(middle, axes, np.array([[a, 2.0 * c, d], [b, d, 2.0 * e]]))

    def normals(self, places: np.ndarray) -> np.ndarray:
        """Return the unit normals over or under points (n, 3)."""
        local = (places - self.middle) @ self.axes
        u_slope, v_slope = self.slopes @ np.column_stack([np.ones(len(local)), local[:, :2]]).T
        return unit(np.column_stack([-u_slope, -v_slope, np.ones(len(local))]) @ self.axes.T)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors (..., 3) with a length of one; nothing stays nothing."""
    length: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9))


def reach_mm(
    solid: np.ndarray, places: np.ndarray, normals: np.ndarray, spacing: np.ndarray
) -> np.ndarray:
    """Return how far `solid` reaches from each place down and up its normal, shape (2, n), mm."""
    step = float(spacing.min()) / 2.0
    samples = np.full((2, len(places)), 0.5)
    for row, side in enumerate((-step, step)):
        solid_here = np.ones(len(places), bool)
        for count in range(1, round(THICKEST_MM / step)):
            solid_here &= inside(solid, places + count * side * normals, spacing)
            if not solid_here.any():
                break
            samples[row] += solid_here
    return samples * step


def inside(mask: np.ndarray, places: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the mask's value at `places` (n, 3; z, y, x; mm); False outside of it."""
    index = [np.rint(along / s).astype(np.intp) for along, s in zip(places.T, spacing)]
    kept = [np.clip(along, 0, n - 1) for along, n in zip(index, mask.shape)]
    values: np.ndarray = mask[tuple(kept)]
    for along, within in zip(index, kept):
        values &= along == within
    return values
