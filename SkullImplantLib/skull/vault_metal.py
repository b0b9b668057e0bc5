"""Metal on the vault: plates, meshes, screws and clips, which may close a hole."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of, voxel_volume_mm3
from .head import Head
from .thresholds import METAL_HU

LEAST_MM3 = 20.0  # a screw; less is noise
FROM_CAVITY_MM = (-6.0, 25.0)  # from so far within the cavity's wall to so far beyond
# Around metal, what is brighter than cortical bone is metal that fills part of a voxel; the bone
# under a plate stays.
HALO_VOXELS, HALO_HU = 1, 2000.0

Flags = NDArray[np.bool_]


def metal_on_vault(region: sitk.Image, head: Head) -> Flags | None:
    """Return the metal on the vault of a CT's region with its halo (z, y, x), None without any.

    Metal is above `METAL_HU`.
    """
    grey = array_of(region)
    metal = grey > METAL_HU
    if not metal.any():
        return None
    near = head.distance_on(region)
    metal &= (near > FROM_CAVITY_MM[0]) & (near < FROM_CAVITY_MM[1])
    # A plate may go on below the vault; fillings do not hang together with it.
    labels, _ = ndimage.label(metal, np.ones((3, 3, 3)))
    on_vault = np.unique(labels[metal & head.vault_on(region)])
    metal = np.isin(labels, on_vault[on_vault > 0])
    if np.count_nonzero(metal) * voxel_volume_mm3(region) < LEAST_MM3:
        return None
    halo = ndimage.binary_dilation(metal, np.ones((3, 3, 3)), HALO_VOXELS)
    return metal | (halo & (grey > HALO_HU))
