"""Walls that can be made: opened and closed by a ball, one piece, no tunnels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from SkullImplantLib.implant.level_set import surface_at_zero
from SkullImplantLib.implant.pieces import main_piece
from SkullImplantLib.implant.walls import (
    RIM_GIVES_MM,
    closed,
    one_solid,
    opened,
    opened_where_changed,
    smoothed_along_the_rim,
    taken_away,
)

SPACING_MM = 0.5
Field = NDArray[np.float32]
AXIS = np.arange(-12.0, 12.0, SPACING_MM) + 0.13
Z, Y, X = np.meshgrid(AXIS, AXIS, AXIS, indexing="ij")
ROOM = np.full(X.shape, 5.0, np.float32)


def box(half_x: float, half_y: float, half_z: float, at: tuple[float, ...] = (0, 0, 0)) -> Field:
    """The depth in a box with sharp edges, mm."""
    away = [np.abs(v - m) - h for v, m, h in zip((X, Y, Z), at, (half_x, half_y, half_z))]
    outside = np.linalg.norm(np.maximum(away, 0.0), axis=0)
    return -(outside + np.minimum(np.max(away, axis=0), 0.0)).astype(np.float32)


def surface_mm(field: Field) -> NDArray[np.float64]:
    """The points (x, y, z) of a field's surface."""
    return surface_at_zero(field)[0] * SPACING_MM + AXIS[0]


PLATE = box(9.0, 9.0, 2.5)


def test_opening_rounds_edges_by_its_radius_and_leaves_faces() -> None:
    found = surface_mm(opened(PLATE, SPACING_MM, 1.0))
    outside = np.maximum(np.abs(found) - np.array([8.0, 8.0, 1.5]), 0.0)
    away = np.linalg.norm(outside, axis=1) - 1.0
    # The ball's middles lie in a box whose own edges the lattice cuts off a little.
    assert np.percentile(np.abs(away), 95) < 0.2 and np.abs(away).max() < 0.35
    assert away.max() < 0.02
    face = np.abs(found[:, :2]).max(axis=1) < 6.0
    np.testing.assert_allclose(np.abs(found[face, 2]), 2.5, atol=0.01)


@pytest.mark.parametrize("degrees", [0.0, 17.0, 45.0])
@pytest.mark.parametrize("off_mm", [0.0, 0.12, 0.25])
def test_a_wall_a_little_thicker_than_the_ball_stays(off_mm: float, degrees: float) -> None:
    """Wherever the voxels lie: hardly any of them is as deep as the ball is wide."""
    up = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    height = up[0] * Z + up[1] * X - off_mm
    for thick_mm, stays in ((2.3, True), (1.9, False)):
        wall = np.minimum(thick_mm / 2.0 - np.abs(height), 10.0 - np.abs(Y)).astype(np.float32)
        wall = np.minimum(wall, 10.0 - np.abs(up[0] * X - up[1] * Z))
        found = opened(wall, SPACING_MM, 1.1)
        middle = (wall > 0.0) & (np.maximum(np.abs(X), np.abs(Y)) < 5.0) & (np.abs(Z) < 5.0)
        if stays:
            assert (found[middle & (wall > 0.1)] > 0.0).all()
        else:
            assert (found[middle] <= 0.0).all()


def test_opening_takes_what_is_thinner_and_only_takes() -> None:
    spike, flake = box(0.6, 0.6, 8.0), box(11.0, 4.0, 0.7)
    whole = np.maximum.reduce([PLATE, spike, flake])
    found = opened(whole, SPACING_MM, 1.0)
    assert (found <= whole).all()
    # But for a fillet where they begin.
    assert not (found[(np.abs(Z) > 3.3) | (np.abs(X) > 9.8)] > 0.0).any()
    assert (found > 0.0).sum() == pytest.approx(
        (opened(PLATE, SPACING_MM, 1.0) > 0).sum(), rel=0.02
    )
    assert not (opened(box(8.0, 8.0, 0.7), SPACING_MM, 1.0) > 0.0).any()


def test_opened_again_near_a_change_is_as_opened_whole_and_as_before_elsewhere() -> None:
    rng = np.random.default_rng(5)
    rough = np.minimum(PLATE, ndimage.gaussian_filter(rng.normal(size=X.shape), 4.0) * 60.0 + 1.5)
    before = opened(rough.astype(np.float32), SPACING_MM, 1.1)
    # A cut that leaves a wall of 1 mm beside it, at one end, and a little taken at the other.
    places = (box(1.5, 1.5, 4.0, (-4.0, -4.0, 0.0)), box(0.5, 0.5, 4.0, (6.0, 6.0, 0.0)))
    changed = np.minimum(before, -np.maximum(*places))
    found, whole = opened_where_changed(changed, before, 0.5, 1.1), opened(changed, 0.5, 1.1)
    away = ndimage.distance_transform_edt(changed == before, sampling=SPACING_MM)
    np.testing.assert_array_equal(found[away > 2.8], before[away > 2.8])
    near = (away < 2.0) & (np.abs(whole) < 1.0)
    np.testing.assert_allclose(found[near], whole[near], atol=1e-3)
    np.testing.assert_array_equal(opened_where_changed(before, before, 0.5, 1.1), before)


def test_closing_fills_pits_and_only_fills() -> None:
    pit = box(0.8, 0.8, 1.0, (0.0, 0.0, 2.5))
    found = closed(np.minimum(PLATE, -pit), SPACING_MM, 1.5, np.ones(pit.shape, bool))
    assert (found >= np.minimum(PLATE, -pit) - 1e-6).all()
    middle = (np.abs(X) < 0.4) & (np.abs(Y) < 0.4) & (Z > 1.6) & (Z < 2.1)
    assert (found[middle] > 0.0).all()


@pytest.mark.parametrize("beyond_mm", [0.5, 1.5, 2.5])
def test_closing_leaves_a_smooth_face_that_is_near_the_lattices_end(beyond_mm: float) -> None:
    top_mm = float(AXIS[-1]) - beyond_mm
    ball = (40.0 - np.sqrt(X**2 + Y**2 + (Z - top_mm + 40.0) ** 2)).astype(np.float32)
    pit = (np.sqrt(X**2 + Y**2 + (Z - top_mm) ** 2) - 0.8).astype(np.float32)
    with_pit = np.minimum(ball, pit)
    found = closed(with_pit, SPACING_MM, 1.5, np.ones(ball.shape, bool))
    near = np.abs(ball) < 1.0
    # Over the pit a ball of 1.5 mm sinks in by a quarter of a millimetre.
    assert (found[near] < ball[near] + 0.02).all()
    assert (found[near & (ball > 0.5)] > 0.0).all()


def test_the_piece_that_holds_the_core_is_kept() -> None:
    small, large = box(2.0, 4.0, 4.0, (-8.0, 0.0, 0.0)), box(6.0, 6.0, 6.0, (5.0, 0.0, 0.0))
    both = np.maximum(small, large)
    for piece, core in ((small, small > 1.0), (large, np.zeros(X.shape, bool))):
        found = main_piece(both, core)
        assert ((found > 0.0) == (piece > 0.01)).mean() > 0.999
        assert ndimage.label(found > 0.0)[1] == 1


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), least_wall_mm=st.floats(1.0, 3.0))
def test_whatever_comes_one_piece_with_its_wall_goes_out(seed: int, least_wall_mm: float) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=X.shape), 5.0)
    noise *= 2.0 / np.linalg.norm(np.gradient(noise, SPACING_MM), axis=0).mean()
    rough = np.minimum(PLATE, noise + 1.5).astype(np.float32)
    found = one_solid(rough, ROOM, SPACING_MM, least_wall_mm, rough > 0.0)
    if not (found > 0.0).any():
        return
    assert ndimage.label(found > 0.0)[1] == 1
    # Each place in it lies in a ball as wide as the wall, to the lattice's step.
    inside = found > 0.0
    depth = ndimage.distance_transform_edt(np.pad(inside, 4), sampling=SPACING_MM)
    core = depth >= least_wall_mm / 2.0 - SPACING_MM / 2.0
    reach = ndimage.distance_transform_edt(~core, sampling=SPACING_MM)[4:-4, 4:-4, 4:-4]
    assert reach[inside].max() <= least_wall_mm / 2.0 + 2.0 * SPACING_MM


def test_smoothing_the_rim_gives_no_more_of_the_clearance_than_it_says() -> None:
    steps = np.where(np.round(X) % 4 < 2, 0.6, 0.0)
    room = (6.0 - Y + steps).astype(np.float32)
    found = smoothed_along_the_rim(room, np.ones(room.shape, bool), SPACING_MM)
    near = np.abs(room) < 1.5
    assert (found <= room + np.float32(RIM_GIVES_MM) + 1e-5)[near].all()
    edge = np.abs(Y - 6.2) < 1.0
    assert np.std(found[edge] + Y[edge]) < np.std(room[edge] + Y[edge])
    everywhere = np.ones(room.shape, bool)
    half = smoothed_along_the_rim(room, everywhere, SPACING_MM, RIM_GIVES_MM / 2.0)
    np.testing.assert_allclose(half, (found + room) / 2.0, atol=1e-5)
    none = smoothed_along_the_rim(room, everywhere, SPACING_MM, 0.0)
    np.testing.assert_array_equal(none, room)


def test_what_is_too_thin_is_told_but_not_the_rounding_of_edges() -> None:
    flake = box(5.0, 3.0, 0.7, (11.0, 0.0, 1.8))
    whole = np.maximum(PLATE, flake)
    at_outside = (Z > 1.0) & (Z < 2.5)
    nothing, _ = taken_away(
        PLATE > 0.0, opened(PLATE, SPACING_MM, 1.1) > 0.0, at_outside, SPACING_MM
    )
    assert nothing == 0.0
    volume_mm3, middle = taken_away(
        whole > 0.0, opened(whole, SPACING_MM, 1.1) > 0.0, at_outside, SPACING_MM
    )
    # It begins 1.5 mm from the plate, and ends with the lattice.
    assert volume_mm3 == pytest.approx(1.4 * 6.0 * (AXIS[-1] - 10.25), rel=0.3)
    z, y, x = middle * SPACING_MM + AXIS[0]
    assert abs(z - 1.8) < 0.3 and abs(y) < 0.3 and 10.5 < x < 12.0
