"""Maps with a hole, completed: what is believed at its rim, and what error the answer tells of."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry import radial
from SkullImplantLib.geometry.complete_maps import (
    CALIBRATION,
    THINNEST_MM,
    CompleteMaps,
    Trial,
    complete_maps,
)
from SkullImplantLib.geometry.rim import RIM_MM
from SkullImplantLib.geometry.shape_statistics import (
    OUTER,
    THICKNESS,
    Population,
    shipped_population,
)
from SkullImplantLib.geometry.vault_model import INNER, tables_of

# Two of MRI and one of CT, each completed by the others.
SKULLS = ("brainweb-05", "brainweb-18", "visible-human-female-ct")
SIDE = ((0.8, 0.2, 0.5), 26.0)
TOP = ((0.0, 0.3, 1.0), 28.0)


def maps_of(name: str) -> np.ndarray:
    """The outer and inner radius of a skull of the population."""
    population = tables_of(shipped_population())
    return population.maps_mm[population.names.index(name)].astype(float)


def disc(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """The directions within `degrees` of a direction."""
    unit = np.array(axis) / np.linalg.norm(axis)
    return radial.DISC & (radial.DIRECTIONS @ unit > np.cos(np.deg2rad(degrees)))


@cache
def others(name: str) -> Population:
    """The population without a skull: one object, as models are kept by it."""
    return shipped_population().without([name])


def completed(name: str, maps: np.ndarray, hole: np.ndarray) -> CompleteMaps:
    """The maps without the bone of the hole, completed by the other skulls."""
    bone = radial.DISC & ~hole
    usable = radial.POLAR_RAD < radial.FLOOR_RAD
    return complete_maps(np.where(bone, maps, 0.0), bone, hole, usable, others(name))


def undercut(maps: np.ndarray, hole: np.ndarray, steepness: float) -> np.ndarray:
    """The maps with the inner table cut away beside the hole, as by a reversed bevel."""
    cut = maps.copy()
    left_mm = steepness * radial.distance_mm(hole)
    cut[INNER] = np.maximum(maps[INNER], maps[OUTER] - left_mm)
    return cut


def inner_rms_mm(found: CompleteMaps, maps: np.ndarray, hole: np.ndarray) -> float:
    return float(np.sqrt(((found.maps - maps)[INNER][hole] ** 2).mean()))


@pytest.mark.parametrize("name", SKULLS[1:2])
def test_an_undercut_rim_is_not_believed(name: str) -> None:
    maps, hole = maps_of(name), disc(*SIDE)
    plain = inner_rms_mm(completed(name, maps, hole), maps, hole)
    found = completed(name, undercut(maps, hole, 2.0), hole)
    assert inner_rms_mm(found, maps, hole) < plain + 0.4


@pytest.mark.parametrize("name", SKULLS[1:2])
def test_a_saw_cut_narrower_at_the_brain_changes_no_inner_table(name: str) -> None:
    """It lowers the outer table beside the hole, which is not believed there."""
    maps, hole = maps_of(name), disc(*SIDE)
    bevelled = maps.copy()
    gone_mm = np.maximum(3.0 - radial.distance_mm(hole), 0.0) * 2.0
    bevelled[OUTER] = np.maximum(maps[OUTER] - gone_mm, maps[INNER] + 0.5)
    found, plain = completed(name, bevelled, hole), completed(name, maps, hole)
    assert np.abs(found.maps - plain.maps)[:, hole].max() < 0.2


def test_a_burr_hole_beside_the_rim_makes_no_dent() -> None:
    """Its bottom is bone, but of the inner table alone."""
    name, hole = SKULLS[1], disc(*SIDE)
    maps = maps_of(name)
    plain = completed(name, maps, hole)
    rows, columns = np.indices(hole.shape)
    edge_rows, edge_columns = np.nonzero(
        (radial.distance_mm(hole) > 8) & (radial.distance_mm(hole) < 9)
    )
    burr = np.hypot(rows - edge_rows[0], columns - edge_columns[0]) * radial.PIXEL_MM < 6.0
    drilled = maps.copy()
    drilled[OUTER][burr] = maps[INNER][burr] + 0.5
    found = completed(name, drilled, hole)
    assert np.abs(found.maps - plain.maps)[OUTER][hole].max() < 0.5


@pytest.mark.parametrize("name", SKULLS[1:2])
def test_bone_that_is_there_stays_as_it_is(name: str) -> None:
    maps, hole = maps_of(name), disc(*TOP)
    found = completed(name, maps, hole)
    away = radial.DISC & (radial.distance_mm(hole) > RIM_MM)
    np.testing.assert_array_equal(found.maps[:, away], maps[:, away])
    assert (found.deviation_mm[:, away] == 0.0).all()
    assert (found.deviation_mm[:, hole] > 0.0).all()


def test_most_errors_lie_within_the_deviation_told() -> None:
    """Of a normal error 68 % lie within one deviation and 95 % within two."""
    away = []
    for name in SKULLS:
        for place in (SIDE, TOP):
            maps, hole = maps_of(name), disc(*place)
            found = completed(name, maps, hole)
            outer = (found.maps - maps)[OUTER][hole]
            thickness = outer - (found.maps - maps)[INNER][hole]
            for error, channel in ((outer, OUTER), (thickness, THICKNESS)):
                away.append(np.abs(error) / found.deviation_mm[channel][hole])
    away_all = np.concatenate(away)
    assert 0.55 < (away_all < 1.0).mean() < 0.85
    assert (away_all < 2.0).mean() > 0.88


def test_a_symmetric_head_has_a_symmetric_answer() -> None:
    """But for the bone that was chosen to learn from, which is not the same on both sides."""
    maps, hole = maps_of(SKULLS[1]), disc(*TOP)
    maps = (maps + maps[..., ::-1]) / 2
    found = completed(SKULLS[1], maps, hole | hole[:, ::-1])
    askew_mm = np.abs(found.maps - found.maps[..., ::-1])[:, hole]
    assert np.sqrt((askew_mm**2).mean()) < 0.15


@pytest.mark.parametrize("thin", [0.6, 1.2])
def test_predicted_bone_has_a_thickness(thin: float) -> None:
    maps, hole = maps_of(SKULLS[1]), disc(*SIDE)
    maps[INNER] = maps[OUTER] - thin
    found = completed(SKULLS[1], maps, hole)
    thickness_mm = (found.maps[OUTER] - found.maps[INNER])[hole]
    assert thickness_mm.min() >= THINNEST_MM - 1e-9
    assert np.median(thickness_mm) < 3.0


def test_without_a_hole_nothing_is_predicted() -> None:
    maps = maps_of(SKULLS[0])
    found = completed(SKULLS[0], maps, np.zeros(radial.DISC.shape, bool))
    np.testing.assert_array_equal(found.maps[:, radial.DISC], maps[:, radial.DISC])
    assert not found.deviation_mm.any() and not found.ring_error_mm.any()


def test_a_vault_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(SkullImplantError, match="No sound bone of the vault is left"):
        completed(SKULLS[0], maps_of(SKULLS[0]), radial.DISC.copy())


@given(error=st.floats(0.01, 5.0), expected=st.floats(0.01, 5.0), more=st.floats(1.01, 3.0))
def test_a_head_that_the_trial_misses_is_told_to_be_less_sure(
    error: float, expected: float, more: float
) -> None:
    known = np.full(2, expected)
    usual = Trial(np.full(2, error), known).scale()
    assert (Trial(np.full(2, error * more), known).scale() > usual).all()
    np.testing.assert_allclose(Trial(known, known).scale(), CALIBRATION)
    np.testing.assert_array_equal(Trial(np.zeros(2), np.zeros(2)).scale(), CALIBRATION)
