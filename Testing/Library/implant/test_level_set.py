"""The surface of a field at zero: where it lies, closed, and nothing kept of the field."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from SkullImplantLib.implant.level_set import closed_surface_at_zero, surface_at_zero
from SkullImplantLib.implant.meshes import enclosed_volume_mm3, mesh_health, mesh_of


def ball(radius: float, size: int = 40) -> NDArray[np.float32]:
    """The depth in a ball in the middle of a lattice."""
    middle = (size - 1) / 2.0
    away = np.linalg.norm(np.indices((size,) * 3).astype(np.float32) - np.float32(middle), axis=0)
    return np.asarray(np.float32(radius) - away)


def test_a_balls_surface_lies_where_the_field_is_zero() -> None:
    points, triangles = surface_at_zero(ball(12.0))
    np.testing.assert_allclose(np.linalg.norm(points - 19.5, axis=1), 12.0, atol=0.02)
    health = mesh_health(mesh_of(points, triangles))
    assert health.watertight and (health.pieces, health.genus) == (1, 0)
    # Facets look out of what is positive.
    assert enclosed_volume_mm3(points, triangles) == pytest.approx(
        4 / 3 * np.pi * 12.0**3, rel=0.01
    )


def test_a_surface_is_closed_where_the_lattice_ends() -> None:
    half = ball(12.0)[20:]
    assert not mesh_health(mesh_of(*surface_at_zero(half))).watertight
    points, triangles = closed_surface_at_zero(half)
    assert mesh_health(mesh_of(points, triangles)).watertight
    assert points[:, 2].min() >= -1.0


def test_no_surface_is_an_empty_one() -> None:
    points, triangles = closed_surface_at_zero(np.full((5, 5, 5), np.float32(-1.0)))
    assert (len(points), len(triangles)) == (0, 0)


def test_nothing_of_the_field_is_kept() -> None:
    """VTK holds arrays that it shares until something makes it look: many surfaces, one field."""
    tracemalloc.start()
    try:
        for _ in range(5):
            surface_at_zero(ball(12.0, 100))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100**3
