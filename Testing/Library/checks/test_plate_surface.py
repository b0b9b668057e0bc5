"""Places drawn over a mesh: as many everywhere, whatever the order of its facets."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from SkullImplantLib.checks.plate_surface import drawn_evenly


def sheet(columns: int, rows: int, step_mm: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A flat sheet of right-angled facets, row by row, as a lattice gives them."""
    y, x = np.mgrid[0 : rows + 1, 0 : columns + 1]
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]) * step_mm
    a = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    b, c, d = a + 1, a + columns + 1, a + columns + 2
    facets = [np.column_stack([a, b, c]), np.column_stack([b, d, c])]
    return points, np.stack(facets, axis=1).reshape(-1, 3)


@pytest.mark.parametrize("columns", [600, 603, 611])
def test_places_leave_no_gap_where_rows_of_facets_are_alike(columns: int) -> None:
    points, triangles = sheet(columns, 400, 0.1)
    places, normals, mm2 = drawn_evenly(points, triangles)
    assert mm2 * len(places) == pytest.approx(columns * 400 * 0.01)
    np.testing.assert_allclose(normals, np.tile([0.0, 0.0, 1.0], (len(places), 1)), atol=1e-9)
    farthest_mm = cKDTree(places).query(points)[0].max()
    assert farthest_mm < 2.5 * np.sqrt(mm2)
    again, _, _ = drawn_evenly(points, triangles)
    np.testing.assert_array_equal(again, places)


def test_a_mesh_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="no area"):
        drawn_evenly(np.zeros((3, 3)), np.array([[0, 1, 2]]))
