"""The surface of an implant as points: which of them lie on its outer and inner face, and which on
the walls of its rim.

Which way the sheet lies is told locally, as a brow bends by 90 degrees: across the sheet is where
the solid nearby is thinnest. Points are (n, 3), LPS mm.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.interpolation import values_at
from ..implant.mesh_distance import MeshDistance
from ..implant.mesh_mask import scanned
from ..implant.meshes import arrays_of, facet_middles, facet_vectors

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

# Points on a square millimetre, and at most so many in all; an implant has up to 350 cm².
SAMPLES_A_MM2, MOST_SAMPLES, LEAST_SAMPLES = 2.5, 40_000, 2_000
# The solid is looked at on this lattice, and its sheet within a Gaussian of this width: more than
# half of a skull's thickness, less than its radius.
LATTICE_MM, SHEET_SIGMA_MM = 1.5, 8.0
# So many places of the lattice at most; a mesh in micrometres would have more.
MOST_PLACES = 20_000_000
# What is turned farther from the sheet's normal than this is wall, not face.
FACE_COSINE = float(np.cos(np.radians(45.0)))


@dataclass(frozen=True, eq=False)
class PlateSurface:
    """An implant's surface.

    points_mm (p, 3), triangles (t, 3): the mesh. places_mm, normals (n, 3): points drawn evenly,
    and their facets' unit normals. mm2: the area that each stands for. sheet (n, 3): unit normals
    of the sheet there, out of the head. heights_mm (n,): over the sheet's middle nearby.
    """

    points_mm: Floats
    triangles: NDArray[np.int64]
    places_mm: Floats
    normals: Floats
    mm2: float
    sheet: Floats
    heights_mm: Floats
    inside: "SolidLattice"

    @cached_property
    def outer(self) -> Flags:
        """Which places (n,) lie on the outer face."""
        return np.asarray(self._turned >= FACE_COSINE)

    @cached_property
    def inner(self) -> Flags:
        """Which places (n,) lie on the inner face."""
        return np.asarray(self._turned <= -FACE_COSINE)

    @cached_property
    def walls(self) -> Flags:
        """Which places (n,) lie on the walls of the rim."""
        return ~self.outer & ~self.inner

    @cached_property
    def outer_facets(self) -> Flags:
        """Which facets (t,) of the mesh lie on the outer face."""
        vectors = facet_vectors(self.points_mm, self.triangles)
        length = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(float).tiny)
        _, nearest = self.tree.query(facet_middles(self.points_mm, self.triangles))
        turned = np.einsum("ij,ij->i", vectors, self.sheet[nearest]) / length
        return np.asarray(turned >= FACE_COSINE)

    @cached_property
    def _turned(self) -> Floats:
        return np.asarray(np.einsum("ij,ij->i", self.normals, self.sheet))

    @cached_property
    def distance(self) -> MeshDistance:
        """The distance to the implant's surface, ready to be asked."""
        return MeshDistance(np.asarray(self.points_mm, np.float64), self.triangles)

    @cached_property
    def tree(self) -> cKDTree:
        """A k-d tree of the places."""
        return cKDTree(self.places_mm)

    @property
    def normal(self) -> Floats:
        """The sheet's mean unit normal, out of the head."""
        mean = self.sheet.mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9))

    @property
    def area_mm2(self) -> float:
        """The area of the mesh."""
        return self.mm2 * len(self.places_mm)


@dataclass(frozen=True, eq=False)
class SolidLattice:
    """Which places of a lattice along LPS lie in a closed mesh.

    origin_mm (3,): its first place. values: float32 (z, y, x), 1 in the solid.
    """

    origin_mm: Floats
    spacing_mm: float
    values: NDArray[np.float32]

    @property
    def places_mm(self) -> Floats:
        """The places in the solid, (n, 3)."""
        return np.argwhere(self.values > 0.5)[:, ::-1] * self.spacing_mm + self.origin_mm

    def index(self, places_mm: Floats) -> Floats:
        """Return LPS points (n, 3) as indices (n, 3; x, y, z)."""
        return np.asarray((places_mm - self.origin_mm) / self.spacing_mm)


def solid_lattice(
    mesh: vtkPolyData, low_mm: Floats, high_mm: Floats, spacing_mm: float
) -> SolidLattice:
    """Return which places between two corners lie in `mesh`."""
    last = np.ceil((high_mm - low_mm) / spacing_mm).astype(int)
    values = scanned(mesh, np.zeros_like(last), last, low_mm.tolist(), spacing_mm)
    return SolidLattice(np.asarray(low_mm, float), spacing_mm, values.astype(np.float32))


def plate_surface(mesh: vtkPolyData, within_head_mm: Floats) -> PlateSurface:
    """Return the surface of `mesh` (closed, LPS mm) as points.

    within_head_mm (3,): any place well within the head, from which the sheet looks outward.
    Raises `ValueError` where the mesh has no triangles, or no area.
    """
    points, triangles = arrays_of(mesh)
    places, normals, mm2 = drawn_evenly(points, triangles)
    low, high = points.min(axis=0), points.max(axis=0)
    spacing = max(LATTICE_MM, float((np.prod(high - low) / MOST_PLACES) ** (1.0 / 3.0)))
    inside = solid_lattice(mesh, low - spacing, high + spacing, spacing)
    sheet, heights = _sheet(inside, places)
    inward = np.einsum("ij,ij->i", places - within_head_mm, sheet) < 0.0
    sheet[inward] *= -1.0
    heights[inward] *= -1.0
    return PlateSurface(points, triangles, places, normals, mm2, sheet, heights, inside)


def drawn_evenly(points_mm: Floats, triangles: NDArray[np.int64]) -> tuple[Floats, Floats, float]:
    """Return places (n, 3) drawn evenly over a mesh, their facets' unit normals (n, 3), and the
    area in mm² that each stands for. The same mesh gives the same places.

    Raises `ValueError` where the mesh has no area.
    """
    vectors = facet_vectors(points_mm, triangles)
    twice_area = np.linalg.norm(vectors, axis=1)
    area = float(twice_area.sum()) / 2.0
    if not area > 0.0:
        raise ValueError("the mesh has no area")
    count = int(np.clip(area * SAMPLES_A_MM2, LEAST_SAMPLES, MOST_SAMPLES))
    # One place somewhere in each of equal parts of the facets' summed areas. At its middle it would
    # be at the same place of each row of a lattice's facets, and there would be none between.
    u, v, within = np.random.default_rng(0).random((3, count))
    ends = np.cumsum(twice_area)
    facet = np.searchsorted(ends, (np.arange(count) + within) * (ends[-1] / count))
    facet = np.minimum(facet, len(triangles) - 1)
    beyond = u + v > 1.0
    u, v = np.where(beyond, 1.0 - u, u), np.where(beyond, 1.0 - v, v)
    a, b, c = (points_mm[triangles[facet, k]] for k in range(3))
    places = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    return places, vectors[facet] / twice_area[facet, None], area / count


def _sheet(inside: SolidLattice, places_mm: Floats) -> tuple[Floats, Floats]:
    """Return unit vectors (n, 3) across the sheet, of either sign, and the heights (n,) of the
    places over the sheet's middle, mm along them.

    The solid nearby, weighted by a Gaussian, spreads least across the sheet.
    """
    sigma = SHEET_SIGMA_MM / inside.spacing_mm
    pad = int(np.ceil(2.0 * sigma))
    share = np.pad(inside.values, pad)
    axes = [
        ((np.arange(n) - pad) * inside.spacing_mm).astype(np.float32) for n in share.shape
    ]  # z, y, x
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    along = (x, y, z)
    index = list((inside.index(places_mm) + pad)[:, ::-1].T)

    def nearby(values: NDArray[np.float32]) -> Floats:
        blurred = ndimage.gaussian_filter(values, sigma, mode="constant", truncate=2.0)
        return values_at(blurred, index).astype(np.float64)

    weight = np.maximum(nearby(share), 1e-6)
    mean = np.stack([nearby(share * axis) / weight for axis in along], axis=1)
    spread = np.empty((len(places_mm), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            second = nearby(share * along[i] * along[j]) / weight
            spread[:, i, j] = spread[:, j, i] = second - mean[:, i] * mean[:, j]
    normal = np.linalg.eigh(spread)[1][:, :, 0]
    heights = np.einsum("ij,ij->i", places_mm - inside.origin_mm - mean, normal)
    return normal, heights
