"""The holes to be filled: found, measured, told apart, chosen; skins and debris are none."""

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_shells import AS_IT_IS, Depth, grid_over, places_of_grid
from numpy.typing import NDArray

from SkullImplantLib.core.images import image_like
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.implant.bone_distance import rough_distance
from SkullImplantLib.implant.bone_surface import bone_surface
from SkullImplantLib.implant.lattice import lattice_over
from SkullImplantLib.implant.openings import COARSE_MM, Opening, find_openings
from SkullImplantLib.options import HoleChoice, ImplantOptions

OUTER_MM, INNER_MM, SPACING_MM = 40.0, 34.0, 1.0
BOX_MM = ((-42.0, -42.0, -42.0), (42.0, 42.0, 42.0))
UP, ASIDE, BACK = np.array([0.0, 0, 1]), np.array([1.0, 0, 0]), np.array([0.0, 1, 0])
# Half the angles (degrees) that holes are wide, seen from the middle: 14, 5 and 2 cm².
LARGE, MEDIUM, SMALL = (UP, 33.0), (ASIDE, 20.0), (BACK, 12.0)
GRID = grid_over(BOX_MM, (SPACING_MM,) * 3, AS_IT_IS, np.eye(3))
PLACES = places_of_grid(GRID)
RADIUS = np.linalg.norm(PLACES, axis=-1)


def shell(p: NDArray[np.float64], more_mm: float = 0.0) -> NDArray[np.float64]:
    radius = np.linalg.norm(p, axis=-1)
    return np.minimum(OUTER_MM + more_mm - radius, radius - INNER_MM + more_mm)


def found_in(
    *holes: tuple[NDArray[np.float64], float],
    completion: Depth = shell,
    choices: tuple[HoleChoice, ...] = (),
) -> tuple[tuple[Opening, ...], tuple[str, ...]]:
    missing = np.zeros(RADIUS.shape, bool)
    for axis, half_deg in holes:
        missing |= PLACES @ axis > np.cos(np.radians(half_deg)) * RADIUS
    whole = shell(PLACES) > 0.0
    hole = image_like(whole & missing, GRID)
    surface = bone_surface(image_like(whole & ~missing, GRID))
    far = rough_distance(surface, lattice_over(hole, COARSE_MM))
    depth: sitk.Image = image_like(completion(PLACES).astype(np.float32), GRID)
    return find_openings(depth, far, hole, ImplantOptions(holes=choices))


def cap_cm2(half_deg: float) -> float:
    middle_mm = (OUTER_MM + INNER_MM) / 2.0
    return float(2.0 * np.pi * middle_mm**2 * (1.0 - np.cos(np.radians(half_deg))) / 100.0)


def test_every_hole_of_4_cm2_is_found_the_largest_first() -> None:
    openings, notes = found_in(MEDIUM, LARGE, SMALL)
    assert len(openings) == 2
    for opening, (axis, half_deg) in zip(openings, (LARGE, MEDIUM)):
        assert opening.area_cm2 == pytest.approx(cap_cm2(half_deg), rel=0.15)
        centre = np.array(opening.centre_mm)
        assert centre @ axis / np.linalg.norm(centre) > 0.999
    assert len(notes) == 1 and "One more hole stays open (2 cm²)" in notes[0]


@pytest.mark.parametrize(
    ("choices", "axes"),
    [((3,), [BACK]), ((2, 1), [UP, ASIDE]), (((0.0, 36.0, 3.0),), [BACK]), ((1, 1), [UP])],
)
def test_holes_are_chosen_by_number_or_place(
    choices: tuple[HoleChoice, ...], axes: list[NDArray[np.float64]]
) -> None:
    openings, notes = found_in(LARGE, MEDIUM, SMALL, choices=choices)
    assert [int(np.argmax(np.abs(o.centre_mm))) for o in openings] == [
        int(np.argmax(axis)) for axis in axes
    ]
    assert ("holes stay" in notes[0]) == (len(axes) == 1)


def test_the_only_hole_is_filled_however_small() -> None:
    openings, notes = found_in(SMALL)
    assert len(openings) == 1 and notes == ()


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (4, "There is no hole 4: 2 were found; give 1 to 2"),
        ((0.0, -40.0, 0.0), "No hole lies near"),
    ],
)
def test_a_hole_that_is_not_there_is_named(choice: HoleChoice, said: str) -> None:
    with pytest.raises(SkullImplantError, match=said):
        found_in(LARGE, MEDIUM, choices=(choice,))


def test_skins_on_intact_bone_are_no_hole_and_belong_to_none() -> None:
    def too_thick(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return shell(p, 1.0)

    with pytest.raises(SkullImplantError, match="No defect was found"):
        found_in(completion=too_thick)
    (opening,), _ = found_in(LARGE, completion=too_thick)
    plain = found_in(LARGE)[0][0]
    # Half a millimetre of slack, a step of the lattice, and the completion's own 1 mm.
    places = places_of_grid(lattice_over(GRID, COARSE_MM))[opening.field > 0.0]
    angle = np.degrees(np.arccos(places @ UP / np.linalg.norm(places, axis=1)))
    assert angle.max() < LARGE[1] + np.degrees(3.0 / OUTER_MM)
    assert opening.area_cm2 == pytest.approx(plain.area_cm2, rel=0.15)


def test_debris_of_the_completion_within_the_head_is_no_hole() -> None:
    def with_debris(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(shell(p), 10.0 - np.linalg.norm(p, axis=-1))

    openings, _ = found_in(LARGE, completion=with_debris)
    assert len(openings) == 1 and openings[0].centre_mm[2] > 30.0
