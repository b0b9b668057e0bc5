"""Tunnels and strips of a sheet: filled or cut where they are, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from SkullImplantLib.core.distances import away_mm
from SkullImplantLib.implant.level_set import closed_surface_at_zero
from SkullImplantLib.implant.meshes import mesh_health, mesh_of
from SkullImplantLib.implant.pieces import without_cavities
from SkullImplantLib.implant.strips import Across, drawn_out, without_strips
from SkullImplantLib.implant.tunnels import genus_of
from SkullImplantLib.implant.walls import one_solid

SPACING_MM = 0.5
Field = NDArray[np.float32]
AXIS = np.arange(-15.0, 15.0, SPACING_MM) + 0.13
Z, Y, X = np.meshgrid(np.arange(-9.0, 9.0, SPACING_MM) + 0.13, AXIS, AXIS, indexing="ij")
ROOM = np.full(X.shape, 5.0, np.float32)


def straight_up(index: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.tile(np.array([1.0, 0.0, 0.0], np.float32), (len(index), 1))


def box(half_x: float, half_y: float, half_z: float, at: tuple[float, ...] = (0, 0, 0)) -> Field:
    """The depth in a box with sharp edges, mm."""
    away = [np.abs(v - m) - h for v, m, h in zip((X, Y, Z), at, (half_x, half_y, half_z))]
    outside = np.linalg.norm(np.maximum(away, 0.0), axis=0)
    return -(outside + np.minimum(np.max(away, axis=0), 0.0)).astype(np.float32)


PLATE = box(9.0, 9.0, 2.5)
CENTRE = tuple(np.argwhere((np.abs(X) < 0.3) & (np.abs(Y) < 0.3) & (np.abs(Z) < 0.3))[0])


def solid_of(field: Field, room: Field = ROOM, across: Across | None = straight_up) -> Field:
    return one_solid(field, room, SPACING_MM, 2.0, PLATE > 0.0, across)


@pytest.mark.parametrize("window_mm", [0.4, 0.6])
def test_a_window_is_filled_as_far_as_there_is_room(window_mm: float) -> None:
    window = box(window_mm, window_mm, 5.0)
    framed = np.minimum(PLATE, -window)
    assert genus_of(framed) == 1
    found = solid_of(framed)
    assert genus_of(found) == 0 and found[CENTRE] > 0.0
    # Where bone stands in the window there is no room: it is not filled, whatever the tunnels.
    found = solid_of(framed, np.minimum(ROOM, -window))
    assert not (found[window > 0.0] > 0.0).any()


def test_a_handle_and_a_void_are_mended() -> None:
    handle = np.minimum(box(6.0, 1.2, 7.0), -box(4.0, 3.0, 5.5))
    handle = np.where(Z > 0.0, handle, -1.0).astype(np.float32)
    void = box(0.6, 0.6, 0.6)
    whole = np.minimum(np.maximum(PLATE, handle), -void)
    assert genus_of(np.maximum(PLATE, handle)) == 1
    found = solid_of(whole, across=None)
    assert genus_of(found) == 0
    assert ndimage.label(np.pad(found <= 0.0, 1, constant_values=True))[1] == 1


def test_tunnels_of_several_kinds_are_mended_each_in_its_place() -> None:
    """A window with room, one that bone stands in behind a narrow strip, and a handle."""
    bone = box(2.0, 1.5, 5.0, (6.0, 0.0, 0.0))  # leaves 1 mm of the plate at its edge
    handle = np.minimum(box(1.3, 6.0, 7.0), -box(3.0, 4.0, 5.5))
    handle = np.where(Z > 0.0, handle, -1.0).astype(np.float32)
    whole = np.maximum(np.minimum.reduce([PLATE, -box(0.5, 0.5, 5.0, (-5.0, 0.0, 0.0))]), handle)
    whole = np.minimum(whole, -bone)
    assert genus_of(whole) == 3
    found = solid_of(whole, np.minimum(ROOM, -bone))
    assert genus_of(found) == 0
    assert not (found[bone > 0.0] > 0.0).any()
    far = (X < 1.0) & (np.abs(Z) < 1.5) & (np.maximum(np.abs(X), np.abs(Y)) < 7.5)
    assert (found[far] > 0.0).all()


def test_a_thin_sheet_loses_the_strip_beside_a_window_and_not_itself() -> None:
    """Where the whole sheet is thinner than the strip is wide, no ball tells the strip from it."""
    sheet = box(12.0, 12.0, 1.4)
    bone = box(3.0, 3.0, 5.0, (6.0, 0.0, 0.0))  # leaves a strip 3 mm wide at the edge
    framed = np.minimum(sheet, -bone)
    assert genus_of(framed) == 1
    found = one_solid(framed, np.minimum(ROOM, -bone), SPACING_MM, 2.0, sheet > 0.0, straight_up)
    assert genus_of(found) == 0
    kept = (X < 2.0) & (np.abs(Z) < 0.7) & (np.maximum(np.abs(X), np.abs(Y)) < 10.0)
    assert (found[kept] > 0.0).all()
    assert not (found[(X > 9.8) & (np.abs(Y) < 2.0)] > 0.0).any()


def test_a_strip_that_is_cut_off_leaves_no_thin_root() -> None:
    """A tongue that gets narrow and thin away from the plate."""
    tongue = np.minimum(box(1.5, 6.0, 1.5, (0.0, 12.0, 0.0)), (16.0 - Y) * 0.2)
    found = solid_of(np.maximum(PLATE, tongue.astype(np.float32)))
    inside = np.pad(found > 0.0, 4)
    core = ndimage.distance_transform_edt(inside, sampling=SPACING_MM) >= 1.1 - SPACING_MM / 2.0
    reach = ndimage.distance_transform_edt(~core, sampling=SPACING_MM)
    assert reach[inside].max() <= 1.1 + 2.0 * SPACING_MM
    assert not (found[Y > 12.0] > 0.0).any()


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), reach_mm=st.floats(1.0, 6.0))
def test_a_sheet_is_drawn_out_as_if_step_by_step(seed: int, reach_mm: float) -> None:
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=X.shape), 3.0)
    sheet = (np.abs(Z + 40.0 * noise) < 1.5) & (ndimage.gaussian_filter(noise, 3.0) < 0.003)
    if not sheet.any():
        return
    turn = rng.normal(size=3)

    def across(index: NDArray[np.intp]) -> NDArray[np.float32]:
        towards = np.array([1.0, 0.0, 0.0]) + 0.02 * (index - 20) * turn
        return (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32)

    found = drawn_out(away_mm(sheet, SPACING_MM), across, SPACING_MM, reach_mm)
    index = np.argwhere(away_mm(sheet, SPACING_MM) <= reach_mm)
    expected, steps = np.zeros_like(sheet), across(index)
    count = int(np.ceil(reach_mm / SPACING_MM))
    for gone in range(-count, count + 1):
        places = np.rint(index.astype(np.float32) + np.float32(gone) * steps).astype(np.intp)
        met = sheet[tuple(np.clip(places, 0, np.array(sheet.shape) - 1).T)]
        expected[tuple(index[met].T)] = True
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), blur=st.floats(0.5, 2.0))
def test_tunnels_are_counted_as_of_the_mesh(seed: int, blur: float) -> None:
    noise = np.random.default_rng(seed).normal(size=(20, 21, 22))
    field = ndimage.gaussian_filter(noise, blur).astype(np.float32)
    assert genus_of(field) == mesh_health(mesh_of(*closed_surface_at_zero(field))).genus
    assert genus_of(np.full_like(field, -1.0)) == 0


@pytest.mark.parametrize("at", [(3, 3, 3), (3, 3, 4), (5, 5, 5)])
def test_a_void_that_meets_the_outside_at_an_edge_or_a_corner_is_filled(
    at: tuple[int, int, int],
) -> None:
    field = np.full((10, 10, 10), -1.0, np.float32)
    field[2:8, 2:8, 2:8] = 1.0
    field[2, 2, 2] = field[2, 2, 3] = field[at] = -0.1
    found = without_cavities(field)
    assert found[at] > 0.0 and found[2, 2, 2] < 0.0
    assert mesh_health(mesh_of(*closed_surface_at_zero(found))).pieces == 1


def test_hooks_go_and_corners_stay() -> None:
    hook = np.maximum(box(1.5, 5.0, 1.5, (0.0, 9.0, 0.0)), box(4.0, 1.4, 1.5, (3.0, 13.0, 0.0)))
    found = without_strips(np.maximum(PLATE, hook), straight_up, SPACING_MM)
    assert not (found[(Y > 11.0)] > 0.0).any()
    np.testing.assert_array_equal(found[np.abs(Y) < 6.0], np.maximum(PLATE, hook)[np.abs(Y) < 6.0])
    # A plate with sharp corners, however thin, has no strips.
    for half_mm in (2.5, 1.0):
        thin = box(9.0, 9.0, half_mm)
        np.testing.assert_array_equal(without_strips(thin, straight_up, SPACING_MM), thin)
