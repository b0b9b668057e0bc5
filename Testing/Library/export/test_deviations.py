"""How far the outer face lies from another surface: the truth of balls, and none where none is."""

import manifold3d
import numpy as np
import pytest
from bent_plate import INNER_MM, OUTER_MM, bent_plate, mesh_from
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.export.deviations import deviation_mm, outer_face
from SkullImplantLib.export.map_colours import DEVIATION_ARRAYS, FROM_OTHER_SIDE
from SkullImplantLib.export.map_legends import map_legends
from SkullImplantLib.implant.meshes import arrays_of, mesh_of

UP, PLACE = np.array([0.36, -0.48, 0.8]), np.array([12.0, -30.0, 45.0])


@pytest.fixture(scope="module")
def plate():
    return bent_plate(UP, PLACE)


def ball(radius_mm: float):
    return mesh_from(manifold3d.Manifold.sphere(radius_mm, 200).translate(PLACE.tolist()))


@settings(max_examples=8, deadline=None)
@given(st.floats(-3.0, 3.0))
def test_a_ball_of_another_radius_is_as_far_as_the_radii(plate, off_mm):
    found = deviation_mm(plate, UP, [ball(OUTER_MM - off_mm)])
    known = np.isfinite(found)
    assert found[known] == pytest.approx(off_mm, abs=0.05)
    # Outer points lie on the larger ball; of those at the rim some count as wall.
    away = np.linalg.norm(arrays_of(plate)[0] - PLACE, axis=1)
    assert known[away > OUTER_MM - 0.05].mean() > 0.6 and not known[away < INNER_MM + 0.5].any()


def test_beyond_the_end_of_the_other_surface_nothing_is_told(plate):
    """Of half a ball the other half of the plate hears nothing."""
    points, triangles = arrays_of(ball(OUTER_MM - 1.0))
    aside = np.linalg.svd(UP[None])[2][1]
    half = triangles[((points[triangles].mean(axis=1) - PLACE) @ aside) > 0.0]
    found = deviation_mm(plate, UP, [mesh_of(points, half)])
    beside = (arrays_of(plate)[0] - PLACE) @ aside
    assert np.isfinite(found[beside > 2.0]).any() and not np.isfinite(found[beside < -3.0]).any()
    nothing = mesh_of(np.zeros((0, 3)), np.zeros((0, 3), int))
    assert not np.isfinite(deviation_mm(plate, UP, [nothing])).any()


def test_the_outer_face_of_a_design_is_no_way_from_itself(plate):
    face = outer_face(plate, UP)
    assert 0 < face.GetNumberOfPolys() < plate.GetNumberOfPolys()
    found = deviation_mm(plate, UP, [face])
    assert np.nanmax(np.abs(found)) < 1e-3


def test_the_legend_says_what_it_is_and_has_a_sign():
    legends = {legend.array: legend for legend in map_legends({})}
    assert set(DEVIATION_ARRAYS) < set(legends)
    told = legends[FROM_OTHER_SIDE]
    assert told.title == "Deviation from the other side" and "outer face" in told.remark
    assert told.scale.diverges and told.scale.low_mm == -told.scale.high_mm
