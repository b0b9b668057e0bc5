"""The fit on shells made by formula: gap, faces, thickness, what an overhang costs, the way in."""

import numpy as np
import pytest
from analytic_shells import (
    AS_IT_IS,
    Case,
    Depth,
    Frame,
    case_of,
    conical_hole,
    ellipsoid,
    oblique_hole,
    placed,
    sphere,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.implant.fit import Implant, make_implants, mask_of
from SkullImplantLib.implant.mesh_distance import MeshDistance
from SkullImplantLib.implant.meshes import arrays_of, facet_vectors, mesh_health
from SkullImplantLib.implant.surface import surface_of
from SkullImplantLib.options import ImplantOptions

Floats = NDArray[np.float64]

OUTER_MM, THICKNESS_MM, HOLE_MM = 40.0, 7.0, 15.0
INNER_MM = OUTER_MM - THICKNESS_MM
MOUTH_Z_MM = float(np.sqrt(OUTER_MM**2 - HOLE_MM**2))  # of the hole's edge at the outer table
BOX_MM = ((-27.0, -27.0, 12.0), (27.0, 27.0, 45.0))
SHELL = sphere(OUTER_MM, THICKNESS_MM)
EDGE_MM = 1.3  # edges are rounded by 1 mm: faces and walls are looked at beyond that
STEP_MM = 0.5  # on the way out
WIDER_MM = 0.1
TURNED = placed((25.0, -40.0, 70.0), (120.0, -35.0, 800.0))
LEFT_HANDED = placed((80.0, 10.0, -30.0), (0.0, 0.0, 0.0)).turned @ np.diag([1.0, 1.0, -1.0])


def hole(draft_deg: float = 15.0) -> Depth:
    return conical_hole(MOUTH_Z_MM, HOLE_MM, draft_deg)


def corners_of(case: Case, mesh: vtkPolyData) -> tuple[Floats, Floats]:
    """The middles of a mesh's facets and their unit normals, as places of the head."""
    points, triangles = arrays_of(mesh)
    normals = facet_vectors(points, triangles)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return case.frame.from_lps(points[triangles].mean(axis=1)), normals @ case.frame.turned


def gaps_of(case: Case, mesh: vtkPolyData) -> Floats:
    """The distance of the implant's side walls, off its edges, from the wall of the hole."""
    middles, normals = corners_of(case, mesh)
    along = np.stack(
        [case.hole(middles - 1e-3 * axis) - case.hole(middles) for axis in np.eye(3)], axis=-1
    )
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = (np.einsum("ij,ij->i", normals, along) > 0.95) & (case.shell(middles) > EDGE_MM)
    return case.hole(middles)[side]


def assert_one_sound_piece(mesh: vtkPolyData) -> None:
    health = mesh_health(mesh)
    assert health.watertight and health.outward and health.degenerate == 0
    assert (health.pieces, health.genus) == (1, 0)


def assert_goes_in(case: Case, implant: Implant, mesh: vtkPolyData, free_mm: float) -> None:
    """Nothing of it comes nearer to bone than that on its way out, by formula, not by the fit."""
    places = case.frame.from_lps(arrays_of(mesh)[0])
    way = implant.way_in.direction @ case.frame.turned
    for gone_mm in np.arange(0.0, 25.0, STEP_MM):
        assert case.bone(places + gone_mm * way).max() <= -free_mm


def assert_passes_the_bone_that_the_ct_shows(
    case: Case, implant: Implant, mesh: vtkPolyData, free_mm: float
) -> None:
    """As `assert_goes_in`, where a CT shows a mouth's sharp edge rounder than it is."""
    points, bone = arrays_of(mesh)[0], case.surface.distance()
    for gone_mm in np.arange(0.0, 15.0, STEP_MM):
        away = bone.unsigned_mm(points + gone_mm * implant.way_in.direction, 2.0)
        assert away.min() >= free_mm


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "spacing", "frame", "axes", "clearance_mm", "faces_off_mm"),
    [
        (SHELL, (0.5, 0.5, 0.5), AS_IT_IS, None, 0.3, 0.05),
        (SHELL, (1.0, 1.0, 1.0), TURNED, None, 1.0, 0.1),
        (SHELL, (1.0, 1.0, 2.0), AS_IT_IS, None, 0.5, 0.3),
        (
            ellipsoid((46.0, 42.0, 40.0), THICKNESS_MM),
            (0.7, 1.1, 1.6),
            TURNED,
            LEFT_HANDED,
            2.0,
            0.2,
        ),
    ],
    ids=["0.5 mm", "1 mm turned", "2 mm slices", "ellipsoid, left-handed"],
)
def test_gap_and_faces_are_what_was_asked(
    shell: Depth,
    spacing: tuple[float, float, float],
    frame: Frame,
    axes: Floats | None,
    clearance_mm: float,
    faces_off_mm: float,
) -> None:
    case = case_of(shell, hole(), spacing, frame, axes, BOX_MM)
    implant = case.fitted(ImplantOptions(clearance_mm=clearance_mm))
    mesh = surface_of(implant.field)
    assert_one_sound_piece(mesh)
    gaps = gaps_of(case, mesh)
    # A round rim is taken back a little where it is smoothed.
    assert clearance_mm - 0.05 <= np.median(gaps) <= clearance_mm + WIDER_MM
    assert np.percentile(gaps, 5) >= clearance_mm - 0.15
    assert np.percentile(gaps, 95) <= clearance_mm + 0.5
    middles, _ = corners_of(case, mesh)
    faces = np.abs(shell(middles))[case.hole(middles) > clearance_mm + EDGE_MM + 0.5]
    assert np.percentile(faces, 95) <= faces_off_mm
    assert_goes_in(case, implant, mesh, clearance_mm - 0.2)
    assert implant.correction_mm < 0.3 and implant.notes == ()
    labels = array_of(mask_of((implant,), case.missing * 0))
    volume_mm3 = labels.sum() * np.prod(case.missing.GetSpacing())
    assert volume_mm3 / 1000.0 == pytest.approx(mesh_health(mesh).volume_cm3, rel=0.03)


@pytest.mark.slow
def test_one_thickness_is_measured_from_the_outer_face() -> None:
    case = case_of(SHELL, hole(), corners_mm=BOX_MM)
    mesh = surface_of(case.fitted(ImplantOptions(thickness_mm=4.0)).field)
    assert_one_sound_piece(mesh)
    middles, _ = corners_of(case, mesh)
    radius = np.linalg.norm(middles, axis=1)[case.hole(middles) > 2.5]
    outside = radius > OUTER_MM - 2.0
    np.testing.assert_allclose(radius[outside], OUTER_MM, atol=0.1)
    np.testing.assert_allclose(radius[~outside], OUTER_MM - 4.0, atol=0.15)


@pytest.mark.slow
def test_an_overhang_costs_what_lies_behind_it_and_no_more() -> None:
    """A hole that is wider inside by 20 degrees: what goes straight out is its mouth's width."""
    case = case_of(SHELL, hole(-20.0), (0.5, 0.5, 0.5), corners_mm=BOX_MM)
    options = ImplantOptions(insertion_direction=(0.0, 0.0, 1.0), least_wall_mm=0.5)
    implant, _ = _without_notes(case, options)
    mesh = surface_of(implant.field)
    assert_one_sound_piece(mesh)
    assert_passes_the_bone_that_the_ct_shows(case, implant, mesh, 0.3)
    step = 0.25
    axis = np.arange(-22.0, 22.0, step)
    z, y, x = np.meshgrid(np.arange(20.0, 42.0, step), axis, axis, indexing="ij")
    p = np.stack([x, y, z], axis=-1)
    across = np.hypot(x, y)
    in_place = (SHELL(p) > 0.0) & (case.hole(p) > 0.5)
    kept = in_place & (across < HOLE_MM - 0.5)
    # The CT shows the mouth's sharp edge rounder than it is, so that the mouth is wider.
    shares = [np.mean(across[in_place] > HOLE_MM - 0.5 + off_mm) for off_mm in (0.5, -0.1)]
    assert shares[0] <= implant.way_in.lost_share <= shares[1]
    assert mesh_health(mesh).volume_cm3 * 1000.0 == pytest.approx(kept.sum() * step**3, rel=0.03)
    assert implant.notes and "the bone overhangs" in implant.notes[0]


def _without_notes(case: Case, options: ImplantOptions) -> tuple[Implant, tuple[str, ...]]:
    (implant,), notes = make_implants(
        case.depth, case.surface, case.missing, case.frame.moved_mm, options
    )
    return implant, notes


@pytest.mark.slow
def test_the_direction_of_a_drilled_hole_is_found() -> None:
    way = np.array([np.sin(np.radians(25.0)), 0.0, np.cos(np.radians(25.0))])
    drilled = oblique_hole(HOLE_MM, way, np.array([0.0, 0.0, OUTER_MM]))
    case = case_of(SHELL, drilled, frame=TURNED, corners_mm=BOX_MM)
    implant = case.fitted()
    found = implant.way_in.direction @ case.frame.turned
    assert np.degrees(np.arccos(min(1.0, found @ way))) < 2.0
    mesh = surface_of(implant.field)
    assert_one_sound_piece(mesh)
    assert_passes_the_bone_that_the_ct_shows(case, implant, mesh, 0.3)


def star_shaped(waves: list[tuple[float, float]]) -> Depth:
    """A hole whose outline goes in and out around the z axis; its walls stand towards the head's
    middle.
    """

    def depth(p: Floats) -> Floats:
        around = np.arctan2(p[..., 1], p[..., 0])
        edge = 0.4 * (1.0 + sum(a * np.cos(k * around + b) for k, (a, b) in enumerate(waves, 2)))
        angle = np.arctan2(np.hypot(p[..., 0], p[..., 1]), p[..., 2])
        return (edge - angle) * np.linalg.norm(p, axis=-1)

    return depth


@pytest.mark.slow
@settings(max_examples=3)
@given(
    waves=st.lists(st.tuples(st.floats(0.0, 0.12), st.floats(0.0, 6.3)), min_size=2, max_size=3),
    clearance_mm=st.floats(0.0, 2.0),
)
def test_any_star_shaped_hole_gets_one_piece_that_goes_in(
    waves: list[tuple[float, float]], clearance_mm: float
) -> None:
    case = case_of(SHELL, star_shaped(waves), corners_mm=BOX_MM)
    implant, _ = _without_notes(case, ImplantOptions(clearance_mm=clearance_mm))
    mesh = surface_of(implant.field)
    assert_one_sound_piece(mesh)
    # The hole's own distance is not exact beside its corners.
    assert_goes_in(case, implant, mesh, 0.7 * clearance_mm - 0.3)


@pytest.mark.slow
def test_the_fit_goes_with_the_head() -> None:
    """Turned and moved, the head gets the same implant, turned and moved."""
    surfaces = []
    for frame in (AS_IT_IS, TURNED):
        case = case_of(SHELL, hole(), frame=frame, corners_mm=BOX_MM)
        points, triangles = arrays_of(surface_of(case.fitted().field))
        surfaces.append((frame.from_lps(points), triangles))
    (one, triangles), (other, _) = surfaces
    away = MeshDistance(one, triangles).unsigned_mm(other)
    assert np.percentile(away, 95) < 0.1 and away.max() < 0.3


@pytest.mark.slow
def test_two_holes_get_an_implant_each() -> None:
    aside = placed((0.0, 75.0, 0.0), (0.0, 0.0, 0.0))
    small = conical_hole(float(np.sqrt(OUTER_MM**2 - 13.0**2)), 13.0, 15.0)

    def both(p: Floats) -> Floats:
        return np.maximum(hole()(p), small(aside.from_lps(p)))

    case = case_of(SHELL, both, corners_mm=((-27.0, -27.0, -14.0), (45.0, 27.0, 45.0)))
    implants, notes = make_implants(case.depth, case.surface, case.missing, np.zeros(3))
    assert notes == () and len(implants) == 2
    assert implants[0].centre_mm == pytest.approx((0.0, 0.0, 36.0), abs=1.5)
    assert implants[1].centre_mm == pytest.approx(aside.to_lps(np.array([0.0, 0, 36.0])), abs=1.5)
    labels = array_of(mask_of(implants, case.missing * 0))
    missing = array_of(case.missing) > 0
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (labels > 0)[missing].mean() > 0.85 and (labels[~missing] > 0).mean() < 1e-3
    (chosen,), notes = make_implants(
        case.depth, case.surface, case.missing, np.zeros(3), ImplantOptions(holes=(2,))
    )
    assert chosen.centre_mm == implants[1].centre_mm
    assert len(notes) == 1 and "One more hole stays open" in notes[0]


def test_a_clearance_that_leaves_nothing_is_named() -> None:
    case = case_of(SHELL, hole(), (1.5, 1.5, 1.5), corners_mm=BOX_MM)
    with pytest.raises(SkullImplantError, match=r"reduce|No defect was found"):
        case.fitted(ImplantOptions(clearance_mm=16.0))


@pytest.mark.slow
def test_a_bevel_cuts_the_outer_edge_and_nothing_else() -> None:
    case = case_of(SHELL, hole(), corners_mm=BOX_MM)
    plain, cut = (
        arrays_of(surface_of(case.fitted(ImplantOptions(bevel_mm=bevel)).field))[0]
        for bevel in (None, 2.0)
    )
    for points, (least_mm, most_mm) in ((plain, (0.4, 1.0)), (cut, (1.8, 2.1))):
        places = case.frame.from_lps(points)
        # How far within the wall, its gap taken off, and the outer face, both together.
        within = case.hole(places) - 0.5 + OUTER_MM - np.linalg.norm(places, axis=1)
        assert least_mm < within.min() < most_mm
    away = MeshDistance(*arrays_of(surface_of(case.fitted().field))).unsigned_mm(cut)
    places = case.frame.from_lps(cut)
    elsewhere = case.hole(places) - 0.5 + OUTER_MM - np.linalg.norm(places, axis=1) > 3.0
    assert away[elsewhere].max() < 0.1
