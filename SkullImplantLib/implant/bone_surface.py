"""Where bone begins, between the voxels: the surface that an implant must keep clear of.

A mask knows bone to a voxel; the CT knows where between two voxels its grey crosses the threshold.
The mask decides what is bone (marrow and air cells closed, posts and left-out bone gone), the CT
decides where between a voxel of bone and one of none the surface passes. A mask alone is blurred
a little, as much as rounds its stairs off, and cut at one half.

Surfaces are triangle meshes in LPS mm, their facets turned out of the bone.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of, index_to_lps_mm
from .level_set import surface_at_zero
from .mesh_distance import MeshDistance

# The blur of a mask, in voxels: the least whose surface has no stairs (standard deviation).
MASK_BLUR_VOXELS = 0.7
# Where mask and CT disagree, the surface passes half way between the voxels: the grey is taken so
# far on the mask's side of the threshold, which is about the contrast half a voxel into bone.
DISAGREED_HU = 150.0


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
    bone = array_of(mask) > 0
    if not bone.any():
        raise ValueError("there is no bone here")
    if ct is None or threshold_hu is None:
        values = _blurred(bone)
    else:
        values = array_of(ct).astype(np.float32) - np.float32(threshold_hu)
        # Grey far from the threshold says how dense bone is, not where it ends.
        values = np.where(
            bone,
            np.where(values > 0.0, values, DISAGREED_HU),
            np.where(values < 0.0, values, -DISAGREED_HU),
        ).astype(np.float32)
    points, triangles = surface_at_zero(values)
    frame = index_to_lps_mm(mask)
    if np.linalg.det(frame[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    field = sitk.GetImageFromArray(values)
    field.CopyInformation(mask)
    return BoneSurface(field, points @ frame[:3, :3].T + frame[:3, 3], triangles)


def _blurred(bone: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the share of bone less one half, float32 (z, y, x); no bone is lost to the blur."""
    values = ndimage.gaussian_filter(bone.astype(np.float32), MASK_BLUR_VOXELS, mode="nearest")
    values -= np.float32(0.5)
    # A plate or rod of one voxel would fall under one half: bone nowhere near what stays, stays.
    near = ndimage.binary_dilation(values > 0.0, np.ones((3, 3, 3)))
    lost = bone & ~near
    values[lost] = np.float32(0.1)
    return values
