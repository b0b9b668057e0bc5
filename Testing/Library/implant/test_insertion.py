"""The way in: how near bone comes on a straight path, and which path is best, by formula."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from SkullImplantLib.core.images import image_like
from SkullImplantLib.implant.bone_distance import BoneDistance
from SkullImplantLib.implant.insertion import (
    MOST_FAR,
    MOST_NEAR,
    NEAR_MM,
    WIDEST_DEG,
    Sample,
    best_way_in,
    directions_around,
    given_way_in,
    sample_of,
    way_out_mm,
)
from SkullImplantLib.implant.lattice import places_of

UP = np.array([0.0, 0.0, 1.0])
CLEARANCE_MM, THICKNESS_MM, HOLE_MM = 0.5, 7.0, 15.0


def lattice(low: tuple[float, ...], high: tuple[float, ...], step_mm: float = 0.5) -> sitk.Image:
    size = [round((b - a) / step_mm) + 1 for a, b in zip(low, high)]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetOrigin(low)
    grid.SetSpacing([step_mm] * 3)
    return grid


def places(grid: sitk.Image) -> NDArray[np.float64]:
    shape = grid.GetSize()[::-1]
    return places_of(grid, np.argwhere(np.ones(shape, bool))).reshape(*shape, 3)


AROUND = lattice((-24, -24, -12), (24, 24, 24))
AROUND_PLACES = places(AROUND)


def bone_where(away_mm: NDArray[np.floating], grid: sitk.Image = AROUND) -> BoneDistance:
    return BoneDistance(image_like(away_mm.astype(np.float32), grid))


def drilled(way: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distance to a slab (z from -7 to 0) with a round hole drilled along `way`, and the
    distance from the hole's wall, inside positive.
    """
    p = AROUND_PLACES
    along = p @ way
    wall = HOLE_MM - np.linalg.norm(p - along[..., None] * way, axis=-1)
    slab = np.abs(p[..., 2] + THICKNESS_MM / 2.0) - THICKNESS_MM / 2.0
    outside = np.hypot(np.maximum(slab, 0.0), np.maximum(wall, 0.0))
    return outside + np.minimum(np.maximum(slab, wall), 0.0), wall


@pytest.mark.parametrize(("y", "expected"), [(6.0, 3.0), (3.5, 0.5), (2.0, -1.0)])
def test_a_point_passes_a_ball_as_near_as_geometry_says(y: float, expected: float) -> None:
    ball = bone_where(np.linalg.norm(AROUND_PLACES - [0.0, y, 10.0], axis=-1) - 3.0)
    points = np.array([[0.0, 0.0, -8.0], [0.0, 0.0, 15.0]])
    found = way_out_mm([ball], points, UP, -np.inf)
    assert found[0] == pytest.approx(expected, abs=0.1)
    # The other begins beyond the ball's middle and moves away from it.
    assert found[1] == pytest.approx(np.hypot(y, 5.0) - 3.0, abs=0.1)
    # One that comes nearer than is enough is not followed farther.
    enough = way_out_mm([ball], points, UP, 2.0)
    assert (enough[0] <= 2.0) == (expected <= 2.0)


def test_a_second_lattice_goes_on_where_the_first_ends() -> None:
    near_grid = lattice((-6, -6, -12), (6, 6, 0))
    near = bone_where(
        np.linalg.norm(places(near_grid) - [0.0, 6.0, 10.0], axis=-1) - 3.0, near_grid
    )
    far = bone_where(np.linalg.norm(AROUND_PLACES - [0.0, 6.0, 10.0], axis=-1) - 3.0)
    points = np.array([[0.0, 0.0, -8.0]])
    assert way_out_mm([near, far], points, UP, -np.inf)[0] == pytest.approx(3.0, abs=0.1)
    assert way_out_mm([near], points, UP, -np.inf)[0] > 6.0


@settings(max_examples=4)
@given(off_deg=st.floats(0.0, 45.0), turn_deg=st.floats(0.0, 360.0))
def test_the_direction_that_a_hole_was_drilled_along_is_found(
    off_deg: float, turn_deg: float
) -> None:
    off, turn = np.radians([off_deg, turn_deg])
    way = np.array([np.sin(off) * np.cos(turn), np.sin(off) * np.sin(turn), np.cos(off)])
    away, wall = drilled(way)
    p = AROUND_PLACES
    inside = (wall > CLEARANCE_MM + 0.05) & (p[..., 2] < 0.0) & (p[..., 2] > -THICKNESS_MM)
    points = p[inside]
    bone = [bone_where(away)]
    found = best_way_in(bone, sample_of(points, bone[0].at(points)), UP, CLEARANCE_MM)
    assert np.degrees(np.arccos(min(1.0, found.direction @ way))) < 2.0
    assert found.lost_share < 0.005
    assert found.off_normal_deg == pytest.approx(off_deg, abs=2.0)


@pytest.mark.parametrize("overhang_deg", [10.0, 20.0, 30.0])
def test_what_an_overhang_costs_is_its_volume(overhang_deg: float) -> None:
    """A round hole, wider inside: straight up goes what is no wider than its mouth."""
    p = AROUND_PLACES
    across, slant = np.hypot(p[..., 0], p[..., 1]), np.radians(overhang_deg)
    wall = (HOLE_MM - 3.0 - p[..., 2] * np.tan(slant) - across) * np.cos(slant)
    slab = np.abs(p[..., 2] + THICKNESS_MM / 2.0) - THICKNESS_MM / 2.0
    away = np.maximum(slab, wall)
    # Above the mouth, whose edge is what a point passes.
    mouth = HOLE_MM - 3.0
    edge = np.hypot(np.maximum(mouth - across, 0.0), p[..., 2])
    beside = np.where(p[..., 2] > 0.0, np.where(across < mouth, edge, p[..., 2]), away)
    inside = (wall > CLEARANCE_MM) & (p[..., 2] < 0.0) & (p[..., 2] > -THICKNESS_MM)
    bone, points = bone_where(beside), p[inside]
    whole = Sample(points, np.ones(len(points)), np.zeros(len(points), bool))
    found = given_way_in([bone], whole, UP, CLEARANCE_MM, (0.0, 0.0, 4.0))
    most, least = (
        np.mean(across[inside] > mouth - CLEARANCE_MM + off_mm) for off_mm in (-0.1, 0.1)
    )
    assert least <= found.lost_share <= most
    np.testing.assert_allclose(found.direction, UP)
    sample = sample_of(points, bone.at(points))
    some = given_way_in([bone], sample, UP, CLEARANCE_MM, UP)
    assert some.lost_share == pytest.approx(found.lost_share, abs=0.01)
    best = best_way_in([bone], sample, UP, CLEARANCE_MM)
    assert best.lost_share <= some.lost_share + 0.001


@settings(max_examples=20)
@given(count=st.integers(1, 30_000), near_share=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_a_sample_stands_for_all_points_and_has_most_of_those_near_bone(
    count: int, near_share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points, near = rng.normal(size=(count, 3)), rng.random(count) < near_share
    # Which are near is told to the test by what lies outside.
    sample = sample_of(points, np.where(near, 0.99, 1.01) * NEAR_MM, near)
    assert {tuple(p) for p in sample.points_mm} <= {tuple(p) for p in points}
    for chosen, number, most in (
        (sample.at_outside, near.sum(), MOST_NEAR),
        (~sample.at_outside, (~near).sum(), MOST_FAR),
    ):
        numbers = sample.stands_for[chosen]
        assert len(numbers) == min(number, most)
        assert numbers.sum() == pytest.approx(number)
    again = sample_of(points, np.where(near, 0.99, 1.01) * NEAR_MM, near)
    np.testing.assert_array_equal(again.points_mm, sample.points_mm)


@pytest.mark.parametrize("disc_mm", [8.0, 22.0])
@pytest.mark.parametrize(("rod_mm", "least_mm", "most_mm"), [(0.3, 0.0, 0.0), (3.0, 3.0, 4.5)])
def test_what_is_bared_in_so_small_a_place_that_nobody_sees_it_is_not_told(
    rod_mm: float, least_mm: float, most_mm: float, disc_mm: float
) -> None:
    """A rod of bone hangs over a disc, 3 mm above it."""
    p = AROUND_PLACES
    across = np.hypot(p[..., 0], p[..., 1])
    beside, under = across - rod_mm, 3.0 - p[..., 2]
    outside = np.hypot(np.maximum(beside, 0.0), np.maximum(under, 0.0))
    bone = bone_where(outside + np.minimum(np.maximum(beside, under), 0.0))
    points = p[(np.abs(p[..., 2] + 2.0) <= 2.0) & (across < disc_mm)]
    sample = sample_of(points, bone.at(points), points[:, 2] > -1.5, 0.5**3 / 1.5)
    found = given_way_in([bone], sample, UP, 0.0, UP)
    assert least_mm <= found.bared_mm <= most_mm


def test_directions_are_unit_vectors_around_their_axis() -> None:
    axis = np.array([0.6, 0.0, 0.8])
    found = directions_around(axis, WIDEST_DEG, 12.0)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
    np.testing.assert_allclose(found[0], axis)
    angle = np.degrees(np.arccos(np.clip(found @ axis, -1.0, 1.0)))
    assert angle.max() <= WIDEST_DEG + 1e-6
    apart = np.degrees(np.arccos(np.clip(found @ found.T - 2.0 * np.eye(len(found)), -1.0, 1.0)))
    assert apart.min(axis=1).max() < 13.0
