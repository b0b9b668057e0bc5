"""A move and a smooth displacement between two surfaces are found again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SkullImplantLib.geometry.surface_registration import (
    SIDES,
    DepthMap,
    IntactSurface,
    registered,
)

CENTRE = np.array([3.0, -2.0, 5.0])
RADII = np.array([30.0, 40.0, 34.0])  # of an ellipsoid, mm


def directions(count: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def surface(count: int = 900) -> IntactSurface:
    """Points of the upper two thirds of an ellipsoid with a bump, which no turn hides."""
    at = directions(count) * RADII
    at = at[at[:, 2] > -10.0]
    normals = at / RADII**2
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return IntactSurface(at + CENTRE, normals)


def depth_of(points: np.ndarray) -> np.ndarray:
    """About the depth in the ellipsoid, to the first order."""
    away = points - CENTRE
    level = np.linalg.norm(away / RADII, axis=-1)
    slope = np.linalg.norm(away / RADII**2, axis=-1) / np.maximum(level, 1e-6)
    return (1.0 - level) / np.maximum(slope, 1e-6)


def bone(moved_back=lambda points: points) -> DepthMap:
    """The ellipsoid whose places `moved_back` says where they were before they were moved."""
    low = CENTRE - RADII - 14.0
    count = np.ceil(2 * (RADII + 14.0) / 1.5).astype(int)
    z, y, x = np.meshgrid(*(np.arange(n) * 1.5 for n in count[::-1]), indexing="ij")
    points = np.stack([x, y, z], axis=-1) + low
    return DepthMap(depth_of(moved_back(points)).astype(np.float32), low, 1.5)


def nowhere(points: np.ndarray) -> np.ndarray:
    return np.zeros(len(points), bool)


@settings(max_examples=10, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-0.1, 0.1)] * 3),
    shift=st.tuples(*[st.floats(-4.0, 4.0)] * 3),
)
def test_a_rigid_move_is_found_again(turn, shift):
    rotation = Rotation.from_rotvec(turn).as_matrix()
    found = registered(surface(), bone(lambda p: (p - CENTRE - shift) @ rotation + CENTRE), nowhere)
    assert found is not None
    truth = (surface().places - CENTRE) @ rotation.T + CENTRE + shift
    off_mm = np.linalg.norm(found(surface().places) - truth, axis=1)
    # An ellipsoid slides along itself a little; its surface does not leave the other's.
    assert np.median(off_mm) < 1.0
    assert np.nanpercentile(np.abs(found.residual_mm), 95) < 0.3


def test_another_shape_is_reached_by_a_smooth_displacement():
    def back(points):
        bump = 3.0 * np.exp(-((points - CENTRE - [0, 40, 0]) ** 2).sum(-1) / (2 * 18.0**2))
        return points - bump[..., None] * np.array([0.0, 1.0, 0.0])

    found = registered(surface(1500), bone(back), nowhere)
    assert found is not None
    assert np.nanpercentile(np.abs(found.residual_mm), 95) < 0.6
    pole = CENTRE + [0.0, 40.0, 0.0]
    assert (
        1.5
        < (found(pole[None]) - found.moved(pole[None]))[0, 1]
        + (found.moved(pole[None])[0] - pole)[1]
        < 4.5
    )


def test_an_affine_move_scales_what_a_rigid_one_cannot():
    larger = bone(lambda p: (p - CENTRE) / 1.08 + CENTRE)
    rigid, affine = (registered(surface(), larger, nowhere, affine=a) for a in (False, True))
    assert rigid is not None and affine is not None
    stretched = np.linalg.det(affine.matrix) ** (1 / 3)
    assert stretched == pytest.approx(1.08, abs=0.02)
    assert np.linalg.det(rigid.matrix) == pytest.approx(1.0, abs=1e-6)


def test_what_is_silent_moves_nothing_and_too_little_bone_says_nothing():
    def moved_half(points):
        return points - np.where(points[..., :1] > CENTRE[0], [6.0, 0.0, 0.0], [0.0, 0.0, 0.0])

    found = registered(surface(), bone(moved_half), lambda p: p[:, 0] > CENTRE[0] - 4.0)
    assert found is not None
    left = surface().places[surface().places[:, 0] < CENTRE[0] - 8.0]
    assert np.abs(found(left) - left).max() < 1.0
    few = IntactSurface(surface().places[:20], surface().normals[:20])
    assert registered(few, bone(), nowhere) is None
    assert registered(surface(), bone(lambda p: p + 40.0), nowhere) is None


def test_the_displacement_dies_away_from_what_was_seen():
    found = registered(surface(), bone(lambda p: p - [0.0, 1.5, 0.0]), nowhere)
    assert found is not None
    far = CENTRE + np.array([[400.0, 0.0, 0.0]])
    assert np.abs(found.displacement(far)).max() < 1e-6
    assert SIDES.between(far, far)[0, 0] == pytest.approx(2.0**2 + 1.2**2)
