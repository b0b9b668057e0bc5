"""Meshes made of masks: closed, outward, true to the mask, whatever the grid."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SkullImplantLib.core import images
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.implant.meshes import (
    MeshHealth,
    arrays_of,
    facet_vectors,
    mesh_health,
    mesh_of,
)
from SkullImplantLib.implant.surface import SurfaceOptions, surface_of

PLAIN = SurfaceOptions(max_triangles=None)


def grid(size_mm: float, spacing_mm, direction=None) -> sitk.Image:
    """An empty cube of about `size_mm` with its centre at (30, -200, 150) mm."""
    direction = np.eye(3) if direction is None else direction
    image = sitk.Image([round(size_mm / s) for s in spacing_mm], sitk.sitkUInt8)
    image.SetSpacing([float(s) for s in spacing_mm])
    image.SetDirection(direction.ravel().tolist())
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    image.SetOrigin((np.array([30.0, -200.0, 150.0]) - np.array(middle)).tolist())
    return image


def points_of(image: sitk.Image) -> np.ndarray:
    """The voxels' centres from the image's middle, (z, y, x, 3), mm."""
    index = np.stack(np.meshgrid(*map(np.arange, image.GetSize()[::-1]), indexing="ij")[::-1], -1)
    frame = images.index_to_lps_mm(image)
    return index @ frame[:3, :3].T + frame[:3, 3] - [30.0, -200.0, 150.0]


def ball(p: np.ndarray) -> np.ndarray:
    return np.linalg.norm(p, axis=-1) - 15.0


def torus(p: np.ndarray) -> np.ndarray:
    return np.hypot(np.hypot(p[..., 0], p[..., 1]) - 13.0, p[..., 2]) - 5.0


def cap(p: np.ndarray) -> np.ndarray:
    """A bowl 4 mm thick, like a piece of the vault."""
    shell = np.abs(np.linalg.norm(p - np.array([0, 0, -60.0]), axis=-1) - 62.0) - 2.0
    return np.maximum(shell, np.hypot(p[..., 0], p[..., 1]) - 18.0)


def plate(p: np.ndarray) -> np.ndarray:
    """A disc 3 mm thick, at a slant to the axes."""
    q = p @ Rotation.from_euler("xy", [17, 9], degrees=True).as_matrix()
    return np.maximum(np.abs(q[..., 2]) - 1.5, np.hypot(q[..., 0], q[..., 1]) - 17.0)


SOLIDS = {"ball": (ball, 0), "torus": (torus, 1), "cap": (cap, 0), "plate": (plate, 0)}
SPACINGS = [(0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (0.5, 0.5, 2.0), (0.7, 1.3, 0.9)]


def assert_printable(health: MeshHealth, genus: int | None = None) -> None:
    assert health.watertight, health
    assert health.degenerate == 0
    assert health.pieces == 1
    if genus is not None:
        assert health.genus == genus


def mask_volume_cm3(mask: sitk.Image) -> float:
    return np.count_nonzero(images.array_of(mask)) * images.voxel_volume_mm3(mask) / 1000.0


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", SOLIDS)
@pytest.mark.parametrize("handed", [1, -1])
def test_solids_are_printable_and_keep_their_volume(name, spacing, handed):
    solid, genus = SOLIDS[name]
    direction = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    direction[:, 1] *= handed
    empty = grid(46.0, spacing, direction)
    mask = images.image_like(solid(points_of(empty)) < 0, empty)
    mesh = surface_of(mask, PLAIN)
    health = mesh_health(mesh)
    assert_printable(health, genus)
    assert health.volume_cm3 == pytest.approx(mask_volume_cm3(mask), rel=0.005)
    # The surface lies where the solid's does, to within what the voxels can tell.
    points = arrays_of(mesh)[0] - [30.0, -200.0, 150.0]
    away = np.abs(solid(points))
    assert away.max() <= np.linalg.norm(spacing)
    assert np.sqrt((away**2).mean()) <= 0.25 * max(spacing)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    fraction=st.floats(0.02, 0.9),
    blur=st.floats(0.0, 2.5),
    spacing=st.tuples(*[st.floats(0.3, 2.5)] * 3),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    handed=st.sampled_from([1.0, -1.0]),
)
def test_any_mask_gives_a_printable_mesh(seed, fraction, blur, spacing, angles, handed):
    noise = np.random.default_rng(seed).normal(size=(14, 17, 15))
    noise = ndimage.gaussian_filter(noise, blur) if blur > 0 else noise
    mask = sitk.GetImageFromArray((noise > np.quantile(noise, 1 - fraction)).astype(np.uint8))
    mask.SetSpacing(spacing)
    mask.SetOrigin((-250.0, 180.0, 900.0))
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    direction[:, 2] *= handed
    mask.SetDirection(direction.ravel().tolist())
    assert_printable(mesh_health(surface_of(mask, PLAIN)))


def test_normals_of_a_digitised_ball_are_smooth():
    empty = grid(40.0, (0.5, 0.5, 0.5))
    mesh = surface_of(images.image_like(ball(points_of(empty)) < 0, empty), PLAIN)
    points, triangles = arrays_of(mesh)
    facets = facet_vectors(points, triangles)
    outward = points[triangles].mean(axis=1) - [30.0, -200.0, 150.0]
    cosine = np.einsum("ij,ij->i", facets, outward)
    cosine /= np.linalg.norm(facets, axis=1) * np.linalg.norm(outward, axis=1)
    # Unsmoothed marching cubes of a mask is off by 20 degrees.
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).mean() < 2.0


@pytest.mark.parametrize(("spacing", "rms_mm"), [((0.5, 0.5, 0.5), 0.04), ((0.5, 0.5, 2.0), 0.07)])
def test_a_piece_of_a_vault_has_no_terraces(spacing, rms_mm):
    """Where a slightly curved surface is nearly parallel to the slices its stairs are long."""
    radius_mm, half_thickness_mm = 75.0, 2.5
    empty = grid(56.0, spacing)
    p = points_of(empty) + [radius_mm, 0.0, 0.0]
    shell = np.abs(np.linalg.norm(p, axis=-1) - radius_mm) - half_thickness_mm
    piece = np.maximum(shell, np.hypot(p[..., 1], p[..., 2]) - 25.0)
    mesh = surface_of(images.image_like(piece < 0, empty), PLAIN)
    points = arrays_of(mesh)[0] - [30.0, -200.0, 150.0] + [radius_mm, 0.0, 0.0]
    away = np.linalg.norm(points[np.hypot(points[:, 1], points[:, 2]) < 18.0], axis=1) - radius_mm
    assert np.sqrt(((np.abs(away) - half_thickness_mm) ** 2).mean()) < rms_mm


@pytest.mark.parametrize("limit_mm", [0.0, 0.1, 0.3])
def test_no_point_moves_further_than_the_tolerance(limit_mm):
    empty = grid(46.0, (0.7, 1.3, 0.9))
    mask = images.image_like(cap(points_of(empty)) < 0, empty)
    still = dataclasses.replace(PLAIN, max_deviation_mm=0.0)
    start = arrays_of(surface_of(mask, still))[0]
    moved = arrays_of(surface_of(mask, dataclasses.replace(PLAIN, max_deviation_mm=limit_mm)))[0]
    assert np.linalg.norm(moved - start, axis=1).max() <= limit_mm + 1e-4
    free = arrays_of(surface_of(mask, PLAIN))[0]
    assert (np.abs(free - start) <= 0.45 * np.array([0.7, 1.3, 0.9]) + 1e-4).all()


def test_a_mask_that_fills_the_image_is_closed_at_the_border():
    mask = sitk.GetImageFromArray(np.ones((8, 9, 10), np.uint8))
    health = mesh_health(surface_of(mask))
    assert_printable(health, 0)
    assert health.volume_cm3 == pytest.approx(0.72, rel=0.02)


def test_one_voxel_is_a_solid():
    mask = sitk.Image(5, 5, 5, sitk.sitkUInt8)
    mask[2, 2, 2] = 1
    assert_printable(mesh_health(surface_of(mask)), 0)


def test_the_largest_piece_is_kept_and_voids_are_filled():
    empty = grid(60.0, (1.0, 1.0, 1.0))
    p = points_of(empty)
    whole = ball(p) < 0
    hollow = whole & (np.linalg.norm(p - [3, 0, 0], axis=-1) > 6)
    crumb = np.linalg.norm(p - [0, 22, 0], axis=-1) < 3
    mask = images.image_like(hollow | crumb, empty)
    health = mesh_health(surface_of(mask, PLAIN))
    assert_printable(health, 0)
    assert health.volume_cm3 == pytest.approx(whole.sum() / 1000.0, rel=0.01)
    both = mesh_health(surface_of(mask, dataclasses.replace(PLAIN, pieces=None)))
    assert both.pieces == 2 and both.watertight
    shells = dataclasses.replace(PLAIN, pieces=1, fill_cavities=False)
    assert mesh_health(surface_of(mask, shells)).pieces == 2


def test_a_float_field_places_the_surface_between_the_voxels():
    empty = grid(46.0, (1.5, 1.5, 1.5))
    depth = (-ball(points_of(empty))).astype(np.float32)
    mesh = surface_of(images.image_like(depth, empty), dataclasses.replace(PLAIN, level=0.0))
    away = ball(arrays_of(mesh)[0] - [30.0, -200.0, 150.0])
    assert_printable(mesh_health(mesh), 0)
    assert np.sqrt((away**2).mean()) < 0.1  # a fifteenth of the voxel; of a mask it is a quarter


def test_thinning_keeps_the_solid_and_its_bound():
    empty = grid(46.0, (0.6, 0.6, 0.6))
    mask = images.image_like(torus(points_of(empty)) < 0, empty)
    whole = surface_of(mask, PLAIN)
    full = mesh_health(whole)
    for wanted, error_mm in ((4000, 0.05), (4000, 0.004)):
        options = SurfaceOptions(max_triangles=wanted, thinning_error_mm=error_mm)
        thin = surface_of(mask, options)
        health = mesh_health(thin)
        assert_printable(health, 1)
        assert health.volume_cm3 == pytest.approx(full.volume_cm3, rel=0.002)
        distance = vtk.vtkImplicitPolyDataDistance()
        distance.SetInput(thin)
        away = [abs(distance.EvaluateFunction(p)) for p in arrays_of(whole)[0][::7]]
        assert max(away) <= error_mm + 1e-4
        if error_mm == 0.05:
            assert health.triangles <= wanted < full.triangles / 4
        else:  # a bound that cannot be met with so few takes more
            assert wanted < health.triangles < full.triangles


def test_an_empty_mask_is_a_named_error():
    with pytest.raises(SkullImplantError, match="mask is empty"):
        surface_of(sitk.Image(6, 6, 6, sitk.sitkUInt8))


def test_the_same_mask_gives_the_same_bytes():
    mask = sitk.GetImageFromArray(
        (ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(30,) * 3), 2) > 0).astype(
            np.uint8
        )
    )
    one, other = arrays_of(surface_of(mask)), arrays_of(surface_of(mask))
    assert one[0].tobytes() == other[0].tobytes() and one[1].tobytes() == other[1].tobytes()


TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
CORNERS = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], float)


def test_health_of_a_tetrahedron():
    health = mesh_health(mesh_of(CORNERS, TETRAHEDRON))
    assert health.watertight and health.genus == 0 and health.points == 4
    assert health.volume_cm3 == pytest.approx(1.0 / 6.0)
    assert health.area_cm2 == pytest.approx(1.5 + np.sqrt(3) / 2)


def test_health_names_each_fault():
    opened = mesh_health(mesh_of(CORNERS, TETRAHEDRON[:3]))
    assert opened.open_edges == 3 and not opened.watertight
    inward = mesh_health(mesh_of(CORNERS, TETRAHEDRON[:, ::-1]))
    assert inward.inconsistent_edges == 0 and not inward.outward
    turned = TETRAHEDRON.copy()
    turned[0] = turned[0, ::-1]
    assert mesh_health(mesh_of(CORNERS, turned)).inconsistent_edges == 3
    # Two tetrahedra that share one point, and two that share an edge.
    beside = np.vstack([CORNERS, CORNERS[1:] * -1])
    at_point = np.vstack([TETRAHEDRON, np.array([0, 4, 5, 6])[TETRAHEDRON][:, ::-1]])
    health = mesh_health(mesh_of(beside, at_point))
    assert (health.non_manifold_points, health.pieces, health.open_edges) == (1, 2, 0)
    at_edge = np.vstack([TETRAHEDRON, np.array([0, 1, 5, 6])[TETRAHEDRON]])
    assert mesh_health(mesh_of(beside, at_edge)).non_manifold_edges == 1
    flat = np.vstack([CORNERS, [5, 0, 0]])
    split = np.vstack([TETRAHEDRON, [[0, 1, 4]]])
    assert mesh_health(mesh_of(flat, split)).degenerate == 1
