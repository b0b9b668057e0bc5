"""The surface of bone that an implant must keep clear of, where `geometry.bone_field` puts it.

Surfaces are triangle meshes in LPS mm, their facets turned out of the bone.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, index_to_lps_mm
from ..geometry.bone_field import bone_field
from .level_set import surface_at_zero
from .mesh_distance import MeshDistance


@dataclass(frozen=True)
class BoneSurface:
    """Bone around a hole.

    field: float32 image, positive in bone, 0 on its surface; linear between its voxels. The unit
        is the CT's, or that of a share.
    points_mm (n, 3), triangles (m, 3): the surface.
    """

    field: sitk.Image
    points_mm: NDArray[np.float64]
    triangles: NDArray[np.int64]

    def distance(self) -> MeshDistance:
        """Return the distance to the surface, ready to be asked."""
        return MeshDistance(self.points_mm, self.triangles)


def bone_surface(
    mask: sitk.Image, ct: sitk.Image | None = None, threshold_hu: float | None = None
) -> BoneSurface:
    """Return the surface of the bone in `mask` (uint8 0/1), which may be a part of the skull.

    ct: the CT on the same grid, with the threshold that the mask was made with; None for a skull
    that was given as a mask. Where the image ends in bone, the surface is left open.
    """
    if not array_of(mask).any():
        raise ValueError("there is no bone here")
    field = bone_field(mask, ct, threshold_hu)
    points, triangles = surface_at_zero(array_of(field))
    frame = index_to_lps_mm(mask)
    if np.linalg.det(frame[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    return BoneSurface(field, points @ frame[:3, :3].T + frame[:3, 3], triangles)
