"""Slivers are taken out of a closed mesh, which stays closed and where it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vtkmodules.vtkFiltersSources import vtkSphereSource

from SkullImplantLib.implant.meshes import arrays_of, mesh_health, mesh_of
from SkullImplantLib.implant.slivers import soundness, without_slivers

RADIUS_MM = 60.0


def ball() -> tuple[np.ndarray, np.ndarray]:
    source = vtkSphereSource()
    source.SetRadius(RADIUS_MM)
    source.SetThetaResolution(24)
    source.SetPhiResolution(18)
    source.SetCenter(20.0, -40.0, 90.0)
    source.Update()
    return arrays_of(source.GetOutput())


def with_a_corner(
    points: np.ndarray, triangles: np.ndarray, facet: int, share: float, off: float
) -> tuple[np.ndarray, np.ndarray]:
    """Put a corner into a facet, at a share of its first side and all but on that."""
    first, second, apex = triangles[facet]
    place = points[first] + share * (points[second] - points[first])
    place = place + off * (points[apex] - place)
    new = len(points)
    made = [[first, second, new], [second, apex, new], [apex, first, new]]
    return (
        np.vstack([points, place]),
        np.concatenate([np.delete(triangles, facet, axis=0), made]),
    )


corners = st.tuples(
    st.integers(0, 400), st.sampled_from([0.0, 1e-7, 1e-3, 0.3, 0.5, 1.0]), st.floats(0.0, 1e-4)
)


@settings(max_examples=40)
@given(st.lists(corners, min_size=1, max_size=12))
def test_slivers_go_and_the_ball_stays(made):
    points, triangles = ball()
    for facet, share, off in made:
        points, triangles = with_a_corner(points, triangles, facet, share, off)
    mesh = mesh_of(points, triangles)
    found = without_slivers(mesh)
    before, after = mesh_health(mesh), mesh_health(found)
    assert before.degenerate > 0 or soundness(*arrays_of(mesh)).min() < 1.0
    assert after.watertight and after.pieces == 1 and after.genus == 0
    assert after.degenerate == 0 and soundness(*arrays_of(found)).min() >= 1.0
    assert after.volume_cm3 == pytest.approx(before.volume_cm3, rel=1e-6)


def test_a_mesh_without_slivers_is_left_alone():
    mesh = mesh_of(*ball())
    assert without_slivers(mesh) is mesh
    empty = mesh_of(np.zeros((0, 3)), np.zeros((0, 3), int))
    assert without_slivers(empty) is empty
