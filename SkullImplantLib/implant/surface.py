"""Mask to watertight triangle mesh: one closed, oriented 2-manifold in LPS millimetres.

Marching cubes with VTK's case table (flying edges, Schroeder 2015) gives a closed 2-manifold for
every mask: where voxels inside meet only along an edge or at a corner it parts them. Every further
step keeps that topology: points are moved, not joined. How far they move is bounded by the voxel:
the true surface crosses somewhere between the voxel inside and the voxel outside, so half a voxel
each way is what the mask cannot know, and smoothing stays within it.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import reference
from vtkmodules.vtkCommonDataModel import (
    vtkGenericCell,
    vtkImageData,
    vtkPolyData,
    vtkStaticCellLocator,
)
from vtkmodules.vtkFiltersCore import (
    vtkFlyingEdges3D,
    vtkQuadricDecimation,
    vtkWindowedSincPolyDataFilter,
)

from ..core import images
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from .meshes import (
    arrays_of,
    enclosed_volume_mm3,
    facet_heights,
    facet_vectors,
    mesh_health,
    mesh_of,
)


@dataclass(frozen=True)
class SurfaceOptions:
    """How a mask becomes a mesh."""

    level: float = 0.5
    """Where inside ends: a voxel above it is inside. Masks are 0/1."""
    pass_band: float = 0.007
    """Frequencies of the mesh, 0 to 2, above this are smoothed away; the stairs of voxels are."""
    max_deviation_voxels: float = 0.45
    """How far a point may move along each image axis; under 0.5 a wall of one voxel stays one."""
    max_deviation_mm: float | None = None
    """A further limit on the distance a point may move, in any direction."""
    pieces: int | None = 1
    """How many of the largest pieces are kept; None keeps all."""
    fill_cavities: bool = True
    """Whether enclosed voids are filled; they would be inner shells that no printer can reach."""
    max_triangles: int | None = 200_000
    """Above this the mesh is thinned, where that keeps it sound and within the next bound."""
    thinning_error_mm: float = 0.05
    """How far thinning may move the surface; a tenth of a rim's clearance."""


# A facet lower than this share of the smallest voxel side is a sliver, and is given back its shape.
SLIVER_SHARE = 0.02
# Smoothing turns a facet off the grid's stair by up to 55 degrees; beyond 80 it is folding over.
FOLD_COSINE = 0.17
# Under this share of its way a point goes back to where marching cubes put it, which is sound.
LEAST_SHARE = 0.1
# Degree of the filter's polynomial times the root of its pass band: how sharply it cuts.
SINC_SHARPNESS = 4.0
# Rounds of even offset that match the volume; each leaves a few per cent of the difference.
VOLUME_ROUNDS = 3
# A thinning that does harm is tried again with so many times the triangles.
THINNING_STEP = 1.5
# Points at which the harm done by thinning is measured: enough to meet every square millimetre.
THINNING_PROBES = 50_000
# Interpolated crossings keep this share of the way from the voxels' centres, so no facet vanishes.
CROSSING_MARGIN = 0.1


def surface_of(
    mask: sitk.Image, options: SurfaceOptions = SurfaceOptions(), progress: Progress = silent
) -> vtkPolyData:
    """Return the boundary of `mask` as a closed mesh in LPS mm, its facets turned outward.

    `mask` is a uint8 mask, or a float image whose inside lies above `options.level`; points are
    then placed by interpolation. Any spacing, direction and handedness. The mesh's volume is
    matched to the mask's by an even offset along the normals, within the same bounds as smoothing.
    Raises `SkullImplantError` where the mask is empty.
    """
    values = images.array_of(mask)
    inside = values > options.level
    if not inside.any():
        raise SkullImplantError(
            "There is nothing to make a surface of: the mask is empty; check the input."
        )
    box = images.bounding_box(inside, margin=1)  # the field just outside places the crossings
    # One voxel of outside all around closes the surface where the mask meets the image's border.
    inside = np.pad(inside[box], 1)
    corner_xyz = np.array([s.start - 1 for s in box[::-1]], float)
    inside = _cleaned(inside, options)
    progress(0.2, "making the surface")

    cubes, triangles = _marching_cubes(inside)
    if values.dtype.kind == "f":
        field = np.pad(values[box], 1, constant_values=float(values.min()))
        cubes = _interpolated(cubes, field, options.level)
        volume_mm3 = enclosed_volume_mm3(cubes, triangles) * images.voxel_volume_mm3(mask)
    else:
        volume_mm3 = float(np.count_nonzero(inside)) * images.voxel_volume_mm3(mask)
    spacing = np.asarray(mask.GetSpacing())
    progress(0.4, "smoothing the surface")
    points = _smoothed(cubes * spacing, triangles, spacing, volume_mm3, options)
    progress(0.7, "thinning the surface")

    frame = images.index_to_lps_mm(mask)
    points = (points / spacing + corner_xyz) @ frame[:3, :3].T + frame[:3, 3]
    if np.linalg.det(frame[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    mesh = mesh_of(points, triangles)
    if options.max_triangles is not None and len(triangles) > options.max_triangles:
        mesh = _thinned(mesh, options)
    progress(1.0, "")
    return mesh


def _cleaned(inside: np.ndarray, options: SurfaceOptions) -> np.ndarray:
    """Return the padded mask (z, y, x), its largest pieces kept and its voids filled.

    Face neighbours make a piece, because that is what `_marching_cubes` joins; and what outside
    is not reached through faces is filled, so that no inner shell remains.
    """
    image = sitk.GetImageFromArray(inside.view(np.uint8))
    if options.pieces is not None:
        labels = sitk.RelabelComponent(sitk.ConnectedComponent(image), sortByObjectSize=True)
        image = sitk.BinaryThreshold(labels, 1, options.pieces)
    if options.fill_cavities:
        image = sitk.BinaryFillhole(image, fullyConnected=False)
    return sitk.GetArrayFromImage(image).view(bool)


def _marching_cubes(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (n, 3) in index coordinates (x, y, z) and the triangles of a mask.

    The points lie halfway between a voxel inside and one outside; the facets look outward where
    the axes are right-handed.
    """
    image = vtkImageData()
    image.SetDimensions(*inside.shape[::-1])
    # Negated, because VTK turns facets towards higher values.
    voxels = np.ascontiguousarray(inside, np.uint8).reshape(-1)
    image.GetPointData().SetScalars(numpy_to_vtk(voxels, deep=False))
    cubes = vtkFlyingEdges3D()
    cubes.SetInputData(image)
    cubes.SetValue(0, 0.5)
    cubes.ComputeNormalsOff()
    cubes.ComputeGradientsOff()
    cubes.InterpolateAttributesOff()
    cubes.Update()
    points, triangles = arrays_of(cubes.GetOutput())
    if enclosed_volume_mm3(points, triangles) < 0:
        triangles = triangles[:, ::-1]
    return points, triangles


def _interpolated(points: np.ndarray, field: np.ndarray, level: float) -> np.ndarray:
    """Return the points (index coordinates, half way) moved to where `field` crosses `level`."""
    low = np.floor(points).astype(np.int64)
    high = np.ceil(points).astype(np.int64)
    below, above = (field[tuple(end[:, ::-1].T)].astype(np.float64) for end in (low, high))
    share = (level - below) / np.where(above == below, 1.0, above - below)
    share = np.clip(share, CROSSING_MARGIN, 1.0 - CROSSING_MARGIN)
    return np.asarray(low + share[:, None] * (high - low))


def _smoothed(
    start: np.ndarray,
    triangles: np.ndarray,
    spacing_mm: np.ndarray,
    volume_mm3: float,
    options: SurfaceOptions,
) -> np.ndarray:
    """Return the points (n, 3), mm along the image axes, smoothed within the options' bounds."""
    # The stairs of long voxels are longer, but only along one side: as the mean of the sides.
    pass_band = options.pass_band * np.sqrt(spacing_mm.min() / spacing_mm.max())
    smooth = _windowed_sinc(start, triangles, pass_band)
    moved = _bounded(smooth - start, spacing_mm, options)
    for _ in range(VOLUME_ROUNDS):
        points = start + moved
        normals, area_mm2 = _point_normals(points, triangles)
        offset_mm = (volume_mm3 - enclosed_volume_mm3(points, triangles)) / area_mm2
        moved = _bounded(moved + offset_mm * normals, spacing_mm, options)
    return np.asarray(start + _unfolded(start, moved, triangles, SLIVER_SHARE * spacing_mm.min()))


def _windowed_sinc(points: np.ndarray, triangles: np.ndarray, pass_band: float) -> np.ndarray:
    """Return the points (n, 3) after the low-pass filter of Taubin (1996), windowed."""
    sinc = vtkWindowedSincPolyDataFilter()
    sinc.SetInputData(mesh_of(points, triangles))
    sinc.SetPassBand(pass_band)
    sinc.SetNumberOfIterations(round(SINC_SHARPNESS / np.sqrt(pass_band)))
    sinc.NormalizeCoordinatesOn()
    sinc.BoundarySmoothingOff()
    sinc.FeatureEdgeSmoothingOff()
    sinc.Update()
    return arrays_of(sinc.GetOutput())[0]


def _bounded(moved: np.ndarray, spacing_mm: np.ndarray, options: SurfaceOptions) -> np.ndarray:
    """Return the displacements (n, 3) cut to the options' bounds."""
    reach = options.max_deviation_voxels * spacing_mm
    moved = np.clip(moved, -reach, reach)
    if options.max_deviation_mm is not None:
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        moved = moved * np.minimum(1.0, options.max_deviation_mm / np.maximum(length, 1e-12))
    return moved


def _point_normals(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the unit normal of each point, weighted by facet area, and the whole area (mm²)."""
    facets = facet_vectors(points, triangles)
    normals = np.empty_like(points)
    for axis in range(3):
        weights = np.repeat(facets[:, axis], 3)
        normals[:, axis] = np.bincount(triangles.ravel(), weights, minlength=len(points))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    area_mm2 = float(np.linalg.norm(facets, axis=1).sum()) / 2.0
    return normals / np.maximum(length, 1e-12), area_mm2


def _unfolded(
    start: np.ndarray, moved: np.ndarray, triangles: np.ndarray, least_height_mm: float
) -> np.ndarray:
    """Return the displacements, shortened at facets that they turn into slivers or fold over."""
    share = np.ones(len(start))
    before = facet_vectors(start, triangles)
    before /= np.linalg.norm(before, axis=1, keepdims=True)
    while True:
        points = start + share[:, None] * moved
        after = facet_vectors(points, triangles)
        cosine = np.einsum("ij,ij->i", before, after)
        bad = cosine < FOLD_COSINE * np.linalg.norm(after, axis=1)
        bad |= facet_heights(points, triangles) < least_height_mm
        touched = np.unique(triangles[bad])
        touched = touched[share[touched] > 0]
        if touched.size == 0:
            return np.asarray(share[:, None] * moved)
        share[touched] *= 0.5
        share[share < LEAST_SHARE] = 0.0


def _thinned(mesh: vtkPolyData, options: SurfaceOptions) -> vtkPolyData:
    """Return `mesh` with `options.max_triangles`, or as few more as keep it sound.

    Quadric error collapse (Garland and Heckbert 1997) merges flat stretches first. It promises
    neither topology nor a bound, so both are measured on its result.
    """
    assert options.max_triangles is not None
    count, before = options.max_triangles, mesh_health(mesh)
    while count < before.triangles:
        thinner = vtkQuadricDecimation()
        thinner.SetInputData(mesh)
        thinner.SetTargetReduction(1.0 - count / before.triangles)
        thinner.VolumePreservationOn()
        thinner.Update()
        thin = mesh_of(*arrays_of(thinner.GetOutput()))
        after = mesh_health(thin)
        same = (after.pieces, after.genus) == (before.pieces, before.genus)
        sound = after.watertight and after.degenerate == 0
        if same and sound and _furthest_mm(mesh, thin) <= options.thinning_error_mm:
            return thin
        count = round(count * THINNING_STEP)
    return mesh


def _furthest_mm(mesh: vtkPolyData, other: vtkPolyData) -> float:
    """Return the largest distance of the points of `mesh`, or many of them, from `other` (mm)."""
    locator = vtkStaticCellLocator()
    locator.SetDataSet(other)
    locator.BuildLocator()
    nearest, cell = [0.0, 0.0, 0.0], vtkGenericCell()
    number, part, squared = reference(0), reference(0), reference(0.0)
    points = arrays_of(mesh)[0]
    furthest = 0.0
    for point in points[:: 1 + len(points) // THINNING_PROBES].tolist():
        locator.FindClosestPoint(point, nearest, cell, number, part, squared)
        furthest = max(furthest, squared.get())
    return float(np.sqrt(furthest))
