"""The bone around an implant: its surface as facets, and how far from it a place is, with a sign.

Only facets near the implant are kept, so that looking is fast. Points are (n, 3), LPS mm.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of
from ..core.interpolation import values_at
from ..implant.bone_surface import BoneSurface
from ..implant.lattice import to_index
from ..implant.mesh_distance import MeshDistance
from ..implant.meshes import facet_middles, facet_vectors
from .plate_surface import FACE_COSINE, PlateSurface, SolidLattice

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

# Bone farther from an implant than this is no neighbour of it: a rim's step and the bone beside it
# are looked at within it.
NEAR_MM = 18.0
SPOTS_A_MM2 = 1.5
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class NearBone:
    """The bone near an implant.

    surface: the whole of it. middles_mm, normals (m, 3), mm2 (m,): its facets near the implant,
    their unit normals (out of the bone) and areas. corners (m, 3): their point numbers.
    """

    surface: BoneSurface
    middles_mm: Floats
    normals: Floats
    mm2: Floats
    corners: NDArray[np.int64]

    @cached_property
    def distance(self) -> MeshDistance:
        """The distance to these facets. Raises `ValueError` where there are none."""
        return MeshDistance(self.surface.points_mm, self.corners)

    @cached_property
    def spots(self) -> NDArray[np.intp]:
        """Numbers (k,) of facets spread evenly over the area, for what needs no more."""
        ends = np.cumsum(self.mm2)
        count = int(ends[-1] * SPOTS_A_MM2) if self.there else 0
        return np.unique(np.searchsorted(ends, (np.arange(count) + 0.5) / SPOTS_A_MM2))

    @property
    def there(self) -> bool:
        """Whether there is bone near the implant at all."""
        return len(self.middles_mm) > 0

    @property
    def spacing_mm(self) -> float:
        """The longest side of a voxel that the bone was seen in."""
        return float(max(self.surface.field.GetSpacing()))

    def within(self, places_mm: Floats) -> Flags:
        """Say which places (n, 3) lie in bone; outside of the image there is none."""
        return self.grey(places_mm) > 0.0

    def grey(self, places_mm: Floats) -> NDArray[np.float32]:
        """Return the bone's field (n,) at places (n, 3), linear between its voxels; positive in
        bone, and -1 beyond the image.
        """
        field = self.surface.field
        index = to_index(field, places_mm)
        inside = np.all((index >= 0) & (index <= np.array(field.GetSize()) - 1), axis=1)
        values = values_at(array_of(field), list(index.T[::-1]))
        return np.where(inside, values, np.float32(-1.0))

    def signed_mm(self, places_mm: Floats, within_mm: float) -> Floats:
        """Return the distances (n,) to bone, less than 0 in it, infinite beyond `within_mm`."""
        return self.signed_nearest(places_mm, within_mm)[0]

    def signed_nearest(self, places_mm: Floats, within_mm: float) -> tuple[Floats, Floats, Floats]:
        """Return as well the closest points and their facets' normals (n, 3); these are of no use
        beyond `within_mm`.
        """
        places = places_mm.astype(np.float64)
        reached = np.isfinite(self.distance.unsigned_mm(places, within_mm))
        away = np.full(len(places_mm), np.inf)
        nearest, normals = np.zeros((2, *places_mm.shape))
        away[reached], nearest[reached], normals[reached] = self.distance.closest(places[reached])
        return np.where(self.within(places_mm), -away, away), nearest, normals


def near_bone(surface: BoneSurface, inside: SolidLattice, near_mm: float = NEAR_MM) -> NearBone:
    """Return the bone's facets near the solid of a lattice."""
    pad = int(np.ceil(near_mm / inside.spacing_mm))
    solid = np.pad(inside.values > 0.5, pad)
    near = np.zeros(solid.shape, bool)
    if solid.any():
        near = ndimage.distance_transform_edt(~solid, inside.spacing_mm) <= near_mm
    corners = surface.points_mm[surface.triangles[:, 0]]
    index = np.rint(inside.index(corners) + pad).astype(np.int64)[:, ::-1]
    chosen = np.all((index >= 0) & (index < near.shape), axis=1)
    chosen[chosen] = near[tuple(index[chosen].T)]
    triangles = surface.triangles[chosen]
    vectors = facet_vectors(surface.points_mm, triangles)
    twice_area = np.linalg.norm(vectors, axis=1)
    return NearBone(
        surface=surface,
        middles_mm=facet_middles(surface.points_mm, triangles),
        normals=vectors / np.maximum(twice_area, TINY)[:, None],
        mm2=twice_area / 2.0,
        corners=triangles,
    )


def bone_beside(
    plate: PlateSurface, bone: NearBone, between_mm: tuple[float, float]
) -> NDArray[np.intp]:
    """Return numbers of facets, spread evenly, of the outer face of the bone around an implant,
    so far from it.
    """
    spots = bone.spots
    away, nearest = plate.tree.query(bone.middles_mm[spots], distance_upper_bound=between_mm[1])
    near = (away >= between_mm[0]) & np.isfinite(away)
    spots, nearest = spots[near], nearest[near]
    looks = np.einsum("ij,ij->i", bone.normals[spots], plate.sheet[nearest])
    return spots[looks > FACE_COSINE]
