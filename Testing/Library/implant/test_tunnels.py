"""Tunnels and strips of a sheet: filled or cut where they are, and nothing else changes."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from SkullImplantLib.implant.strips import Across, without_strips
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


def test_hooks_go_and_corners_stay() -> None:
    hook = np.maximum(box(1.5, 5.0, 1.5, (0.0, 9.0, 0.0)), box(4.0, 1.4, 1.5, (3.0, 13.0, 0.0)))
    found = without_strips(np.maximum(PLATE, hook), straight_up, SPACING_MM)
    assert not (found[(Y > 11.0)] > 0.0).any()
    np.testing.assert_array_equal(found[np.abs(Y) < 6.0], np.maximum(PLATE, hook)[np.abs(Y) < 6.0])
    # A plate with sharp corners, however thin, has no strips.
    for half_mm in (2.5, 1.0):
        thin = box(9.0, 9.0, half_mm)
        np.testing.assert_array_equal(without_strips(thin, straight_up, SPACING_MM), thin)
