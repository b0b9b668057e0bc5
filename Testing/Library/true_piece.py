"""The piece of bone that was cut out, as an implant with a clearance: one that deserves no alarm.

Its surface is that of the bone before the cut, between the voxels; its rim keeps the clearance
from the bone that is left, also along a straight way out.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from vtkmodules.vtkCommonDataModel import vtkPolyData

from SkullImplantLib.core.distances import distance_mm, signed_distance_mm
from SkullImplantLib.core.images import (
    array_of,
    bounding_box,
    crop,
    image_like,
    index_to_lps_mm,
    resample,
)
from SkullImplantLib.core.interpolation import values_at
from SkullImplantLib.implant.bone_distance import BoneDistance
from SkullImplantLib.implant.bone_surface import BoneSurface, bone_surface
from SkullImplantLib.implant.insertion import best_way_in, sample_of, way_out_mm
from SkullImplantLib.implant.lattice import lattice_over, places_of, to_index, values_on
from SkullImplantLib.implant.level_set import closed_surface_at_zero
from SkullImplantLib.implant.meshes import mesh_of
from SkullImplantLib.implant.pieces import main_piece
from SkullImplantLib.implant.tunnels import genus_of
from SkullImplantLib.implant.walls import one_solid, opened

LATTICE_MM, COARSE_MM = 0.5, 1.0
AROUND_MM = 24.0  # as much bone as a design looks at
ROOM_MM = 5.0  # of the lattice around the piece
KERF_MM = 1.5  # the piece reaches so far beyond its mask's voxels
EXACT_MM = 3.0
LEAST_RADIUS_MM = 1.0
SLIVER_MM = np.float32(0.03)
# Half of a wall that is too thin, deeper than any rim's corner; and of one that is not.
THIN_MM, THICK_ENOUGH_MM = 0.45, 1.3
# Radii of the closings that are tried until there is no tunnel.
CLOSED_MM = (0.0, 3.0, 6.0)


@dataclass(frozen=True)
class Cut:
    """A head with a hole: masks (uint8) of its skull and of the piece on one grid; of a CT also
    the CT with the hole and before, and the threshold.
    """

    skull: sitk.Image
    piece: sitk.Image
    ct: sitk.Image | None = None
    ct_before: sitk.Image | None = None
    threshold_hu: float | None = None


class TruePiece:
    """The piece of a `Cut` on a lattice of 0.5 mm, and the bone around it."""

    def __init__(self, cut: Cut) -> None:
        margin = [int(np.ceil(AROUND_MM / s)) for s in cut.skull.GetSpacing()[::-1]]
        box = bounding_box(array_of(cut.piece), (margin[0], margin[1], margin[2]))
        skull, piece = crop(cut.skull, box), crop(cut.piece, box)
        self.ct = None if cut.ct is None else crop(cut.ct, box)
        before = None if cut.ct_before is None else crop(cut.ct_before, box)
        self.bone: BoneSurface = bone_surface(skull, self.ct, cut.threshold_hu)
        whole = bone_surface(sitk.Or(skull, piece), before, cut.threshold_hu)
        coarse = lattice_over(skull, COARSE_MM)
        near = image_like(array_of(distance_mm_image(piece)) <= ROOM_MM, piece)
        self.lattice = lattice_over(crop(skull, bounding_box(array_of(near))), LATTICE_MM)
        to_piece = array_of(resample(distance_mm_image(piece), self.lattice, outside=ROOM_MM))
        where = to_piece < ROOM_MM - 1.0
        self.away = _distance(self.bone, self.lattice, where)
        self.far = _distance(self.bone, coarse)
        before = -_distance(whole, self.lattice, where).values_mm
        self.places = places_of(self.lattice, np.argwhere(np.ones(before.shape, bool)))
        self.depth = np.minimum(before, KERF_MM - to_piece).astype(np.float32)
        self._after_normal()
        self.depth = self._made_solid(self.depth)
        self.completed = image_like(np.maximum(before, self.depth), self.lattice)

    def _made_solid(self, depth: np.ndarray) -> np.ndarray:
        """The depth of the piece as a solid without thin bone, cavities and tunnels, of which an
        implant has none: thickened, and closed as far as it needs to be.
        """
        depth = _thickened(depth)
        for radius_mm in CLOSED_MM:
            closed = _closed(depth, radius_mm)
            self.depth = closed
            if genus_of(self.field()) == 0:
                break
        return closed

    def _after_normal(self) -> None:
        within = self.places[(self.depth > 0.0).ravel()]
        self.middle = within.mean(axis=0)
        self.sphere_middle = _sphere_middle(within)
        normal = self.middle - self.sphere_middle
        self.normal = normal / np.linalg.norm(normal)

    def depth_at(self, places: np.ndarray) -> np.ndarray:
        """The depth in the piece at LPS points (n, 3), mm."""
        index = to_index(self.lattice, places)
        return values_at(self.depth, list(index.T[::-1]))

    def field(
        self,
        depth: np.ndarray | None = None,
        clearance_mm: float = 0.5,
        goes_in: bool = True,
        solid: bool = False,
    ) -> np.ndarray:
        """The implant's field (z, y, x) of a depth: with its clearance, in one piece, opened; and
        where it shall be `solid`, without the tunnels that are left then.
        """
        depth = self.depth if depth is None else depth
        field = np.minimum(depth, self.away.values_mm - clearance_mm).astype(np.float32)
        if goes_in:
            direction = self.direction
            some = field.ravel() > -1.0
            way = way_out_mm(
                [self.away, self.far], self.places[some], direction, clearance_mm - 1.0
            )
            flat = field.ravel()
            flat[some] = np.minimum(flat[some], way - clearance_mm)
            field = flat.reshape(field.shape)
        core = field > 1.0
        field = main_piece(field, core)
        if solid:
            return one_solid(field, field, LATTICE_MM, 2.0 * LEAST_RADIUS_MM, core)
        return main_piece(opened(field, LATTICE_MM, LEAST_RADIUS_MM), core)

    @property
    def direction(self) -> np.ndarray:
        """The unit vector along which the piece comes out best."""
        if not hasattr(self, "_direction"):
            field = np.minimum(self.depth, self.away.values_mm - 0.5).ravel()
            places = self.places[field > 0.0]
            sample = sample_of(places, self.far.at(places))
            self._direction = best_way_in([self.far], sample, self.normal, 0.5).direction
        return self._direction

    def mesh(self, field: np.ndarray) -> vtkPolyData:
        """The surface of a field on the lattice, LPS mm, facets turned outward."""
        # Nowhere so near to a lattice point that facets become slivers.
        apart = np.where(np.abs(field) < SLIVER_MM, np.copysign(SLIVER_MM, field), field)
        points, triangles = closed_surface_at_zero(apart)
        frame = index_to_lps_mm(self.lattice)
        if np.linalg.det(frame[:3, :3]) < 0:
            triangles = triangles[:, ::-1]
        return mesh_of(points @ frame[:3, :3].T + frame[:3, 3], triangles)


def _distance(
    surface: BoneSurface, lattice: sitk.Image, where: np.ndarray | None = None
) -> BoneDistance:
    """The signed distance to bone on a lattice, exact near bone (and `where`)."""
    inside = values_on(surface.field, lattice, outside=-1.0) > 0.0
    half = np.float32(min(lattice.GetSpacing()) / 2.0)
    values = signed_distance_mm(image_like(inside, lattice)) + np.where(inside, half, -half)
    near = np.abs(values) < EXACT_MM
    if where is not None:
        near &= where
    away = surface.distance().unsigned_mm(places_of(lattice, np.argwhere(near)))
    values[near] = np.where(inside[near], -away, away)
    return BoneDistance(image_like(values.astype(np.float32), lattice))


def _thickened(depth: np.ndarray) -> np.ndarray:
    """The depth, where bone is thinner than an implant may be, as thick as that must be."""
    lost = (opened(depth, LATTICE_MM, LEAST_RADIUS_MM) <= 0.0) & (depth > THIN_MM)
    if not lost.any():
        return depth
    away = ndimage.distance_transform_edt(~lost, LATTICE_MM)
    return np.maximum(depth, THICK_ENOUGH_MM - away).astype(np.float32)


def _closed(depth: np.ndarray, radius_mm: float) -> np.ndarray:
    """The depth with cavities filled, and what a ball of a radius outside does not reach."""
    solid = ndimage.binary_fill_holes(depth > 0.0)
    if radius_mm > 0.0:
        near = ndimage.distance_transform_edt(~solid, LATTICE_MM) <= radius_mm
        solid = ndimage.distance_transform_edt(np.pad(near, 1), LATTICE_MM)[1:-1, 1:-1, 1:-1]
        solid = ndimage.binary_fill_holes((solid > radius_mm) | (depth > 0.0))
    # New surfaces are smooth, and a little within, so that those of the bone stay as they are.
    signed = ndimage.distance_transform_edt(solid, LATTICE_MM)
    signed -= ndimage.distance_transform_edt(~solid, LATTICE_MM)
    return np.maximum(depth, ndimage.gaussian_filter(signed, 1.0) - LATTICE_MM).astype(np.float32)


def _sphere_middle(places: np.ndarray) -> np.ndarray:
    """The middle of the sphere that lies best in points (n, 3): |p|² = 2 c.p + rest."""
    local = places - places.mean(axis=0)
    terms = np.column_stack([2.0 * local, np.ones(len(local))])
    middle = np.linalg.lstsq(terms, (local**2).sum(axis=1), rcond=None)[0][:3]
    return middle + places.mean(axis=0)


def distance_mm_image(mask: sitk.Image) -> sitk.Image:
    """The distance to a mask as an image, mm."""
    return image_like(distance_mm(mask), mask)
