"""The maps on an implant's surface: on plates made by formula, and beside the checks."""

import numpy as np
import pytest
from analytic_plate import CLEARANCE_MM, HOLE_MM, OUTER_MM, THICKNESS_MM, UP, AnalyticPlate
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from SkullImplantLib.checks import SurfaceMaps, check_implant, surface_maps
from SkullImplantLib.checks.inscribed_balls import WALL_SLACK_MM
from SkullImplantLib.checks.surface_maps import BAND_MM, THICKEST_MM
from SkullImplantLib.implant.drilling import Hole, drilled
from SkullImplantLib.implant.meshes import arrays_of, facet_vectors, mesh_of

INNER_MM = OUTER_MM - THICKNESS_MM


@pytest.fixture(scope="module")
def vault() -> AnalyticPlate:
    return AnalyticPlate()


def measured(vault: AnalyticPlate, mesh):
    """The points of a mesh, its maps and its checks by name."""
    found = check_implant(mesh, vault.bone, direction=UP, ct=vault.ct, completed=vault.completed)
    checks = {check.name: check for check in found.checks}
    return arrays_of(mesh)[0], surface_maps(mesh, found.measured), checks


def areas(mesh) -> np.ndarray:
    """The share of the area, mm², that each point stands for."""
    points, triangles = arrays_of(mesh)
    each = np.linalg.norm(facet_vectors(points, triangles), axis=1) / 6.0
    return np.bincount(triangles.ravel(), np.repeat(each, 3), len(points))


def rim_distance_mm(points: np.ndarray, edge_mm: float = HOLE_MM) -> np.ndarray:
    """How far points of the plate lie within the hole's wall, along the sphere."""
    radius = np.linalg.norm(points, axis=1)
    around = np.arctan2(np.hypot(points[:, 0], points[:, 1]), points[:, 2])
    return (edge_mm / OUTER_MM - around) * radius


@pytest.mark.parametrize("thickness_mm", [2.5, 4.0, 6.0, 8.0])
def test_the_thickness_is_that_of_the_plate_up_to_its_edge(vault, thickness_mm):
    mesh = vault.mesh(vault.plate(inner_mm=OUTER_MM - thickness_mm))
    _, maps, _ = measured(vault, mesh)
    off = np.abs(maps.thickness_mm - thickness_mm)
    assert np.isfinite(off).all() and np.percentile(off, 95.0) < 0.2
    # At an edge as well, where the nearest wall is nearer: but on its last facets.
    assert areas(mesh)[off > 0.5].sum() < 0.02 * areas(mesh).sum()


def test_the_thickness_of_a_wedge_grows_as_the_wedge(vault):
    lower = INNER_MM + 0.06 * vault.places[..., 0]  # 4.5 mm at one end, 7.5 at the other
    points, maps, _ = measured(vault, vault.mesh(vault.plate(inner_mm=lower)))
    away = rim_distance_mm(points)
    told = THICKNESS_MM - 0.06 * points[:, 0]
    inside = away > 3.0
    assert np.abs(maps.thickness_mm - told)[inside].max() < 0.3


@pytest.mark.parametrize("clearance_mm", [0.2, 0.5, 1.5])
def test_the_gap_is_the_clearance_at_the_wall_and_nowhere_else(vault, clearance_mm):
    points, maps, _ = measured(vault, vault.mesh(vault.plate(clearance_mm=clearance_mm)))
    known = np.isfinite(maps.gap_mm)
    away = rim_distance_mm(points)
    assert known[away < clearance_mm + 0.3].mean() > 0.98
    assert not known[away > clearance_mm + BAND_MM + 1.0].any()
    assert np.median(maps.gap_mm[known]) == pytest.approx(clearance_mm, abs=0.05)
    assert np.percentile(np.abs(maps.gap_mm[known] - clearance_mm), 95.0) < 0.15


def moved(mesh, by_mm):
    points, triangles = arrays_of(mesh)
    return mesh_of(points + np.asarray(by_mm), triangles)


@settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(turn=st.floats(0.0, 2.0 * np.pi), shift=st.floats(0.1, 0.4))
def test_the_gap_of_a_shifted_disc_is_the_cosine_of_the_way(vault, turn, shift):
    way = np.array([np.cos(turn), np.sin(turn), 0.0])
    points, maps, _ = measured(vault, moved(vault.mesh(vault.plate()), shift * way))
    known = np.isfinite(maps.gap_mm)
    ahead = points[known] @ way / np.hypot(points[known, 0], points[known, 1])
    # The wall stands upright on the sphere, 20 degrees off the axis.
    told = CLEARANCE_MM - shift * ahead * np.cos(HOLE_MM / OUTER_MM)
    assert np.percentile(np.abs(maps.gap_mm[known] - told), 95.0) < 0.15


def test_the_step_of_a_raised_plate_is_how_far_it_was_raised(vault):
    raised = vault.plate(inner_mm=INNER_MM + 0.6, outer_mm=OUTER_MM + 0.6)
    points, maps, _ = measured(vault, vault.mesh(raised))
    known = np.isfinite(maps.step_mm)
    for face in (maps.inner, ~maps.inner):
        assert (known & face).sum() > 500
        assert np.median(maps.step_mm[known & face]) == pytest.approx(0.6, abs=0.1)
    assert not known[rim_distance_mm(points) > 7.0].any()


def faulty(vault: AnalyticPlate) -> np.ndarray:
    """A plate with a notch in its rim on one side and a lip that stands out on the other."""
    x, y = vault.places[..., 0], vault.places[..., 1]
    notch = 2.0 * np.exp(-(((x - 24.0) / 6.0) ** 2) - (y / 6.0) ** 2)
    lip = 1.5 * np.exp(-(((x + 22.0) / 6.0) ** 2) - (y / 8.0) ** 2)
    return vault.plate(outer_mm=OUTER_MM + lip, clearance_mm=CLEARANCE_MM + notch)


def test_the_worst_on_the_maps_is_what_the_checks_tell_and_where(vault):
    points, maps, checks = measured(vault, vault.mesh(faulty(vault)))
    worst = int(np.nanargmax(maps.gap_mm))
    gap = checks["rim gap maximum"]
    assert maps.gap_mm[worst] == pytest.approx(gap.value, abs=0.3) and gap.value > 2.0
    assert np.linalg.norm(points[worst] - gap.place_mm) < 2.0
    walls = maps.gap_mm[np.isfinite(maps.gap_mm)]
    for name, share in (("rim gap 5 %", 5.0), ("rim gap median", 50.0)):
        assert np.percentile(walls, share) == pytest.approx(checks[name].value, abs=0.1)
    outer = np.where(maps.inner, np.nan, maps.step_mm)
    worst, step = int(np.nanargmax(np.abs(outer))), checks["outer step"]
    assert np.nanmax(np.abs(outer)) >= step.value > 0.8
    assert np.linalg.norm(points[worst] - step.place_mm) < 8.0
    assert checks["least wall"].value <= np.percentile(maps.thickness_mm, 1.0)


def test_a_plate_that_is_too_thin_is_thin_on_the_map_as_in_the_check(vault):
    x, y = vault.places[..., 0], vault.places[..., 1]
    dent = 4.8 * np.exp(-((x / 6.0) ** 2) - (y / 6.0) ** 2)
    mesh = vault.mesh(vault.plate(inner_mm=INNER_MM + dent))
    points, maps, checks = measured(vault, mesh)
    wall = checks["least wall"]
    # As the check has it: no more than 2 mm² are thinner.
    order = np.argsort(maps.thickness_mm)
    thinner = np.cumsum(areas(mesh)[order])
    least = maps.thickness_mm[order][np.searchsorted(thinner, 2.0)]
    assert least == pytest.approx(1.2, abs=0.15)
    # The check's balls are told from a spur by their edges, and so to its slack.
    assert least == pytest.approx(wall.value, abs=WALL_SLACK_MM)
    assert np.linalg.norm(points[order[0]] - wall.place_mm) < 5.0


def test_walls_of_drilled_holes_have_neither_gap_nor_step(vault):
    pytest.importorskip("manifold3d")
    mesh = vault.mesh(vault.plate())
    found = check_implant(mesh, vault.bone, direction=UP)
    hole = Hole((0.0, 15.0, 65.3), 3.0)
    holed = drilled(mesh, (hole,), UP)
    maps: SurfaceMaps = surface_maps(holed, found.measured)
    points = arrays_of(holed)[0]
    on_wall = np.hypot(points[:, 0], points[:, 1] - 15.0) < 1.55
    on_wall &= np.abs(np.linalg.norm(points, axis=1) - INNER_MM - THICKNESS_MM / 2.0) < 2.0
    rim = rim_distance_mm(points) < CLEARANCE_MM + 0.1
    assert np.isfinite(maps.gap_mm[rim]).mean() > 0.98
    assert np.isnan(maps.step_mm[on_wall]).all() and np.isnan(maps.gap_mm[on_wall]).all()
    assert np.percentile(np.abs(maps.thickness_mm - THICKNESS_MM), 99.0) < 0.3


def test_a_plate_far_from_bone_has_no_gap_and_no_step(vault):
    far = moved(vault.mesh(vault.plate()), (0.0, 0.0, 60.0))
    _, maps, _ = measured(vault, far)
    assert np.isnan(maps.gap_mm).all() and np.isnan(maps.step_mm).all()
    assert maps.thickness_mm.min() > 0.0 and maps.thickness_mm.max() < THICKEST_MM
