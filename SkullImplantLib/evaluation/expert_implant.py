"""The truth that is an expert's mesh: put onto the skull's grid, in the frame in which it fits.

MUG500+ gives the implants of real craniotomies as STL files, which do not say whether they are in
LPS or RAS. The frame is the one in which the implant lies in a hole of the skull.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, index_to_lps_mm, voxel_volume_mm3
from ..errors import SkullImplantError
from ..implant.mesh_mask import mask_of_mesh
from ..implant.meshes import MM3_PER_CM3, arrays_of, enclosed_volume_mm3, mesh_of
from .foreign_implant import RAS_TO_LPS, read_foreign_stl

Floats = NDArray[np.floating]

# Directions are told apart by so much: 4 mm at the vault, so that thin bone is met by its voxels.
BIN_DEG = 3.0
# So much of an implant, seen from the middle of the head, has no bone before or behind it where it
# lies in its hole: its rim may lie on bone. Turned about, it lies on the intact other side.
LEAST_OPEN = 0.5
# So much better the frame must be than the other one.
CLEARLY = 2.0
# So much of its volume a mesh may lose or gain as voxels; an open one, or one that lies partly
# beside the image, does so.
MOST_LOST = 0.1
MOST_POINTS = 400_000  # of bone, for the directions; a skull of 0.4 mm has millions of voxels


def read_expert_implant(path: Path, skull: sitk.Image) -> sitk.Image:
    """Return the implant of an STL file as a mask on the grid of the defective skull (0/1).

    Raises `SkullImplantError` where the file is no STL, or lies in no hole of the skull whether it
    is read as LPS or as RAS, or in holes both ways; where its surface is open, or leaves the image.
    """
    points, triangles = arrays_of(read_foreign_stl(path))
    made = [mask_of_mesh(mesh_of(p, triangles), skull) for p in (points, points * RAS_TO_LPS)]
    lps, ras = (open_share(mask, skull) for mask in made)
    best, other = max(lps, ras), min(lps, ras)
    if best < LEAST_OPEN:
        raise SkullImplantError(
            f"{path.name} lies in no hole of the skull, neither as LPS nor as RAS; check that both "
            "are of one patient and in millimetres."
        )
    if best < CLEARLY * other:
        raise SkullImplantError(
            f"{path.name} lies in a hole of the skull both as LPS and as RAS; write LPS or RAS "
            "into its header (SPACE=RAS)."
        )
    mask = made[0] if lps >= ras else made[1]
    enclosed_mm3 = abs(enclosed_volume_mm3(points, triangles))
    filled_mm3 = int(array_of(mask).sum()) * voxel_volume_mm3(skull)
    if abs(filled_mm3 - enclosed_mm3) > MOST_LOST * enclosed_mm3:
        raise SkullImplantError(
            f"The surface of {path.name} encloses {enclosed_mm3 / MM3_PER_CM3:.1f} cm³ and fills "
            f"{filled_mm3 / MM3_PER_CM3:.1f} cm³ of the image; close it, or crop the image less."
        )
    return mask


def open_share(implant: sitk.Image, skull: sitk.Image) -> float:
    """Return which part of an implant has no bone before or behind it, seen from the middle of the
    skull: masks (0/1) on one grid. 0 where the implant has no voxel.
    """
    bone = _places_mm(skull, MOST_POINTS)
    made = _places_mm(implant, MOST_POINTS)
    if not len(bone) or not len(made):
        return 0.0
    middle = (bone.min(axis=0) + bone.max(axis=0)) / 2.0
    closed = np.unique(_directions(bone - middle))
    return float((~np.isin(_directions(made - middle), closed)).mean())


def _places_mm(mask: sitk.Image, most: int) -> Floats:
    """Return the voxels of a mask as points (n, 3), LPS mm; of many, every so many'th."""
    index = np.argwhere(array_of(mask))
    index = index[:: max(len(index) // most, 1), ::-1]
    frame = index_to_lps_mm(mask)
    places: Floats = index @ frame[:3, :3].T + frame[:3, 3]
    return places


def _directions(vectors: Floats) -> NDArray[np.int64]:
    """Return the number of the direction of each vector (n, 3): equal steps of latitude, and of
    longitude as wide as they.
    """
    length = np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)
    step = np.radians(BIN_DEG)
    latitude = np.floor(np.arcsin(np.clip(vectors[:, 2] / length, -1.0, 1.0)) / step)
    around = np.maximum(np.rint(2 * np.pi * np.cos((latitude + 0.5) * step) / step), 1.0)
    turn = np.arctan2(vectors[:, 1], vectors[:, 0]) / (2 * np.pi) % 1.0
    longitude = np.minimum(np.floor(turn * around), around - 1)
    # Fewer than a thousand steps lie around a parallel.
    numbers: NDArray[np.int64] = (latitude * 1000 + longitude).astype(np.int64)
    return numbers
