"""Good triangles on a zero level: their shapes, their place, and that nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SkullImplantLib.implant.even_mesh import TOLERANCE_MM
from SkullImplantLib.implant.facet_shapes import shapes_of
from SkullImplantLib.implant.level_set import surface_at_zero
from SkullImplantLib.implant.mesh_contact import crossing_facets, meeting_facets
from SkullImplantLib.implant.meshes import (
    MeshHealth,
    enclosed_volume_mm3,
    facet_vectors,
    mesh_health,
    mesh_of,
)
from SkullImplantLib.implant.remeshing import remeshed
from SkullImplantLib.implant.zero_level import ZeroLevel

SPACING_MM = 0.5
SHORTEST_MM, LONGEST_MM, MOST_ASPECT = 0.3, 1.5, 10.0
MOST_SKIN_MM = 0.01
# Fields are as a fit leaves them: exact close to the surface, and no farther.
BAND_MM = 0.5
Field = NDArray[np.float32]
Points = NDArray[np.float64]
Triangles = NDArray[np.int64]


def lattice(half_mm: float, turned: Rotation | None = None) -> NDArray[np.float64]:
    """Return the places (z, y, x, 3) of a lattice round the origin, none of its points on it."""
    axis = np.arange(-half_mm, half_mm, SPACING_MM) + 0.17
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    places = np.stack([x, y, z], axis=-1)
    return places if turned is None else turned.apply(places.reshape(-1, 3)).reshape(places.shape)


def clipped(depth_mm: NDArray[np.float64]) -> Field:
    return np.clip(depth_mm, -BAND_MM, BAND_MM).astype(np.float32)


def ball(radius_mm: float, places: NDArray[np.float64]) -> NDArray[np.float64]:
    return radius_mm - np.linalg.norm(places, axis=-1)


def plate(places: NDArray[np.float64], halves_mm: tuple[float, ...], edge_mm: float = 1.0) -> Field:
    """Return the field of a plate whose edges are rounded."""
    outside = np.abs(places) - np.array(halves_mm) + edge_mm
    away = np.linalg.norm(np.maximum(outside, 0.0), axis=-1) + np.minimum(outside.max(-1), 0.0)
    return clipped(edge_mm - away)


def rounded_volume_mm3(halves_mm: tuple[float, ...], edge_mm: float = 1.0) -> float:
    a, b, c = (2.0 * (half - edge_mm) for half in halves_mm)
    faces, edges = 2.0 * edge_mm * (a * b + b * c + c * a), np.pi * edge_mm**2 * (a + b + c)
    return float(a * b * c + faces + edges + 4.0 / 3.0 * np.pi * edge_mm**3)


def torus(places: NDArray[np.float64], ring_mm: float, tube_mm: float) -> Field:
    ring = np.hypot(places[..., 0], places[..., 1]) - ring_mm
    return clipped(tube_mm - np.hypot(ring, places[..., 2]))


def smooth_noise(seed: int) -> Field:
    """Return a field of random blobs, necks and holes, negative on its lattice's border."""
    rough = np.random.default_rng(seed).standard_normal((28, 28, 28))
    smooth = ndimage.gaussian_filter(rough, 3.0)
    smooth = 2.0 * smooth / np.linalg.norm(np.gradient(smooth, SPACING_MM), axis=0).mean()
    field = clipped(smooth - 0.5)
    border = np.ones(field.shape, bool)
    border[2:-2, 2:-2, 2:-2] = False
    field[border] = -BAND_MM
    return field


def health(points: Points, triangles: Triangles) -> MeshHealth:
    return mesh_health(mesh_of(points, triangles))


def as_cubes_leave_it(field: Field) -> MeshHealth:
    points, triangles = surface_at_zero(field)
    return health(points * SPACING_MM, triangles)


def sides_mm(points: Points, triangles: Triangles) -> NDArray[np.float64]:
    return np.linalg.norm(points[triangles] - points[np.roll(triangles, 1, axis=1)], axis=2)


def aspects(points: Points, triangles: Triangles) -> NDArray[np.float64]:
    """Return the longest side over the inradius; 1 where the sides are equal."""
    sides = sides_mm(points, triangles)
    twice_area = np.linalg.norm(facet_vectors(points, triangles), axis=1)
    return sides.max(axis=1) * sides.sum(axis=1) / twice_area / np.sqrt(12.0)


def assert_good(field: Field, points: Points, triangles: Triangles) -> None:
    """Assert what is promised of every mesh: sound, of the same kind, of good facets, in place."""
    before, after = as_cubes_leave_it(field), health(points, triangles)
    assert after.watertight
    assert (after.pieces, after.genus, after.degenerate) == (before.pieces, before.genus, 0)
    sides = sides_mm(points, triangles)
    assert sides.min() >= SHORTEST_MM and sides.max() <= LONGEST_MM
    assert aspects(points, triangles).max() < MOST_ASPECT
    level = ZeroLevel(field, SPACING_MM)
    assert level.facets_away_mm(points, triangles).max() <= TOLERANCE_MM
    assert len(meeting_facets(points, triangles, level)) == 0


def test_sphere() -> None:
    field = clipped(ball(10.0, lattice(12.0)))
    points, triangles = remeshed(field, SPACING_MM)
    assert_good(field, points, triangles)
    volume = enclosed_volume_mm3(points, triangles)
    assert volume == pytest.approx(4.0 / 3.0 * np.pi * 10.0**3, rel=0.002)
    centre = 12.0 - 0.17
    assert np.abs(np.linalg.norm(points - centre, axis=1) - 10.0).max() < 0.02


@pytest.mark.parametrize("degrees", [(0.0, 0.0, 0.0), (31.0, 17.0, 53.0)])
def test_plate_of_two_millimetres(degrees: tuple[float, ...]) -> None:
    halves = (9.0, 8.0, 1.0)
    turned = Rotation.from_euler("xyz", degrees, degrees=True)
    field = plate(lattice(13.0, turned), halves)
    points, triangles = remeshed(field, SPACING_MM)
    assert_good(field, points, triangles)
    # Facets cut edges of a radius of 1 mm: marching cubes loses 0.7 % of such a plate.
    true = rounded_volume_mm3(halves)
    cut = true - enclosed_volume_mm3(points, triangles)
    cubes, facets = surface_at_zero(field)
    assert 0.0 < cut < true - enclosed_volume_mm3(cubes * SPACING_MM, facets)


def test_a_torus_stays_one() -> None:
    field = torus(lattice(12.0), 8.0, 2.5)
    points, triangles = remeshed(field, SPACING_MM)
    assert health(points, triangles).genus == 1
    assert_good(field, points, triangles)
    volume = enclosed_volume_mm3(points, triangles)
    assert volume == pytest.approx(2.0 * np.pi**2 * 8.0 * 2.5**2, rel=0.002)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**31))
def test_any_smooth_field_keeps_its_kind(seed: int) -> None:
    field = smooth_noise(seed)
    points, triangles = remeshed(field, SPACING_MM)
    before, after = as_cubes_leave_it(field), health(points, triangles)
    assert after.watertight and after.degenerate == 0
    assert (after.pieces, after.genus) == (before.pieces, before.genus)
    # Cubes cut every bulge; what is put back is a thin skin, and no more.
    skin_mm = 1000.0 * abs(after.volume_cm3 - before.volume_cm3) / (100.0 * before.area_cm2)
    assert skin_mm < MOST_SKIN_MM
    assert len(crossing_facets(points, triangles)) == 0
    # Necks and creases of a lattice step keep some facets as they were.
    assert np.quantile(aspects(points, triangles), 0.99) < 3.0
    assert np.quantile(sides_mm(points, triangles), 0.01) > SHORTEST_MM
    away = ZeroLevel(field, SPACING_MM).facets_away_mm(points, triangles)
    assert np.quantile(away, 0.97) <= 1.01 * TOLERANCE_MM


def test_sheets_that_nearly_touch_stay_apart() -> None:
    places = lattice(9.0)
    one, other = places - (4.05, 0.0, 0.3), places + (4.05, 0.0, -0.3)
    field = clipped(np.maximum(ball(4.0, one), ball(4.0, other)))
    points, triangles = remeshed(field, SPACING_MM)
    found = health(points, triangles)
    assert found.watertight and found.pieces == as_cubes_leave_it(field).pieces
    assert len(crossing_facets(points, triangles)) == 0


def test_fewer_triangles_where_asked() -> None:
    field = clipped(ball(10.0, lattice(12.0)))
    many = remeshed(field, SPACING_MM)[1]
    points, triangles = remeshed(field, SPACING_MM, most_triangles=len(many) // 2)
    assert len(triangles) <= len(many) // 2
    assert_good(field, points, triangles)


def test_the_same_mesh_again() -> None:
    field = torus(lattice(8.0), 5.0, 1.5)
    one, other = remeshed(field, SPACING_MM), remeshed(field.copy(), SPACING_MM)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


def test_no_surface_no_triangles() -> None:
    points, triangles = remeshed(np.full((5, 6, 7), -1.0, np.float32), SPACING_MM)
    assert points.shape == (0, 3) and triangles.shape == (0, 3)


def test_an_open_surface_is_refused() -> None:
    field = np.ones((6, 6, 6), np.float32)
    field[:, :, 3:] = -1.0
    with pytest.raises(ValueError, match="not closed"):
        remeshed(field, SPACING_MM)


def test_one_lattice_point_is_left_alone_or_sound() -> None:
    field = np.full((7, 7, 7), -0.5, np.float32)
    field[3, 3, 3] = 0.2
    assert health(*remeshed(field, SPACING_MM)).watertight


def test_progress_rises_to_its_end() -> None:
    told: list[float] = []
    field = clipped(ball(4.0, lattice(6.0)))
    remeshed(field, SPACING_MM, progress=lambda fraction, message="": told.append(fraction))
    assert told == sorted(told) and told[-1] == 1.0


def test_crossing_sheets_are_seen() -> None:
    """The check itself: of two balls pushed into each other by 0.1 mm, only the facets there."""
    places = lattice(9.0)
    one, other = ball(3.0, places - (2.95, 0.0, 0.0)), ball(3.0, places + (2.95, 0.0, 0.0))
    meshes = [remeshed(clipped(depth), SPACING_MM) for depth in (one, other)]
    points = np.concatenate([mesh[0] for mesh in meshes])
    triangles = np.concatenate([meshes[0][1], meshes[1][1] + len(meshes[0][0])])
    level = ZeroLevel(clipped(np.maximum(one, other)), SPACING_MM)
    facets = meeting_facets(points, triangles, level)
    found = points[triangles[facets]].mean(axis=1) - (9.0 - 0.17)
    assert len(found) > 0
    assert np.abs(found[:, 0]).max() < 0.5 and np.linalg.norm(found, axis=1).max() < 1.5


def test_aspect_is_one_where_sides_are_equal() -> None:
    corners = np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0]]])
    shapes = shapes_of(corners, np.tile([0.0, 0.0, 1.0], (1, 3, 1)))
    assert shapes.aspect[0] == pytest.approx(1.0) and shapes.lean[0] == pytest.approx(0.0)
