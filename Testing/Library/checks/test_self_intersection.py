"""Facets that pass through others: found as all pairs tried one by one find them."""

import numpy as np
import pytest
import vtk

from SkullImplantLib.checks import self_intersection
from SkullImplantLib.checks.self_intersection import intersecting_facets
from SkullImplantLib.implant.meshes import arrays_of, facet_vectors


def ball(resolution: int = 18) -> tuple[np.ndarray, np.ndarray]:
    source = vtk.vtkSphereSource()
    source.SetThetaResolution(resolution)
    source.SetPhiResolution(resolution)
    source.SetRadius(5.0)
    source.Update()
    return arrays_of(source.GetOutput())


def test_a_ball_does_not_pass_through_itself():
    assert len(intersecting_facets(*ball())) == 0


@pytest.mark.parametrize("shift", [(3.0, 1.0, 0.5), (0.0, 0.0, 9.0), (0.1, 0.2, 0.3)])
def test_two_balls_as_all_pairs_say(shift):
    points, triangles = ball()
    points = np.vstack([points, points + shift])
    triangles = np.vstack([triangles, triangles + len(points) // 2])
    pairs = np.stack(np.triu_indices(len(triangles), 1), axis=1)
    corners, planes = points[triangles], facet_vectors(points, triangles)
    pairs = pairs[self_intersection._both_cut(corners, planes, pairs)]
    passing = pairs[self_intersection._pass(corners, triangles, pairs)]
    found = intersecting_facets(points, triangles)
    np.testing.assert_array_equal(found, np.unique(passing))
    assert len(found) > 0


def test_a_point_pushed_through_the_other_side_is_found():
    points, triangles = ball()
    points[5] = -1.2 * points[5]
    assert len(intersecting_facets(points, triangles)) > 3


def test_facets_of_very_different_sizes():
    points, triangles = ball(40)
    large = np.array([[-50.0, -50.0, 0.1], [50.0, -50.0, 0.1], [0.0, 80.0, 0.1]])
    found = intersecting_facets(
        np.vstack([points, large]), np.vstack([triangles, len(points) + np.arange(3)])
    )
    assert len(triangles) in found and len(found) > 40
