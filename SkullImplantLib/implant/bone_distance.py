"""The signed distance to bone on a lattice: outside positive, so that room for an implant is.

Near the surface it is exact, to the surface's triangles; farther away, where only how far a step
may be matters, it is that to the nearest voxel of bone.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import NOWHERE_MM, signed_distance_mm
from ..core.images import array_of, image_like
from ..core.interpolation import values_at
from .bone_surface import BoneSurface
from .lattice import places_of, to_index, values_on
from .mesh_distance import MeshDistance

Floats = NDArray[np.floating]

VOXEL_SHARE = 0.3


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
    exact_mm: tuple[float, float],
    where: NDArray[np.bool_],
) -> BoneDistance:
    """Return the distance to bone on `lattice` (any image with its grid), exact `where` (z, y, x)
    it is between the two of `exact_mm`.
    """
    values = rough_distance(surface, lattice).values_mm.copy()
    # Within a large voxel the triangles and the interpolated field differ by a share of it.
    slack_mm = lattice.GetSpacing()[0] + VOXEL_SHARE * max(surface.field.GetSpacing())
    near = where & (values > exact_mm[0] - slack_mm) & (values < exact_mm[1] + slack_mm)
    values[near] = triangles.signed_mm(places_of(lattice, np.argwhere(near)))
    return BoneDistance(image_like(values, lattice))


def rough_distance(surface: BoneSurface, lattice: sitk.Image) -> BoneDistance:
    """Return the distance to bone on `lattice`, of the right sign and exact to half a step."""
    inside = values_on(surface.field, lattice, outside=-1.0) > 0.0
    if not inside.any():
        nowhere = np.full(inside.shape, NOWHERE_MM, np.float32)
        return BoneDistance(image_like(nowhere, lattice))
    # The mask's outermost voxels lie half a step within its surface.
    half_mm = np.float32(lattice.GetSpacing()[0] / 2)
    values = signed_distance_mm(image_like(inside, lattice))
    return BoneDistance(image_like(values - half_mm, lattice))
