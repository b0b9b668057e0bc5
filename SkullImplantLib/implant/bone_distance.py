"""The signed distance to bone on a lattice: outside positive, so that room for an implant is.

Near the surface it is exact, to the surface's triangles; farther away, where only how far a step
may be matters, it is that to the nearest voxel of bone.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import signed_distance_mm
from ..core.images import array_of, image_like
from ..core.interpolation import values_at
from .bone_surface import BoneSurface
from .lattice import places_of, to_index, values_on
from .mesh_distance import MeshDistance

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class BoneDistance:
    """Signed distance to bone, mm, on a lattice.

    lattice: float32 image whose voxels are the distances.
    """

    lattice: sitk.Image

    @property
    def values_mm(self) -> NDArray[np.float32]:
        """The distances, (z, y, x)."""
        values: NDArray[np.float32] = array_of(self.lattice)
        return values

    def at(self, points_mm: Floats) -> NDArray[np.float32]:
        """Return the distance at LPS points (n, 3), interpolated; infinite beyond the lattice."""
        index = to_index(self.lattice, points_mm)
        limits = np.array(self.lattice.GetSize()) - 1
        within = np.all((index >= 0) & (index <= limits), axis=1)
        found = np.full(len(points_mm), np.inf, np.float32)
        found[within] = values_at(self.values_mm, list(index[within].T[::-1]))
        return found


def bone_distance(
    surface: BoneSurface,
    triangles: MeshDistance,
    lattice: sitk.Image,
    exact_mm: float,
    where: NDArray[np.bool_] | None = None,
) -> BoneDistance:
    """Return the distance to bone on `lattice` (any image with its grid), exact where it is less
    than `exact_mm` and, if given, `where` (z, y, x).
    """
    field = values_on(surface.field, lattice, outside=-1.0)
    inside = image_like(field > 0.0, lattice)
    half_mm = min(lattice.GetSpacing()) / 2
    if array_of(inside).any():
        values = signed_distance_mm(inside).copy()
        values += np.where(values <= 0.0, half_mm, -half_mm).astype(np.float32)
    else:
        values = np.full(field.shape, np.float32(np.linalg.norm(lattice.GetSize())), np.float32)
    near = np.abs(values) < exact_mm + 2 * half_mm
    if where is not None:
        near &= where
    away = triangles.unsigned_mm(places_of(lattice, np.argwhere(near)))
    values[near] = np.where(field[near] > 0.0, -away, away)
    return BoneDistance(image_like(values, lattice))

