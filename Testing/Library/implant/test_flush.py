"""Flush at the rim: what the ring of bone says of the completion, carried into the hole."""

from itertools import pairwise

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_shells import AS_IT_IS, case_of, conical_hole, sphere

from SkullImplantLib.core.distances import distance_mm
from SkullImplantLib.core.images import array_of, image_like
from SkullImplantLib.implant.flush import (
    RANGE_MM,
    Sheet,
    made_flush,
    outward_normals,
    residual_of,
)
from SkullImplantLib.implant.lattice import lattice_over, places_of
from SkullImplantLib.implant.openings import SKIN_MM

OUTER_MM, THICKNESS_MM, HOLE_MM = 40.0, 7.0, 15.0
MOUTH_Z_MM = float(np.sqrt(OUTER_MM**2 - HOLE_MM**2))
BOX_MM = ((-27.0, -27.0, 12.0), (27.0, 27.0, 45.0))


def ring(radius_mm: float) -> np.ndarray:
    turn = np.linspace(0.0, 2.0 * np.pi, 200, endpoint=False)
    return np.column_stack([radius_mm * np.cos(turn), radius_mm * np.sin(turn), np.zeros(200)])


def test_a_residual_holds_at_the_ring_and_fades_within_its_range() -> None:
    places = ring(40.0)
    process = residual_of(places, np.full(200, 0.8))
    assert process.at(places[::7]) == pytest.approx(0.8, abs=0.1)
    inwards = [float(process.at(ring(40.0 - d)[:1])[0]) for d in (0.0, 3.0, 6.0, 12.0, 24.0)]
    assert all(nearer > farther >= -1e-6 for nearer, farther in pairwise(inwards))
    assert inwards[-1] < 0.05 * 0.8
    # Waves about the ring are followed where they are longer than its range.
    turn = np.arctan2(places[:, 1], places[:, 0])
    waves = residual_of(places, 0.5 * np.cos(3.0 * turn))
    assert waves.at(places) == pytest.approx(0.5 * np.cos(3.0 * turn), abs=0.12)


def test_without_a_ring_nothing_is_moved() -> None:
    process = residual_of(np.zeros((0, 3)), np.zeros(0))
    np.testing.assert_array_equal(process.at(ring(5.0)), 0.0)


def test_normals_point_out_of_the_head_on_both_tables() -> None:
    axis = np.arange(-10.0, 10.5, 1.0, dtype=np.float32)
    z = np.broadcast_to(axis[:, None, None], (21, 21, 21))
    depth = (3.0 - np.abs(z)).astype(np.float32)
    outward = np.zeros((3, 21, 21, 21), np.float32)
    outward[0] = 1.0
    normals, share = outward_normals(depth, outward, 1.0)
    assert normals[0, [6, 14], 10, 10].min() > 0.99
    assert share[15, 10, 10] > 0.95 and share[5, 10, 10] < 0.05
    assert 0.2 < share[10, 10, 10] < 0.8


def flush_sheet(too_far_out_mm: float) -> tuple[Sheet, sitk.Image]:
    """A completion whose two tables both lie too far out, made flush."""
    case = case_of(
        sphere(OUTER_MM, THICKNESS_MM), conical_hole(MOUTH_Z_MM, HOLE_MM, 0.0), corners_mm=BOX_MM
    )
    coarse, fine = (lattice_over(case.missing, step_mm) for step_mm in (1.0, 0.5))
    frame = places_of(coarse, np.argwhere(np.ones(coarse.GetSize()[::-1], bool)))
    core = np.zeros(coarse.GetSize()[::-1], bool)
    core.ravel()[:] = (case.hole(frame) > SKIN_MM) & (case.shell(frame) > 0.0)
    away = image_like(distance_mm(image_like(core, coarse)), coarse)
    off = sphere(OUTER_MM + too_far_out_mm, THICKNESS_MM)
    places = places_of(case.missing, np.argwhere(np.ones(case.missing.GetSize()[::-1], bool)))
    depth = off(AS_IT_IS.from_lps(places)).astype(np.float32)
    image = image_like(depth.reshape(case.missing.GetSize()[::-1]), case.missing)
    return made_flush(image, coarse, fine, case.surface, away, np.zeros(3)), fine


@pytest.mark.parametrize("too_far_out_mm", [0.0, 1.0])
def test_a_completion_that_is_too_far_out_meets_the_bone_at_the_rim(too_far_out_mm: float) -> None:
    sheet, fine = flush_sheet(too_far_out_mm)
    assert sheet.correction_mm == pytest.approx(too_far_out_mm, abs=0.2)
    places = places_of(fine, np.argwhere(np.ones(fine.GetSize()[::-1], bool)))
    radius = np.linalg.norm(places, axis=1)
    across = np.hypot(places[:, 0], places[:, 1])
    depth = array_of(image_like(sheet.field, fine)).ravel()
    # At the rim the outer and the inner table; in the middle half of it is left, or more.
    for table_mm, side in ((OUTER_MM, 1.0), (OUTER_MM - THICKNESS_MM, -1.0)):
        rim = (np.abs(radius - table_mm) < 0.5) & (np.abs(across - HOLE_MM) < 0.7)
        step = depth[rim] + side * (radius[rim] - table_mm)
        assert np.percentile(np.abs(step), 95) < 0.35
    middle = (np.abs(radius - OUTER_MM) < 1.5) & (across < HOLE_MM - 2.0 * RANGE_MM)
    left = depth[middle] + radius[middle] - OUTER_MM
    assert np.median(left) >= 0.3 * too_far_out_mm - 0.05
