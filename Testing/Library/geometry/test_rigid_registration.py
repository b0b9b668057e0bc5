"""Rigid registration: any motion is found again, whatever is missing, moved or thicker."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SkullImplantLib.core.images import index_to_lps_mm
from SkullImplantLib.geometry.bone_field import SurfacePoints
from SkullImplantLib.geometry.rigid_registration import (
    STAY,
    Motion,
    Pairing,
    Scaling,
    Surface,
    fit_rigid,
    moved_image,
    rotations_within,
    search_starts,
)

angles, shifts = st.floats(-8.0, 8.0), st.floats(-6.0, 6.0)
COARSE_TO_FINE_MM = (8.0, 4.0, 2.0, 1.0, 0.5)


def bumpy_shell(count: int = 6000, seed: int = 1) -> SurfacePoints:
    """Points on both sides of a closed shell with bumps, no two of whose parts are alike."""
    rng = np.random.default_rng(seed)
    out = rng.normal(size=(count, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    bumps = rng.normal(size=(7, 3))
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)

    def radius(direction: np.ndarray) -> np.ndarray:
        return 70.0 + 9.0 * np.exp(6.0 * (direction @ bumps.T - 1.0)).sum(axis=-1)

    def surface(direction: np.ndarray) -> np.ndarray:
        unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        return unit * radius(unit)[..., None] * np.array([0.85, 1.1, 1.0])

    one = np.cross(out, out[:, [1, 2, 0]])
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other = np.cross(out, one)
    normals = np.cross(
        surface(out + 1e-4 * one) - surface(out), surface(out + 1e-4 * other) - surface(out)
    )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals *= np.sign((normals * out).sum(axis=1))[:, None]
    places = surface(out)
    return SurfacePoints(
        np.concatenate([places, places - 6.0 * normals]), np.concatenate([normals, -normals])
    )


SHELL = bumpy_shell()


def motion_of(turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Motion:
    rotation = Rotation.from_euler("zyx", turn_deg, degrees=True).as_matrix()
    return Motion(rotation, np.array(shift_mm))


def most_apart_mm(one: Motion, other: Motion) -> float:
    return float(np.linalg.norm(one(SHELL.places_mm) - other(SHELL.places_mm), axis=1).max())


@settings(max_examples=15, deadline=None)
@given(st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts))
def test_a_motion_is_found_though_half_of_the_surface_is_missing(turn, shift) -> None:
    true = motion_of(turn, shift)
    there = SHELL.at(SHELL.places_mm[:, 0] < 20.0)
    few = SHELL.at(np.flatnonzero(SHELL.places_mm[:, 2] > -20.0)[::5])
    target = Surface(there.moved(true.rotation, true.shift_mm))
    found = fit_rigid([Pairing(few, target)], STAY, COARSE_TO_FINE_MM)
    assert most_apart_mm(found.motion, true) < 0.2


def test_any_rotation_is_found_from_nothing() -> None:
    true = motion_of((100.0, -40.0, 155.0), (80.0, -10.0, 300.0))
    target = SHELL.moved(true.rotation, true.shift_mm)
    starts = search_starts(
        SHELL.places_mm[::8], target.places_mm[::4], rotations_within(np.pi, 600)
    )
    fits = [fit_rigid([Pairing(SHELL.at(slice(None, None, 12)), Surface(target))], start,
                      COARSE_TO_FINE_MM) for start in starts]  # fmt: skip
    best = min(fits, key=lambda fit: fit.cost(1.0))
    assert most_apart_mm(best.motion, true) < 0.1


def test_part_that_moved_by_itself_does_not_pull() -> None:
    """As a mandible, which opens: a sixth of the surface lies 12 mm away."""
    moved = SHELL.places_mm[:, 2] < -45.0
    places = SHELL.places_mm + np.where(moved[:, None], [0.0, -12.0, -4.0], 0.0)
    target = Surface(replace(SHELL, places_mm=places))
    found = fit_rigid([Pairing(SHELL.at(slice(None, None, 4)), target)], STAY, COARSE_TO_FINE_MM)
    assert most_apart_mm(found.motion, STAY) < 0.1


def test_thicker_bone_is_told_and_does_not_shift() -> None:
    target = Surface(replace(SHELL, places_mm=SHELL.places_mm + 0.4 * SHELL.normals))
    true = motion_of((3.0, 0.0, -2.0), (1.0, 2.0, 0.0))
    points = SHELL.at(slice(None, None, 4)).moved(true.rotation, true.shift_mm)
    found = fit_rigid([Pairing(points, target, thicker=True)], STAY, COARSE_TO_FINE_MM)
    assert found.thicker_mm[0] == pytest.approx(0.4, abs=0.03)
    assert most_apart_mm(found.motion.after(true), STAY) < 0.05


@pytest.mark.parametrize("scale", [(1.05, 1.05, 1.05), (1.0, 1.0, 0.93)])
def test_scale_is_told_along_each_axis(scale: tuple[float, float, float]) -> None:
    axes = Rotation.from_euler("zyx", [20.0, 10.0, 0.0], degrees=True).as_matrix()
    places = (SHELL.places_mm @ axes * scale) @ axes.T
    few = SHELL.at(slice(None, None, 4))
    pairing = Pairing(few, Surface(replace(SHELL, places_mm=places)))
    rigid = fit_rigid([pairing], STAY, COARSE_TO_FINE_MM)
    scaling = Scaling(axes, few.places_mm.mean(axis=0))
    free = fit_rigid([pairing], rigid.motion, COARSE_TO_FINE_MM, scaling)
    np.testing.assert_allclose(np.exp(free.log_scale), scale, atol=0.005)
    assert free.cost(0.5) < 0.1 < rigid.cost(0.5)


def test_motions_undo_and_follow_one_another() -> None:
    one, two = (
        motion_of((10.0, 20.0, 30.0), (1.0, 2.0, 3.0)),
        motion_of((5.0, 0.0, 1.0), (9.0, 0.0, 0.0)),
    )
    points = SHELL.places_mm[:10]
    np.testing.assert_allclose(one.inverse()(one(points)), points, atol=1e-9)
    np.testing.assert_allclose(two.after(one)(points), two(one(points)), atol=1e-9)


def test_a_moved_image_has_each_voxel_where_the_motion_takes_it() -> None:
    image = sitk.Image([4, 5, 6], sitk.sitkUInt8)
    image.SetSpacing([0.5, 0.7, 2.0])
    image.SetOrigin([3.0, -2.0, 1.0])
    motion = motion_of((20.0, -10.0, 5.0), (4.0, 5.0, 6.0))
    moved = moved_image(image, motion)
    corner = np.array([3.0, 4.0, 5.0, 1.0])
    expected = motion((index_to_lps_mm(image) @ corner)[None, :3])[0]
    np.testing.assert_allclose((index_to_lps_mm(moved) @ corner)[:3], expected, atol=1e-9)
    assert image.GetOrigin() == (3.0, -2.0, 1.0)
